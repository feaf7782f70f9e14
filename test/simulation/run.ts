/**
 * Runs one seed: builds the world, breaks it (safety phase), heals it (liveness phase), lets it come
 * to rest, and reports. Everything follows from the options: the same options give the same report.
 */
import { JOB_TYPES } from '../../src/job/types.ts';
import { createMachine } from '../../src/core/machine.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import { createChaos } from './chaos.ts';
import type { Checkers } from './checkers.ts';
import { createCheckers } from './checkers.ts';
import type { Facts, JobFacts } from './facts.ts';
import { createFacts } from './facts.ts';
import {
  checkCalm,
  checkEnded,
  checkReplaced,
  checkRest,
  checkStops,
  openClients,
  openJobs,
} from './liveness.ts';
import type { LivenessContext } from './liveness.ts';
import type { SimulationOptions } from './options.ts';
import type { NodeView, Observer, Violation } from './observer.ts';
import { isExcused } from './hostile.ts';
import { createResultsChecker } from './results.ts';
import { createPoliciesChecker } from './policies.ts';
import { createRandom } from './random.ts';
import type { MachineFactory } from './sim-node.ts';
import { createEnrolment } from './enrolment.ts';
import { checkDaemons } from './daemons.ts';
import { checkReplicas, createRestartsChecker } from './services.ts';
import { isReseeded } from './lines.ts';
import { createLines } from './reseeding.ts';
import type { Lines } from './reseeding.ts';
import { createStrict } from './strict.ts';
import type { Strict, StrictContext } from './strict.ts';
import { createStatistics } from './statistics.ts';
import type { Statistics } from './statistics.ts';
import { createTimeline } from './timeline.ts';
import type { Timeline } from './timeline.ts';
import type { ClientJob, Clients } from './workload.ts';
import { createJobs } from './workload.ts';
import type { World } from './world.ts';
import { createWorld } from './world.ts';

export interface Report {
  readonly options: SimulationOptions;
  readonly violations: readonly Violation[];
  readonly traceHash: string;
  readonly virtualMs: number;
  /** From the end of the faults until the last job was over. */
  readonly settledMs: number;
  readonly inputs: number;
  readonly jobs: readonly JobFacts[];
  readonly clients: readonly ClientJob[];
  readonly statistics: Statistics;
  readonly timeline: Timeline | null;
}

const STEP_MS = 1_000;
/** Keepers are looked at for so long before the services are stopped. */
const LOOK_MS = 20_000;
/** After the last job's end: late messages, repairs, and whatever should not happen any more. */
const REST_MS = 60_000;
/** Services are looked at for so long before their owners stop them. */
const SERVICES_MS = 150_000;
/** A result whose copy is lost has another one after this. */
const REPAIR_MS = 120_000;
/** One broken thing breaks many more; the first few tell. */
const VIOLATIONS_MAX = 10;

export function simulate(
  options: SimulationOptions,
  create: MachineFactory = createMachine,
): Report {
  const run = prepare(options, create);
  const { world, violations } = run;
  const broken = (): boolean => violations.length > 0;
  const advance = (ms: number): void => world.queue.runUntil(world.queue.now() + ms);

  while (world.queue.now() < options.safetyMs && !broken()) advance(STEP_MS);
  run.heal();
  const { live } = run;
  const bound = world.queue.now() + options.healBoundMs;
  const pending = (): boolean => openJobs(live).length > 0 || openClients(live).length > 0;
  while (pending() && world.queue.now() < bound && !broken()) {
    if (world.queue.now() >= live.healedAt() + options.lingerMs) stopServices(run);
    advance(STEP_MS);
    checkStops(live);
    checkReplicas(live);
    checkDaemons(live);
    run.lines.check();
    if (options.lingerMs > 0) checkReplaced(live, options.lingerMs - LOOK_MS);
  }
  const settledMs = world.queue.now() - live.healedAt();
  if (!broken()) checkEnded(live);
  for (let rested = 0; rested < REST_MS && !broken(); rested += STEP_MS) {
    advance(STEP_MS);
    checkStops(live);
    run.lines.check();
  }
  if (!broken()) {
    for (const node of world.nodes) run.checkers.inspect(node);
    checkCalm(live);
    checkRest(live);
    run.strict.atRest();
  }
  return {
    options,
    violations,
    traceHash: run.statistics.traceHash(),
    virtualMs: world.queue.now(),
    settledMs,
    inputs: run.statistics.inputs(),
    jobs: [...run.facts.jobs.values()],
    clients: live.clients,
    statistics: run.statistics,
    timeline: run.timeline,
  };
}

interface Run {
  readonly world: World;
  readonly facts: Facts;
  readonly checkers: Checkers;
  readonly strict: Strict;
  readonly lines: Lines;
  readonly live: LivenessContext;
  readonly clients: Clients;
  readonly statistics: Statistics;
  readonly timeline: Timeline | null;
  readonly violations: Violation[];
  heal(): void;
}

function prepare(options: SimulationOptions, create: MachineFactory): Run {
  const random = createRandom(options.seed);
  const violations: Violation[] = [];
  let world: World | null = null;
  let healedAt = 0;
  const now = (): number => world?.queue.now() ?? 0;
  const violation = (
    checker: string,
    node: NodeView | null,
    job: JobId | null,
    message: string,
  ): void => {
    if (violations.length >= VIOLATIONS_MAX) return;
    const admissions = job === null ? [] : (facts.jobs.get(job)?.admissions.values() ?? []);
    const hostile = world?.hostile ?? new Set();
    if (isExcused(hostile, options.plan.liars > 0, checker, admissions)) return;
    violations.push({ checker, node: node?.id ?? null, job, atMs: now(), message });
  };
  const stopAsked = (job: JobId): boolean =>
    live.clients.some((client) => (client.tickets.get(job)?.stopAskedAt ?? null) !== null);

  const facts = createFacts({ now, violation });
  const base = {
    now,
    violation,
    limits: options.limits,
    facts,
    stopAsked,
    inspectEvery: options.inspectEvery,
  };
  const checkers = createCheckers(base);
  const promises = {
    ...base,
    strict: options.strict,
    nodes: () => world?.nodes ?? [],
    faults: () => world?.faults() ?? options.plan,
    isHostile: ({ id }: NodeView) => [...(world?.hostile ?? [])].some((node) => node.id === id),
    linked: (one: NodeView, other: NodeView) =>
      links(one, other, (a, b) => Number(built.network.linked(a, b))) > 0,
    linkedSince: (one: NodeView, other: NodeView) =>
      -links(one, other, (a, b) => -built.network.changedAt(a, b)),
  } satisfies StrictContext;
  const strict = createStrict(promises);
  const lines = createLines(() => together);
  const statistics = createStatistics(now);
  const timeline = options.timeline ? createTimeline(now) : null;
  const chaos = createChaos(random.fork('chaos'));
  const observers: Observer[] = [
    facts.observer,
    checkers.observer,
    createRestartsChecker(base),
    createPoliciesChecker({ ...base, nodes: () => world?.nodes ?? [] }),
    createResultsChecker({ ...base, nodes: () => world?.nodes ?? [], repairMs: REPAIR_MS }),
    createEnrolment(promises),
    lines.observer,
    ...(options.strict.length > 0 ? [strict.observer] : []),
    statistics.observer,
    chaos.observer,
  ];
  if (timeline !== null) observers.unshift(timeline.observer);

  world = createWorld(
    {
      nodes: options.nodes,
      owners: options.owners,
      plan: options.plan,
      limits: options.limits,
      unequal: options.unequal,
      create,
      observers,
      freeze: options.freeze,
      forgetsAtRestart: options.plant === 'forget-promises' ? ['promises', 'accepted'] : [],
      tamper: options.plant === 'silent-promises' ? silencePromises : null,
    },
    random.fork('world'),
  );
  const built = world;
  const own = random.fork('start');
  for (const node of built.nodes) {
    built.queue.after(own.integer(0, 1_000), () => built.startNode(node));
  }
  const jobs = createJobs(
    { ...options.workload, owners: built.owners },
    options.plan,
    random.fork('jobs'),
  );
  const clients = built.addClients(jobs, random.fork('clients'));
  const live: LivenessContext = {
    ...base,
    nodes: built.nodes,
    clients: jobs,
    healedAt: () => healedAt,
  };
  const together = { ...promises, ...live };
  const isWaiting = (): boolean => openClients(live).length > 0;
  chaos.begin(built, facts, options.limits, isWaiting);
  const heal = (): void => {
    healedAt = now();
    chaos.heal();
  };
  return {
    world,
    facts,
    checkers,
    strict,
    lines,
    live,
    clients,
    statistics,
    timeline,
    violations,
    heal,
  };
}

/** The less of the two directions. */
const links = (one: NodeView, other: NodeView, of: (from: number, to: number) => number): number =>
  Math.min(of(one.index, other.index), of(other.index, one.index));

/** Nobody is left to stop a service whose client asked elsewhere meanwhile: its owner does now. */
function stopServices(run: Run): void {
  if (run.live.now() < run.live.healedAt() + SERVICES_MS) return;
  for (const facts of openJobs(run.live)) {
    const { job, spec } = facts;
    if (spec === null || JOB_TYPES[spec.spec.Type].ends) continue;
    const client = run.live.clients.find((candidate) => candidate.spec.Name === spec.spec.Name);
    if (client === undefined) continue;
    const ticket = client.tickets.get(job);
    // It may have been stopped in an earlier version, or by keepers that are gone.
    const isOld = (client.updates.length > 0 || isReseeded(facts)) && ticket?.stopTakenAt != null;
    if (ticket?.stopAskedAt != null && !isOld) continue;
    if (ticket !== undefined) ticket.stopTakenAt = null;
    run.clients.stop(client, job);
  }
}

/** The planted bug: keepers keep quiet about what they accepted when a new leader asks. */
const silencePromises = (message: Message): Message =>
  message.type === 'page' ? { ...message, accepted: [], committed: [] } : message;
