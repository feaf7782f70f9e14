/** What a run is made of. Everything that a seed decides is decided here, and can be printed. */
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import type { Limits } from '../../src/core/contract/limits.ts';
import { harden } from './hard-faults.ts';
import type { HardKind } from './hard-faults.ts';
import { createRandom } from './random.ts';
import type { FaultPlan } from './faults.ts';
import { NO_FAULTS, describeFaults, drawFaults } from './faults.ts';
import type { StrictName } from './strict.ts';
import type { WorkloadOptions } from './workload.ts';

/** Bugs put in on purpose, to prove that the checkers see them. */
export type Plant = 'none' | 'forget-promises' | 'silent-promises';

export interface SimulationOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly owners: number;
  readonly workload: Omit<WorkloadOptions, 'owners'>;
  readonly plan: FaultPlan;
  readonly limits: Limits;
  /** Nodes differ in size and in what they can run. */
  readonly unequal: boolean;
  /** Promises that are looked at to the letter. */
  readonly strict: readonly StrictName[];
  /** Virtual milliseconds with faults. */
  readonly safetyMs: number;
  /** Services are stopped no sooner after the faults: for so long their keepers are looked at. */
  readonly lingerMs: number;
  /** Virtual milliseconds after the faults within which every job must be over. */
  readonly healBoundMs: number;
  /** Inspect a machine after every n-th input; 0 = only at the end. */
  readonly inspectEvery: number;
  /** Freeze what nodes share, to catch whoever changes it. */
  readonly freeze: boolean;
  readonly plant: Plant;
  readonly timeline: boolean;
}

/** `null` = the seed decides. */
export interface SwarmSize {
  readonly nodes: number | null;
  readonly jobs: number | null;
}

/** A small mesh in which everything goes wrong that this seed draws. */
export function swarmOptions(
  seed: number,
  size: SwarmSize,
  hard: readonly HardKind[] = [],
): SimulationOptions {
  const random = createRandom(seed).fork('options');
  const nodes = size.nodes ?? random.integer(3, 9);
  const jobs = size.jobs ?? random.integer(1, 6);
  const safetyMs = random.pick([30_000, 60_000, 120_000, 240_000]);
  const options: SimulationOptions = {
    seed,
    nodes,
    owners: random.integer(1, Math.min(3, nodes)),
    workload: {
      jobs,
      spreadMs: Math.floor(safetyMs * random.between(0.1, 0.9)),
      countMax: random.integer(1, 4),
      runMaxMs: random.pick([2_000, 20_000, 60_000]),
      serviceRate: random.pick([0, 0, 0.3]),
      totalTimeoutRate: 0,
      opsRate: 0,
      daemonRate: 0,
      policyRate: 0,
    },
    plan: drawFaults(random.fork('faults'), nodes),
    limits: DEFAULT_LIMITS,
    unequal: false,
    strict: ['keepers'],
    safetyMs,
    lingerMs: 0,
    healBoundMs: 900_000,
    inspectEvery: 20,
    freeze: true,
    plant: 'none',
    timeline: false,
  };
  return harden(options, hard, random.fork('hard'));
}

/** A quiet mesh of any size: what the protocol costs when nothing goes wrong. */
export function quietOptions(seed: number, nodes: number, jobs: number): SimulationOptions {
  return {
    seed,
    nodes,
    owners: Math.min(10, nodes),
    workload: {
      jobs,
      spreadMs: 120_000,
      countMax: 3,
      runMaxMs: 60_000,
      serviceRate: 0,
      totalTimeoutRate: 0,
      opsRate: 0,
      daemonRate: 0,
      policyRate: 0,
    },
    plan: NO_FAULTS,
    limits: DEFAULT_LIMITS,
    unequal: false,
    strict: [],
    // Long enough for every node to have started.
    safetyMs: 2_000,
    lingerMs: 0,
    healBoundMs: 1_800_000,
    inspectEvery: 0,
    freeze: nodes <= 20,
    plant: 'none',
    timeline: false,
  };
}

/** All options, one per line, for the head of a failure. */
export function describeOptions(options: SimulationOptions): string {
  const { seed, nodes, owners, workload, safetyMs, plant } = options;
  const head = `seed ${seed}: ${nodes} nodes, ${workload.jobs} jobs, ${owners} owners, faults for ${safetyMs} ms`;
  const work = `  counts up to ${workload.countMax}, runs up to ${workload.runMaxMs} ms, services ${workload.serviceRate}`;
  const faults = describeFaults(options.plan);
  const limits = Object.entries(options.limits)
    .filter(([name, value]) => value !== DEFAULT_LIMITS[name as keyof Limits])
    .map(([name, value]) => `  ${name.padEnd(22)} ${value}`)
    .join('\n');
  return [
    head,
    work,
    limits,
    options.unequal ? '  unequal nodes' : '',
    plant === 'none' ? '' : `  planted bug: ${plant}`,
    faults,
  ]
    .filter((line) => line !== '')
    .join('\n');
}
