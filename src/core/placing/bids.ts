/**
 * What a leader makes of a bid. A bid is unsigned and nobody can check it, so it counts for no more than
 * the node advertises, than an idle node of that size could give, and than the job has use for.
 */
import { BID_EXECUTIONS_MAX } from '../contract/limits.ts';
import type { NodeId } from '../record/ids.ts';
import type { Job, Resources } from '../../job/model.ts';
import type { Message } from '../contract/messages.ts';
import { howOften, least, minus } from './resources.ts';
import type { Bid } from './state.ts';
import { onProbation } from '../mesh/welcome.ts';
import type { With } from '../node/state.ts';

/** @returns null when the node could not do what it offers */
export function soundBid(
  core: With<'mesh'>,
  from: NodeId,
  { Count, Task }: Job,
  message: Extract<Message, { type: 'bid' }>,
): Omit<Bid, 'at'> | null {
  const told =
    from === core.self ? core.profile?.capacity : core.mesh.members.get(from)?.advert.body.capacity;
  const capacity: Resources = told === undefined ? message.capacity : least(message.capacity, told);
  const most = Math.min(
    message.executions,
    onProbation(core, from) ? 1 : BID_EXECUTIONS_MAX,
    Count,
  );
  const executions = howOften(Task.resources, capacity, most);
  if (executions < 1) return null;
  const reads = Task.InputSources.some(({ Source }) => Source.Type === 'ipfs');
  return {
    node: from,
    capacity,
    free: least(message.free, minus(capacity, Task.resources)),
    executions,
    running: message.running,
    locality: reads ? Math.min(1, Math.max(0, message.locality)) : 0,
  };
}
