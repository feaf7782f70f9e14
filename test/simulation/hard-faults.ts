/**
 * Trouble beyond the usual faults (`faults.ts`), by kinds that can be asked for one by one. Each seed
 * draws some of the kinds asked for, so that none always hides another.
 */
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import type { FaultPlan } from './faults.ts';
import type { SimulationOptions } from './options.ts';
import type { Random } from './random.ts';

type Part = Pick<
  SimulationOptions,
  'nodes' | 'limits' | 'plan' | 'workload' | 'unequal' | 'safetyMs' | 'lingerMs' | 'healBoundMs'
>;
type Draw = (part: Part, random: Random) => Part;

/** Some of what happens to disks is seen at a start only. */
const moreCrashes = ({ plan }: Part, random: Random): Pick<FaultPlan, 'crashesPerMinute'> => ({
  crashesPerMinute: Math.max(plan.crashesPerMinute, random.between(1, 6)),
});

/** Fewer than a majority of the keepers; where a job may have one keeper alone, it may have three. */
function hostile(part: Part, random: Random, liars: number): Part {
  const { limits, plan } = part;
  const keepersMax = Math.max(3, limits.keepersMax);
  const most = keepersMax >= 5 && part.nodes >= 5 ? 2 : 1;
  const hostileNodes = random.integer(1, most);
  return { ...part, limits: { ...limits, keepersMax }, plan: { ...plan, hostileNodes, liars } };
}

/** A set of keepers is whole again after so many changes, each of which takes so long beside the wait. */
const CHANGES = 4;
const CHANGE_MS = 60_000;

/** What each kind changes of a run. */
const kinds = {
  /** Closed jobs are let go within seconds, and few of them are kept. */
  limits: (part, random) => ({
    ...part,
    limits: {
      ...part.limits,
      closedJobsMax: random.pick([1, 2, 2_000]),
      retentionMs: random.pick([20_000, 60_000, DEFAULT_LIMITS.retentionMs]),
      maxAttempts: random.integer(1, 3),
      maxMisses: random.pick([3, 20]),
    },
  }),
  /** Jobs of many partitions: their promises and commits come in several parts. */
  counts: (part, random) => {
    const countMax = random.pick([12, 12, 40, 40, 170]);
    const jobs = countMax > 100 ? 1 : part.workload.jobs;
    // One small node may be the only one that can run them.
    const healBoundMs = part.healBoundMs + countMax * part.workload.runMaxMs;
    return { ...part, workload: { ...part.workload, countMax, jobs }, healBoundMs };
  },
  /** One keeper, or three. */
  keepers: (part, random) => ({
    ...part,
    limits: { ...part.limits, keepersMax: random.pick([1, 1, 3]) },
  }),
  timeouts: (part) => ({ ...part, workload: { ...part.workload, totalTimeoutRate: 0.5 } }),
  /** Jobs that each node takes up by its own decision. */
  ops: (part, random) => ({
    ...part,
    workload: { ...part.workload, opsRate: random.pick([0.3, 0.7, 1]) },
  }),
  /** Services that run on every node of a zone, and nodes that change theirs; some never hear of one by gossip. */
  daemons: (part, random) => ({
    ...part,
    workload: {
      ...part.workload,
      serviceRate: Math.max(part.workload.serviceRate, random.pick([0.3, 0.7])),
      daemonRate: random.pick([0.5, 1]),
    },
    plan: {
      ...part.plan,
      ...moreCrashes(part, random),
      labelsPerMinute: random.between(0.5, 8),
      deafNodes: Math.max(part.plan.deafNodes, random.pick([0, 0, 1, 2])),
    },
  }),
  /** Nodes leave in order, and come back. */
  drains: (part, random) => ({
    ...part,
    plan: { ...part.plan, drainsPerMinute: random.between(0.2, 2) },
  }),
  /** Nodes of different size, some without the engine or the publisher. */
  profiles: (part) => ({ ...part, unequal: true }),
  /** Some nodes never hear any gossip. */
  deafness: (part, random) => ({
    ...part,
    plan: { ...part.plan, deafNodes: random.integer(1, 3) },
  }),
  /** Inputs take their time, so that they pile up. */
  backlog: (part, random) => ({
    ...part,
    plan: { ...part.plan, handleMs: random.pick([2, 10, 40]) },
  }),
  /** The wall clock is set back under a running process. */
  wall: (part, random) => ({
    ...part,
    plan: {
      ...part.plan,
      wallRunsBack: 1,
      skewMs: random.pick([60_000, 3_600_000]),
      skewJumpsPerMinute: random.between(0.5, 3),
    },
  }),
  /** Disks are full for a while. */
  disks: (part, random) => ({
    ...part,
    plan: { ...part.plan, fullDisksPerMinute: random.between(0.3, 2) },
  }),
  /** After a crash a row of the store is gone, or older, or damaged. */
  rows: (part, random) => ({
    ...part,
    plan: {
      ...part.plan,
      ...moreCrashes(part, random),
      rowLossRate: random.between(0, 0.3),
      rowDamageRate: random.between(0, 0.5),
    },
  }),
  /** After a crash an older state of the store is put back. */
  rollbacks: (part, random) => ({
    ...part,
    plan: {
      ...part.plan,
      ...moreCrashes(part, random),
      rollbackRate: random.between(0.05, 0.5),
    },
  }),
  /** A write to the disk fails, and nobody can say what is on it. */
  syncs: (part, random) => ({
    ...part,
    plan: { ...part.plan, failedSyncsPerMinute: random.between(0.3, 2) },
  }),
  /** A member says to others what it heard in another job, or of others, as if it were its own. */
  strangers: (part, random) => ({
    ...part,
    plan: { ...part.plan, strangersPerMinute: random.between(10, 120) },
  }),
  /** Nodes go for good, one after the other, and the mesh goes on without them. */
  departures: (part, random) => {
    const keeperReplaceAfterMs = random.pick([5_000, 20_000, DEFAULT_LIMITS.keeperReplaceAfterMs]);
    return {
      ...part,
      nodes: Math.max(part.nodes, 5),
      limits: { ...part.limits, keeperReplaceAfterMs },
      workload: { ...part.workload, serviceRate: random.pick([0.3, 0.7]) },
      safetyMs: Math.max(part.safetyMs, random.pick([120_000, 400_000])),
      lingerMs: CHANGES * (keeperReplaceAfterMs + CHANGE_MS),
      plan: { ...part.plan, departuresPerMinute: random.between(0.3, 3) },
    };
  },
  /**
   * Majorities of keepers go for good, or for so long that others go on with the job; splits last as long. All jobs are
   * there before the first go, as whoever submits just after their death asks them for ever.
   */
  orphans: (part, random) => {
    const reseedAfterMs = random.pick([10_000, 20_000, DEFAULT_LIMITS.reseedAfterMs]);
    const keeperReplaceAfterMs = random.pick([10_000, DEFAULT_LIMITS.keeperReplaceAfterMs]);
    const safetyMs = Math.max(part.safetyMs, random.pick([200_000, 400_000]));
    return {
      ...part,
      nodes: Math.max(part.nodes, 6),
      limits: { ...part.limits, reseedAfterMs, keeperReplaceAfterMs },
      workload: {
        ...part.workload,
        spreadMs: Math.min(part.workload.spreadMs, 60_000),
        runMaxMs: Math.max(part.workload.runMaxMs, 60_000),
        serviceRate: Math.max(part.workload.serviceRate, 0.3),
        daemonRate: Math.max(part.workload.daemonRate, 0.2),
        opsRate: Math.max(part.workload.opsRate, 0.2),
      },
      safetyMs,
      lingerMs: Math.max(part.lingerMs, CHANGES * (keeperReplaceAfterMs + CHANGE_MS)),
      plan: {
        ...part.plan,
        // So that one side comes to an end without the other.
        stopRate: Math.max(part.plan.stopRate, 0.3),
        orphansPerMinute: random.pick([0, 0.5, 1]),
        strandingsPerMinute: random.pick([0, 0.5, 1]),
        partitionsPerMinute: random.pick([0, 0.5, 1]),
        partitionMinMs: reseedAfterMs,
        partitionMaxMs: 4 * reseedAfterMs,
      },
    };
  },
  /** Owners choose what becomes of executions that are cut off. */
  policies: (part) => ({ ...part, workload: { ...part.workload, policyRate: 0.9 } }),
  /** Owners that change their minds, and have run once more what is over. */
  updates: (part, random) => ({
    ...part,
    // One by one the replicas of a service go over.
    healBoundMs: part.healBoundMs + 600_000,
    workload: {
      ...part.workload,
      updateRate: random.pick([0.3, 0.7, 1]),
      serviceRate: random.pick([0, 0.3, 0.7]),
    },
  }),
  /** Keepers and executors that say something else than they should. */
  hostile: (part, random) => hostile(part, random, 0),
  /** And vote for whatever they are asked: what was chosen is not unique any more. */
  liars: (part, random) => hostile(part, random, 1),
} as const satisfies Readonly<Record<string, Draw>>;

export type HardKind = keyof typeof kinds;
export const hardKinds = Object.keys(kinds) as readonly HardKind[];

const APART: ReadonlySet<HardKind> = new Set([
  'departures',
  'orphans',
  'counts',
  'policies',
  'updates',
  'hostile',
  'liars',
]);
/** All at once; the others cost much to look at, or excuse from some promises, and have seeds of their own. */
export const kindsKept: readonly HardKind[] = hardKinds.filter((kind) => !APART.has(kind));

/** A share of the kinds asked for, each with a coin of its own; of one kind alone always. */
export function harden(
  options: SimulationOptions,
  wanted: readonly HardKind[],
  random: Random,
): SimulationOptions {
  const drawn = wanted.filter((kind) => wanted.length === 1 || random.fork(kind).chance(0.4));
  const draw = (part: Part, kind: HardKind): Part =>
    (kinds[kind] as Draw)(part, random.fork(`${kind} of`));
  return { ...options, ...drawn.reduce<Part>(draw, options) };
}
