/**
 * A job that was re-seeded has several *lines* of configurations, one for each time, by their majors: those that seemed
 * to be gone may go on with it beside the others until they meet.
 */
import type { JobRecords } from '../../src/core/contract/messages.ts';
import { FIRST_CONFIG, firstConfiguration, sameConfig } from '../../src/core/record/chain.ts';
import { isQuorum, members } from '../../src/core/record/keeper-set.ts';
import type { ConfigId, Configuration, Keeper } from '../../src/core/record/records.ts';
import { configSlot } from '../../src/core/record/slot.ts';
import { partitionPolicyOf } from '../../src/job/partition-policy.ts';
import type { JobFacts } from './facts.ts';
import { keepersBefore, keepersNow } from './facts.ts';
import type { NodeView } from './observer.ts';

/** The line of which these records are. */
export function lineOf({ configs = [] }: Pick<JobRecords, 'configs'>): number {
  return Math.max(0, ...configs.map(({ record }) => record.body.config.major));
}

/** In whichever line. */
export const isDecided = (facts: JobFacts | undefined, slot: string): boolean =>
  [...(facts?.lines.values() ?? [])].some((line) => line.has(slot));

export const isReseeded = ({ lines }: JobFacts): boolean =>
  [...lines.keys()].some((line) => line > 0);

/** With the store that it keeps the job with. */
export const nodeOf = ({ node, store }: Keeper, nodes: readonly NodeView[]): NodeView | undefined =>
  nodes.find((one) => one.id === node && one.store.id === store);

/** Keepers of the latest configuration that are there, with what they promised. */
export function keepersThere(facts: JobFacts, nodes: readonly NodeView[]): readonly NodeView[] {
  const now = keepersNow(facts);
  if (now === null) return [];
  return members(now).flatMap((keeper) => {
    const node = nodeOf(keeper, nodes);
    return node?.up === true && !node.store.forfeits.has(facts.job) ? [node] : [];
  });
}

/** So many are gone that the others decide nothing. */
export function isOrphaned(facts: JobFacts, nodes: readonly NodeView[]): boolean {
  const now = keepersNow(facts);
  const there = keepersThere(facts, nodes).map(({ id }) => id);
  return now !== null && !isQuorum(now, there);
}

/** And for good: its owner wants nothing to run beside what may still run, or nobody is left who kept it. */
export function isStuck(facts: JobFacts, nodes: readonly NodeView[]): boolean {
  if (!isOrphaned(facts, nodes)) return false;
  const policy = facts.spec === null ? null : partitionPolicyOf(facts.spec.spec);
  if (policy === 'wait' || policy === 'exclusive') return true;
  const left = keepersThere(facts, nodes).filter((node) => knows(facts, node));
  return left.length === 0 || nodes.filter(({ up }) => up).length < 2;
}

/**
 * It was told that it keeps the job, or kept it before: who voted for it, or to re-seed it, cannot know what came of that
 * when all that were told are gone.
 */
function knows(facts: JobFacts, { id, store }: NodeView): boolean {
  if (store.get('records', facts.job, 'admission') === null) return false;
  const now = keepersNow(facts);
  if (now?.reseeds === undefined) return true;
  const before = keepersBefore(facts);
  return (
    store.get('records', facts.job, configSlot(now.config)) !== null ||
    (before !== null && members(before).some((one) => one.node === id && one.store === store.id))
  );
}

/** When it was re-seeded last in the line that is looked at; null when never. */
export function reseededAt({ chosen }: JobFacts): number | null {
  let last: number | null = null;
  for (const { record, at } of chosen.values())
    if (record.type === 'config' && record.body.reseeds !== undefined)
      last = Math.max(at, last ?? at);
  return last;
}

export function configurationAt(facts: JobFacts, id: ConfigId): Configuration | null {
  if (sameConfig(id, FIRST_CONFIG))
    return facts.admitted === null ? null : firstConfiguration(facts.admitted.body);
  const found = [...facts.configs.values()].find(({ config }) => sameConfig(config, id));
  return found ?? null;
}
