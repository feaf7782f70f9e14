/**
 * The acceptor: promise epochs and accept what a leader proposes under them. Whatever it signs is on
 * disk before the signature leaves (the machine's `persist` barrier).
 */
import { stopAmong } from '../record/commands.ts';
import {
  compareConfigs,
  configurationOf,
  currentOf,
  electorate,
  everKept,
} from '../record/chain.ts';
import { isKeeper } from '../record/keeper-set.ts';
import { acceptSlot, assignSlot, hasPlace, partitionsIn, slotOf } from '../record/slot.ts';
import { JOB_TYPES } from '../../job/types.ts';
import { noteOutdated } from './outdated.ts';
import { hold, letGo, mayAsk, tellLedger } from './transfer.ts';
import { compareEpochs, sameEpoch, withinReach } from '../record/ballot.ts';
import { hasSay, bearsWith, wouldVote } from '../keeping/changing.ts';
import { tellEnd } from '../keeping/crossing.ts';
import { saveGuest, tellChanges, tellForfeit } from '../keeping/guests.ts';
import { isShunned, leaderShown } from '../keeping/oversight.ts';
import { stepDown } from './candidacy.ts';
import { takeCommand, takeState } from './evidence.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import type { Message, SlotValue } from '../contract/messages.ts';
import { resultsOf } from './proposer.ts';
import type { Epoch, Signed, Slot, StateBody } from '../record/records.ts';
import { endOf } from '../keeping/books.ts';
import { persist, refuse, seal, send, wallMs } from '../node/outbox.ts';
import { hasRoomFor, mayReopen, takeWanted, tellVersion } from '../keeping/versions.ts';
import { checkWanted, mayBeNext, specsOf } from '../record/versions.ts';
import type { KeptJob } from '../keeping/state.ts';
import { checkCommand } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

/** The kept job a leader or candidate speaks of; asks for it when this node should have it and does not. */
export function keptFor(core: With<'mesh' | 'keeping'>, from: NodeId, job: JobId): KeptJob | null {
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) return kept;
  const end = endOf(core, job);
  if (end !== null) send(core, from, { type: 'closed', job, ...end });
  // Beside the proof: there is nothing more to be had of it here.
  if (core.keeping.tombs.has(job)) send(core, from, { type: 'over', job });
  else if (core.keeping.forfeits.has(job)) tellForfeit(core, from, job);
  else if (end === null) send(core, from, { type: 'job-wanted', job });
  return null;
}

/** A keeper of the configuration that the epoch names, which this node must know. */
function mayLead({ ledger }: KeptJob, epoch: Epoch, node: NodeId): boolean {
  const configuration = configurationOf(ledger, epoch.config);
  return configuration !== null && isKeeper(configuration, node);
}

/** Others may keep the job since this node last heard of it; who speaks for them has the proof. */
function isKnown(core: With<'mesh'>, from: NodeId, kept: KeptJob, { config }: Epoch): boolean {
  const { ledger, promised } = kept;
  if (configurationOf(ledger, config) !== null) return true;
  refuse(core, from, 'not-keeper', false);
  if (ledger.close === null && hasYielded(kept) && promised.config.major === config.major) {
    tellForfeit(core, from, ledger.job);
    return false;
  }
  // It goes by another branch that this node has left, or has never known, and would take it for one that goes along.
  const isLower = compareConfigs(config, currentOf(ledger).config) < 0;
  if (ledger.close !== null) tellEnd(core, from, ledger);
  else if (isLower) tellChanges(core, from, kept);
  if (!isLower && everKept(ledger, from)) send(core, from, { type: 'job-wanted', job: ledger.job });
  return false;
}

export function onPrepare(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  grant: Signed<'grant'>,
): void {
  const { job, close } = kept.ledger;
  const { epoch } = grant.body;
  if (!isKnown(core, from, kept, epoch)) return;
  if (!mayLead(kept, epoch, from)) return refuse(core, from, 'not-keeper', false);
  const configuration = configurationOf(kept.ledger, epoch.config);
  if (configuration === null || !hasSay(core, configuration))
    return refuse(core, from, 'not-keeper', false);
  if (close !== null) return tellLedger(core, from, kept);
  if (epoch.leader !== from || core.suite.nodeOf(grant.by) !== from || grant.body.job !== job) {
    return refuse(core, from, 'wrong-signer', true);
  }
  if (!core.suite.verify(grant)) return refuse(core, from, 'bad-signature', true);
  if (!mayFollow(core, from, kept, epoch) || !mayAsk(core, from, kept)) return;
  raisePromise(core, kept, epoch);
  // Of another version a promise is of no use.
  tellVersion(core, from, kept);
  kept.candidateAt = null;
  const vote = seal(core, 'vote', {
    job,
    of: grant.id,
    slot: 'grant',
    epoch,
    store: core.config.store,
  });
  const { digest } = hold(core, kept, epoch);
  send(core, from, { type: 'promise', job, epoch, vote, digest });
}

/** It promised something in a higher branch, and has gone back: it has no say in this one any more, nor in that. */
const hasYielded = ({ ledger, promised }: KeptJob): boolean =>
  promised.config.major > currentOf(ledger).config.major;

/** Whether this keeper follows to the epoch that another one asks for, or is in already. */
function mayFollow(core: With<'mesh'>, from: NodeId, kept: KeptJob, epoch: Epoch): boolean {
  const { first, promised, ledger } = kept;
  // Others keep the job by now: to have learned that is as good as a promise to them, also after a restart.
  if (compareConfigs(epoch.config, currentOf(ledger).config) < 0) {
    refuse(core, from, 'outdated-epoch', false);
    tellChanges(core, from, kept);
    return false;
  }
  const order = compareEpochs(epoch, promised);
  if (order < 0) {
    refuse(core, from, 'outdated-epoch', false);
    if (hasYielded(kept)) tellForfeit(core, from, ledger.job);
    else send(core, from, { type: 'outdated', job: ledger.job, promised });
    return false;
  }
  const far = !withinReach(epoch, first.epoch, core.now - first.at);
  if (!far && (order === 0 || !isShunned(core, kept, from))) return true;
  // It has promised that itself: to be heard by it, one must stand above it.
  if (!far) noteOutdated(kept, from, epoch);
  refuse(core, from, 'over-limit', false);
  return false;
}

function raisePromise(core: Node, kept: KeptJob, epoch: Epoch): void {
  if (compareEpochs(epoch, kept.promised) > 0) {
    kept.promised = epoch;
    persist(core, { table: 'promises', job: kept.ledger.job, key: kept.ledger.job, value: epoch });
  }
  stepDown(core, kept, epoch);
}

export function onPropose(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'propose' }>,
): void {
  const { job, close } = kept.ledger;
  const { epoch } = message;
  if (!isKnown(core, from, kept, epoch)) return;
  if (epoch.leader !== from || !mayLead(kept, epoch, from)) {
    return refuse(core, from, 'not-keeper', false);
  }
  if (close !== null && mayReopen(core, from, kept)) wakeFor(core, kept, message);
  // A closed job takes no other values; the close must answer.
  if (kept.ledger.close !== null) return tellLedger(core, from, kept);
  if (!mayFollow(core, from, kept, epoch)) return;
  const configuration = configurationOf(kept.ledger, epoch.config);
  // A guest promises nothing.
  if (configuration !== null && hasSay(core, configuration)) raisePromise(core, kept, epoch);
  else stepDown(core, kept, epoch);
  // Who proposes nothing shows nothing.
  if (message.values.length > 0) leaderShown(core, kept);
  letGo(core, kept, epoch);
  takeSupport(core, from, kept, message);
  const votes: Signed<'vote'>[] = [];
  for (const { slot, value } of message.values) {
    const vote = accept(core, from, kept, epoch, slot, value);
    if (vote !== null) votes.push(vote);
  }
  if (votes.length > 0) send(core, from, { type: 'voted', job, votes });
}

/** The next version of a job that is over here: its owner wants it, and whoever proposes it has heard of that first. */
function wakeFor(
  core: With<'keeping'>,
  kept: KeptJob,
  { values }: Extract<Message, { type: 'propose' }>,
): void {
  for (const { value } of values) {
    if (value.type !== 'version' || !hasRoomFor(core, kept, value.body)) continue;
    const wanted = specsOf(core.suite, kept.ledger.spec, value.body);
    if (wanted === null) continue;
    if (checkWanted(core.suite, kept.ledger.spec, wanted, wallMs(core)) === 'good')
      takeWanted(core, kept, wanted);
  }
}

function takeSupport(
  core: Node,
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
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  epoch: Epoch,
  slot: Slot,
  value: SlotValue,
): Signed<'vote'> | null {
  const { job, committed } = kept.ledger;
  const chosen = committed.get(slot);
  if (chosen !== undefined && chosen.record.id !== value.id) {
    send(core, from, { type: 'commit', job, values: [chosen] });
    return null;
  }
  const signer = core.suite.nodeOf(value.by);
  if (slotOf(value) !== slot || value.body.job !== job || !everKept(kept.ledger, signer)) {
    refuse(core, from, 'wrong-signer', false);
    return null;
  }
  if (!core.suite.verify(value)) {
    refuse(core, from, 'bad-signature', true);
    return null;
  }
  if (!hasSay(core, ...electorate(kept.ledger, value, epoch))) {
    refuse(core, from, 'not-keeper', false);
    return null;
  }
  const before = kept.accepted.get(slot);
  // What it voted for once it votes for again: the last leader may have had enough votes.
  const founded =
    hasPlace(kept.ledger.spec, value) &&
    (before?.value.id === value.id || kept.agreedTo === value.id || wellFounded(core, kept, value));
  if (chosen === undefined && !founded) {
    refuse(core, from, 'contradiction', false);
    return null;
  }
  // Of guests, who promise nothing: a vote takes the place of an earlier one only.
  if (before !== undefined && compareEpochs(epoch, before.epoch) < 0) return null;
  if (before !== undefined && sameEpoch(before.epoch, epoch) && before.value.id !== value.id) {
    refuse(core, from, 'contradiction', false);
    return null;
  }
  if (chosen === undefined) {
    saveGuest(core, kept);
    kept.accepted.set(slot, { slot, epoch, value });
    persist(core, { table: 'accepted', job, key: slot, value: { epoch, value } });
  }
  return seal(core, 'vote', { job, of: value.id, slot, epoch, store: core.config.store });
}

/** The evidence a value needs lies in this keeper's ledger (invariants I4 and I13). */
function wellFounded(core: With<'mesh' | 'keeping'>, kept: KeptJob, value: SlotValue): boolean {
  const { ledger } = kept;
  switch (value.type) {
    case 'assign':
      return true;
    case 'config':
      return wouldVote(core, kept, value.body) || bearsWith(core, kept, value.body);
    case 'accept': {
      const { version, partition, execution, node, result } = value.body;
      const state = ledger.states.get(execution)?.body;
      if (state?.phase !== 'completed' || state.node !== node) return false;
      const place = placeFor(kept, value, state);
      if (state.version !== version || place !== partition) return false;
      return (state.result?.cid ?? null) === (result?.cid ?? null);
    }
    case 'close': {
      const { outcome, version } = value.body;
      // Any valid stop of the owner will do: two peers of one owner may each have signed one.
      if (outcome === 'stopped') return stopAmong(ledger.commands.values(), version) !== null;
      if (outcome === 'failed') return true;
      return hasResults(kept, value, version);
    }
    case 'version':
      return (
        mayBeNext(core.suite, ledger, value.body, wallMs(core)) &&
        hasRoomFor(core, kept, value.body)
      );
  }
}

/** The partition that a result belongs to: its node does not know it where it enrolled, and the assignment does. */
function placeFor({ ledger, accepted }: KeptJob, { body }: Signed<'accept'>, state: StateBody) {
  if (JOB_TYPES[ledger.spec.body.spec.Type].counted) return state.partition;
  const { version, partition, attempt, execution } = body;
  const assign =
    ledger.partitions.get(partition)?.attempts.get(attempt)?.assign.record ??
    accepted.get(assignSlot(version, partition, attempt))?.value;
  return assign?.type === 'assign' && assign.body.execution === execution ? partition : null;
}

/**
 * Every partition has a result, or will have. Where nodes enrol, as many as the end says: one may have enrolled
 * since that was first proposed, and what may have been chosen must not be refused for that.
 */
function hasResults(kept: KeptJob, close: Signed<'close'>, version: number): boolean {
  const { ledger, accepted } = kept;
  if (JOB_TYPES[ledger.spec.body.spec.Type].counted) {
    const partitions = Array.from({ length: partitionsIn(ledger.spec.body) }, (_, index) => index);
    return partitions.every(
      (index) =>
        ledger.partitions.get(index)?.accept != null || accepted.has(acceptSlot(version, index)),
    );
  }
  const executions = new Set<ExecutionId>();
  for (const { slot, value } of accepted.values())
    if (value.type === 'accept' && slot === acceptSlot(version, value.body.partition))
      executions.add(value.body.execution);
  for (const { accept } of ledger.partitions.values())
    if (accept !== null) executions.add(accept.record.body.execution);
  return executions.size >= resultsOf(ledger.spec, close);
}
