/**
 * The clients: they submit jobs, ask again through another node when nobody answers, stop some and
 * look some up. A client knows only what it was told; what really happened is the checkers' business.
 */
import type { JobId, PublicKey, RequestId } from '../../src/core/record/ids.ts';
import { asRequestId } from '../../src/core/record/ids.ts';
import type { Reply } from '../../src/core/contract/reply.ts';
import type { Certified } from '../../src/core/record/records.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import type { Job, JobType, Timeouts } from '../../src/job/model.ts';
import type { FaultPlan } from './faults.ts';
import type { Random } from './random.ts';
import type { Outcome } from './sim-runner.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

/** One job as its client was told of it. A client that asked two nodes may own two. */
export interface Ticket {
  readonly job: JobId;
  /** Null until a node answered `accepted`: the job may exist all the same. */
  receipt: Certified<'admission'> | null;
  receiptAt: number | null;
  /** The owner asked for a stop; from then on `Stopped` is a legal end. */
  stopAskedAt: number | null;
  /** A node took the stop, or said that the job is over. */
  stopTakenAt: number | null;
}

export interface ClientJob {
  readonly index: number;
  readonly owner: PublicKey;
  readonly spec: Job;
  readonly nonce: string;
  readonly runMs: number;
  /** When its client first asks, and when it will want the job stopped (null: never). */
  readonly submitAt: number;
  readonly stopAt: number | null;
  /** When its owner wants another version of it. */
  readonly updates: readonly number[];
  readonly tickets: Map<JobId, Ticket>;
  /** The mesh said it will never take this job. */
  refused: string | null;
  wantsStop: boolean;
}

export interface WorkloadOptions {
  readonly jobs: number;
  readonly owners: readonly PublicKey[];
  /** Submissions are spread over this time, milliseconds. */
  readonly spreadMs: number;
  readonly countMax: number;
  readonly runMaxMs: number;
  /** Share of service jobs: they run until their owner stops them. */
  readonly serviceRate: number;
  /** Share of batch jobs that have a TotalTimeout. */
  readonly totalTimeoutRate: number;
  /** Share of the batch jobs that every node runs instead which matches. */
  readonly opsRate: number;
  /** Share of services that run on every node that matches instead. */
  readonly daemonRate: number;
  /** Share of the jobs whose owner chooses what becomes of executions that are cut off. */
  readonly policyRate: number;
  /** Share of jobs of which other versions are wanted; absent: none. */
  readonly updateRate?: number;
}

const CLIENT_PATIENCE_MS = 30_000;
const RETRY_MS = 3_000;
const NO_SAY: ReadonlySet<string> = new Set(['other-store', 'damaged']);
/** How long a spec may be admitted: far beyond every simulation. */
const NOT_AFTER_MS = 30 * 86_400_000;

export function createJobs(options: WorkloadOptions, plan: FaultPlan, random: Random): ClientJob[] {
  return Array.from({ length: options.jobs }, (_, index) => {
    const service = random.chance(options.serviceRate);
    const runMs = service
      ? 7 * 86_400_000
      : Math.floor(random.next() ** 2 * options.runMaxMs) + 100;
    const submitAt = random.integer(0, options.spreadMs);
    const stopped = service || random.chance(plan.stopRate);
    // Others are stopped when they were looked at in the healed phase.
    const stays = service && random.chance(0.7);
    return {
      index,
      owner: random.pick(options.owners),
      spec: withPolicy(
        asDrawn(
          specOf(index, service ? 'service' : 'batch', options, plan, runMs, random),
          options,
          random.fork(`ops ${index}`),
        ),
        options.policyRate,
        random.fork(`policy ${index}`),
      ),
      nonce: random.hex(32),
      runMs,
      submitAt,
      stopAt: stopped && !stays ? submitAt + random.integer(0, service ? 90_000 : 60_000) : null,
      updates: updatesOf(options, submitAt, random.fork(`updates ${index}`)),
      tickets: new Map(),
      refused: null,
      wantsStop: false,
    };
  });
}

/** A few, and sometimes two at once; while there are faults, or a job that is over would never rest. */
function updatesOf(
  { updateRate = 0, spreadMs }: WorkloadOptions,
  from: number,
  random: Random,
): number[] {
  if (!random.chance(updateRate)) return [];
  const last = Math.floor(1.1 * spreadMs);
  return Array.from({ length: random.integer(1, 4) }, () => random.integer(from, last)).flatMap(
    (at) => (random.chance(0.3) ? [at, at] : [at]),
  );
}

/** Drawn apart, so that the seeds of old stay what they were. */
function asDrawn(spec: Job, { opsRate, daemonRate }: WorkloadOptions, random: Random): Job {
  if (spec.Type === 'service' && random.chance(daemonRate)) {
    const zones = { Key: 'zone', Operator: 'in', Values: ['z0', 'z1'] } as const;
    return { ...spec, Type: 'daemon', Count: 0, Constraints: random.chance(0.8) ? [zones] : [] };
  }
  if (spec.Type !== 'batch' || !random.chance(opsRate)) return spec;
  const zone = { Key: 'zone', Operator: 'in', Values: ['z0', 'z2', 'z3'] } as const;
  const Constraints = random.chance(0.4) ? [zone] : spec.Constraints;
  return { ...spec, Type: 'ops', Count: 0, Priority: random.integer(0, 2), Constraints };
}

/** Drawn apart, too. */
function withPolicy(spec: Job, policyRate: number, random: Random): Job {
  if (policyRate === 0 || !random.chance(policyRate)) return spec;
  const exclusive = JOB_TYPES[spec.Type].counted && random.chance(0.75);
  const Meta: Job['Meta'] = exclusive
    ? { 'shoal/partition-policy': 'exclusive' }
    : { 'shoal/partition-policy': 'wait', 'shoal/lost-after': random.pick(['20s', '45s', '2m']) };
  return { ...spec, Meta };
}

function specOf(
  index: number,
  type: JobType,
  options: WorkloadOptions,
  plan: FaultPlan,
  runMs: number,
  random: Random,
): Job {
  const resources = {
    cpuMillis: random.pick([100, 250, 500, 1_000, 2_000]),
    memoryBytes: random.pick([64, 256, 1_024]) * 1_048_576,
    diskBytes: 0,
    gpus: 0,
  };
  const batch = type === 'batch';
  const timed = batch && random.chance(0.2);
  return {
    Name: `job-${index}`,
    Namespace: random.chance(0.8) ? 'default' : 'other',
    Type: type,
    Priority: 0,
    Count: random.integer(1, options.countMax),
    Constraints: random.chance(0.2) ? [{ Key: 'zone', Operator: '!=', Values: ['z9'] }] : [],
    Meta: {},
    Labels: {},
    Task: {
      Name: 'main',
      Engine: { Type: 'docker', Params: { Image: 'busybox' } },
      Publisher: { Type: random.chance(0.7) ? 'ipfs' : '', Params: {} },
      Env: {},
      Meta: {
        'sim-run-ms': String(runMs),
        'sim-outcome': outcomeOf(plan, random),
        ...(batch ? {} : endsOf(random)),
      },
      InputSources: [],
      ResultPaths: [],
      ResourcesConfig: {
        CPU: `${resources.cpuMillis}m`,
        Memory: String(resources.memoryBytes),
        Disk: '',
        GPU: '',
      },
      resources,
      Network: { Type: 'None', Domains: [], Ports: [] },
      Timeouts: timeoutsOf(timed ? runMs : null, batch ? options.totalTimeoutRate : 0, random),
    },
  };
}

/** How often, and how soon, the program of a service ends before it stays. */
const endsOf = (random: Random): Readonly<Record<string, string>> => ({
  'sim-ends': String(random.pick([0, 0, 1, 4])),
  'sim-end-ms': String(random.integer(10, 20_000)),
});

/** @param runMs of a job with an ExecutionTimeout, which may be less; null = it has none */
function timeoutsOf(runMs: number | null, totalRate: number, random: Random): Timeouts {
  const share = runMs !== null && random.chance(0.3) ? 2_000 : 500;
  const ExecutionTimeout = runMs === null ? 0 : Math.max(1, Math.ceil(runMs / share));
  const QueueTimeout = random.pick([0, 60, 120]);
  // Nothing is drawn where nobody asks for it: the seeds of old stay what they were.
  if (totalRate === 0 || !random.chance(totalRate)) {
    return { ExecutionTimeout, QueueTimeout, TotalTimeout: 0 };
  }
  const TotalTimeout = Math.max(ExecutionTimeout + QueueTimeout, random.pick([20, 60, 180]));
  return { ExecutionTimeout, QueueTimeout, TotalTimeout };
}

function outcomeOf(plan: FaultPlan, random: Random): Outcome {
  if (random.chance(plan.jobSpecRate)) return 'spec-error';
  if (random.chance(plan.jobLimitRate)) return 'limit';
  return random.chance(plan.jobExitRate) ? 'exit-nonzero' : 'succeed';
}

/** True once the client holds a receipt. */
export const isAccepted = (job: ClientJob): boolean =>
  [...job.tickets.values()].some((ticket) => ticket.receipt !== null);

export interface Clients {
  readonly jobs: readonly ClientJob[];
  /** A node answers a request; a late `accepted` still counts, other late answers do not. */
  onReply(request: RequestId, reply: Reply): void;
  /** The job behind a request, for onlookers. */
  jobOf(request: RequestId): ClientJob | null;
  /** The owner stops this job, by whatever way it learned of it. */
  stop(job: ClientJob, id: JobId): void;
}

interface Request {
  readonly job: ClientJob;
  readonly kind: 'submit' | 'stop' | 'foreign-stop' | 'query' | 'update';
  readonly ticket: Ticket | null;
  open: boolean;
}

export function createClients(world: World, jobs: readonly ClientJob[], random: Random): Clients {
  const requests = new Map<RequestId, Request>();

  const ask = (
    job: ClientJob,
    kind: Request['kind'],
    ticket: Ticket | null,
    again: () => void,
  ): RequestId => {
    const id = asRequestId(`r${requests.size}`);
    const request: Request = { job, kind, ticket, open: true };
    requests.set(id, request);
    const hasty = random.chance(world.faults().resubmitRate);
    world.queue.after(hasty ? random.integer(200, 5_000) : CLIENT_PATIENCE_MS, () => {
      if (!request.open) return;
      request.open = false;
      again();
    });
    return id;
  };

  /** A node that is up and holds the owner's key. */
  const nodeFor = (job: ClientJob): SimNode | null => {
    const able = world.nodes.filter((node) => node.up && node.owner === job.owner);
    return able.length > 0 ? random.pick(able) : null;
  };

  const submit = (job: ClientJob): void => {
    if (isAccepted(job) || job.refused !== null) return;
    const times = random.chance(world.faults().resubmitRate) ? 2 : 1;
    for (let time = 0; time < times; time += 1) {
      const node = nodeFor(job);
      if (node === null) return world.queue.after(RETRY_MS, () => submit(job));
      const request = ask(job, 'submit', null, () => submit(job));
      const notAfter = Math.floor(node.wall()) + NOT_AFTER_MS;
      world.tell(`client submits ${job.spec.Name} through ${node.id}`, node, null);
      const { spec, nonce } = job;
      node.deliver({ type: 'submit', request, spec, nonce, notAfter, minKeepers: 0 });
    }
  };

  const ticketOf = (job: ClientJob, id: JobId): Ticket => {
    const known = job.tickets.get(id);
    if (known !== undefined) return known;
    const ticket: Ticket = {
      job: id,
      receipt: null,
      receiptAt: null,
      stopAskedAt: null,
      stopTakenAt: null,
    };
    job.tickets.set(id, ticket);
    return ticket;
  };

  const stop = (job: ClientJob, ticket: Ticket): void => {
    if (ticket.stopTakenAt !== null) return;
    const node = nodeFor(job);
    if (node === null) return world.queue.after(RETRY_MS, () => stop(job, ticket));
    ticket.stopAskedAt ??= world.queue.now();
    const request = ask(job, 'stop', ticket, () => stop(job, ticket));
    world.tell(`client stops ${job.spec.Name} through ${node.id}`, node, ticket.job);
    node.deliver({ type: 'stop', request, job: ticket.job, reason: 'no longer needed' });
  };

  const onSubmitReply = (job: ClientJob, reply: Reply): void => {
    if (reply.type === 'receipt') {
      const ticket = ticketOf(job, reply.job);
      ticket.receipt ??= reply.receipt;
      ticket.receiptAt ??= world.queue.now();
      if (job.wantsStop && ticket.stopAskedAt === null) stop(job, ticket);
      return;
    }
    if (reply.type !== 'failed') return;
    const { problem } = reply;
    // It ran and is forgotten but for its id: the client hears that when its receipts went astray until then.
    if (problem.code === 'job-terminal' || problem.code === 'spec-too-large') {
      job.refused = problem.code;
      return;
    }
    // Too many of its keepers can never have a say in it: the client is told to take another token.
    if (problem.code === 'not-admitted' && NO_SAY.has(problem.refusal.code)) {
      job.refused = problem.refusal.code;
      return;
    }
    if (problem.code === 'keepers-unreachable') ticketOf(job, problem.job);
    world.queue.after(RETRY_MS, () => submit(job));
  };

  const onStopReply = (job: ClientJob, ticket: Ticket, reply: Reply): void => {
    const over = reply.type === 'failed' && reply.problem.code === 'job-terminal';
    const certain = reply.type === 'stopping' && reply.signed >= reply.needed;
    if (certain || over) ticket.stopTakenAt ??= world.queue.now();
    else world.queue.after(RETRY_MS, () => stop(job, ticket));
  };

  /** The owner wants another version; nobody asks again, and that of another may win. */
  const update = (job: ClientJob, number: number): void => {
    for (const { job: id, receipt, stopAskedAt } of job.tickets.values()) {
      const node = nodeFor(job);
      if (receipt === null || stopAskedAt !== null || node === null) continue;
      const request = ask(job, 'update', null, () => undefined);
      const notAfter = Math.floor(node.wall()) + NOT_AFTER_MS;
      const Meta = { ...job.spec.Task.Meta, 'sim-version': String(number) };
      const Count = job.spec.Count === 0 ? 0 : 1 + ((job.spec.Count + number) % 4);
      const spec = { ...job.spec, Count, Task: { ...job.spec.Task, Meta } };
      const how = number % 3 === 0 ? 'rerun' : 'update';
      world.tell(`client wants another version of ${job.spec.Name} through ${node.id}`, node, id);
      node.deliver({ type: 'update', request, job: id, spec, how, reason: '', notAfter });
    }
  };

  /** Somebody looks a job up, or tries to stop one that is not theirs. */
  const meddle = (): void => {
    const job = random.pick(jobs);
    const node = random.pick(world.nodes);
    const id = [...job.tickets.keys()][0];
    if (!node.up || id === undefined) return;
    if (node.owner !== job.owner && random.chance(0.3)) {
      const request = ask(job, 'foreign-stop', null, () => undefined);
      return node.deliver({ type: 'stop', request, job: id, reason: 'not my job' });
    }
    const request = ask(job, 'query', null, () => undefined);
    const query = { type: 'job', ref: id, namespace: job.spec.Namespace, from: 0 } as const;
    return node.deliver({ type: 'query', request, query });
  };

  for (const job of jobs) {
    world.queue.after(job.submitAt, () => submit(job));
    for (const [number, at] of job.updates.entries())
      world.queue.after(at, () => update(job, number));
    if (job.stopAt === null) continue;
    world.queue.after(job.stopAt, () => {
      job.wantsStop = true;
      for (const ticket of job.tickets.values()) stop(job, ticket);
    });
  }
  world.everyMinute((plan) => plan.queriesPerMinute, random.fork('meddlers'), meddle);

  return {
    jobs,
    jobOf: (request) => requests.get(request)?.job ?? null,
    stop: (job, id) => stop(job, ticketOf(job, id)),
    onReply: (id, reply) => {
      const request = requests.get(id);
      if (request === undefined || (!request.open && reply.type !== 'receipt')) return;
      request.open = false;
      if (request.kind === 'submit') onSubmitReply(request.job, reply);
      if (request.kind === 'stop' && request.ticket !== null) {
        onStopReply(request.job, request.ticket, reply);
      }
    },
  };
}
