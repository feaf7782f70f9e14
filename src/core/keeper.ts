/**
 * The keeper's part: vote for admissions, promise epochs, accept what a leader proposes, learn what
 * was committed, and stand for leader when the leader is gone. Whatever a keeper signs is on disk
 * before the signature leaves (the machine's `persist` barrier).
 */
import { slotOf, validVote } from './certificate.ts';
import { jobTimer, learn } from './commit.ts';
import { compareEpochs, firstEpoch, majority, sameEpoch } from './epoch.ts';
import { rankOf, standForLeader, stepDown, takeCommand, takeState } from './epochs.ts';
import { after } from './ids.ts';
import type { JobId, NodeId } from './ids.ts';
import { leadFirstEpoch, progress } from './lead.ts';
import { createLedger, recordsOf } from './ledger.ts';
import type { AcceptedValue, JobRecords, Message, SlotValue } from './messages.ts';
import { partitionsOf } from './plan.ts';
import type { AdmissionBody, Certified, Epoch, Signed, Slot } from './records.ts';
import { admissionVote } from './sponsor.ts';
import type { Core, KeptJob, PendingJob } from './state.ts';
import { note, persist, refuse, remember, seal, send, touch, wallMs } from './state.ts';
import { checkActivation, checkAdmission, checkCommand, checkCommitted, checkSpec, isKeeper } from './verify.ts';

/** A job voted for and not activated within this: its sponsor may be gone, the keepers help themselves. */
const orphanMs = 10_000;
/** Between two questions whether the leader still leads what we think it does. */
const leadCheckMs = 10_000;
/** Each rank below the first living one waits this much longer before it stands for leader. */
const rankStepMs = 1_500;
/** Items of a ledger in one part of a promise; keeps a part well below the frame limit. */
const partItems = 150;
/** Closed jobs remembered with their proof. */
const closedMax = 20_000;

const asKeeper = (core: Core, admission: AdmissionBody): boolean =>
  admission.keepers.some((k) => k.node === core.self && k.store === core.config.store);

// — admission

export function onAdmit(core: Core, from: NodeId, message: Extract<Message, { type: 'admit' }>): void {
  const { spec, admission } = message;
  const { job } = spec.body;
  const kept = core.kept.get(job);
  const known = kept?.ledger.admission.record ?? core.pending.get(job)?.admission;
  if (known !== undefined) {
    // The first admission stands: a second one for the same job would be a second keeper set.
    if (known.id !== admission.id) return refuse(core, from, 'contradiction', true);
    return send(core, from, { type: 'admitted', job, vote: admissionVote(core, known) });
  }
  if (core.closed.has(job)) return refuse(core, from, 'expired', false);
  const verdict = checkSpec(core.suite, spec, wallMs(core));
  const second = verdict === 'good' ? checkAdmission(core.suite, spec, admission) : verdict;
  if (second !== 'good') return refuse(core, from, second.code, second.fault);
  if (!asKeeper(core, admission.body)) return refuse(core, from, 'not-keeper', false);
  if (core.draining || core.kept.size + core.pending.size >= core.config.limits.jobsMax) {
    const refusal = { code: core.draining ? 'draining' : 'store-full' } as const;
    return send(core, from, { type: 'not-admitted', job, refusal });
  }
  const vote = admissionVote(core, admission);
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  persist(core, { table: 'records', job, key: 'pending', value: { record: admission, votes: [vote] } });
  core.pending.set(job, { spec, admission, vote, since: core.now, votes: new Map([[core.self, vote]]) });
  core.timers.set(`pending:${job}`, after(core.now, orphanMs));
  send(core, from, { type: 'admitted', job, vote });
}

/**
 * Nobody activated the job: its sponsor may be gone, and the other keepers may never have heard of it.
 * Hand it to them as the sponsor would; W votes activate it.
 */
export function tickPending(core: Core, job: JobId): void {
  const pending = core.pending.get(job);
  if (pending === undefined) return;
  if (pending.spec.body.notAfter < wallMs(core)) return dropPending(core, job);
  if (activateByVotes(core, pending)) return;
  for (const { node } of pending.admission.body.keepers) {
    if (node === core.self || pending.votes.has(node)) continue;
    send(core, node, { type: 'admit', spec: pending.spec, admission: pending.admission });
  }
  core.timers.set(`pending:${job}`, after(core.now, orphanMs));
}

function dropPending(core: Core, job: JobId): void {
  core.pending.delete(job);
  persist(core, { table: 'records', job, key: 'pending', value: null });
  persist(core, { table: 'records', job, key: 'spec', value: null });
}

/** A co-keeper's vote for a job nobody activated. The sponsor's own collecting is in `sponsor.ts`. */
export function onCoVote(core: Core, from: NodeId, message: Extract<Message, { type: 'admitted' }>): void {
  const pending = core.pending.get(message.job);
  if (pending === undefined || core.suite.nodeOf(message.vote.by) !== from) return;
  const { body, id } = pending.admission;
  if (!validVote(message.vote, body, id, 'admission', core.suite)) return;
  pending.votes.set(from, message.vote);
  activateByVotes(core, pending);
}

function activateByVotes(core: Core, { spec, admission, votes }: PendingJob): boolean {
  if (votes.size < majority(admission.body.keepers.length)) return false;
  activate(core, spec, { record: admission, votes: [...votes.values()] });
  return true;
}

export function onActivate(core: Core, from: NodeId, message: Extract<Message, { type: 'activate' }>): void {
  const { spec, admission } = message;
  const { job } = spec.body;
  const kept = core.kept.get(job);
  if (kept === undefined && !core.closed.has(job)) {
    const verdict = checkActivation(core.suite, spec, admission, wallMs(core));
    if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
    if (!asKeeper(core, admission.record.body)) return refuse(core, from, 'not-keeper', false);
    const voted = core.pending.get(job)?.admission.id;
    if (voted !== undefined && voted !== admission.record.id) {
      return refuse(core, from, 'contradiction', true);
    }
    activate(core, spec, admission);
  }
  send(core, from, { type: 'commit-ack', job, slots: ['admission'] });
}

function activate(core: Core, spec: Signed<'spec'>, admission: Certified<'admission'>): void {
  const { job } = spec.body;
  if (core.pending.delete(job)) persist(core, { table: 'records', job, key: 'pending', value: null });
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  persist(core, {
    table: 'records',
    job,
    key: 'admission',
    value: { record: admission.record, votes: admission.votes },
  });
  const first = firstEpoch(admission.record.body);
  const kept = keep(core, spec, admission, first);
  note(core, 'job.activated', { job, rank: rankOf(admission.record.body, core.self) });
  if (first.leader === core.self) leadFirstEpoch(core, kept);
  core.timers.set('lead-check', after(core.now, leadCheckMs));
}

/** Puts a job into this node's keeping; also used when it is read back from disk. */
export function keep(
  core: Core,
  spec: Signed<'spec'>,
  admission: Certified<'admission'>,
  promised: Epoch,
): KeptJob {
  const kept: KeptJob = {
    ledger: createLedger(spec, admission),
    promised,
    seen: promised,
    accepted: new Map(),
    activatedAt: core.now,
    lead: null,
    candidateAt: null,
    tries: 0,
    closedAt: null,
  };
  core.kept.set(spec.body.job, kept);
  return kept;
}

// — promises and votes

/** The kept job a leader or candidate speaks of; asks for it when this node should have it and does not. */
export function keptFor(core: Core, from: NodeId, job: JobId): KeptJob | null {
  const kept = core.kept.get(job);
  if (kept !== undefined) return kept;
  const close = core.closed.get(job);
  if (close !== undefined) send(core, from, { type: 'closed', job, close });
  else send(core, from, { type: 'job-wanted', job });
  return null;
}

export function onPrepare(core: Core, from: NodeId, kept: KeptJob, grant: Signed<'grant'>): void {
  const { job, close, admission, committed } = kept.ledger;
  const { epoch } = grant.body;
  if (!isKeeper(admission.record.body, from)) return refuse(core, from, 'not-keeper', true);
  if (close !== null) {
    return send(core, from, { type: 'commit', job, values: [...committed.values()] });
  }
  if (epoch.leader !== from || core.suite.nodeOf(grant.by) !== from || grant.body.job !== job) {
    return refuse(core, from, 'wrong-signer', true);
  }
  if (!core.suite.verify(grant)) return refuse(core, from, 'bad-signature', true);
  if (compareEpochs(epoch, kept.promised) < 0) {
    refuse(core, from, 'outdated-epoch', false);
    return send(core, from, { type: 'outdated', job, promised: kept.promised });
  }
  raisePromise(core, kept, epoch);
  kept.candidateAt = null;
  const vote = seal(core, 'vote', { job, of: grant.id, slot: 'grant', epoch, store: core.config.store });
  const parts = partsOf(recordsOf(kept.ledger), [...kept.accepted.values()]);
  parts.forEach(({ records, accepted }, part) =>
    send(core, from, { type: 'promise', job, epoch, vote, part, parts: parts.length, accepted, records }),
  );
}

function raisePromise(core: Core, kept: KeptJob, epoch: Epoch): void {
  if (compareEpochs(epoch, kept.promised) > 0) {
    kept.promised = epoch;
    persist(core, { table: 'promises', job: kept.ledger.job, key: kept.ledger.job, value: epoch });
  }
  stepDown(core, kept, epoch);
}

/** A ledger cut into parts that each fit a frame. */
function partsOf(
  records: JobRecords,
  accepted: readonly AcceptedValue[],
): readonly { records: JobRecords; accepted: readonly AcceptedValue[] }[] {
  const most = Math.max(records.committed.length, records.states.length, accepted.length);
  const parts = Math.max(1, Math.ceil(most / partItems));
  return Array.from({ length: parts }, (_, part) => {
    const from = part * partItems;
    const to = from + partItems;
    return {
      accepted: accepted.slice(from, to),
      records: {
        ...records,
        committed: records.committed.slice(from, to),
        states: records.states.slice(from, to),
      },
    };
  });
}

export function onPropose(
  core: Core,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'propose' }>,
): void {
  const { job, admission, close, committed } = kept.ledger;
  const { epoch } = message;
  if (epoch.leader !== from || !isKeeper(admission.record.body, from)) {
    return refuse(core, from, 'not-keeper', true);
  }
  // A closed job takes no values; its promises may be forgotten already, so the close must answer.
  if (close !== null) {
    return send(core, from, { type: 'commit', job, values: [...committed.values()] });
  }
  if (compareEpochs(epoch, kept.promised) < 0) {
    refuse(core, from, 'outdated-epoch', false);
    return send(core, from, { type: 'outdated', job, promised: kept.promised });
  }
  raisePromise(core, kept, epoch);
  takeSupport(core, from, kept, message);
  const votes: Signed<'vote'>[] = [];
  for (const { slot, value } of message.values) {
    const vote = accept(core, from, kept, epoch, slot, value);
    if (vote !== null) votes.push(vote);
  }
  if (votes.length > 0) send(core, from, { type: 'voted', job, votes });
}

function takeSupport(
  core: Core,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'propose' }>,
): void {
  for (const state of message.states) takeState(core, from, kept, state);
  for (const command of message.commands) {
    const verdict = checkCommand(core.suite, kept.ledger.spec, command, wallMs(core));
    if (verdict === 'good') takeCommand(core, kept, command);
    else refuse(core, from, verdict.code, verdict.fault);
  }
}

/** Accepts a value under an epoch that is not below the promise; the vote says it is on disk. */
function accept(
  core: Core,
  from: NodeId,
  kept: KeptJob,
  epoch: Epoch,
  slot: Slot,
  value: SlotValue,
): Signed<'vote'> | null {
  const { job, committed, admission } = kept.ledger;
  const chosen = committed.get(slot);
  if (chosen !== undefined && chosen.record.id !== value.id) {
    send(core, from, { type: 'commit', job, values: [chosen] });
    return null;
  }
  const signer = core.suite.nodeOf(value.by);
  if (slotOf(value) !== slot || value.body.job !== job || !isKeeper(admission.record.body, signer)) {
    refuse(core, from, 'wrong-signer', true);
    return null;
  }
  if (!core.suite.verify(value)) {
    refuse(core, from, 'bad-signature', true);
    return null;
  }
  if (chosen === undefined && !wellFounded(kept, value)) {
    refuse(core, from, 'contradiction', false);
    return null;
  }
  const before = kept.accepted.get(slot);
  if (before !== undefined && sameEpoch(before.epoch, epoch) && before.value.id !== value.id) {
    refuse(core, from, 'contradiction', true);
    return null;
  }
  if (chosen === undefined) {
    kept.accepted.set(slot, { slot, epoch, value });
    persist(core, { table: 'accepted', job, key: slot, value: { epoch, value } });
  }
  return seal(core, 'vote', { job, of: value.id, slot, epoch, store: core.config.store });
}

/** The evidence a value needs lies in this keeper's ledger (invariants S6 and S7). */
function wellFounded(kept: KeptJob, value: SlotValue): boolean {
  const { ledger, accepted } = kept;
  switch (value.type) {
    case 'assign':
      return true;
    case 'accept': {
      const state = ledger.states.get(value.body.execution)?.body;
      const same = (state?.result?.cid ?? null) === (value.body.result?.cid ?? null);
      return state?.phase === 'completed' && same && state.node === value.body.node;
    }
    case 'close': {
      const { outcome } = value.body;
      // Any valid stop of the owner will do: two peers of one owner may each have signed one.
      if (outcome === 'stopped') return ledger.commands.size > 0;
      if (outcome === 'failed') return true;
      return Array.from({ length: partitionsOf(ledger) }, (_, p) => p).every(
        (p) => ledger.partitions.get(p)?.accept != null || accepted.has(`accept/${p}`),
      );
    }
  }
}

// — learning

export function onCommit(
  core: Core,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'commit' }>,
): void {
  const slots: Slot[] = [];
  for (const value of message.values) {
    const slot = slotOf(value.record);
    if (kept.ledger.committed.get(slot)?.record.id !== value.record.id) {
      const verdict = checkCommitted(core.suite, kept.ledger.admission.record.body, value);
      if (verdict !== 'good') {
        refuse(core, from, verdict.code, verdict.fault);
        continue;
      }
      if (!learn(core, kept, value)) continue;
    }
    slots.push(slot);
  }
  if (slots.length > 0) send(core, from, { type: 'commit-ack', job: message.job, slots });
}

/**
 * The close reached this keeper by another way than a commit. A completed job's close alone would
 * leave its results unknown here, so the other keepers are asked for everything.
 */
export function learnClose(core: Core, kept: KeptJob, close: Certified<'close'>): void {
  if (close.record.body.outcome !== 'completed') {
    learn(core, kept, close);
    return;
  }
  for (const { node } of kept.ledger.admission.record.body.keepers) {
    if (node !== core.self) send(core, node, { type: 'lead-check', jobs: [kept.ledger.job] });
  }
}

export function onStates(core: Core, from: NodeId, states: readonly Signed<'state'>[]): void {
  const seen: { execution: Signed<'state'>['body']['execution']; sequence: number }[] = [];
  for (const state of states) {
    const { job, execution, sequence } = state.body;
    const kept = core.kept.get(job);
    const close = kept?.ledger.close ?? core.closed.get(job);
    if (close != null) send(core, from, { type: 'closed', job, close });
    if (kept === undefined) continue;
    if (takeState(core, from, kept, state)) seen.push({ execution, sequence });
    kept.lead?.heard.set(execution, core.now);
    kept.lead?.starting.delete(execution);
  }
  if (seen.length > 0) send(core, from, { type: 'states-ack', seen });
}

export function onCommand(core: Core, from: NodeId, command: Signed<'command'>): void {
  const { job, sequence } = command.body;
  const kept = core.kept.get(job);
  if (kept === undefined) {
    const close = core.closed.get(job);
    if (close !== undefined) send(core, from, { type: 'closed', job, close });
    else refuse(core, from, 'unknown-job', false);
    return;
  }
  if (kept.ledger.commands.get(sequence)?.id !== command.id) {
    const verdict = checkCommand(core.suite, kept.ledger.spec, command, wallMs(core));
    if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
    takeCommand(core, kept, command);
    const leader = kept.seen.leader;
    if (leader !== core.self && leader !== from) send(core, leader, { type: 'command', command });
  }
  send(core, from, { type: 'command-ack', job, sequence });
}

// — watching the leader

/** The node believed to lead; null for a closed job. */
export const leaderOf = (kept: KeptJob): NodeId | null =>
  kept.ledger.close === null ? kept.seen.leader : null;

/** Schedules this keeper's candidacy: at once for the first living rank, later for the others. */
export function leaderGone(core: Core, kept: KeptJob): void {
  if (kept.ledger.close !== null || kept.lead !== null || kept.candidateAt !== null) return;
  const { keepers } = kept.ledger.admission.record.body;
  const gone = kept.seen.leader;
  const ahead = keepers
    .slice(0, Math.max(0, keepers.findIndex((k) => k.node === core.self)))
    .filter((k) => k.node !== gone && core.watches.get(k.node)?.dead !== true).length;
  kept.candidateAt = after(core.now, ahead * rankStepMs);
  core.timers.set(jobTimer(kept), kept.candidateAt);
}

/** Whatever is due for a kept job: its closing, its candidacy, or the leader's work. */
export function tickKept(core: Core, kept: KeptJob): void {
  const { close, job } = kept.ledger;
  if (close !== null && kept.closedAt === null) {
    kept.closedAt = core.now;
    kept.candidateAt = null;
    core.timers.set(jobTimer(kept), after(core.now, core.config.limits.retentionMs));
    remember(core.closed, job, close, closedMax);
    if (kept.promised !== null) persist(core, { table: 'promises', job, key: job, value: null });
    for (const slot of kept.accepted.keys()) {
      persist(core, { table: 'accepted', job, key: slot, value: null });
    }
    kept.accepted.clear();
  }
  if (kept.closedAt !== null && core.now - kept.closedAt >= core.config.limits.retentionMs) {
    return dropKept(core, kept);
  }
  if (kept.candidateAt !== null && core.now >= kept.candidateAt) {
    kept.candidateAt = null;
    standForLeader(core, kept);
  } else if (kept.candidateAt !== null) core.timers.set(jobTimer(kept), kept.candidateAt);
  progress(core, kept);
}

function dropKept(core: Core, kept: KeptJob): void {
  const { job, committed, states, commands, grant } = kept.ledger;
  const keys = [
    'spec',
    'admission',
    ...(grant === null ? [] : ['grant']),
    ...committed.keys(),
    ...[...states.keys()].map((execution) => `state/${execution}`),
    ...[...commands.keys()].map((sequence) => `command/${sequence}`),
  ];
  for (const key of keys) persist(core, { table: 'records', job, key, value: null });
  core.kept.delete(job);
}

/** Asks each leader whether it still leads what this node believes it leads. */
export function checkLeaders(core: Core): void {
  const byLeader = new Map<NodeId, JobId[]>();
  for (const kept of core.kept.values()) {
    const leader = leaderOf(kept);
    if (leader === null) continue;
    if (leader === core.self) {
      if (kept.lead === null) leaderGone(core, kept);
      continue;
    }
    // A leader that was found dead before this job came to it is not found dead again.
    if (core.watches.get(leader)?.dead === true) leaderGone(core, kept);
    // A stop that this keeper signed for must not wait for the one who brought it.
    for (const command of kept.ledger.commands.values()) send(core, leader, { type: 'command', command });
    const jobs = byLeader.get(leader) ?? [];
    if (jobs.length < 256) byLeader.set(leader, [...jobs, kept.ledger.job]);
  }
  for (const [leader, jobs] of byLeader) send(core, leader, { type: 'lead-check', jobs });
  if ([...core.kept.values()].some((kept) => kept.ledger.close === null)) {
    core.timers.set('lead-check', after(core.now, leadCheckMs));
  }
}

export function onLeadCheck(core: Core, from: NodeId, jobs: readonly JobId[]): void {
  const not: JobId[] = [];
  for (const job of jobs) {
    const kept = core.kept.get(job);
    if (kept?.ledger.close != null) {
      send(core, from, { type: 'commit', job, values: [...kept.ledger.committed.values()] });
    } else if (kept === undefined || (kept.lead === null && kept.candidateAt === null)) not.push(job);
  }
  if (not.length > 0) send(core, from, { type: 'not-leading', jobs: not });
}

export function onNotLeading(core: Core, from: NodeId, jobs: readonly JobId[]): void {
  for (const job of jobs) {
    const kept = core.kept.get(job);
    if (kept !== undefined && kept.seen.leader === from) leaderGone(core, kept);
  }
}

export function onOutdated(core: Core, kept: KeptJob, promised: Epoch): void {
  stepDown(core, kept, promised);
  if (kept.seen.leader !== core.self) kept.candidateAt = null;
  touch(core, kept.ledger.job);
}
