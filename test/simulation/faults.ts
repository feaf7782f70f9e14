/**
 * The fault plan of one run: which faults, how often, how hard. Drawn from the seed ("swarm
 * testing"): each seed switches its own subset on and exaggerates it differently, so that no fault
 * always hides another. Numbers only; `chaos.ts` and the parts of the world carry them out.
 */
import type { Random } from './random.ts';

/** Rates are probabilities 0 … 1 unless they say "per minute"; times in milliseconds. */
export interface FaultPlan {
  /** Normal one-way delay of a link: `delayMs` plus up to `jitterMs`. */
  readonly delayMs: number;
  readonly jitterMs: number;
  /** Share of messages that take up to `slowMaxMs` instead. */
  readonly slowRate: number;
  readonly slowMaxMs: number;
  readonly lossRate: number;
  readonly duplicateRate: number;
  readonly gossipLossRate: number;
  /** Share of undeliverable messages of which the sender never hears. */
  readonly silentRate: number;
  /** Old messages sent again, minutes later; per minute and mesh. */
  readonly replaysPerMinute: number;
  /** Commands signed with a key that is not the owner's; per minute and mesh. */
  readonly forgeriesPerMinute: number;

  readonly partitionsPerMinute: number;
  readonly partitionMinMs: number;
  readonly partitionMaxMs: number;
  readonly asymmetricRate: number;

  /** Per minute and mesh. */
  readonly crashesPerMinute: number;
  readonly restartMinMs: number;
  readonly restartMaxMs: number;
  /** Share of crashes that lose the disk (where the plan's own limit allows it). */
  readonly diskLossRate: number;
  /** Share of crashes that take the running programs along. */
  readonly runLossRate: number;
  /** Whole-mesh restarts per minute. */
  readonly blackoutsPerMinute: number;

  readonly pausesPerMinute: number;
  readonly pauseMinMs: number;
  readonly pauseMaxMs: number;

  /** Wall clocks are off by up to this, either way. */
  readonly skewMs: number;
  readonly skewJumpsPerMinute: number;
  /** 1: the wall clock of a running process may be set back. */
  readonly wallRunsBack: number;
  /** Share of restarts at which the wall clock was set anew meanwhile. */
  readonly skewAtRestartRate: number;
  /** Monotonic clocks run fast or slow by up to this share. */
  readonly clockRate: number;

  readonly fsyncMs: number;
  /** Share of syncs that take up to `fsyncSlowMs`. */
  readonly fsyncSlowRate: number;
  readonly fsyncSlowMs: number;

  /** Share of runs that fail by class; the rest end by themselves. */
  readonly runTransientRate: number;
  readonly runNodeRate: number;
  /** Share of jobs that are wrong in themselves, run into their limits, or exit non-zero. */
  readonly jobSpecRate: number;
  readonly jobLimitRate: number;
  readonly jobExitRate: number;
  /** Nodes that fail every run at once. */
  readonly blackHoles: number;
  /** Share of replications that fail. */
  readonly replicateFailRate: number;

  /** Share of submissions sent through two sponsors at once, and of clients that give up early and go elsewhere. */
  readonly resubmitRate: number;
  readonly stopRate: number;
  readonly queriesPerMinute: number;
  /** Nodes that may stay dead in the healed phase, where every live job keeps its majority. */
  readonly deadRate: number;

  // The rest is drawn only when it is asked for (`hard-faults.ts`).

  /** Nodes that begin to leave, and are started again later. */
  readonly drainsPerMinute: number;
  /** Nodes that get another zone. */
  readonly labelsPerMinute: number;
  /** Nodes that gossip never reaches, healed or not. */
  readonly deafNodes: number;
  /** Mean time that an input takes; what comes meanwhile waits. */
  readonly handleMs: number;
  /** Disks that take no write for up to half a minute. */
  readonly fullDisksPerMinute: number;
  /** Share of crashes after which a row of the store is gone, or is as it was before. */
  readonly rowLossRate: number;
  /** Share of crashes after which a row of the store is damaged. */
  readonly rowDamageRate: number;
  /** Share of crashes after which an older state of the store is put back. */
  readonly rollbackRate: number;
  /** Writes that the disk fails at, which ends the process. */
  readonly failedSyncsPerMinute: number;
  /** Members that say something else than they should, as long as there are faults. */
  readonly hostileNodes: number;
  /** 1: they also vote for whatever they are asked, and keep quiet about it. */
  readonly liars: number;
  /** Messages of others that a member sends as its own, changed or not. */
  readonly strangersPerMinute: number;
  /** Nodes that go and never come back. */
  readonly departuresPerMinute: number;
  /** Jobs that lose a majority of their keepers at once, for good. */
  readonly orphansPerMinute: number;
  /** And for so long that others go on with them. */
  readonly strandingsPerMinute: number;
}

/** A quiet local network: nothing goes wrong, everything takes a little time. */
export const NO_FAULTS: FaultPlan = {
  delayMs: 5,
  jitterMs: 20,
  slowRate: 0,
  slowMaxMs: 0,
  lossRate: 0,
  duplicateRate: 0,
  gossipLossRate: 0,
  silentRate: 0,
  replaysPerMinute: 0,
  forgeriesPerMinute: 0,
  partitionsPerMinute: 0,
  partitionMinMs: 10_000,
  partitionMaxMs: 60_000,
  asymmetricRate: 0,
  crashesPerMinute: 0,
  restartMinMs: 1_000,
  restartMaxMs: 60_000,
  diskLossRate: 0,
  runLossRate: 0,
  blackoutsPerMinute: 0,
  pausesPerMinute: 0,
  pauseMinMs: 500,
  pauseMaxMs: 60_000,
  skewMs: 0,
  skewJumpsPerMinute: 0,
  wallRunsBack: 0,
  skewAtRestartRate: 0,
  clockRate: 0,
  fsyncMs: 3,
  fsyncSlowRate: 0,
  fsyncSlowMs: 0,
  runTransientRate: 0,
  runNodeRate: 0,
  jobSpecRate: 0,
  jobLimitRate: 0,
  jobExitRate: 0,
  blackHoles: 0,
  replicateFailRate: 0,
  resubmitRate: 0,
  stopRate: 0,
  queriesPerMinute: 0,
  deadRate: 0,
  drainsPerMinute: 0,
  labelsPerMinute: 0,
  deafNodes: 0,
  handleMs: 0,
  fullDisksPerMinute: 0,
  rowLossRate: 0,
  rowDamageRate: 0,
  rollbackRate: 0,
  failedSyncsPerMinute: 0,
  hostileNodes: 0,
  liars: 0,
  strangersPerMinute: 0,
  departuresPerMinute: 0,
  orphansPerMinute: 0,
  strandingsPerMinute: 0,
};

/** Draws one plan. `nodes`: size of the mesh, bounds the number of black holes. */
export function drawFaults(random: Random, nodes: number): FaultPlan {
  /** The fault is off in half of the plans, else uniform up to `max`. */
  const some = (max: number, probability = 0.5): number =>
    random.chance(probability) ? random.between(max / 20, max) : 0;
  // Apart, so that a seed draws everything else as before.
  const clocks = random.fork('clocks');
  const wan = random.chance(0.3);
  const pauses = random.chance(0.3) ? 600_000 : random.pick([2_000, 20_000, 60_000]);
  return {
    ...NO_FAULTS,
    delayMs: wan ? random.integer(20, 150) : random.integer(1, 10),
    jitterMs: random.pick([1, 20, 200]),
    slowRate: some(0.03),
    slowMaxMs: random.pick([2_000, 10_000, 120_000]),
    lossRate: some(0.3),
    duplicateRate: some(0.5),
    gossipLossRate: some(0.3),
    silentRate: random.pick([0, 0.3, 1]),
    replaysPerMinute: some(20, 0.3),
    forgeriesPerMinute: some(6, 0.3),
    partitionsPerMinute: some(3),
    partitionMinMs: 10_000,
    partitionMaxMs: random.pick([30_000, 120_000, 600_000]),
    asymmetricRate: random.pick([0, 0.3, 1]),
    crashesPerMinute: some(6, 0.6),
    restartMinMs: 1_000,
    restartMaxMs: random.pick([5_000, 60_000]),
    diskLossRate: some(0.3),
    runLossRate: random.pick([0, 0.5, 1]),
    blackoutsPerMinute: some(0.5, 0.15),
    pausesPerMinute: some(4, 0.4),
    pauseMinMs: 500,
    pauseMaxMs: pauses,
    skewMs: random.pick([0, 500, 60_000, 3_600_000]),
    skewJumpsPerMinute: some(2, 0.2),
    wallRunsBack: clocks.chance(0.5) ? 1 : 0,
    skewAtRestartRate: clocks.pick([0, 0.3, 1]),
    clockRate: random.pick([0, 0.00005, 0.05]),
    fsyncMs: random.pick([1, 5, 20]),
    fsyncSlowRate: some(0.05),
    fsyncSlowMs: random.pick([200, 5_000]),
    runTransientRate: some(0.3, 0.4),
    runNodeRate: some(0.2, 0.4),
    jobSpecRate: some(0.3, 0.3),
    jobLimitRate: some(0.3, 0.3),
    jobExitRate: some(0.3, 0.3),
    blackHoles: random.chance(0.2) ? random.integer(1, Math.max(1, Math.floor(nodes / 4))) : 0,
    replicateFailRate: some(0.5, 0.3),
    resubmitRate: some(0.5),
    stopRate: some(0.5),
    queriesPerMinute: some(20, 0.4),
    deadRate: some(0.5),
  };
}

/** The plan with what the network, the clocks and the client do wrong switched off: the healed phase. */
export function healed(plan: FaultPlan): FaultPlan {
  return {
    ...NO_FAULTS,
    delayMs: plan.delayMs,
    jitterMs: plan.jitterMs,
    fsyncMs: plan.fsyncMs,
    // What a job or a node is does not heal with the network.
    jobSpecRate: plan.jobSpecRate,
    jobLimitRate: plan.jobLimitRate,
    jobExitRate: plan.jobExitRate,
    blackHoles: plan.blackHoles,
    deafNodes: plan.deafNodes,
  };
}

/** One line per fault that is switched on, for the head of a failure report. */
export function describeFaults(plan: FaultPlan): string {
  return Object.entries(plan)
    .filter(([name, value]) => value !== NO_FAULTS[name as keyof FaultPlan])
    .map(([name, value]) => `  ${name.padEnd(22)} ${Number(value.toFixed(4))}`)
    .join('\n');
}
