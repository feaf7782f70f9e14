/** Telling a node of another branch of its job. */
import type { Message } from '../../../../src/core/contract/messages.ts';
import type { Cluster } from '../cluster.ts';
import { idOf } from '../fixtures.ts';

const NODES = [...Array(10).keys()];

/** Node 0 is told of it, and once more: those that it asks meanwhile were started just now, too, and are not intact. */
export function convince(cluster: Cluster, from: number, message: Message): void {
  const before = cluster.messages('branch').length;
  cluster.message(0, from, message);
  const asked = cluster.messages('branch').slice(before);
  for (const { to, message: question } of asked) {
    const node = NODES.find((index) => idOf(index) === to && index !== from);
    if (node === undefined) continue;
    cluster.message(0, node, { ...question, type: 'branch-known', intact: false });
  }
  if (asked.length > 0) cluster.message(0, from, message);
}
