/**
 * Jobs that lose a majority of their keepers at once: for good, with their disks, or for so long that others go on with
 * the job, until those before them are back with all they had.
 */
import { majority, members } from '../../src/core/record/keeper-set.ts';
import type { Facts, JobFacts } from './facts.ts';
import { endOf, keepersNow } from './facts.ts';
import type { Random } from './random.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** Two are left at least, so that there is somebody to go on with. */
const LEFT_MIN = 2;
/** Those that go together do so within this. */
const TOGETHER_MS = 3_000;
/** How long those that come back are away, in times of what makes others go on without them. */
const AWAY_MIN = 0.8;
const AWAY_MAX = 4;

export interface OrphansContext {
  readonly world: World;
  readonly facts: Facts;
  readonly random: Random;
  readonly reseedAfterMs: number;
  /** Nodes that never come back. */
  readonly departed: ReadonlySet<SimNode['id']>;
  /** A client has no receipt yet: it asks the same keepers for ever. */
  isWaiting(): boolean;
  depart(node: SimNode): void;
  /** Its process ends, and begins again after so long, with its disk. */
  leave(node: SimNode, ms: number): void;
}

export interface Orphans {
  /** A job loses the majority of its keepers for good. */
  orphan(): void;
  /** And here for a while. */
  strand(): void;
}

export function createOrphans(context: OrphansContext): Orphans {
  const { world, facts, random } = context;

  /** As many of its keepers as the rest cannot decide without; none of those whom clients need. */
  function majorityOf(job: JobFacts, mayGo: (node: SimNode) => boolean): readonly SimNode[] {
    const now = keepersNow(job);
    if (now === null) return [];
    const { keepers } = now;
    const nodes = members(now).flatMap(
      ({ node: id }) => world.nodes.find((node) => node.id === id && mayGo(node)) ?? [],
    );
    const left = keepers.length - majority(keepers.length);
    const chosen = random.shuffled(nodes).slice(0, keepers.length - left);
    return chosen.length < keepers.length - left ? [] : chosen;
  }

  const openJob = (): JobFacts | null => {
    const open = [...facts.jobs.values()].filter(
      (job) => job.admitted !== null && endOf(job) === undefined,
    );
    return open.length === 0 ? null : random.pick(open);
  };

  const isThere = (node: SimNode): boolean => !context.departed.has(node.id);

  return {
    orphan: () => {
      const job = openJob();
      if (job === null || context.isWaiting()) return;
      const isFree = (node: SimNode): boolean => isThere(node) && node.index >= world.owners.length;
      const gone = majorityOf(job, isFree);
      const left = world.nodes.filter((node) => isThere(node) && !gone.includes(node));
      if (gone.length === 0 || left.length < LEFT_MIN) return;
      world.tell(`${gone.length} of its keepers go for good`, null, job.job);
      for (const node of gone)
        world.queue.after(random.integer(0, TOGETHER_MS), () => context.depart(node));
    },
    strand: () => {
      const job = openJob();
      if (job === null) return;
      const gone = majorityOf(job, (node) => node.up);
      if (gone.length === 0) return;
      const ms = Math.floor(context.reseedAfterMs * random.between(AWAY_MIN, AWAY_MAX));
      world.tell(`${gone.length} of its keepers go for ${ms} ms`, null, job.job);
      for (const node of gone)
        world.queue.after(random.integer(0, TOGETHER_MS), () =>
          context.leave(node, ms + random.integer(0, TOGETHER_MS)),
        );
    },
  };
}
