/**
 * Copies of results, made for others. Only the result of an admitted job is copied: before it is
 * accepted for the keeper that leads it, as its executor signed it, and afterwards for whoever shows
 * that its keepers accepted it; and not more of it than that says.
 */
import { chainOf } from '../record/chain.ts';
import { hasPlace } from '../record/slot.ts';
import type { ResultRef } from '../record/execution.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import type { SpecBody } from '../record/records.ts';
import { takeCare } from './entrusted.ts';
import type { Input } from '../contract/input.ts';
import type { Message } from '../contract/messages.ts';
import { executionIdOf } from '../record/execution-id.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import { rememberLocal } from '../placing/state.ts';
import { checkActivation, checkCommitted, checkLeader, checkState } from '../record/verify.ts';
import type { Verdict } from '../record/verify.ts';
import { welcomeCopy } from '../mesh/welcome.ts';
import type { Node, With } from '../node/state.ts';

type Replicate = Extract<Message, { type: 'replicate' }>;
type Entrust = Extract<Message, { type: 'entrust' }>;

/** A tree is larger than the files in it: names, links, and a block for every small file. */
const TREE_SHARE = 1.25;
const TREE_BYTES = 16 * 1_048_576;
/** Copies of which is remembered that they were made: an answer may be lost. */
const COPIED_MAX = 1_024;

export function onReplicate(
  core: With<'mesh' | 'executing'>,
  from: NodeId,
  message: Replicate,
): void {
  const { spec, state } = message;
  const { job, execution, node, result } = state.body;
  const verdict = checkCopy(core, from, message);
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (result === null) return refuse(core, from, 'contradiction', true);
  // The answer was lost.
  if (core.executing.copied.get(execution) === result.cid)
    return answer(core, from, { job, execution, cid: result.cid, outcome: 'made' });
  copy(
    core,
    from,
    spec.body,
    { job, execution, result, holders: [...message.holders, node] },
    null,
  );
}

/** An accepted result is here, or shall be: this node looks after it as long as it is kept. */
export function onEntrust(
  core: With<'mesh' | 'placing' | 'executing'>,
  from: NodeId,
  message: Entrust,
): void {
  const { spec, accept, holders } = message;
  const { job, execution, result } = accept.record.body;
  const known = core.executing.entrusted.get(execution)?.accept === accept.record.id;
  if (!known) {
    const verdict = checkAccepted(core, message);
    if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  }
  if (result === null) return refuse(core, from, 'contradiction', true);
  const { cid } = result;
  if (known || core.placing.local.has(cid) || core.executing.copied.get(execution) === cid) {
    takeCare(core, from, message);
    return answer(core, from, { job, execution, cid, outcome: 'made' });
  }
  copy(core, from, spec.body, { job, execution, result, holders: [...holders, from] }, message);
}

function checkAccepted(core: Node, message: Entrust): Verdict {
  const { spec, accept } = message;
  const admitted = checkActivation(core.suite, spec, message, wallMs(core));
  if (admitted !== 'good') return admitted;
  if (!hasPlace(spec, accept.record)) return { code: 'contradiction', fault: true };
  return checkCommitted(core.suite, chainOf(message), accept);
}

interface Wanted {
  readonly job: JobId;
  readonly execution: ExecutionId;
  readonly result: ResultRef;
  readonly holders: readonly NodeId[];
}

/** Fetches what may be fetched for this owner, once. */
function copy(
  core: With<'mesh' | 'executing'>,
  from: NodeId,
  { owner }: SpecBody,
  { job, execution, result, holders }: Wanted,
  entrust: Entrust | null,
): void {
  const { cid, bytes } = result;
  const wanted = core.executing.replicas.get(execution);
  // Under way already: whoever leads the job by now is told.
  if (wanted !== undefined) {
    const later = { ...wanted, asker: from, entrust: entrust ?? wanted.entrust };
    core.executing.replicas.set(execution, later);
    return;
  }
  if (!welcomeCopy(core, from, owner, bytes))
    return answer(core, from, { job, execution, cid, outcome: 'refused' });
  core.executing.replicas.set(execution, { job, asker: from, entrust });
  const maxBytes = Math.ceil(bytes * TREE_SHARE) + TREE_BYTES;
  const others = [...new Set(holders)].filter((other) => other !== core.self);
  core.out.push({ type: 'replicate', execution, cid, holders: others, maxBytes });
}

const answer = (
  core: Node,
  to: NodeId,
  about: Omit<Extract<Message, { type: 'replicated' }>, 'type'>,
): void => send(core, to, { type: 'replicated', ...about });

function checkCopy(core: Node, from: NodeId, message: Replicate): Verdict {
  const { spec, grant, state } = message;
  const admitted = checkActivation(core.suite, spec, message, wallMs(core));
  if (admitted !== 'good') return admitted;
  const led = checkLeader(core.suite, message, grant, from);
  if (led !== 'good') return led;
  const { phase, execution } = state.body;
  const named = executionIdOf(core.suite, spec.body.spec.Type, state.body);
  return phase === 'completed' && execution === named
    ? checkState(core.suite, spec.body.job, state)
    : { code: 'contradiction', fault: true };
}

export function onLocalReplica(
  core: With<'mesh' | 'placing' | 'executing'>,
  { execution, cid, outcome }: Extract<Input, { type: 'replicated' }>,
): void {
  const wanted = core.executing.replicas.get(execution);
  if (wanted === undefined) return;
  core.executing.replicas.delete(execution);
  if (outcome === 'made') {
    rememberLocal(core, cid);
    remember(core.executing.copied, execution, cid, COPIED_MAX);
    if (wanted.entrust !== null) takeCare(core, wanted.asker, wanted.entrust);
  }
  answer(core, wanted.asker, { job: wanted.job, execution, cid, outcome });
}
