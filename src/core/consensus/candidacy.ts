/**
 * Becoming and staying leader of a job: the first epoch comes with the
 * admission, later ones with the promises of W keepers. Whoever becomes leader takes over what any of
 * them had accepted.
 */
import { createCandidacy, createCommits } from './state.ts';
import type { Candidacy } from './state.ts';
import { createSeeking } from '../placing/state.ts';
import { isDue, said } from '../node/repeat.ts';
import { isKeeper, isQuorum, keeperNodes, rankOf } from '../record/keeper-set.ts';
import { isChosen, validVote } from '../record/certificate.ts';
import { configurationAt, currentOf, everKept, sameConfig } from '../record/chain.ts';
import { hasPlace, slotOf } from '../record/slot.ts';
import { jobTimer, learn, propose } from './proposer.ts';
import { compareEpochs, EPOCH_NUMBER_MAX, sameEpoch } from '../record/ballot.ts';
import { heardLately } from '../mesh/reach.ts';
import { judgeAnew } from '../keeping/oversight.ts';
import { after } from '../record/ids.ts';
import type { NodeId, RecordId } from '../record/ids.ts';
import {
  isTerminal,
  mergeCommand,
  mergeGrant,
  mergeState,
  nodeOfExecution,
} from '../record/ledger.ts';
import type { AcceptedValue, JobRecords, Message } from '../contract/messages.ts';
import type { Certified, Epoch } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { leaderIn } from '../leading/state.ts';
import type { Candidate, Lead, Leader } from '../leading/state.ts';
import { eachKept } from '../keeping/books.ts';
import { note, observe, persist, refuse, seal, send, touch, wallMs } from '../node/outbox.ts';
import { checkCommand, checkCommitted, checkGrant, checkState } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

/** Parts of one promise: the largest job has some 20,000 records, of which 150 go into a part. */
const PARTS_MAX = 1_000;
/** States that a keeper told of before their execution was known to be assigned, for each job. */
const EARLY_MAX = 64;
/** A candidacy without W promises ends after this; the next one waits longer. */
const CANDIDACY_MS = 3_000;
/** Two candidates must not meet for ever: the pause doubles, and differs by rank. */
const RETRY_MS = 2_000;

export const newLeader = (core: Node, epoch: Epoch): Leader => ({
  stage: 'leader',
  epoch,
  since: core.now,
  grant: null,
  confirming: null,
  commits: createCommits(core),
  seeking: createSeeking(core),
  watch: new Map(),
  cancelled: new Set(),
  replications: new Map(),
  entrusting: new Map(),
});

/** Begins to ask for promises under the next higher number. */
export function standForLeader(core: Node, kept: KeptJob): void {
  const { job } = kept.ledger;
  const { config } = currentOf(kept.ledger);
  // Each configuration counts its own; number 0 is the admission's alone.
  const numbers = [kept.seen, kept.promised].map((known) =>
    sameConfig(known.config, config) ? known.number : 0,
  );
  const number = Math.max(...numbers) + 1;
  // Keepers that conspired have used the numbers up; there is no ballot left to stand with.
  if (number > EPOCH_NUMBER_MAX) return;
  const epoch: Epoch = { config, number, leader: core.self };
  const candidacy = createCandidacy(core, seal(core, 'grant', { job, epoch }));
  kept.lead = { stage: 'candidate', epoch, since: core.now, candidacy };
  kept.seen = epoch;
  kept.candidateAt = null;
  askPromises(core, kept, candidacy);
  core.timers.set(jobTimer(kept), after(core.now, CANDIDACY_MS));
}

function askPromises(core: Node, kept: KeptJob, { grant, promises, resend }: Candidacy): void {
  for (const node of keeperNodes(configurationAt(kept.ledger, grant.body.epoch))) {
    const promise = promises.get(node);
    if (promise !== undefined && promise.parts.size === promise.of) continue;
    send(core, node, { type: 'prepare', job: kept.ledger.job, grant });
  }
  said(core, resend);
  core.timers.set(jobTimer(kept), resend.at);
}

/** Asks the keepers whether this epoch still stands, and does nothing until W of them say so. */
export function confirmLead(core: Node, kept: KeptJob, lead: Leader): void {
  const { epoch } = lead;
  lead.grant ??= seal(core, 'grant', { job: kept.ledger.job, epoch });
  lead.confirming = createCandidacy(core, lead.grant);
  askPromises(core, kept, lead.confirming);
}

/** A leader that has not heard W keepers for a while asks them before it does more: they may have followed another. */
export function confirmLonely(core: With<'mesh' | 'keeping'>): void {
  const { leaderAloneMs } = core.config.limits;
  for (const kept of eachKept(core)) {
    const lead = leaderIn(kept.lead);
    if (lead === null || kept.ledger.close !== null) continue;
    if (core.now - lead.since < leaderAloneMs) continue;
    const configuration = configurationAt(kept.ledger, lead.epoch);
    const heard = keeperNodes(configuration).filter(
      (node) => node === core.self || heardLately(core, node),
    );
    if (!isQuorum(configuration, heard)) confirmLead(core, kept, lead);
  }
}

/** The part of the job timer that concerns a candidacy. */
export function tickCandidate(core: Node, kept: KeptJob, lead: Candidate): void {
  if (core.now - lead.since < CANDIDACY_MS) return tickPromises(core, kept, lead.candidacy);
  const rank = rankOf(configurationAt(kept.ledger, lead.epoch), core.self);
  const pause = RETRY_MS * 2 ** Math.min(kept.tries, 4) + rank * RETRY_MS;
  kept.lead = null;
  kept.tries += 1;
  kept.candidateAt = after(core.now, pause);
  core.timers.set(jobTimer(kept), kept.candidateAt);
}

export function tickPromises(core: Node, kept: KeptJob, candidacy: Candidacy): void {
  if (isDue(core, candidacy.resend)) askPromises(core, kept, candidacy);
  core.timers.set(jobTimer(kept), candidacy.resend.at);
}

/** What this node asks promises for, if it does. */
function candidacyOf(lead: Lead | null): Candidacy | null {
  if (lead?.stage === 'candidate') return lead.candidacy;
  return lead?.stage === 'leader' ? lead.confirming : null;
}

export function onPromise(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'promise' }>,
): void {
  const candidacy = candidacyOf(kept.lead);
  if (candidacy === null) return;
  const { grant, promises } = candidacy;
  const { epoch } = grant.body;
  if (!sameEpoch(message.epoch, epoch) || !sameEpoch(message.vote.body.epoch, epoch)) return;
  if (core.suite.nodeOf(message.vote.by) !== from) return;
  if (!validVote(message.vote, kept.ledger, grant, 'grant', core.suite)) {
    return refuse(core, from, 'bad-signature', false);
  }
  takeRecords(core, from, kept, message.records);
  for (const accepted of message.accepted) inherit(core, kept, candidacy, accepted);
  const { snapshot, vote, parts } = message;
  const begun = promises.get(from);
  const promise =
    begun?.snapshot === snapshot ? begun : { snapshot, vote, parts: new Set<number>(), of: parts };
  promises.set(from, promise);
  if (message.part < promise.of && promise.parts.size < PARTS_MAX) promise.parts.add(message.part);
  const complete = [...promises].filter(([, { parts, of }]) => parts.size === of);
  const nodes = complete.map(([node]) => node);
  // What it told may have ended this candidacy.
  const enough = isChosen(kept.ledger, grant, epoch, nodes);
  if (!enough || candidacyOf(kept.lead) !== candidacy) return;
  const votes = complete.map(([, { vote }]) => vote);
  takeOffice(core, kept, candidacy, { record: grant, votes });
}

/** The highest ballot per slot wins: what may have been chosen is proposed again. */
function inherit(
  core: Node,
  kept: KeptJob,
  { inherited }: Candidacy,
  accepted: AcceptedValue,
): void {
  const { slot, value } = accepted;
  if (slotOf(value) !== slot || value.body.job !== kept.ledger.job) return;
  if (!hasPlace(kept.ledger.spec, value)) return;
  if (!everKept(kept.ledger, core.suite.nodeOf(value.by)) || !core.suite.verify(value)) return;
  const known = inherited.get(slot);
  if (known === undefined || compareEpochs(accepted.epoch, known.epoch) > 0) {
    inherited.set(slot, accepted);
  }
}

function takeOffice(
  core: Node,
  kept: KeptJob,
  { inherited }: Candidacy,
  grant: Certified<'grant'>,
): void {
  const { job } = kept.ledger;
  const confirmed = kept.lead?.stage === 'leader';
  const { epoch } = grant.record.body;
  const lead = kept.lead?.stage === 'leader' ? kept.lead : newLeader(core, epoch);
  lead.grant = grant.record;
  lead.confirming = null;
  kept.lead = lead;
  kept.tries = 0;
  kept.candidateAt = null;
  if (mergeGrant(kept.ledger, grant) === 'new') {
    const value = { record: grant.record, votes: grant.votes };
    persist(core, { table: 'records', job, key: 'grant', value });
  }
  note(core, 'job.leading', { job, epoch: lead.epoch.number, confirmed: confirmed ? 1 : 0 });
  const open = [...inherited.values()].filter(({ slot }) => !kept.ledger.committed.has(slot));
  const states = [...kept.ledger.states.values()].filter((state) =>
    open.some(({ value }) => restsOn(value, state.body.execution)),
  );
  const support = { states, commands: [...kept.ledger.commands.values()] };
  propose(
    core,
    kept,
    lead,
    open.map(({ value }) => value),
    support,
  );
  // Followers may have missed what the last leader committed.
  for (const node of keeperNodes(configurationAt(kept.ledger, epoch))) {
    if (node === core.self || confirmed) continue;
    lead.commits.unacked.set(node, new Set(kept.ledger.committed.keys()));
  }
  touch(core, job);
}

const restsOn = (value: AcceptedValue['value'], execution: string): boolean =>
  value.type === 'accept' && value.body.execution === execution;

/** Another epoch is higher: whatever this node was, it is not the leader now. */
export function stepDown(core: Node, kept: KeptJob, higher: Epoch): void {
  if (compareEpochs(higher, kept.seen) > 0) {
    if (higher.leader !== kept.seen.leader) judgeAnew(core, kept);
    kept.seen = higher;
  }
  const { lead } = kept;
  if (lead === null || compareEpochs(higher, lead.epoch) <= 0) return;
  kept.lead = null;
  note(core, 'job.stepped-down', {
    job: kept.ledger.job,
    epoch: lead.epoch.number,
    for: higher.number,
  });
  touch(core, kept.ledger.job);
}

/** Merges what another keeper knows of the job. */
function takeRecords(core: Node, from: NodeId, kept: KeptJob, records: JobRecords): void {
  const { ledger } = kept;
  const { suite } = core;
  for (const value of [...(records.configs ?? []), ...records.committed]) {
    if (ledger.committed.has(slotOf(value.record))) continue;
    const verdict = checkCommitted(suite, ledger, value);
    if (verdict === 'good') learn(core, kept, value);
    else refuse(core, from, verdict.code, false);
  }
  for (const state of records.states) takeState(core, from, kept, state);
  for (const command of records.commands) {
    if (ledger.commands.has(command.id)) continue;
    const verdict = checkCommand(suite, ledger.spec, command, wallMs(core));
    if (verdict !== 'good') refuse(core, from, verdict.code, verdict.fault);
    else takeCommand(core, kept, command);
  }
  if (records.grant !== null && checkGrant(suite, ledger, records.grant) === 'good') {
    mergeGrant(ledger, records.grant);
    stepDown(core, kept, records.grant.record.body.epoch);
  }
}

/** @returns whether the state is in the ledger now */
export function takeState(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  state: JobRecords['states'][number],
): boolean {
  const { job } = kept.ledger;
  if (kept.ledger.states.get(state.body.execution)?.id === state.id) return true;
  // A stranger must not fill a ledger with executions that nobody assigned; a keeper may know one first.
  const assigned = nodeOfExecution(kept.ledger, state.body.execution) === state.body.node;
  if (!assigned && !isKeeper(currentOf(kept.ledger), from)) {
    refuse(core, from, 'unknown-job', false);
    return false;
  }
  const { states, assigned: executions } = kept.ledger;
  if (
    !assigned &&
    !states.has(state.body.execution) &&
    states.size >= executions.size + EARLY_MAX
  ) {
    refuse(core, from, 'over-limit', false);
    return false;
  }
  const verdict = checkState(core.suite, job, state);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, verdict.fault);
    return false;
  }
  if (mergeState(kept.ledger, state) !== 'new') return true;
  observe(core, state.hlc);
  // Only how an execution ended must survive; what it is doing now is told again with its lease.
  if (isTerminal(state.body.phase)) {
    const key = `state/${state.body.execution}`;
    persist(core, { table: 'records', job, key, value: { record: state, votes: [] } });
  }
  touch(core, job);
  return true;
}

const commandKey = (id: RecordId): string => `command/${id}`;

export function takeCommand(
  core: Node,
  kept: KeptJob,
  command: JobRecords['commands'][number],
): void {
  const { job, commands } = kept.ledger;
  const before = [...commands.keys()];
  if (mergeCommand(kept.ledger, command) !== 'new') return;
  const key = commandKey(command.id);
  persist(core, { table: 'records', job, key, value: { record: command, votes: [] } });
  // What made room for it.
  for (const id of before)
    if (!commands.has(id))
      persist(core, { table: 'records', job, key: commandKey(id), value: null });
  touch(core, job);
}
