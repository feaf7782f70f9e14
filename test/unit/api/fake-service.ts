/**
 * A node in memory behind the port of the API: jobs are real records (with empty signatures) that a
 * test moves forward by hand, so every answer is derived as it would be on a real node.
 */
import { createHash } from 'node:crypto';
import type {
  ExecutionFailure,
  OutputHead,
  Phase,
  ResultRef,
} from '../../../src/core/record/execution.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import {
  asExecutionId,
  asHlc,
  asJobId,
  asNodeId,
  asPublicKey,
  asRecordId,
  asStoreId,
  uuidOf,
} from '../../../src/core/record/ids.ts';
import type {
  CertifiedResult,
  JobState,
  ListedJob,
  WaitingView,
} from '../../../src/core/contract/messages.ts';
import type { KeepersView } from '../../../src/core/contract/reply.ts';
import type {
  AdvertBody,
  Bodies,
  CloseOutcome,
  RecordType,
  Signed,
} from '../../../src/core/record/records.ts';
import type { Job } from '../../../src/job/model.ts';
import type {
  Draining,
  LabelChange,
  Finding,
  JobView,
  LogLine,
  LogRequest,
  NodeView,
  RerunOptions,
  SelfInfo,
  ShoalService,
  Stopped,
  Submitted,
  SubmitOptions,
  Updated,
} from '../../../src/api/service.ts';
import { FakeContent } from './fake-content.ts';

export const NODE_A = asNodeId('12D3KooWAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAaaaaaaa');
export const NODE_B = asNodeId('12D3KooWBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBbbbbbbb');
/** 2026-01-02T03:04:05.000Z; each record is a second later than the one before. */
const START_MS = Date.UTC(2026, 0, 2, 3, 4, 5);

const OWNER = asPublicKey('ab'.repeat(32));
const hash = (text: string): string => createHash('sha256').update(text).digest('hex');

interface StateMembers {
  readonly exitCode?: number;
  readonly result?: ResultRef;
  readonly failure?: ExecutionFailure;
  readonly output?: OutputHead;
  readonly retryMs?: number;
}

/** One job of the fake and the hand that moves it. */
export class FakeJob {
  readonly id: string;
  state: JobState = 'Pending';
  waiting: WaitingView | null = null;
  keepers: KeepersView | null = null;
  logLines: LogLine[] = [];
  readonly #service: FakeService;
  readonly #spec: Signed<'spec'>;
  readonly #admission: Signed<'admission'>;
  readonly #commands: Signed<'command'>[] = [];
  readonly #committed: CertifiedResult[] = [];
  readonly #states: Signed<'state'>[] = [];
  #exitCode = 0;

  constructor(service: FakeService, spec: Job, nonce: string) {
    this.#service = service;
    const job = asJobId(`j-${uuidOf(hash(nonce))}`);
    this.id = job;
    this.#spec = service.sign('spec', {
      job,
      owner: OWNER,
      version: 1,
      nonce,
      sponsor: NODE_A,
      spec,
      notAfter: START_MS + 1e9,
    });
    this.#admission = service.sign('admission', {
      job,
      version: 1,
      spec: this.#spec.id,
      keepers: [NODE_A, NODE_B].map((node) => ({ node, store: asStoreId('0'.repeat(32)) })),
      sponsor: NODE_A,
    });
  }

  get name(): string {
    return this.#spec.body.spec.Name;
  }

  executionId(partition: number, attempt: number): string {
    return `e-${uuidOf(hash(`${this.id}/${partition}/${attempt}`))}`;
  }

  assign(partition = 0, attempt = 0, node = NODE_A): string {
    const execution = asExecutionId(this.executionId(partition, attempt));
    const epoch = { config: { major: 0, minor: 0 }, number: 0, leader: NODE_A };
    const place = { job: asJobId(this.id), version: 1, partition, attempt };
    const replaces = attempt === 0 ? null : 'lost';
    const body = { ...place, replaces, adopts: null, execution, node, epoch } as const;
    this.#committed.push({ record: this.#service.sign('assign', body), votes: [] });
    this.state = 'Running';
    return execution;
  }

  report(
    phase: Phase,
    members: StateMembers = {},
    partition = 0,
    attempt = 0,
    node = NODE_A,
  ): void {
    this.#states.push(
      this.#service.sign('state', {
        job: asJobId(this.id),
        version: 1,
        partition,
        attempt,
        restarts: 0,
        retryMs: members.retryMs ?? null,
        execution: asExecutionId(this.executionId(partition, attempt)),
        node,
        sequence: this.#states.length,
        phase,
        exitCode: members.exitCode ?? null,
        result: members.result ?? null,
        failure: members.failure ?? null,
        output: members.output ?? null,
        usage: null,
      }),
    );
  }

  accept(partition = 0, attempt = 0, members: StateMembers = {}, node = NODE_A): void {
    const body = {
      job: asJobId(this.id),
      version: 1,
      partition,
      attempt,
      execution: asExecutionId(this.executionId(partition, attempt)),
      node,
      exitCode: members.exitCode ?? 0,
      result: members.result ?? null,
      holders: [node, NODE_B],
    };
    this.#committed.push({ record: this.#service.sign('accept', body), votes: [] });
  }

  close(
    outcome: CloseOutcome,
    code = outcome as string,
    message = `all partitions are ${outcome}`,
    exitCode = 0,
  ): void {
    const body = {
      ...{ job: asJobId(this.id), version: 1, outcome, code, message, evidence: [] },
      ...(exitCode === 0 ? {} : { exitCode }),
    };
    this.#exitCode = exitCode;
    this.#committed.push({ record: this.#service.sign('close', body), votes: [] });
    this.state =
      outcome === 'completed' ? 'Completed' : outcome === 'failed' ? 'Failed' : 'Stopped';
  }

  stop(reason: string): void {
    const body = {
      job: asJobId(this.id),
      sequence: 1,
      command: 'stop',
      reason,
      notAfter: START_MS + 1e9,
    } as const;
    this.#commands.push(this.#service.sign('command', body));
    this.close('stopped', 'stopped-by-owner', reason);
  }

  /** One partition from assignment to acceptance. */
  complete(partition = 0, members: StateMembers = {}): void {
    const done = { exitCode: 0, ...members };
    this.assign(partition);
    this.report('running', {}, partition);
    this.report('completed', done, partition);
    this.accept(partition, 0, done);
  }

  view(): JobView {
    return {
      records: {
        spec: this.#spec,
        admission: { record: this.#admission, votes: [] },
        grant: null,
        commands: [...this.#commands],
        committed: [...this.#committed],
        states: [...this.#states],
      },
      waiting: this.waiting,
      keepers: this.keepers,
      current: 1,
      keepersWanted: 5,
      state: this.state,
    };
  }

  summary(): ListedJob {
    const { spec } = this.#spec.body;
    return {
      job: asJobId(this.id),
      version: 1,
      name: spec.Name,
      namespace: spec.Namespace,
      jobType: spec.Type,
      engine: spec.Task.Engine.Type,
      state: this.state,
      count: spec.Count,
      labels: spec.Labels,
      createdAt: this.#spec.hlc,
      modifiedAt: this.#spec.hlc,
      ...(this.#exitCode === 0 ? {} : { exitCode: this.#exitCode }),
      vouched: true,
    };
  }
}

export class FakeService implements ShoalService {
  /** What a stop is answered with when too few keepers have it. */
  pendingStop: Stopped['pending'] = null;
  readonly retention = { resultsMs: 7 * 86_400_000, logsMs: 3_600_000 };
  readonly content = new FakeContent();
  readonly jobs: FakeJob[] = [];
  readonly submitted: Job[] = [];
  /** The keepers that each of them shall have at least. */
  readonly demanded: number[] = [];
  /** Called with each new job, before its submission is answered. */
  onSubmit: (job: FakeJob) => void = () => {};
  /** Thrown by the next call of anything that reaches for a job. */
  fail: unknown = null;
  logsOpened = 0;
  /** Those asked for in order. */
  readonly logRequests: LogRequest[] = [];
  logsClosed = 0;
  readonly #tokens = new Map<string, FakeJob>();
  #records = 0;

  sign<T extends RecordType>(type: T, body: Bodies[T]): Signed<T> {
    this.#records += 1;
    return {
      type,
      body,
      by: OWNER,
      hlc: asHlc(START_MS + this.#records * 1000),
      sig: new Uint8Array(64),
      id: asRecordId(hash(`record ${this.#records}`)),
    };
  }

  #check(): void {
    if (this.fail !== null) throw this.fail;
  }

  async submit(job: Job, options: SubmitOptions): Promise<Submitted> {
    this.#check();
    const known =
      options.idempotencyToken === null ? undefined : this.#tokens.get(options.idempotencyToken);
    const fake =
      known ?? new FakeJob(this, job, options.idempotencyToken ?? String(this.jobs.length));
    if (known === undefined) {
      this.jobs.push(fake);
      this.submitted.push(job);
      this.demanded.push(options.minKeepers);
      if (options.idempotencyToken !== null) this.#tokens.set(options.idempotencyToken, fake);
      this.onSubmit(fake);
    }
    const receipt = fake.view().records.admission;
    return {
      jobId: fake.id,
      warnings: [],
      receipt,
      version: fake.view().records.spec.body.version,
      keepersWanted: 5,
      again: known !== undefined,
    };
  }

  find(ref: string, namespace: string): FakeJob {
    this.#check();
    const byName = this.jobs.filter(
      (job) => job.name === ref && job.summary().namespace === namespace,
    );
    const fits = byName.length > 0 ? byName : this.jobs.filter((job) => job.id.startsWith(ref));
    const [only] = fits;
    if (only === undefined)
      throw new ShoalError({ code: 'job-not-found', ref, asked: 0, silent: [] });
    if (fits.length > 1) {
      throw new ShoalError({
        code: 'job-ambiguous',
        ref,
        candidates: fits.map((job) => asJobId(job.id)),
      });
    }
    return only;
  }

  async stop(ref: string, namespace: string, reason: string): Promise<Stopped> {
    const job = this.find(ref, namespace);
    if (job.state === 'Stopped') return { evaluationId: '', pending: null };
    if (job.state === 'Completed' || job.state === 'Failed') {
      throw new ShoalError({ code: 'job-terminal', job: asJobId(job.id), state: job.state });
    }
    job.stop(reason);
    return { evaluationId: uuidOf(hash(reason)), pending: this.pendingStop };
  }

  async getJob(ref: string, namespace: string): Promise<JobView> {
    return this.find(ref, namespace).view();
  }

  async versions(ref: string, namespace: string): Promise<readonly JobView[]> {
    return [this.find(ref, namespace).view()];
  }

  /** What was asked to be run once more. */
  readonly reruns: RerunOptions[] = [];

  async rerun(ref: string, namespace: string, options: RerunOptions): Promise<Updated> {
    const { id: jobId } = this.find(ref, namespace);
    this.reruns.push(options);
    return { jobId, version: 2, warnings: [] };
  }

  async listJobs(query: {
    readonly namespace: string | null;
    readonly limit: number;
  }): Promise<readonly ListedJob[]> {
    this.#check();
    return this.jobs
      .map((job) => job.summary())
      .filter((job) => query.namespace === null || job.namespace === query.namespace);
  }

  async nodes(): Promise<readonly NodeView[]> {
    this.#check();
    const base = { connectedSince: START_MS, latencyMs: 1.5, problem: null, lastSeen: START_MS };
    return [
      {
        advert: advert(NODE_A, { region: 'eu' }, 4),
        self: true,
        connected: true,
        ...base,
        latencyMs: null,
      },
      {
        advert: advert(NODE_B, { region: 'us' }, 8),
        self: false,
        connected: false,
        ...base,
        connectedSince: null,
        problem: 'no answer',
      },
    ];
  }

  async *logs(request: LogRequest, signal: AbortSignal): AsyncGenerator<LogLine> {
    this.logRequests.push(request);
    const job = this.find(request.job, request.namespace);
    if (
      request.execution !== null &&
      !job
        .view()
        .records.states.some(({ body }) => body.execution.startsWith(request.execution ?? ''))
    ) {
      throw new ShoalError({ code: 'execution-not-found', ref: request.execution, job: job.id });
    }
    this.logsOpened += 1;
    try {
      if (!request.tail) yield* job.logLines;
      if (!request.follow || job.state !== 'Running') return;
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    } finally {
      this.logsClosed += 1;
    }
  }

  async self(): Promise<SelfInfo> {
    return {
      node: NODE_A,
      version: '0.1.0',
      network: 'shoal',
      owner: OWNER,
      addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${NODE_A}`],
      labels: this.labels,
      startedAt: START_MS,
      peersConnected: 1,
      peerProblems: [{ peer: NODE_B, problem: 'connection refused', at: START_MS }],
      jobsKept: this.jobs.length,
      executionsRunning: 0,
    };
  }

  async config(): Promise<Readonly<Record<string, unknown>>> {
    return { 'api.port': { value: 1234, origin: 'default' }, swarmKey: '********' };
  }

  async doctor(): Promise<readonly Finding[]> {
    return [
      { subject: 'engine wasm', level: 'ok', detail: 'ready', remedy: '' },
      {
        subject: 'engine docker',
        level: 'warning',
        detail: 'no answer from the daemon',
        remedy: 'Start Docker.',
      },
    ];
  }

  leavesBy: number | null = null;

  async drain(withinMs: number | null): Promise<Draining> {
    this.leavesBy = withinMs === null ? null : START_MS + withinMs;
    return this.draining();
  }

  async draining(): Promise<Draining> {
    return { leavesBy: this.leavesBy, executions: 2, onlyHere: ['j-only'] };
  }

  labels: Readonly<Record<string, string>> = { region: 'eu' };

  async changeLabels({ set, remove }: LabelChange): Promise<Readonly<Record<string, string>>> {
    const left = Object.entries(this.labels).filter(([key]) => !remove.includes(key));
    this.labels = { ...Object.fromEntries(left), ...set };
    return this.labels;
  }

  async metrics(): Promise<string> {
    return '# HELP shoal_jobs_total Jobs.\n# TYPE shoal_jobs_total counter\nshoal_jobs_total 3\n';
  }
}

function advert(
  node: typeof NODE_A,
  labels: Readonly<Record<string, string>>,
  cores: number,
): AdvertBody {
  const capacity = { cpuMillis: cores * 1000, memoryBytes: 8e9, diskBytes: 1e11, gpus: 0 };
  return {
    node,
    store: asStoreId('0'.repeat(32)),
    sequence: 1,
    addresses: [`/ip4/10.0.0.1/tcp/4001/p2p/${node}`],
    labels,
    engines: ['docker', 'wasm'],
    publishers: ['ipfs'],
    sources: ['ipfs', 'inline'],
    capacity,
    free: { ...capacity, cpuMillis: capacity.cpuMillis - 500 },
    running: 1,
    keeps: true,
    software: '0.1.0',
    features: [],
  };
}
