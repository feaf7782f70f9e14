/**
 * What a mesh of any size costs, and how fast it is: one quiet mesh in virtual time, looked at while it is idle and
 * while jobs run in it, with leaders that die and a job for every node. Nothing is judged here.
 *
 * A gossip counts once for each node that hears it: how often gossipsub repeats it on its way is not simulated. In
 * meshes of thousands an advert counts for all, and only as many take it in as there are members that a node remembers:
 * the rest would be forgotten at once, and what is measured here is the work of jobs.
 */
import { performance } from 'node:perf_hooks';
import { DEFAULT_LIMITS } from '../../src/core/contract/limits.ts';
import type { Input } from '../../src/core/contract/input.ts';
import { createMachine } from '../../src/core/machine.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import type { Job } from '../../src/job/model.ts';
import { createFacts, endOf } from './facts.ts';
import { NO_FAULTS } from './faults.ts';
import { wireBytes } from './frames.ts';
import type { Observer } from './observer.ts';
import { createRandom } from './random.ts';
import type { Random } from './random.ts';
import type { MachineFactory, SimNode } from './sim-node.ts';
import type { ClientJob } from './workload.ts';
import { createJobs } from './workload.ts';
import type { World } from './world.ts';
import { createWorld } from './world.ts';

export interface ScaleOptions {
  readonly nodes: number;
  readonly jobs: number;
  readonly seed: number;
  /** The virtual time over which the jobs are submitted, milliseconds. */
  readonly spreadMs: number;
}

export interface ScaleFigures extends ScaleOptions {
  /** Messages that a node takes in, and their bytes, a second: with no job in the mesh, and with all of them. */
  readonly idle: Traffic;
  readonly busy: Traffic;
  /** Direct messages for each job, whoever sends them. */
  readonly messagesPerJob: number;
  /** What a node that has no part in a job hears of it; and the processor time of that, microseconds, the median. */
  readonly heardPerJob: number;
  readonly hearingUs: number;
  /** From the death of a leader until another leads, milliseconds, by the hints of closed connections. */
  readonly failoverMs: readonly number[];
  /** From the submission of a job for every node until it has run on the last one; null: it was left out by some. */
  readonly everywhereMs: number | null;
  /** Nodes that it ran on. */
  readonly ranOn: number;
  /** Of the jobs submitted, by the end of the run. */
  readonly jobsClosed: number;
}

interface Traffic {
  readonly messages: number;
  readonly bytes: number;
}

/** Members that a node with few connections remembers. */
const REMEMBERED = 2_048;
/** So many nodes start in a second: a mesh grows, it is not switched on. */
const STARTS_PER_SECOND = 200;
/** After the last start: adverts have come round by then. */
const SETTLE_MS = 60_000;
const IDLE_MS = 30_000;
/** Programs of the jobs run for up to so long. */
const RUN_MAX_MS = 10_000;
/** Leaders that die, one after the other, and the pause between two deaths. */
const DEATHS = 20;
const DEATH_PAUSE_MS = 2_000;
const RUN_OF_ORPHANS_MS = 120_000;
/** Within which a job for every node is seen everywhere, and a job without a leader is led again. */
const PATIENCE_MS = 30_000;
/** Until the jobs whose leaders are to die run. */
const BEGIN_MS = 10_000;
/** Of each kind of message the first so many, and then every so-manieth, is encoded for its size. */
const WEIGHED_FIRST = 20;
const WEIGHED_EACH = 500;
/** Every so-manieth gossip about a job is timed: reading the clock costs, too. */
const TIMED_EACH = 50;

/** @throws Error when the mesh does what it never should: no job was admitted. */
export function measureScale(options: ScaleOptions): ScaleFigures {
  const random = createRandom(options.seed);
  const meter = createMeter();
  let world: World | null = null;
  const now = (): number => world?.queue.now() ?? 0;
  const facts = createFacts({ now, violation: () => undefined });
  const everywhere = createEverywhere(now, (job) => facts.jobs.get(job)?.spec?.spec.Type === 'ops');
  world = createWorld(
    {
      nodes: options.nodes,
      owners: Math.min(10, options.nodes),
      plan: NO_FAULTS,
      limits: DEFAULT_LIMITS,
      unequal: false,
      create: timed(meter),
      observers: [facts.observer, meter.observer, everywhere.observer],
      freeze: false,
      forgetsAtRestart: [],
      tamper: null,
      advertShare: Math.min(1, REMEMBERED / options.nodes),
    },
    random.fork('world'),
  );
  const { queue, nodes } = world;
  const advance = (ms: number): void => queue.runUntil(queue.now() + ms);

  const startMs = (options.nodes * 1_000) / STARTS_PER_SECOND;
  for (const node of nodes) queue.after(random.integer(0, startMs), () => world?.startNode(node));
  advance(startMs + SETTLE_MS);

  const perNode = (taken: Taken, ms: number): Traffic => ({
    messages: taken.messages / options.nodes / (ms / 1_000),
    bytes: taken.bytes / options.nodes / (ms / 1_000),
  });
  meter.reset();
  advance(IDLE_MS);
  const idle = perNode(meter.taken(options.nodes), IDLE_MS);

  const jobs = workload(options, world, random.fork('jobs'));
  const began = queue.now();
  meter.reset();
  world.addClients(jobs.short, random.fork('clients'));
  advance(options.spreadMs + RUN_MAX_MS);
  const taken = meter.taken(options.nodes);
  const busy = perNode(taken, queue.now() - began);
  const { direct } = taken;
  const heard = meter.heard();

  const submittedAt = queue.now();
  world.addClients(jobs.everywhere, random.fork('everywhere'));
  advance(PATIENCE_MS);

  world.addClients(jobs.orphans, random.fork('orphans'));
  advance(BEGIN_MS);
  const failoverMs = killLeaders(world, facts.jobs, jobs.orphans, advance);

  const isShort = new Set(jobs.short.map(({ spec }) => spec.Name));
  const jobsClosed = [...facts.jobs.values()].filter(
    (job) => endOf(job) !== undefined && isShort.has(job.spec?.spec.Name ?? ''),
  ).length;
  if (jobsClosed === 0) throw new Error('No job came to its end.');
  const { ranOn, lastAt } = everywhere.figures();
  return {
    ...options,
    idle,
    busy,
    messagesPerJob: direct / options.jobs,
    heardPerJob: heard.count / options.jobs / options.nodes,
    hearingUs: heard.medianUs,
    failoverMs,
    everywhereMs: ranOn === nodes.length ? lastAt - submittedAt : null,
    ranOn,
    jobsClosed,
  };
}

interface Work {
  readonly short: readonly ClientJob[];
  readonly everywhere: readonly ClientJob[];
  /** Jobs that run for long, whose leaders die. */
  readonly orphans: readonly ClientJob[];
}

function workload({ jobs, spreadMs }: ScaleOptions, { owners }: World, random: Random): Work {
  const base = {
    owners,
    serviceRate: 0,
    totalTimeoutRate: 0,
    opsRate: 0,
    daemonRate: 0,
    policyRate: 0,
    countMax: 1,
  };
  const draw = (count: number, ms: number, runMaxMs: number, name: string): ClientJob[] =>
    createJobs({ ...base, jobs: count, spreadMs: ms, runMaxMs }, NO_FAULTS, random.fork(name)).map(
      (job) => ({ ...job, spec: plain(job.spec, name) }),
    );
  const orphans = draw(DEATHS, 1_000, 1, 'orphan').map((job) => ({
    ...job,
    spec: running(job.spec, RUN_OF_ORPHANS_MS),
  }));
  const everywhere = draw(1, 1, 1, 'everywhere').map((job) => ({
    ...job,
    spec: { ...running(job.spec, 1_000), Type: 'ops' as const, Count: 0 },
  }));
  return { short: draw(jobs, spreadMs, RUN_MAX_MS, 'short'), everywhere, orphans };
}

/** A job that every node can run, and that nothing ends but its program. */
function plain(spec: Job, name: string): Job {
  const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 600, TotalTimeout: 0 };
  return {
    ...spec,
    Name: `${name}-${spec.Name}`,
    Constraints: [],
    Task: { ...spec.Task, Publisher: { Type: '', Params: {} }, Timeouts },
  };
}

const running = (spec: Job, ms: number): Job => ({
  ...spec,
  Task: { ...spec.Task, Meta: { ...spec.Task.Meta, 'sim-run-ms': String(ms) } },
});

/** Kills the leader of one job after the other, and says how long each was without one. */
function killLeaders(
  world: World,
  facts: ReturnType<typeof createFacts>['jobs'],
  orphans: readonly ClientJob[],
  advance: (ms: number) => void,
): readonly number[] {
  const byId = new Map(world.nodes.map((node) => [node.id, node]));
  const deaths: { readonly job: JobId; readonly at: number; readonly known: number }[] = [];
  for (const { tickets } of orphans) {
    const [job] = tickets.keys();
    const known = job === undefined ? undefined : facts.get(job);
    const leader = known?.admitted?.body.keepers[0]?.node;
    const node: SimNode | undefined = leader === undefined ? undefined : byId.get(leader);
    if (job === undefined || known === undefined || node?.up !== true) continue;
    // Who led another of these jobs may have died: then somebody else leads this one.
    if (known.epochs.size > 0) continue;
    deaths.push({ job, at: world.queue.now(), known: known.epochs.size });
    world.crashNode(node, () => 'kept');
    advance(DEATH_PAUSE_MS);
  }
  advance(PATIENCE_MS);
  return deaths
    .flatMap(({ job, at }) => {
      const later = [...(facts.get(job)?.epochs.values() ?? [])].filter((granted) => granted >= at);
      return later.length === 0 ? [] : [Math.min(...later) - at];
    })
    .sort((a, b) => a - b);
}

interface Taken extends Traffic {
  readonly direct: number;
}

/** Counts what nodes take in, weighs some of it, and times what is heard of jobs of others. */
interface Meter {
  readonly observer: Observer;
  reset(): void;
  taken(nodes: number): Taken;
  heard(): { readonly count: number; readonly medianUs: number };
  timedUs(us: number): void;
}

interface Kind {
  seen: number;
  weighed: number;
  bytes: number;
  /** Nodes that take each one in. */
  readonly gossip: boolean;
}

function createMeter(): Meter {
  let kinds = new Map<string, Kind>();
  let heardCount = 0;
  let times: number[] = [];
  const count = (name: string, gossip: boolean, weigh: () => number): void => {
    const kind = kinds.get(name) ?? { seen: 0, weighed: 0, bytes: 0, gossip };
    kinds.set(name, kind);
    kind.seen += 1;
    if (kind.seen > WEIGHED_FIRST && kind.seen % WEIGHED_EACH !== 0) return;
    kind.weighed += 1;
    kind.bytes += weigh();
  };
  return {
    observer: {
      onSend: (_node, _to, message) =>
        count(`direct ${message.type}`, false, () => wireBytes('message', message)),
      onGossip: (_node, gossip) =>
        count(`gossip ${gossip.type}`, true, () => wireBytes('gossip', gossip)),
      onHandled: (_node, input) => {
        if (isAboutJob(input)) heardCount += 1;
      },
    },
    reset: () => {
      kinds = new Map();
      heardCount = 0;
      times = [];
    },
    taken: (nodes) => {
      const all = { messages: 0, bytes: 0, direct: 0 };
      for (const { seen, weighed, bytes, gossip } of kinds.values()) {
        const arrivals = gossip ? seen * (nodes - 1) : seen;
        all.messages += arrivals;
        all.bytes += (arrivals * bytes) / weighed;
        if (!gossip) all.direct += seen;
      }
      return all;
    },
    heard: () => {
      const sorted = times.sort((a, b) => a - b);
      return { count: heardCount, medianUs: sorted[Math.floor(sorted.length / 2)] ?? 0 };
    },
    timedUs: (us) => {
      times.push(us);
    },
  };
}

const isAboutJob = (input: Input): boolean =>
  input.type === 'gossip' && input.gossip.type !== 'advert';

/** Machines whose handling of gossip about jobs is timed, now and then. */
const timed = (meter: Meter): MachineFactory => {
  let count = 0;
  return (config, suite, restored) => {
    const machine = createMachine(config, suite, restored);
    return {
      ...machine,
      handle: (input, now, wall, arrivedAt) => {
        if (!isAboutJob(input)) return machine.handle(input, now, wall, arrivedAt);
        count += 1;
        if (count % TIMED_EACH !== 0) return machine.handle(input, now, wall, arrivedAt);
        const began = performance.now();
        const effects = machine.handle(input, now, wall, arrivedAt);
        meter.timedUs((performance.now() - began) * 1_000);
        return effects;
      },
    };
  };
};

/** Which nodes run the job for every node, and when the last of them began. */
function createEverywhere(
  now: () => number,
  isWatched: (job: JobId) => boolean,
): {
  readonly observer: Observer;
  figures(): { readonly ranOn: number; readonly lastAt: number };
} {
  const ran = new Set<number>();
  let lastAt = 0;
  return {
    observer: {
      onEffect: (node, effect) => {
        if (effect.type !== 'run' || !isWatched(effect.order.job) || ran.has(node.index)) return;
        ran.add(node.index);
        lastAt = now();
      },
    },
    figures: () => ({ ranOn: ran.size, lastAt }),
  };
}
