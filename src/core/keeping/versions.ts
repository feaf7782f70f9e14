/**
 * Versions at a keeper. What the owner wants next is kept until it is decided which version that is: a job that is over
 * is none any more meanwhile, so that one of those who keep it leads it, and commits the next version. Whoever
 * speaks of an earlier version than the job's is told which that is, with the proof.
 */
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { allow, pointsFor } from '../mesh/allowance.ts';
import { welcomeAdmission } from '../mesh/welcome.ts';
import { shut } from '../node/door.ts';
import type { Message, SlotValue, Wanted } from '../contract/messages.ts';
import { note, persist, refuse, send, touch, wallMs } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import type { Node, With } from '../node/state.ts';
import { changes, currentOf } from '../record/chain.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import type { NodeId } from '../record/ids.ts';
import { dropWanted, isShort, mergeWanted } from '../record/past.ts';
import type { Slot, VersionBody } from '../record/records.ts';
import type { Ledger } from '../record/ledger.ts';
import type { StoredRecord } from '../contract/stored.ts';
import { fitsKeepers } from '../record/verify.ts';
import { checkWanted } from '../record/versions.ts';
import { configsIn, eachKept, rowsOf, WANTED_KEYS } from './books.ts';
import { isGuest } from './changing.ts';
import { tellKeepers } from './guests.ts';
import { noRoomForPast } from './past-books.ts';
import type { KeptJob } from './state.ts';

/** Nodes that asked for a version and are told which it is as soon as that is decided. */
const ASKERS_MAX = 16;
/** Of an allowance: beside its votes a version has its spec in it. */
const VERSION_POINTS = 5;

/** The owner wants another version. */
export function onUpdate(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { job, spec, fallback }: Extract<Message, { type: 'update' }>,
): void {
  const { ledger } = kept;
  const current = ledger.spec.body.version;
  if (spec.body.job !== job) return refuse(core, from, 'contradiction', true);
  if (spec.body.version <= current) return tellVersion(core, from, kept);
  // The versions between are on their way here.
  if (spec.body.version > current + 1) return;
  const wanted = { spec, fallback };
  if (ledger.wanted?.spec.id !== spec.id && !allow(core, from, VERSION_POINTS)) return;
  const verdict = checkWanted(core.suite, ledger.spec, wanted, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (!fitsKeepers(ledger, spec.body)) return refuse(core, from, 'contradiction', false);
  if (isGuest(core, kept)) {
    tellKeepers(core, from, kept);
    for (const node of keeperNodes(currentOf(ledger)))
      if (node !== from) send(core, node, { type: 'update', job, spec, fallback });
    return;
  }
  // No answer: whoever wants it asks again, and others that keep the job may have room.
  if (shut(core) !== null || !mayReopen(core, from, kept))
    return refuse(core, from, 'over-limit', false);
  // What it has taken up once it does not refuse later.
  const isTaken = ledger.wanted?.spec.id === spec.id;
  const full = isTaken ? null : noRoomForPast(core, spec.body.owner);
  if (full !== null)
    return send(core, from, { type: 'command-refused', job, command: spec.id, refusal: full });
  kept.askers.add(from);
  for (const oldest of kept.askers) {
    if (kept.askers.size <= ASKERS_MAX) break;
    kept.askers.delete(oldest);
  }
  takeWanted(core, kept, wanted);
  const { leader } = kept.seen;
  if (leader !== core.self && leader !== from)
    send(core, leader, { type: 'update', job, spec, fallback });
  send(core, from, { type: 'command-ack', job, command: spec.id });
}

/** Also for a leader that brings a version which its owner did not ask this keeper for; going back is never kept from. */
export function hasRoomFor(
  core: With<'keeping'>,
  { ledger }: KeptJob,
  { spec: sealed }: VersionBody,
): boolean {
  const spec = core.suite.specIn(sealed);
  if (spec === null || ledger.wanted?.spec.id === spec.id) return spec !== null;
  return spec.body.follows?.how === 'rollback' || noRoomForPast(core, spec.body.owner) === null;
}

/** A job that is over costs nothing but disk: one that is to go on needs a place among those that live, like a new one. */
export function mayReopen(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  { ledger }: KeptJob,
): boolean {
  if (ledger.close === null) return true;
  const { kept, warm, pending } = core.keeping;
  if (kept.size - warm.size + pending.size >= core.config.limits.jobsMax) return false;
  return welcomeAdmission(core, from, ledger.spec.body.owner) === 'good';
}

/** What was checked. */
export function takeWanted(core: Node, kept: KeptJob, wanted: Wanted): void {
  const { ledger } = kept;
  if (mergeWanted(ledger, wanted) !== 'new') return;
  const { job } = ledger;
  const row = (key: string, record: Wanted['fallback']): void =>
    persist(core, {
      table: 'records',
      job,
      key,
      value: record === null ? null : { record, votes: [] },
    });
  row(WANTED_KEYS.spec, wanted.spec);
  row(WANTED_KEYS.fallback, wanted.fallback);
  note(core, 'job.version-wanted', { job, version: wanted.spec.body.version });
  touch(core, job);
}

const isStale = (core: Node, { ledger }: KeptJob): boolean => {
  const { wanted } = ledger;
  if (wanted === null) return false;
  return wanted.spec.body.notAfter < wallMs(core) || !fitsKeepers(ledger, wanted.spec.body);
};

/** What its owner wanted until a moment that has passed, or before the job was re-seeded, nobody votes for any more, so it keeps no job from being over. */
export function forgetStale(core: Node, kept: KeptJob): void {
  if (!isStale(core, kept)) return;
  const { job } = kept.ledger;
  dropWanted(kept.ledger);
  for (const key of Object.values(WANTED_KEYS))
    persist(core, { table: 'records', job, key, value: null });
}

/** Now and then. */
export function lookForStale(core: With<'keeping'>): void {
  for (const kept of eachKept(core)) if (isStale(core, kept)) touch(core, kept.ledger.job);
}

/** As it lies on the disk, when all that was committed is there. */
export function restoreWanted(ledger: Ledger, rows: ReadonlyMap<string, StoredRecord>): void {
  const [spec, fallback] = [
    rows.get(WANTED_KEYS.spec)?.record,
    rows.get(WANTED_KEYS.fallback)?.record,
  ];
  if (spec?.type !== 'spec') return;
  mergeWanted(ledger, { spec, fallback: fallback?.type === 'spec' ? fallback : null });
}

/** Which version the job has, for one who may not know it. */
export function tellVersion(core: With<'mesh'>, to: NodeId, { ledger }: KeptJob): void {
  const { job, version, configs } = ledger;
  if (version === null || to === core.self) return;
  if (!allow(core, to, VERSION_POINTS + pointsFor(configs.length))) return;
  send(core, to, { type: 'version', job, version, ...changes(configs) });
}

/** Jobs of which some keepers have missed a version: its proof has its specs in it, some 3 KB each and 64 KiB at most. */
const UNTOLD_MAX = 256;

/** The job is over, in a version that these keepers have not heard of: they ask for nothing, as it is over for them. */
export function rememberUntold(
  core: With<'keeping'>,
  { ledger }: KeptJob,
  nodes: readonly NodeId[],
): void {
  const { job, version, configs } = ledger;
  if (version === null || nodes.length === 0) return;
  const packed = core.suite.pack([version, ...configs]);
  remember(core.keeping.untold, job, { version: packed, nodes: new Set(nodes) }, UNTOLD_MAX);
}

/** A keeper connected that has missed a version. */
export function tellUntold(core: With<'keeping'>, node: NodeId): void {
  for (const [job, { version: packed, nodes }] of core.keeping.untold) {
    if (!nodes.delete(node)) continue;
    if (nodes.size === 0) core.keeping.untold.delete(job);
    const [first, ...rest] = core.suite.unpack(packed);
    if (first?.record.type !== 'version') continue;
    const version = { record: first.record, votes: first.votes };
    send(core, node, { type: 'version', job, version, ...changes(configsIn(rest)) });
  }
}

/**
 * Another version is the job's from now on. Its slots are new ones: what was accepted for the one before is over, and
 * time counts anew.
 * @param known slots and executions of which something was on disk, and is nothing here any more
 */
export function versionChanged(core: Node, kept: KeptJob, known: ReadonlySet<string>): void {
  const { ledger } = kept;
  const { job } = ledger;
  const { version } = ledger.spec.body;
  const gone = (key: string): void => persist(core, { table: 'records', job, key, value: null });
  for (const key of known) if (!rowsOf(ledger).has(key)) gone(key);
  if (ledger.wanted === null) {
    gone(WANTED_KEYS.spec);
    gone(WANTED_KEYS.fallback);
  }
  for (const [slot, { value }] of kept.accepted) {
    if (value.type === 'config' || value.body.version > version) continue;
    kept.accepted.delete(slot);
    if (rememberVote(kept, slot, value)) continue;
    persist(core, { table: 'accepted', job, key: slot, value: null });
  }
  for (const [slot, of] of kept.votedBefore) {
    if (!isShort(ledger, of)) continue;
    kept.votedBefore.delete(slot);
    persist(core, { table: 'accepted', job, key: slot, value: null });
  }
  kept.held = null;
  kept.fetching = null;
  kept.isTurned = true;
  kept.turnedAt = core.now;
  touch(core, job);
}

/**
 * A vote for a further attempt of an exclusive job keeps the one before from running on: whether it was decided or not,
 * and whatever version there is now, as long as that one may ask.
 * @returns whether it is such a vote, of a version before
 */
export function rememberVote(
  { ledger, votedBefore }: KeptJob,
  slot: Slot,
  value: SlotValue,
): boolean {
  const { body } = ledger.spec;
  if (value.type !== 'assign' || value.body.version >= body.version) return false;
  if (partitionPolicyOf(body.spec) !== 'exclusive') return false;
  votedBefore.set(slot, value.body.version);
  return true;
}
