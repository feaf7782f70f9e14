/**
 * A node that leaves tells the other keepers of the jobs it leads that it will not lead them: the next of
 * them stands for leader at once, instead of finding out later that this one is gone. Until somebody has
 * the promises of the others it leads on, so a message that is lost costs nothing but the time.
 */
import { send } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { currentOf } from '../record/chain.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { leaderIn } from '../leading/state.ts';
import { eachKept } from './books.ts';

/** Jobs of one message; what the wire carries. */
const TOLD_MAX = 256;

/** Called when this node begins to leave, and every now and then while it does. */
export function handOver(core: With<'keeping'>): void {
  const told = new Map<NodeId, JobId[]>();
  for (const { lead, ledger } of eachKept(core)) {
    if (leaderIn(lead) === null) continue;
    for (const node of keeperNodes(currentOf(ledger))) {
      const jobs = told.get(node) ?? [];
      jobs.push(ledger.job);
      if (node !== core.self) told.set(node, jobs);
    }
  }
  for (const [node, jobs] of told)
    for (let at = 0; at < jobs.length; at += TOLD_MAX)
      send(core, node, { type: 'not-leading', jobs: jobs.slice(at, at + TOLD_MAX) });
}
