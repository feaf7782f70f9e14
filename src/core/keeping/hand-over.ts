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

/** It is there, by its last word, and does not leave itself. */
const isStaying = (core: With<'mesh'>, node: NodeId): boolean =>
  core.mesh.members.get(node)?.advert.body.keeps === true &&
  core.mesh.watches.get(node)?.dead !== true;

/** Called when this node begins to leave, and every now and then while it does. */
export function handOver(core: With<'mesh' | 'keeping'>): void {
  const told = new Map<NodeId, JobId[]>();
  for (const { lead, ledger } of eachKept(core)) {
    if (leaderIn(lead) === null) continue;
    const keepers = keeperNodes(currentOf(ledger));
    // Where all leave they would hand it round for as long as that takes.
    if (!keepers.some((node) => node !== core.self && isStaying(core, node))) continue;
    for (const node of keepers) {
      const jobs = told.get(node) ?? [];
      jobs.push(ledger.job);
      if (node !== core.self) told.set(node, jobs);
    }
  }
  for (const [node, jobs] of told) send(core, node, { type: 'not-leading', jobs });
}
