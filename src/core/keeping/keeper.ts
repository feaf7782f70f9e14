/**
 * The keeper's part once a job is its own: learn what was committed, watch the leader, stand for
 * leader when it is gone, and let the job go when its time is over.
 */
import { putOnShelf, recall, takeDown } from './shelf.ts';
import { changes, configurationOf, currentOf, everKept } from '../record/chain.ts';
import { ruleOf, stopAmong } from '../record/commands.ts';
import { isKeeper, keeperNodes } from '../record/keeper-set.ts';
import { allow } from '../mesh/allowance.ts';
import { slotOf } from '../record/slot.ts';
import { isGrounded, jobTimer, learn } from '../consensus/proposer.ts';
import { compareEpochs, sameEpoch, withinReach } from '../record/ballot.ts';
import { standForLeader, stepDown } from '../consensus/candidacy.ts';
import { takeCommand, takeMore, takeState } from '../consensus/evidence.ts';
import { highestAbove, mayGoOn, noteOutdated, waitsInVain } from '../consensus/outdated.ts';
import { askRest, takeWhole, tickMissing } from '../consensus/missing.ts';
import { tellLedger } from '../consensus/transfer.ts';
import { placeOf, saysTheSame } from '../record/ledger.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { entrust } from '../leading/entrusting.ts';
import { progress } from '../leading/lead.ts';
import { signOfLife } from '../leading/silence.ts';
import { lookForOrphans, tickReseeding } from '../leading/reseeding.ts';
import { lookForChanges } from '../leading/succession.ts';
import {
  failingOf,
  isOverdue,
  isOwing,
  judgeAnew,
  LEAD_CHECK_MS,
  leaderShown,
  shun,
} from './oversight.ts';
import { lookForStale, mayReopen, tellVersion } from './versions.ts';
import type { CertifiedValue, Message } from '../contract/messages.ts';
import type { Certified, Epoch, Signed, Slot } from '../record/records.ts';
import { countAge, forgetAge } from './age.ts';
import { configsIn, eachKept, endOf, rememberEnd } from './books.ts';
import { askBranches, goBackToEnd, takeBranch } from './branches.ts';
import { beginTelling } from './crossing.ts';
import { handOver } from './hand-over.ts';
import { note, persist, refuse, send, touch, wallMs } from '../node/outbox.ts';
import { hasLeft, isGuest } from './changing.ts';
import { isAspirant, passOn, tellChanges, tellForfeit, tellKeepers, tickGuests } from './guests.ts';
import type { KeptJob } from './state.ts';
import { checkCommand, checkCommitted } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

export const keeps = ({ ledger }: KeptJob, node: NodeId): boolean =>
  isKeeper(currentOf(ledger), node);

/** Closed jobs whose commits one question is answered with. */
const COMMITS_MAX = 64;
/** Jobs of which one message may make this node say that they are closed. */
const CLOSED_TOLD = 256;
/** Of an allowance, for each job that is not here. */
const UNKNOWN_POINTS = 1;
/** Each rank below the first living one waits this much longer before it stands for leader. */
const RANK_STEP_MS = 1_500;

export function onCommit(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'commit' }>,
): void {
  const slots: Slot[] = [];
  takeMore(core, from, kept, message.more ?? []);
  takeBranch(core, from, kept, configsIn(message.values));
  // The end last: a keeper knows a job's results before it knows that it is completed.
  const values = [...message.values].sort((a, b) => Number(isClose(a)) - Number(isClose(b)));
  for (const value of values) {
    const slot = slotOf(value.record);
    const known = kept.ledger.committed.get(slot);
    const isKnown = known !== undefined && saysTheSame(known, value);
    if (!isKnown) {
      if (value.record.type === 'config') continue;
      const verdict = checkCommitted(core.suite, kept.ledger, value);
      if (verdict !== 'good') {
        refuse(core, from, verdict.code, false);
        continue;
      }
      const { record, votes } = value;
      if (record.type === 'close' && !isGrounded(kept.ledger, record)) {
        learnClose(core, kept, { record, votes });
        continue;
      }
      // It comes again; till then the job is over here.
      if (record.type === 'version' && !mayReopen(core, from, kept)) {
        refuse(core, from, 'over-limit', false);
        continue;
      }
      if (!learn(core, kept, value)) continue;
      tellStanding(core, from, kept, value);
    }
    slots.push(slot);
  }
  // It comes with all else that the sender knows and this keeper has not acknowledged.
  if (values.some(isClose)) takeWhole(core, from, kept, values);
  if (slots.length > 0 && !isAspirant(core, kept))
    send(core, from, { type: 'commit-ack', job: message.job, slots });
}

/** What somebody runs was begun again elsewhere, as nobody knew of it when the job was re-seeded. */
function tellStanding(core: Node, from: NodeId, kept: KeptJob, { record }: CertifiedValue): void {
  const { job, committed, configs } = kept.ledger;
  const because = committed.get(slotOf(record));
  if (record.type !== 'assign' || record.body.node !== from) return;
  if (because === undefined || because.record.id === record.id) return;
  const { execution } = record.body;
  send(core, from, { type: 'cancel', job, execution, because, ...changes(configs) });
}

const isClose = ({ record }: CertifiedValue): boolean => record.type === 'close';

/**
 * The close reached this keeper by another way than a commit. The close alone would leave all else that
 * was committed unknown here, so the other keepers are asked for everything, and again when nothing comes;
 * of a completed job it comes together with the results it rests on.
 */
export function learnClose(core: Node, kept: KeptJob, close: Certified<'close'>): void {
  if (kept.ledger.close !== null) return;
  // Who never kept the job has nothing to tell of it.
  if (!everKept(kept.ledger, core.self)) return void learn(core, kept, close);
  if (close.record.body.outcome === 'completed') kept.endedAt ??= core.now;
  else learn(core, kept, close);
  askRest(core, kept, close);
}

export function onStates(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  states: readonly Signed<'state'>[],
): void {
  const seen: { execution: Signed<'state'>['body']['execution']; sequence: number }[] = [];
  const told = new Set<JobId>();
  const elsewhere = new Set<JobId>();
  const past = new Set<JobId>();
  for (const state of states) {
    const { job, execution, sequence } = state.body;
    core.atHand = job;
    const kept = core.keeping.kept.get(job);
    const again = { type: 'states', states: [state] } as const;
    if (recall(core, job, { type: 'message', from, message: again }, from)) continue;
    if (kept !== undefined) entrustAgain(core, from, kept, state);
    tellClosed(core, from, job, told);
    if (kept === undefined) continue;
    // Nothing may rest on what a guest has: whoever runs the job is told who keeps it.
    if (kept.ledger.close === null && isGuest(core, kept)) {
      if (!elsewhere.has(job)) tellKeepers(core, from, kept);
      elsewhere.add(job);
      continue;
    }
    // Once, and beside the acknowledgement: its node may forget it.
    if (state.body.version < kept.ledger.spec.body.version && !past.has(job)) {
      past.add(job);
      tellVersion(core, from, kept);
    }
    if (!takeState(core, from, kept, state)) continue;
    seen.push({ execution, sequence });
    signOfLife(core, from, kept, execution);
  }
  if (seen.length > 0) send(core, from, { type: 'states-ack', seen });
}

/**
 * The leader may be gone before it could tell the holders of a result that it is theirs to look after.
 * Comes before the news of the close, with which an executor forgets what it made.
 */
function entrustAgain(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { body }: Signed<'state'>,
): void {
  if (body.node !== from || body.result === null) return;
  if (kept.ledger.close === null) return;
  const { partition } = placeOf(kept.ledger, body);
  const accept = kept.ledger.partitions.get(partition)?.accept;
  if (accept?.record.body.execution !== body.execution) return;
  for (const node of accept.record.body.holders) entrust(core, kept, node, accept);
}

/** The job is closed: whoever still speaks of it as open is told so, once for each job of a message. */
export function tellClosed(
  core: With<'keeping'>,
  from: NodeId,
  job: JobId,
  told: Set<JobId>,
): boolean {
  if (told.has(job)) return true;
  if (told.size >= CLOSED_TOLD) return core.keeping.closed.has(job);
  const end = endOf(core, job);
  if (end === null) return false;
  told.add(job);
  send(core, from, { type: 'closed', job, ...end });
  return true;
}

export function onCommand(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  command: Signed<'command'>,
): void {
  const { job } = command.body;
  const kept = core.keeping.kept.get(job);
  if (kept === undefined || kept.ledger.close !== null) {
    const end = endOf(core, job);
    if (end !== null) send(core, from, { type: 'closed', job, ...end });
    else refuse(core, from, 'unknown-job', false);
    return;
  }
  if (!kept.ledger.commands.has(command.id)) {
    const verdict = checkCommand(core.suite, kept.ledger.spec, command, wallMs(core));
    if (verdict !== 'good') {
      refuse(core, from, verdict.code, verdict.fault);
      if (verdict.code === 'expired') tellTime(core, from, command, kept.ledger.spec);
      return;
    }
    if (isGuest(core, kept)) return passOn(core, from, kept, command);
    // It was for a version that is over: whoever gave it is to know.
    if (ruleOf(command.body).stops && (command.body.version ?? 1) < kept.ledger.spec.body.version)
      return tellVersion(core, from, kept);
    takeCommand(core, kept, command);
    const leader = kept.seen.leader;
    if (leader !== core.self && leader !== from) send(core, leader, { type: 'command', command });
  }
  send(core, from, { type: 'command-ack', job, command: command.id });
}

/** Who gave it would wait in vain, and cannot know why. */
function tellTime(
  core: Node,
  from: NodeId,
  { id: command, body: { job, notAfter } }: Signed<'command'>,
  spec: Signed<'spec'>,
): void {
  const until = Math.max(notAfter, spec.body.notAfter);
  const refusal = { code: 'wrong-time', notAfter: until, wall: wallMs(core) } as const;
  send(core, from, { type: 'command-refused', job, command, refusal });
}

// — watching the leader

/** The node believed to lead; null for a closed job. */
export const leaderOf = (kept: KeptJob): NodeId | null =>
  kept.ledger.close === null ? kept.seen.leader : null;

/** Schedules this keeper's candidacy: at once for the first living rank, later for the others. */
export function leaderGone(core: With<'mesh'>, kept: KeptJob): void {
  if (kept.ledger.close !== null || kept.lead !== null || kept.candidateAt !== null) return;
  if (isGuest(core, kept)) return;
  const keepers = keeperNodes(currentOf(kept.ledger));
  const gone = kept.seen.leader;
  // Who leaves stands last: it would have to hand the job over again.
  const rank = core.draining ? keepers.length : keepers.indexOf(core.self);
  const ahead = keepers
    .slice(0, Math.max(0, rank))
    .filter((node) => node !== gone && core.mesh.watches.get(node)?.dead !== true).length;
  kept.candidateAt = after(core.now, ahead * RANK_STEP_MS);
  core.timers.set(jobTimer(kept), kept.candidateAt);
}

/** Whatever is due for a kept job: its closing, its candidacy, or the leader's work. */
export function tickKept(core: With<'mesh' | 'asking' | 'keeping'>, kept: KeptJob): void {
  const { close, job } = kept.ledger;
  if (close === null && (kept.closedAt !== null || core.keeping.shelf.has(job))) goOn(core, kept);
  if (close !== null && kept.closedAt === null) {
    kept.closedAt = core.now;
    kept.candidateAt = null;
    goBackToEnd(core, kept, close);
    // Whoever has just begun to stand for leader has nothing to lead; a leader sees the end through.
    if (kept.lead?.stage === 'candidate') kept.lead = null;
    rememberEnd(core, job, { close, configs: kept.ledger.configs });
    // Read back from the disk it was told before.
    if (!core.keeping.shelf.has(job)) beginTelling(core, kept.ledger);
    if (kept.missing === null) putOnShelf(core, kept);
    forgetAge(core, kept);
    // What it promised binds it beyond the end, and so does what it voted for as the version or the keepers after it.
    for (const [slot, { value }] of kept.accepted) {
      if (value.type === 'version' || value.type === 'config') continue;
      persist(core, { table: 'accepted', job, key: slot, value: null });
      kept.accepted.delete(slot);
    }
  }
  tickMissing(core, kept);
  tickReseeding(core, kept);
  if (kept.candidateAt !== null && core.now >= kept.candidateAt) {
    kept.candidateAt = null;
    standForLeader(core, kept);
  } else if (kept.candidateAt !== null) core.timers.set(jobTimer(kept), kept.candidateAt);
  progress(core, kept);
}

/** A job that was over has another version, or its owner wants one: it needs a leader again. */
function goOn(core: With<'mesh' | 'keeping'>, kept: KeptJob): void {
  takeDown(core, kept);
  if (kept.lead?.stage === 'closing') kept.lead = null;
  judgeAnew(core, kept);
  core.timers.set('leaders', after(core.now, LEAD_CHECK_MS));
  countAge(core, kept);
  leaderGone(core, kept);
}

/** Asks each leader whether it leads what this node believes it leads. */
export function checkLeaders(core: With<'mesh' | 'keeping' | 'placing' | 'executing'>): void {
  if (core.draining) handOver(core);
  const asked = new Map<NodeId, JobId[]>();
  let overdue = false;
  for (const kept of eachKept(core)) {
    const leader = leaderOf(kept);
    if (leader === null) continue;
    if (leader === core.self) {
      if (kept.lead === null) leaderGone(core, kept);
      continue;
    }
    // A leader that was found dead before this job came to it is not found dead again.
    if (core.mesh.watches.get(leader)?.dead === true) leaderGone(core, kept);
    else if (kept.lead === null && kept.candidateAt === null) overthrow(core, kept, leader);
    // A stop that this keeper signed for must not wait for the one who brought it.
    const stop = stopAmong(kept.ledger.commands.values(), kept.ledger.spec.body.version);
    if (stop !== null) send(core, leader, { type: 'command', command: stop });
    overdue ||= isOverdue(core, kept);
    if (isOwing(core, kept)) asked.set(leader, [...(asked.get(leader) ?? []), kept.ledger.job]);
  }
  for (const [leader, jobs] of asked) send(core, leader, { type: 'status-wanted', jobs });
  lookForChanges(core);
  lookForOrphans(core);
  askBranches(core);
  lookForStale(core);
  tickGuests(core);
  if (core.keeping.kept.size > core.keeping.warm.size) {
    const pause = overdue ? core.config.limits.probeMs : LEAD_CHECK_MS;
    core.timers.set('leaders', after(core.now, pause));
  }
}

/** A leader that lives and does not lead makes room for the next keeper. */
function overthrow(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  kept: KeptJob,
  leader: NodeId,
): void {
  const why = failingOf(core, kept, leader);
  if (why === null) return;
  note(core, 'job.leader-failed', { job: kept.ledger.job, leader, why });
  shun(core, kept, leader);
  leaderGone(core, kept);
}

export function onStatusWanted(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  jobs: readonly JobId[],
): void {
  const led: { job: JobId; epoch: Epoch }[] = [];
  const not: JobId[] = [];
  let told = 0;
  let answering = true;
  for (const job of jobs) {
    core.atHand = job;
    const kept = core.keeping.kept.get(job);
    const again = { type: 'status-wanted', jobs: [job] } as const;
    if (recall(core, job, { type: 'message', from, message: again }, from)) continue;
    if (kept === undefined && core.keeping.tombs.has(job)) {
      send(core, from, { type: 'over', job });
    } else if (kept === undefined && core.keeping.forfeits.has(job)) {
      answering &&= allow(core, from, UNKNOWN_POINTS);
      if (answering) tellForfeit(core, from, job);
    } else if (kept === undefined) {
      // Anybody may ask about jobs that nobody has.
      answering &&= allow(core, from, UNKNOWN_POINTS);
      if (answering) not.push(job);
    } else if (kept.ledger.close === null && isAbout(core, from, kept)) {
      if (hasLeft(kept)) tellForfeit(core, from, job);
      not.push(job);
    } else if (!everKept(kept.ledger, from)) {
      refuse(core, from, 'not-keeper', false);
    } else if (kept.ledger.close !== null) {
      // Whoever missed more asks again in ten seconds.
      told += 1;
      if (told <= COMMITS_MAX) tellLedger(core, from, kept);
    } else if (kept.lead?.stage === 'leader') {
      led.push({ job, epoch: kept.lead.epoch });
      kept.lead.askedBy.set(from, core.now);
    } else if (kept.lead === null && kept.candidateAt === null) not.push(job);
  }
  if (led.length > 0) send(core, from, { type: 'leading', jobs: led });
  if (not.length > 0) send(core, from, { type: 'not-leading', jobs: not });
}

/** Either of them keeps the job no more, or not yet: who keeps it is told, and nobody here leads it. */
function isAbout(core: With<'mesh'>, from: NodeId, kept: KeptJob): boolean {
  if (!everKept(kept.ledger, from) || (keeps(kept, from) && !isGuest(core, kept))) return false;
  tellChanges(core, from, kept);
  return true;
}

/** Of an epoch below the one that this keeper has seen nobody leads any more. */
export function onLeading(
  core: With<'keeping'>,
  from: NodeId,
  jobs: Extract<Message, { type: 'leading' }>['jobs'],
): void {
  for (const { job, epoch } of jobs) {
    core.atHand = job;
    const kept = core.keeping.kept.get(job);
    if (kept === undefined || epoch.leader !== from) continue;
    if (isTold(core, kept, epoch)) {
      kept.seen = epoch;
      kept.candidateAt = null;
      judgeAnew(core, kept);
    }
    if (kept.seen.leader !== from) continue;
    if (compareEpochs(epoch, kept.seen) >= 0) leaderShown(core, kept);
  }
}

/**
 * A keeper that has just come takes the first one for the leader, until it asked. Later on the word of one keeper is
 * not enough: it could have the others wait for a leader that there is none.
 */
function isTold(core: Node, kept: KeptJob, epoch: Epoch): boolean {
  const { first, seen, lead, ledger } = kept;
  if (lead !== null || core.now - first.at >= LEAD_CHECK_MS) return false;
  const configuration = configurationOf(ledger, epoch.config);
  return (
    sameEpoch(seen, first.epoch) &&
    compareEpochs(epoch, seen) > 0 &&
    configuration !== null &&
    isKeeper(configuration, epoch.leader) &&
    withinReach(epoch, first.epoch, core.now - first.at)
  );
}

export function onNotLeading(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  jobs: readonly JobId[],
): void {
  for (const job of jobs) {
    core.atHand = job;
    const kept = core.keeping.kept.get(job);
    if (kept !== undefined && kept.seen.leader === from) leaderGone(core, kept);
  }
}

/** A keeper refuses because it says to have promised a higher epoch; only keepers promise, and only to keepers. */
export function onOutdated(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'outdated' }>,
): void {
  const { promised } = message;
  const configuration = configurationOf(kept.ledger, promised.config);
  const believable =
    configuration !== null &&
    isKeeper(configuration, from) &&
    isKeeper(configuration, promised.leader) &&
    withinReach(promised, kept.first.epoch, core.now - kept.first.at);
  if (!believable) return refuse(core, from, 'not-keeper', false);
  noteOutdated(kept, from, promised);
  const { lead } = kept;
  if (lead === null || lead.stage === 'closing') return;
  const inVain = lead.stage === 'leader' && waitsInVain(core, lead);
  const higher = highestAbove(kept, lead.epoch);
  if (higher === null || (mayGoOn(kept, lead.epoch) && !inVain)) return;
  stepDown(core, kept, higher);
  touch(core, kept.ledger.job);
}
