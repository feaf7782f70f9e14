/**
 * Second copies of results, made for others. Only the result of an admitted job is copied, for the
 * keeper that leads it, as its executor signed it, and not more of it than that says.
 */
import type { NodeId } from '../record/ids.ts';
import type { Input } from '../contract/input.ts';
import type { Message } from '../contract/messages.ts';
import { executionIdOf } from '../placing/place.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import { rememberLocal } from '../placing/state.ts';
import { checkActivation, checkLeader, checkState } from '../record/verify.ts';
import type { Verdict } from '../record/verify.ts';
import { welcomeCopy } from '../mesh/welcome.ts';
import type { Node, With } from '../node/state.ts';

type Replicate = Extract<Message, { type: 'replicate' }>;

/** A tree is larger than the files in it: names, links, and a block for every small file. */
const treeShare = 1.25;
const treeBytes = 16 * 1_048_576;
/** Copies of which is remembered that they were made: an answer may be lost. */
const copiedMax = 1_024;

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
  const { cid, bytes } = result;
  const wanted = core.executing.replicas.get(execution);
  // The answer was lost.
  if (core.executing.copied.get(execution) === cid)
    return send(core, from, { type: 'replicated', job, execution, cid, outcome: 'made' });
  // Under way already: whoever leads the job by now is told.
  if (wanted !== undefined) {
    core.executing.replicas.set(execution, { ...wanted, asker: from });
    return;
  }
  if (!welcomeCopy(core, from, spec.body.owner, bytes)) {
    return send(core, from, { type: 'replicated', job, execution, cid, outcome: 'refused' });
  }
  core.executing.replicas.set(execution, { job, asker: from });
  const maxBytes = Math.ceil(bytes * treeShare) + treeBytes;
  const holders = [...new Set([...message.holders, node])].filter((other) => other !== core.self);
  core.out.push({ type: 'replicate', execution, cid, holders, maxBytes });
}

function checkCopy(core: Node, from: NodeId, message: Replicate): Verdict {
  const { spec, admission, grant, state } = message;
  const admitted = checkActivation(core.suite, spec, admission, wallMs(core));
  if (admitted !== 'good') return admitted;
  const led = checkLeader(core.suite, admission, grant, from);
  if (led !== 'good') return led;
  const { phase, execution } = state.body;
  const own = phase === 'completed' && execution === executionIdOf(core.suite, state.body);
  return own
    ? checkState(core.suite, spec.body.job, state)
    : { code: 'contradiction', fault: true };
}

export function onLocalReplica(
  core: With<'placing' | 'executing'>,
  { execution, cid, outcome }: Extract<Input, { type: 'replicated' }>,
): void {
  const wanted = core.executing.replicas.get(execution);
  if (wanted === undefined) return;
  core.executing.replicas.delete(execution);
  if (outcome === 'made') {
    rememberLocal(core, cid);
    remember(core.executing.copied, execution, cid, copiedMax);
  }
  send(core, wanted.asker, { type: 'replicated', job: wanted.job, execution, cid, outcome });
}
