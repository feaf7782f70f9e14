/** What others say of a job beside what was committed: how its executions go, and what its owner commands. */
import { JOB_TYPES } from '../../job/types.ts';
import type { JobId, NodeId, RecordId } from '../record/ids.ts';
import { executionIdOf } from '../record/execution-id.ts';
import { isTerminal, mergeCommand, mergeState, placeOf } from '../record/ledger.ts';
import type { Merged } from '../record/ledger.ts';
import { factsOf } from '../record/past.ts';
import { stateBytes } from '../record/past-room.ts';
import type { StoredRecord } from '../contract/stored.ts';
import { currentOf } from '../record/chain.ts';
import { isKeeper } from '../record/keeper-set.ts';
import { mayKeep, mergeOpaque } from '../record/opaque.ts';
import { ENROLLED_MAX } from '../record/slot.ts';
import type { Opaque } from '../record/opaque.ts';
import type { Signed } from '../record/records.ts';
import { persistState } from '../keeping/books.ts';
import type { KeptJob } from '../keeping/state.ts';
import { enrolling, outdate } from '../leading/outlook.ts';
import { leaderIn } from '../leading/state.ts';
import { observe, persist, refuse, touch, wallMs } from '../node/outbox.ts';
import { checkState } from '../record/verify.ts';
import type { Node } from '../node/state.ts';

/** States that a keeper, or a node that enrols, told of before their execution was known to be assigned, for each job. */
const EARLY_MAX = 64;

/** @returns whether the state is in the ledger now */
export function takeState(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  state: Signed<'state'>,
): boolean {
  const { job } = kept.ledger;
  const { version } = kept.ledger.spec.body;
  const facts = state.body.version > version ? null : factsOf(kept.ledger, state.body.version);
  if (facts?.states.get(state.body.execution)?.id === state.id) return true;
  const { Type } = kept.ledger.spec.body.spec;
  // A stranger must not fill a ledger with executions that nobody assigned; a keeper may know one first,
  // and where each node decides for itself it speaks first: for itself, and of one execution only.
  const assigned = facts?.assigned.get(state.body.execution)?.node === state.body.node;
  const isPast = state.body.version < version;
  const enrols = !JOB_TYPES[Type].counted && from === state.body.node && !isPast;
  const mayBe = facts !== null && !isPast && isKeeper(currentOf(kept.ledger), from);
  if (!assigned && !enrols && !mayBe) {
    refuse(core, from, 'unknown-job', false);
    return false;
  }
  if (!assigned && !hasRoomFor(kept, state, enrols)) {
    refuse(core, from, 'over-limit', false);
    return false;
  }
  const verdict = checkState(core.suite, job, state);
  if (verdict !== 'good') {
    refuse(core, from, verdict.code, verdict.fault);
    return false;
  }
  // Its id says which part of the job it is; an executor that says otherwise would end another, or none ever.
  if (facts === null || executionIdOf(core.suite, Type, state.body) !== state.body.execution) {
    refuse(core, from, 'contradiction', false);
    return false;
  }
  // What does not end never completes: its end would be believed before that of its node.
  if (state.body.phase === 'completed' && !JOB_TYPES[kept.ledger.spec.body.spec.Type].ends) {
    refuse(core, from, 'contradiction', false);
    return false;
  }
  if (mergeState(kept.ledger, state) !== 'new') return true;
  observe(core, state.hlc);
  if (isPast) kept.pastGrownBytes += stateBytes(state);
  if (assigned || JOB_TYPES[Type].counted) outdate(kept, placeOf(facts, state.body).partition);
  else enrolling(kept, state.body.execution);
  // Only how an execution ended must survive; what it is doing now is told again with its lease.
  if (isTerminal(state.body.phase)) persistState(core, state);
  touch(core, job);
  return true;
}

/** The leader has room for all that may enrol, and places them; others hear of most when they are placed. */
function hasRoomFor(
  { ledger, lead }: KeptJob,
  { body }: Signed<'state'>,
  enrols: boolean,
): boolean {
  const { states, assigned } = ledger;
  const early = enrols && leaderIn(lead) !== null ? ENROLLED_MAX : EARLY_MAX;
  return states.has(body.execution) || states.size < assigned.size + early;
}

/** A command that was checked. */
export function takeCommand(core: Node, { ledger }: KeptJob, command: Signed<'command'>): void {
  const { job, commands } = ledger;
  const merged = mergeSaved(core, job, commands, command, () => mergeCommand(ledger, command));
  if (merged === 'new') touch(core, job);
}

/** Records that nobody here understands, from a keeper of the job: kept for those who do. */
export function takeMore(
  core: Node,
  from: NodeId,
  { ledger }: KeptJob,
  records: readonly Opaque[],
): void {
  const { job, opaque } = ledger;
  if (!isKeeper(currentOf(ledger), from)) return;
  for (const record of records) {
    if (opaque.has(record.id)) continue;
    // No fault: honest nodes may be of another mind about who has a part in the job.
    if (!mayKeep(core.suite, ledger, record, wallMs(core))) refuse(core, from, 'over-limit', false);
    else mergeSaved(core, job, opaque, record, () => mergeOpaque(ledger, record));
  }
}

/** Merges a record into those of its kind, of which a job keeps some, and has the disk follow. */
function mergeSaved(
  core: Node,
  job: JobId,
  kept: ReadonlyMap<RecordId, unknown>,
  record: StoredRecord['record'],
  merge: () => Merged,
): Merged {
  const keyOf = (id: RecordId): string => `${record.type}/${id}`;
  const before = [...kept.keys()];
  if (merge() !== 'new') return 'known';
  const value = { record, votes: [] };
  persist(core, { table: 'records', job, key: keyOf(record.id), value });
  // What made room for it.
  for (const id of before)
    if (!kept.has(id)) persist(core, { table: 'records', job, key: keyOf(id), value: null });
  return 'new';
}
