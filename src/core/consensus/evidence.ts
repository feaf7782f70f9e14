/** What others say of a job beside what was committed: how its executions go, and what its owner commands. */
import { executionIdOf } from '../placing/place.ts';
import type { NodeId, RecordId } from '../record/ids.ts';
import { isTerminal, mergeCommand, mergeState, nodeOfExecution } from '../record/ledger.ts';
import { currentOf } from '../record/chain.ts';
import { isKeeper } from '../record/keeper-set.ts';
import { mayKeep, mergeOpaque } from '../record/opaque.ts';
import type { Opaque } from '../record/opaque.ts';
import type { Signed } from '../record/records.ts';
import type { KeptJob } from '../keeping/state.ts';
import { outdate } from '../leading/outlook.ts';
import { observe, persist, refuse, touch, wallMs } from '../node/outbox.ts';
import { checkState } from '../record/verify.ts';
import type { Node } from '../node/state.ts';

/** States that a keeper told of before their execution was known to be assigned, for each job. */
const EARLY_MAX = 64;

/** @returns whether the state is in the ledger now */
export function takeState(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  state: Signed<'state'>,
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
  // Its id says which part of the job it is; an executor that says otherwise would end another, or none ever.
  if (executionIdOf(core.suite, state.body) !== state.body.execution) {
    refuse(core, from, 'contradiction', false);
    return false;
  }
  if (mergeState(kept.ledger, state) !== 'new') return true;
  observe(core, state.hlc);
  outdate(kept, state.body.partition);
  // Only how an execution ended must survive; what it is doing now is told again with its lease.
  if (isTerminal(state.body.phase)) {
    const key = `state/${state.body.execution}`;
    persist(core, { table: 'records', job, key, value: { record: state, votes: [] } });
  }
  touch(core, job);
  return true;
}

const commandKey = (id: RecordId): string => `command/${id}`;

export function takeCommand(core: Node, kept: KeptJob, command: Signed<'command'>): void {
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

/** Records that nobody here understands, from a keeper of the job: kept for those who do. */
export function takeMore(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  records: readonly Opaque[],
): void {
  const { ledger } = kept;
  const { job, opaque } = ledger;
  if (!isKeeper(currentOf(ledger), from)) return;
  for (const record of records) {
    if (opaque.has(record.id)) continue;
    // Honest nodes may be of another mind about who partakes, and when.
    if (!mayKeep(core.suite, ledger, record, wallMs(core))) {
      refuse(core, from, 'over-limit', false);
      continue;
    }
    const before = [...opaque.keys()];
    if (mergeOpaque(ledger, record) !== 'new') continue;
    const key = opaqueKey(record.id);
    persist(core, { table: 'records', job, key, value: { record, votes: [] } });
    for (const id of before)
      if (!opaque.has(id))
        persist(core, { table: 'records', job, key: opaqueKey(id), value: null });
  }
}

const opaqueKey = (id: RecordId): string => `opaque/${id}`;
