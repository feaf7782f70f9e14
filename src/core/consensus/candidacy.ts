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
import { changes, configurationAt, currentOf, everKept, sameConfig } from '../record/chain.ts';
import { hasPlace, slotOf } from '../record/slot.ts';
import { mayBeDecided, mayHang, PROMISING_MS, waitsForMore } from './open-change.ts';
import { highestAbove } from './outdated.ts';
import { jobTimer, propose } from './proposer.ts';
import { chunkOfValue, isPulled, pullOf, snapshotOf, takePage } from './snapshot.ts';
import { askPage, hold, mayAsk, takeFetched, takeRecords } from './transfer.ts';
import { compareEpochs, EPOCH_NUMBER_MAX, firstEpoch, sameEpoch } from '../record/ballot.ts';
import { heardLately } from '../mesh/reach.ts';
import { isGuest } from '../keeping/changing.ts';
import { judgeAnew } from '../keeping/oversight.ts';
import { after } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import { mergeGrant } from '../record/ledger.ts';
import type { AcceptedValue, Digest, Message, Page } from '../contract/messages.ts';
import type { Certified, Configuration, Epoch, Slot } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { createOutlook } from '../leading/outlook.ts';
import { leaderIn } from '../leading/state.ts';
import { tellExecutors } from '../leading/succession.ts';
import type { Candidate, Lead, Leader } from '../leading/state.ts';
import { eachKept } from '../keeping/books.ts';
import { note, persist, refuse, seal, send, touch } from '../node/outbox.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Node, With } from '../node/state.ts';

/** A candidacy without W promises ends after this without a page of one; the next one waits longer. */
const CANDIDACY_MS = 3_000;
/** However much there is to fetch: others wait for somebody to lead. What was fetched stays. */
const CANDIDACY_MAX_MS = 20_000;
/** Two candidates must not meet for ever: the pause doubles, and differs by rank. */
const RETRY_MS = 2_000;

export const newLeader = (core: Node, ledger: Ledger, epoch: Epoch): Leader => ({
  stage: 'leader',
  version: ledger.spec.body.version,
  epoch,
  since: core.now,
  grant: null,
  confirming: null,
  rolling: null,
  gone: new Map(),
  hung: 0,
  change: null,
  askedBy: new Map(),
  commits: createCommits(core),
  seeking: createSeeking(core),
  watch: new Map(),
  starting: new Set(),
  outlook: createOutlook(ledger),
  cancelled: new Set(),
  replications: new Map(),
  entrusting: new Map(),
});

/** Begins to ask for promises under the next higher number. */
export function standForLeader(core: Node, kept: KeptJob): void {
  const epoch = isGuest(core, kept) ? null : nextEpoch(core, kept);
  if (epoch === null) return;
  const candidacy = createCandidacy(core, seal(core, 'grant', { job: kept.ledger.job, epoch }));
  const { version } = kept.ledger.spec.body;
  kept.lead = { stage: 'candidate', version, epoch, since: core.now, candidacy };
  kept.seen = epoch;
  kept.candidateAt = null;
  askPromises(core, kept, candidacy);
  core.timers.set(jobTimer(kept), endOf(kept.lead));
}

/** The next ballot of this node, in the latest configuration; null when there is none left. */
function nextEpoch(core: Node, kept: KeptJob): Epoch | null {
  const { config } = currentOf(kept.ledger);
  // Each configuration counts its own; number 0 is the admission's alone.
  const numbers = [kept.seen, kept.promised, ...kept.outdated.values()].map((known) =>
    sameConfig(known.config, config) ? known.number : 0,
  );
  const number = Math.max(...numbers) + 1;
  // Keepers that conspired have used the numbers up; there is no ballot left to stand with.
  return number > EPOCH_NUMBER_MAX ? null : { config, number, leader: core.self };
}

/**
 * The keepers changed under a leader, or a change of them hangs: it goes on in the latest configuration, under a
 * new epoch with the promises of a quorum, and decides nothing until it has them. What it had proposed it proposes
 * again then.
 */
export function moveOn(core: Node, kept: KeptJob, lead: Leader): void {
  const epoch = nextEpoch(core, kept);
  if (epoch === null) return;
  lead.change = null;
  lead.confirming = createCandidacy(core, seal(core, 'grant', { job: kept.ledger.job, epoch }));
  kept.seen = epoch;
  const { job, configs } = kept.ledger;
  const [last] = configs.slice(-1);
  const told = new Set(keeperNodes(configurationAt(kept.ledger, lead.epoch)));
  for (const node of keeperNodes(currentOf(kept.ledger))) told.add(node);
  told.delete(core.self);
  // Before they are asked. Who misses it asks for it, and who keeps the job no more learns it here.
  if (last !== undefined)
    for (const node of told) send(core, node, { type: 'commit', job, values: [last] });
  askPromises(core, kept, lead.confirming);
}

/** The epoch that a leader has, or asks for, is not of the latest configuration. */
export const isLeftBehind = ({ ledger }: KeptJob, lead: Candidate | Leader): boolean =>
  !sameConfig((candidacyOf(lead)?.grant.body.epoch ?? lead.epoch).config, currentOf(ledger).config);

/** When it has come to nothing, unless a page of a promise comes before. */
function endOf({ since, candidacy }: Candidate): Millis {
  const [idle, late] = [after(candidacy.heardAt, CANDIDACY_MS), after(since, CANDIDACY_MAX_MS)];
  return idle < late ? idle : late;
}

function askPromises(core: Node, kept: KeptJob, { grant, promises, resend }: Candidacy): void {
  for (const node of keeperNodes(configurationAt(kept.ledger, grant.body.epoch))) {
    const promise = promises.get(node);
    if (promise !== undefined && isPulled(promise.pull)) continue;
    tellOfVersion(core, node, kept);
    send(core, node, { type: 'prepare', job: kept.ledger.job, grant });
  }
  said(core, resend);
  core.timers.set(jobTimer(kept), resend.at);
}

/** First what the job is at: who knows less, or that it is over, could promise nothing for it. */
function tellOfVersion(core: Node, to: NodeId, { ledger }: KeptJob): void {
  const { job, version, wanted, configs } = ledger;
  if (to === core.self) return;
  if (version !== null) send(core, to, { type: 'version', job, version, ...changes(configs) });
  if (wanted !== null) send(core, to, { type: 'update', job, ...wanted });
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
export function tickCandidate(core: With<'mesh'>, kept: KeptJob, lead: Candidate): void {
  if (core.now < endOf(lead)) {
    // The alarm may be set for a question that is asked long after the end.
    core.timers.set(jobTimer(kept), endOf(lead));
    return tickPromises(core, kept, lead.candidacy);
  }
  const higher = highestAbove(kept, lead.epoch);
  // Not enough promised, and some of them because they follow another: that one is given its time.
  if (higher !== null) return stepDown(core, kept, higher);
  const rank = rankOf(configurationAt(kept.ledger, lead.epoch), core.self);
  const pause = RETRY_MS * 2 ** Math.min(kept.tries, 4) + rank * RETRY_MS;
  kept.lead = null;
  kept.tries += 1;
  kept.candidateAt = after(core.now, pause);
  core.timers.set(jobTimer(kept), kept.candidateAt);
}

/**
 * A keeper connected, and most of them are there now: who failed to become leader without it tries again soon, and
 * not all at once. A try takes 3 s, so one that comes and goes causes no storm of them.
 */
export function standSooner(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  for (const kept of eachKept(core)) {
    const configuration = currentOf(kept.ledger);
    if (kept.candidateAt === null || !isKeeper(configuration, node)) continue;
    const there = keeperNodes(configuration).filter(
      (keeper) => keeper === core.self || core.mesh.connected.has(keeper),
    );
    if (!isQuorum(configuration, there)) continue;
    const soon = after(core.now, (1 + rankOf(configuration, core.self)) * RETRY_MS);
    if (soon >= kept.candidateAt) continue;
    kept.candidateAt = soon;
    core.timers.set(jobTimer(kept), soon);
  }
}

export function tickPromises(core: With<'mesh'>, kept: KeptJob, candidacy: Candidacy): void {
  conclude(core, kept, candidacy);
  if (candidacyOf(kept.lead) !== candidacy) return;
  if (isDue(core, candidacy.resend)) askPromises(core, kept, candidacy);
  core.timers.set(jobTimer(kept), candidacy.resend.at);
}

/** What this node asks promises for, if it does. */
function candidacyOf(lead: Lead | null): Candidacy | null {
  if (lead?.stage === 'candidate') return lead.candidacy;
  return lead?.stage === 'leader' ? lead.confirming : null;
}

export function onPromise(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { epoch, vote, digest }: Extract<Message, { type: 'promise' }>,
): void {
  const { lead, ledger } = kept;
  const candidacy = candidacyOf(lead);
  const asked = candidacy?.grant ?? (lead?.stage === 'leader' ? lead.grant : null);
  if (asked === null) return;
  if (!sameEpoch(epoch, asked.body.epoch) || !sameEpoch(vote.body.epoch, epoch)) return;
  if (core.suite.nodeOf(vote.by) !== from) return;
  if (!validVote(vote, ledger, asked, 'grant', core.suite)) {
    return refuse(core, from, 'bad-signature', false);
  }
  if (candidacy === null) return spare(core, from, kept, digest);
  // Where a keeper has the same as this node, this node's own word is as good as its.
  for (const accepted of kept.accepted.values()) inherit(core, kept, candidacy, accepted);
  const begun = candidacy.promises.get(from);
  if (begun === undefined || (!isPulled(begun.pull) && begun.pull.snapshot !== digest.snapshot)) {
    const pull = pullOf(hold(core, kept, epoch).digest, digest);
    // One of the two does not know the version yet that the other does, and is told.
    if (pull === null) return;
    candidacy.promises.set(from, { vote, digest, pull, changes: new Set() });
  }
  proceed(core, from, kept, candidacy);
}

/** A page of what a keeper promised, or of a job that is over. */
export function onPage(core: With<'mesh'>, from: NodeId, kept: KeptJob, page: Page): void {
  if (takeFetched(core, from, kept, page)) return;
  const candidacy = candidacyOf(kept.lead);
  const promise = candidacy?.promises.get(from);
  if (candidacy === null || promise === undefined || !takePage(promise.pull, page)) return;
  candidacy.heardAt = core.now;
  takeRecords(core, from, kept, page);
  for (const accepted of page.accepted) {
    inherit(core, kept, candidacy, accepted);
    if (accepted.value.type === 'config' || accepted.value.type === 'version')
      promise.changes.add(accepted.value.id);
  }
  // What it told may have ended this candidacy.
  if (candidacyOf(kept.lead) === candidacy) proceed(core, from, kept, candidacy);
}

/** A promise counts when all that it covers is here; what is not is asked for. */
function proceed(core: With<'mesh'>, from: NodeId, kept: KeptJob, candidacy: Candidacy): void {
  const promise = candidacy.promises.get(from);
  if (promise === undefined) return;
  if (!isPulled(promise.pull)) return askPage(core, from, kept.ledger.job, promise.pull);
  conclude(core, kept, candidacy);
}

/** Enough promised, and what they say of a change of keepers is clear, or becomes no clearer. */
function conclude(core: With<'mesh'>, kept: KeptJob, candidacy: Candidacy): void {
  const { promises, grant } = candidacy;
  const complete = [...promises].filter(([, { pull }]) => isPulled(pull));
  const keepers = new Set(complete.map(([node]) => node));
  if (!isChosen(kept.ledger, grant, grant.body.epoch, keepers)) return;
  if (waitsForMore(core, kept, candidacy))
    return core.timers.set(jobTimer(kept), after(candidacy.since, PROMISING_MS));
  const votes = complete.map(([, { vote }]) => vote);
  takeOffice(core, kept, candidacy, { record: grant, votes });
}

/** A keeper whose promise comes late tells what it has: it is not told that again. */
function spare(core: With<'mesh'>, from: NodeId, kept: KeptJob, digest: Digest): void {
  const { lead, ledger, accepted } = kept;
  const unacked = lead?.stage === 'leader' ? lead.commits.unacked.get(from) : undefined;
  if (unacked === undefined || unacked.size === 0 || !mayAsk(core, from, kept)) return;
  const pull = pullOf(snapshotOf(core.suite, ledger, accepted.values()).digest, digest);
  if (pull === null) return refuse(core, from, 'contradiction', false);
  const differing = new Set(pull.differing);
  for (const slot of unacked.keys()) {
    const value = ledger.committed.get(slot);
    if (value && !differing.has(chunkOfValue(ledger.spec.body, value.record))) unacked.delete(slot);
  }
}

/** The highest ballot per slot wins: what may have been chosen is proposed again. */
function inherit(
  core: Node,
  kept: KeptJob,
  { inherited, grant }: Candidacy,
  accepted: AcceptedValue,
): void {
  const { slot, value } = accepted;
  if (slotOf(value) !== slot || value.body.job !== kept.ledger.job) return;
  if (!hasPlace(kept.ledger.spec, value)) return;
  // Those that it names have decided it by themselves, or nobody has.
  if (value.type === 'config' && value.body.reseeds !== undefined) return;
  if (!everKept(kept.ledger, core.suite.nodeOf(value.by)) || !core.suite.verify(value)) return;
  if (!mayBeTrue(core, kept.ledger.configurations[0], accepted, grant.body.epoch)) return;
  const known = inherited.get(slot);
  if (known === undefined || compareEpochs(accepted.epoch, known.epoch) > 0) {
    inherited.set(slot, accepted);
  }
}

/** Nobody accepted above what it promises now, and the first leader proposes nothing but its own values. */
function mayBeTrue(
  core: Node,
  configuration: Configuration,
  told: AcceptedValue,
  own: Epoch,
): boolean {
  const { epoch, value } = told;
  if (compareEpochs(epoch, own) > 0) return false;
  const first = firstEpoch(configuration);
  if (epoch.number > first.number) return true;
  return sameEpoch(epoch, first) && core.suite.nodeOf(value.by) === first.leader;
}

function takeOffice(
  core: Node,
  kept: KeptJob,
  candidacy: Candidacy,
  grant: Certified<'grant'>,
): void {
  const { inherited, promises } = candidacy;
  const { job } = kept.ledger;
  const { epoch } = grant.record.body;
  const former = kept.lead?.stage === 'leader' ? kept.lead : null;
  const confirmed = former !== null && sameEpoch(former.epoch, epoch);
  const lead = confirmed ? former : leaderFrom(core, kept.ledger, epoch, former);
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
  // Who led already took over then what had been decided before its epoch; what comes up now was not.
  const open = [...inherited.values()].filter(
    (accepted) =>
      !kept.ledger.committed.has(accepted.slot) &&
      (former === null || compareEpochs(accepted.epoch, former.epoch) >= 0) &&
      (!mayHang(core, accepted.value) || mayBeDecided(kept, candidacy, accepted)),
  );
  const states = [...kept.ledger.states.values()].filter((state) =>
    open.some(({ value }) => restsOn(value, state.body.execution)),
  );
  const support = { states, commands: [...kept.ledger.commands.values()] };
  // A change of keepers hangs when those that it replaces are back: nothing else waits for it.
  for (const { slot, value } of open) if (!mayHang(core, value)) lead.commits.inherited.add(slot);
  propose(
    core,
    kept,
    lead,
    open.map(({ value }) => value),
    support,
  );
  // Nobody in the new quorum has voted for anything else there.
  if (former !== null && !confirmed)
    for (const { value, ...own } of former.commits.proposals.values())
      if (!mayHang(core, value)) propose(core, kept, lead, [value], own);
  if (!confirmed) commitAgain(core, kept, lead, promises);
  // Where the job was re-seeded they may know one of its keepers at most.
  if ((former !== null || epoch.config.major > 0) && !confirmed) tellExecutors(core, kept, lead);
  touch(core, job);
}

/** Who led before, in an earlier configuration, goes on with all it has seen. */
const leaderFrom = (core: Node, ledger: Ledger, epoch: Epoch, former: Leader | null): Leader =>
  former === null
    ? newLeader(core, ledger, epoch)
    : { ...former, epoch, since: core.now, commits: createCommits(core) };

/**
 * Followers may have missed what the last leader committed; of those that promised it is known what they had.
 * That is held against what is here now: it grew while others that promised were asked.
 */
function commitAgain(
  core: Node,
  { ledger, accepted }: KeptJob,
  { commits }: Leader,
  promises: Candidacy['promises'],
): void {
  const spec = ledger.spec.body;
  const { digest } = snapshotOf(core.suite, ledger, accepted.values());
  for (const node of keeperNodes(currentOf(ledger))) {
    if (node === core.self) continue;
    const told = promises.get(node)?.digest;
    const pull = told === undefined ? null : pullOf(digest, told);
    const differing = pull === null ? null : new Set(pull.differing);
    const unacked = new Map<Slot, boolean>();
    for (const [slot, { record }] of ledger.committed)
      if (differing === null || differing.has(chunkOfValue(spec, record))) unacked.set(slot, false);
    commits.unacked.set(node, unacked);
  }
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
  // It is what it asks for itself.
  const asked = candidacyOf(lead)?.grant.body.epoch;
  if (asked !== undefined && compareEpochs(higher, asked) <= 0) return;
  kept.lead = null;
  note(core, 'job.stepped-down', {
    job: kept.ledger.job,
    epoch: lead.epoch.number,
    for: higher.number,
  });
  touch(core, kept.ledger.job);
}
