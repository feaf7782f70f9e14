/** Counts random job ids per shard. */
import { randomBytes } from 'node:crypto';
import { JOB_SHARDS, shardOf } from '../../../p2p/gossip.ts';
import { asJobId, uuidOf } from '../../../src/core/record/ids.ts';

export function jobsShards(jobs: number): number[] {
  const counts = Array.from({ length: JOB_SHARDS }, () => 0);
  for (let n = 0; n < jobs; n += 1) {
    const shard = shardOf(asJobId(`j-${uuidOf(randomBytes(16).toString('hex'))}`));
    counts[shard] = (counts[shard] ?? 0) + 1;
  }
  return counts;
}
