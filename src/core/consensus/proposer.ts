/**
 * The leader's half of committing a value: propose it to the keepers, collect W votes, tell everybody
 * (W is a majority of the keeper set pinned in the job's record). One value per slot and
 * epoch: a proposal is never changed, only repeated.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { anew, isDue, said } from '../node/repeat.ts';
import { isKeeper, keeperNodes } from '../record/keeper-set.ts';
import { isChosen, validVote } from '../record/certificate.ts';
import { configurationAt, currentOf } from '../record/chain.ts';
import { closeSlot, hasPlace, partitionIn, partitionsIn, slotOf } from '../record/slot.ts';
import { sameEpoch } from '../record/ballot.ts';
import { workDone } from '../keeping/oversight.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { Proposal } from './state.ts';
import { lastWordOf, mergeCommitted, moreOf } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type { CertifiedValue, Message, SlotValue } from '../contract/messages.ts';
import type { Signed, Slot } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { keepersChanged, saveGuest } from '../keeping/guests.ts';
import { outdate } from '../leading/outlook.ts';
import type { Closing, Leader } from '../leading/state.ts';
import { note, observe, persist, refuse, send, touch } from '../node/outbox.ts';
import { persistCommitted, persistState, rowsOf } from '../keeping/books.ts';
import { versionChanged } from '../keeping/versions.ts';
import { specsOf } from '../record/versions.ts';
import type { Node, With } from '../node/state.ts';
import { allow, pointsFor } from '../mesh/allowance.ts';

/** Values that a keeper may have to acknowledge at a time: some 600 KB. */
const COMMITS_OPEN_MAX = 256;
/**
 * So long the end of a job waits for what was taken over: five times that is proposed to who has not voted. A keeper
 * that lies may have told of what nobody else votes for.
 */
const INHERITED_MS = 20_000;

export const jobTimer = (kept: KeptJob): string => `job:${kept.ledger.job}`;

/** What a value rests on; travels with it and is stored by every keeper that votes. */
export interface Support {
  readonly states: readonly Signed<'state'>[];
  readonly commands: readonly Signed<'command'>[];
}

export const noSupport: Support = { states: [], commands: [] };

export function propose(
  core: Node,
  kept: KeptJob,
  lead: Leader,
  values: readonly SlotValue[],
  support: Support = noSupport,
): void {
  const fresh: Slot[] = [];
  for (const value of values) {
    const slot = slotOf(value);
    if (lead.commits.proposals.has(slot) || kept.ledger.committed.has(slot)) continue;
    // What it told its leader alone: nobody else would ever hear of it.
    const last = value.type === 'assign' ? lastWordOf(kept.ledger, value.body) : null;
    const states = last === null ? support.states : [...support.states, last];
    const proposal = { slot, value, ...support, states, votes: new Map(), since: core.now };
    lead.commits.proposals.set(slot, proposal);
    fresh.push(slot);
    outdate(kept, partitionIn(value));
  }
  if (fresh.length === 0) return;
  for (const node of votersFor(kept, lead)) sendProposals(core, kept, lead, node, new Set(fresh));
  anew(core, lead.commits.resend);
  said(core, lead.commits.resend);
  core.timers.set(jobTimer(kept), lead.commits.resend.at);
}

/** Everybody who has a say in what is proposed: in a change of keepers those that come, too. */
function votersFor({ ledger }: KeptJob, { commits, epoch }: Leader | Closing): Iterable<NodeId> {
  const nodes = new Set(keeperNodes(configurationAt(ledger, epoch)));
  for (const { value } of commits.proposals.values())
    if (value.type === 'config') for (const node of keeperNodes(value.body)) nodes.add(node);
  return nodes;
}

function sendProposals(
  core: Node,
  kept: KeptJob,
  { commits, epoch }: Leader | Closing,
  to: NodeId,
  only: ReadonlySet<Slot> | null,
): void {
  const keeps = isKeeper(configurationAt(kept.ledger, epoch), to);
  const open = [...commits.proposals.values()].filter(
    ({ slot, value, votes }) =>
      !votes.has(to) &&
      (only === null || only.has(slot)) &&
      (keeps || (value.type === 'config' && isKeeper(value.body, to))),
  );
  if (open.length === 0) return;
  send(core, to, {
    type: 'propose',
    job: kept.ledger.job,
    epoch,
    values: open.map(({ slot, value }) => ({ slot, value })),
    states: unique(open.flatMap((proposal) => proposal.states)),
    commands: unique(open.flatMap((proposal) => proposal.commands)),
  });
}

const unique = <T extends { readonly id: string }>(records: readonly T[]): readonly T[] => [
  ...new Map(records.map((record) => [record.id, record])).values(),
];

export function onVoted(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'voted' }>,
): void {
  const { lead } = kept;
  if (lead?.stage !== 'leader') return;
  for (const vote of message.votes) {
    const proposal = lead.commits.proposals.get(vote.body.slot);
    if (proposal === undefined || !sameEpoch(vote.body.epoch, lead.epoch)) continue;
    if (core.suite.nodeOf(vote.by) !== from) continue;
    if (!validVote(vote, kept.ledger, proposal.value, proposal.slot, core.suite)) {
      refuse(core, from, 'bad-signature', false);
      continue;
    }
    proposal.votes.set(from, vote);
  }
  settleProposals(core, kept, lead);
}

/**
 * What has W votes is committed; the close last, and not before every accept it rests on: whoever
 * knows a completed job's close shall know its results. Nor before what was taken over: an earlier leader may
 * have committed that, and nobody would hear of it from him any more.
 */
function settleProposals(core: Node, kept: KeptJob, lead: Leader): void {
  const { ledger } = kept;
  let keepers = concerned(ledger, lead);
  const chosen = [...lead.commits.proposals.values()]
    .filter(({ value, votes }) => isChosen(ledger, value, lead.epoch, new Set(votes.keys())))
    .sort((a, b) => Number(a.value.type === 'close') - Number(b.value.type === 'close'));
  for (const proposal of chosen) {
    const { slot, value } = proposal;
    if (value.type === 'close' && mustWait(core, lead, proposal)) return;
    lead.commits.proposals.delete(slot);
    outdate(kept, partitionIn(value));
    learn(core, kept, { record: value, votes: [...proposal.votes.values()] } as CertifiedValue);
    if (value.type === 'config') keepers = concerned(ledger, lead);
    for (const node of keepers) {
      if (node === core.self) continue;
      const open = lead.commits.unacked.get(node) ?? new Map<Slot, boolean>();
      lead.commits.unacked.set(node, open.set(slot, false));
    }
  }
}

/** Those that keep the job, and those that have come with a change. */
const concerned = (ledger: Ledger, { epoch }: Leader): ReadonlySet<NodeId> =>
  new Set([...keeperNodes(configurationAt(ledger, epoch)), ...keeperNodes(currentOf(ledger))]);

/** An end that has its votes waits for others of these proposals. */
function mustWait(core: Node, { commits }: Leader, end: Proposal): boolean {
  for (const { slot, value } of commits.proposals.values()) {
    if (slot === end.slot) continue;
    if (restsOnResults(end.value) && value.type === 'accept') return true;
    if (commits.inherited.has(slot) && core.now - end.since < INHERITED_MS) return true;
  }
  return false;
}

/**
 * Sends every keeper the commits it has not acknowledged, so many at a time: the rest follows its answers.
 * Called once per input, so they travel together.
 */
export function flushCommits(
  core: Node,
  kept: KeptJob,
  { commits }: Leader | Closing,
  all: boolean,
): void {
  for (const [node, slots] of commits.unacked) flushTo(core, kept, node, slots, all);
}

function flushTo(
  core: Node,
  { ledger: { job, committed, spec } }: KeptJob,
  node: NodeId,
  slots: Map<Slot, boolean>,
  all: boolean,
): void {
  if (slots.size === 0) return;
  const values: CertifiedValue[] = [];
  // A close travels with every accept it rests on that is not acknowledged: whoever has it misses no result.
  const close = closeSlot(spec.body.version);
  const closing = slots.get(close) === false && slots.size <= COMMITS_OPEN_MAX;
  let open = 0;
  for (const [slot, sent] of slots) {
    if (open >= COMMITS_OPEN_MAX) break;
    open += 1;
    if (sent && !all && !closing) continue;
    slots.set(slot, true);
    const value = committed.get(slot);
    if (value !== undefined) values.push(value);
  }
  if (values.length > 0) send(core, node, { type: 'commit', job, values });
}

/**
 * Everything committed of a job, on the allowance of who asks for it; its end comes last, with all it rests
 * on before it.
 */
export function sendCommits(core: With<'mesh'>, to: NodeId, kept: KeptJob): void {
  const { job, committed, close } = kept.ledger;
  if (!allow(core, to, pointsFor(committed.size))) return;
  const { more } = moreOf(kept.ledger);
  if (more !== undefined) send(core, to, { type: 'commit', job, values: [], more });
  const values = [...committed.values()].filter(({ record }) => record.type !== 'close');
  if (close !== null) values.push(close);
  send(core, to, { type: 'commit', job, values });
}

const isCompletion = (value: SlotValue): boolean =>
  value.type === 'close' && value.body.outcome === 'completed';

/** An end that comes after the results of all that have one. */
export const restsOnResults = (value: SlotValue): boolean =>
  isCompletion(value) || (value.type === 'close' && value.body.code === 'nodes-failed');

/** An end may be known before what it rests on; that of a completed job rests on all its results. */
export function isGrounded({ spec, partitions }: Ledger, value: SlotValue): boolean {
  if (!isCompletion(value)) return true;
  const executions = new Set<ExecutionId>();
  for (const { accept } of partitions.values())
    if (accept !== null) executions.add(accept.record.body.execution);
  return executions.size >= resultsOf(spec, value);
}

/** How many results the end of a completed job rests on. */
export function resultsOf({ body }: Ledger['spec'], value: SlotValue): number {
  if (JOB_TYPES[body.spec.Type].counted) return partitionsIn(body);
  const enrolled = value.type === 'close' ? value.body.enrolled : undefined;
  return enrolled === undefined || enrolled < 1 ? Number.POSITIVE_INFINITY : enrolled;
}

/** A committed value enters the ledger and the disk; the acceptor's row for its slot is done. */
export function learn(core: Node, kept: KeptJob, value: CertifiedValue): boolean {
  const slot = slotOf(value.record);
  // It comes again when what it rests on is here.
  if (!isGrounded(kept.ledger, value.record)) return false;
  const { record } = value;
  // What has come to its end here has told so: another branch had an end of its own.
  if (record.type === 'close' && kept.ledger.close?.record.body.version === record.body.version)
    return true;
  const fits = hasPlace(kept.ledger.spec, record) && isVersion(core, kept.ledger, record);
  const before =
    record.type === 'assign' ? kept.ledger.assigned.get(record.body.execution)?.partition : null;
  const changes = kept.ledger.configs.length;
  const rows = record.type === 'version' ? rowsOf(kept.ledger) : null;
  const merged = fits ? mergeCommitted(kept.ledger, value, core.suite.specIn) : 'contradiction';
  if (merged === 'contradiction') {
    refuse(core, core.suite.nodeOf(value.record.by), 'contradiction', false);
    return false;
  }
  if (merged === 'known') return true;
  saveGuest(core, kept);
  observe(core, value.record.hlc);
  const { job } = kept.ledger;
  workDone(kept);
  outdate(kept, partitionIn(record));
  // A second place of one node: which of the two counts is decided anew.
  outdate(kept, before ?? null);
  persistCommitted(core, job, slot, value);
  const last = record.type === 'assign' ? lastWordOf(kept.ledger, record.body) : null;
  if (last !== null) persistState(core, last);
  if (rows !== null) versionChanged(core, kept, rows);
  if (kept.accepted.delete(slot)) persist(core, { table: 'accepted', job, key: slot, value: null });
  noteCommitted(core, value);
  if (kept.ledger.configs.length > changes) keepersChanged(core, kept);
  touch(core, job);
  return true;
}

/** What is a version of this job, its owner has signed. */
const isVersion = (core: Node, { spec }: Ledger, value: SlotValue): boolean =>
  value.type !== 'version' || specsOf(core.suite, spec, value.body) !== null;

function noteCommitted(core: Node, value: CertifiedValue): void {
  const { record } = value;
  const { job } = record.body;
  switch (record.type) {
    case 'assign': {
      const { partition, attempt, node, execution } = record.body;
      return note(core, 'job.assigned', { job, partition, attempt, node, execution });
    }
    case 'accept': {
      const { partition, execution, exitCode } = record.body;
      return note(core, 'job.accepted', { job, partition, execution, exitCode });
    }
    case 'config': {
      const { config, keepers, reseeds } = record.body;
      const at = `${config.major}.${config.minor}`;
      if (reseeds !== undefined) note(core, 'job.reseeded', { job, config: at });
      return note(core, 'job.keepers-changed', { job, config: at, keepers: keepers.length });
    }
    case 'version':
      return note(core, 'job.version', { job, version: record.body.version });
    case 'close':
      return note(core, 'job.closed', {
        job,
        outcome: record.body.outcome,
        code: record.body.code,
      });
  }
}

/** A keeper has these commits, or an executor the close: neither is told any more, and what waited follows. */
export function onAcknowledged(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  slots: readonly Slot[],
): void {
  const { lead } = kept;
  if (lead === null || lead.stage === 'candidate') return;
  const open = lead.commits.unacked.get(from);
  for (const slot of slots) {
    open?.delete(slot);
    if (slot === closeSlot(kept.ledger.spec.body.version) && lead.stage === 'closing')
      lead.nodes.delete(from);
  }
  if (open !== undefined) flushTo(core, kept, from, open, false);
}

/** An end that waits for what was taken over does not wait for ever. */
function endWaiting(core: Node, kept: KeptJob, lead: Leader): void {
  const end = lead.commits.proposals.get(closeSlot(kept.ledger.spec.body.version));
  if (end === undefined) return;
  const until = after(end.since, INHERITED_MS);
  if (core.now >= until) settleProposals(core, kept, lead);
  else core.timers.set(jobTimer(kept), until);
}

/** Repeats what was not answered, with doubling pauses. @returns whether anything is still open */
export function resendOpen(core: Node, kept: KeptJob, lead: Leader | Closing): boolean {
  if (lead.stage === 'leader' && lead.commits.inherited.size > 0) endWaiting(core, kept, lead);
  const unacked = [...lead.commits.unacked.values()].some((slots) => slots.size > 0);
  if (lead.commits.proposals.size === 0 && !unacked) return false;
  if (isDue(core, lead.commits.resend)) {
    for (const node of votersFor(kept, lead)) sendProposals(core, kept, lead, node, null);
    flushCommits(core, kept, lead, true);
    said(core, lead.commits.resend);
  }
  core.timers.set(jobTimer(kept), lead.commits.resend.at);
  return true;
}
