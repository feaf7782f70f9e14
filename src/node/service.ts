/**
 * What the HTTP API asks of a node, answered by the driver and the host: the adapter of the API's
 * port. Requests become inputs of the core; streams and content go straight to the host.
 */
import { goodForMs } from './good-for.ts';
import type { Published } from './logs/logs.ts';
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import type {
  JobView,
  LogLine,
  LogRequest,
  NodeView,
  RerunOptions,
  Retention,
  SelfInfo,
  ShoalService,
  Stopped,
  Submitted,
  SubmitOptions,
  Updated,
} from '../api/service.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import type { ExecutionId, NodeId } from '../core/record/ids.ts';
import { closeIn, ledgerOf, PENDING_MS, stateOf } from '../core/record/ledger.ts';
import type { Machine } from '../core/contract/machine.ts';
import type { KeepersView, Reply } from '../core/contract/reply.ts';
import type { Answer, JobRecords, JobState, Query } from '../core/contract/messages.ts';
import { PAST_MAX } from '../core/record/past.ts';
import type { Job } from '../job/model.ts';
import { jobToBacalhau } from '../job/to-bacalhau.ts';
import { stringifySorted } from '../lib/exact-json.ts';
import { pause } from '../lib/abort.ts';
import type { ContentStore } from '../lib/content.ts';
import type { KeyValues } from '../store/key-values.ts';
import type { Drain } from './draining.ts';
import type { Driver } from './driver.ts';
import { demandKeepers, fewKeepers } from './few-keepers.ts';
import { createJobAnswers } from './job-answers.ts';
import type { JobAnswers } from './job-answers.ts';
import { wholeOf } from './whole-job.ts';
import { decodeLogLines } from './logs/frames.ts';
import { executionToShow, type Chosen, type Following } from './logs/following.ts';

export interface ServiceDeps {
  readonly retention: Retention;
  readonly driver: Driver;
  readonly machine: Machine;
  /** For clients that ask about one job again and again. */
  readonly jobs: JobAnswers<FoundJob>;
  readonly self: NodeId;
  readonly content: ContentStore;
  readonly kv: KeyValues;
  /** Counted time, milliseconds: tokens are good by it. */
  readonly now: () => number;
  /** Size of the spec as a record, bytes. */
  readonly specBytes: (job: Job) => number;
  readonly specMaxBytes: number;
  /** Has large inline inputs travel as content. */
  readonly moveLargeInputs: (job: Job, warnings: string[]) => Promise<Job>;
  /** How long a submitted spec stays valid beyond its own timeout, milliseconds. */
  readonly specValidMs: number;
  /** Log lines of an execution of this node. */
  readonly localLogs: (
    execution: ExecutionId,
    options: LogOptions,
    result: Published | null,
    signal: AbortSignal,
  ) => AsyncIterable<LogLine>;
  /** The same, as it was published. */
  readonly resultLogs: (
    result: Published,
    options: LogOptions,
    signal: AbortSignal,
  ) => AsyncIterable<LogLine>;
  /** The same, from the node that runs it. */
  readonly remoteLogs: (
    node: NodeId,
    request: Uint8Array,
    signal: AbortSignal,
  ) => AsyncIterable<Uint8Array>;
  readonly peers: () => readonly PeerView[];
  /** Members of earlier runs that were not met in this one. */
  readonly missed: () => readonly NodeId[];
  /** Resolves when a peer that has just started has met those it knows. */
  readonly joined: () => Promise<void>;
  readonly selfInfo: () => Omit<SelfInfo, 'jobsKept' | 'executionsRunning'>;
  readonly config: () => Readonly<Record<string, unknown>>;
  readonly doctor: ShoalService['doctor'];
  readonly drain: Drain;
  readonly changeLabels: ShoalService['changeLabels'];
  readonly metrics: () => Promise<string>;
}

export interface LogOptions {
  readonly tail: boolean;
  readonly follow: boolean;
}

/** What the host knows of a peer. */
export interface PeerView {
  readonly peer: string;
  readonly connected: boolean;
  readonly problem: string | null;
}

type FoundJob = Extract<Answer, { readonly type: 'job' }> & {
  readonly keepers: KeepersView | null;
};

/** A keeper learns at once when a job is over; how far it is may be shown this late, milliseconds. */
const KEEPER_ANSWER_MS = 500;
/** Before it runs somewhere: nobody waits for longer than for that. */
const SOON_MS = 50;
/** Another node learns nothing by itself. */
const OTHER_ANSWER_MS = 100;

/** Looks jobs up for clients that wait for them. */
export function createJobLookup({
  driver,
  self,
}: Pick<ServiceDeps, 'driver' | 'self'>): JobAnswers<FoundJob> {
  return createJobAnswers<FoundJob>({
    ask: (ref, namespace, version) => findJob({ driver }, ref, namespace, 0, version),
    jobOf: ({ records }) => records.spec.body.job,
    keepMs: ({ records }) => {
      if (closeIn(records) !== null) return 0;
      if (!records.committed.some(({ record }) => record.type === 'assign')) return SOON_MS;
      const keeps = records.admission.record.body.keepers.some(({ node }) => node === self);
      return keeps ? KEEPER_ANSWER_MS : OTHER_ANSWER_MS;
    },
    now: () => performance.now(),
  });
}

/** A submission waits no longer for peers that may know a job of its name; nearly always they answer in milliseconds. */
const NAME_MS = 500;
/** A token is good for as long as a client may reasonably repeat itself. */
const TOKEN_MS = 24 * 3_600_000;

export function createService(deps: ServiceDeps): ShoalService {
  return {
    retention: deps.retention,
    submit: (job, options) => submit(deps, job, options),
    stop: (ref, namespace, reason) => stop(deps, ref, namespace, reason),
    getJob: (ref, namespace, whole, version = 0) => viewOf(deps, ref, namespace, whole, version),
    versions: (ref, namespace) => versionsOf(deps, ref, namespace),
    rerun: (ref, namespace, options) => rerun(deps, ref, namespace, options),
    listJobs: async ({ namespace, limit }) => {
      const reply = await ask(deps, { type: 'jobs', namespace, limit });
      deps.jobs.toldAll();
      return reply.type === 'listed' ? reply.jobs : [];
    },
    nodes: async () => nodeViews(deps),
    logs: (request, signal) => logs(deps, request, signal),
    content: deps.content,
    self: async () => {
      const { jobsKept, executions } = deps.machine.load();
      return { ...deps.selfInfo(), jobsKept, executionsRunning: executions };
    },
    config: async () => deps.config(),
    doctor: deps.doctor,
    drain: async (withinMs) => (withinMs === null ? deps.drain.end() : deps.drain.begin(withinMs)),
    draining: async () => deps.drain.view(),
    changeLabels: (change) => deps.changeLabels(change),
    metrics: deps.metrics,
  };
}

function failedReply(reply: Extract<Reply, { type: 'failed' }>): ShoalError {
  return new ShoalError(reply.problem);
}

async function ask(deps: Pick<ServiceDeps, 'driver'>, query: Query, withinMs?: number) {
  const within = withinMs === undefined ? {} : { withinMs };
  const reply = await deps.driver.request((request) => ({
    type: 'query',
    request,
    query,
    ...within,
  }));
  if (reply.type === 'failed') throw failedReply(reply);
  if (reply.type !== 'answer' && reply.type !== 'listed')
    throw new ShoalError({ code: 'internal', what: `a query was answered with ${reply.type}` });
  return reply;
}

async function findJob(
  deps: Pick<ServiceDeps, 'driver'>,
  ref: string,
  namespace: string,
  from: number,
  version = 0,
  withinMs?: number,
): Promise<FoundJob> {
  const of = version === 0 ? {} : { version };
  const reply = await ask(deps, { type: 'job', ref, namespace, from, ...of }, withinMs);
  if (reply.type !== 'answer')
    throw new ShoalError({ code: 'internal', what: `a job was answered with ${reply.type}` });
  return { ...reply.answer, keepers: reply.keepers };
}

/** All partitions of a large job that other nodes keep. */
async function wholeJob(deps: Pick<ServiceDeps, 'driver'>, first: FoundJob): Promise<FoundJob> {
  const { job, spec, version } = first.records.spec.body;
  const records = await wholeOf(first, (from) =>
    findJob(deps, job, spec.Namespace, from, first.current === undefined ? 0 : version),
  );
  return { ...first, records, next: null };
}

async function viewOf(
  deps: ServiceDeps,
  ref: string,
  namespace: string,
  whole: boolean,
  version: number,
): Promise<JobView> {
  const first = await deps.jobs.get(ref, namespace, version);
  const wanted = whole || closeIn(first.records) !== null;
  const { records, waiting, keepers } = wanted ? await wholeJob(deps, first) : first;
  const current = first.current ?? records.spec.body.version;
  const state = stateIn({ records, waiting });
  const keepersWanted = deps.machine.keeperNumbers(deps.missed()).wanted;
  return { records, current, waiting, keepers, keepersWanted, state };
}

/** Nobody who is asked elsewhere tells for how long the job has been looking for nodes; since it was decided, at most. */
function stateIn({ records, waiting }: Pick<FoundJob, 'records' | 'waiting'>): JobState {
  const { votes } = records.admission;
  const ledger = ledgerOf(records);
  const decidedAt = votes.reduce((latest, vote) => Math.max(latest, vote.hlc), ledger.modifiedAt);
  return stateOf(ledger, waiting !== null && Date.now() - decidedAt >= PENDING_MS);
}

// — submitting

async function submit(
  deps: ServiceDeps,
  job: Job,
  { idempotencyToken: token, minKeepers, force }: SubmitOptions,
): Promise<Submitted> {
  const key = token === null ? null : createHash('sha256').update(token).digest('hex');
  const known = key === null ? null : deps.kv.get(`token/${key}`);
  if (known !== null && (known.until === null || known.until > deps.now())) {
    const [id = '', version = '1'] = known.value.split('@');
    const { records } = await findJob(deps, id, job.Namespace, 0);
    const again = { receipt: records.admission, version: Number(version), again: true };
    return submitted(deps, { ...again, minKeepers, warnings: [] });
  }
  await deps.joined();
  const before = await namesake(deps, job);
  const warnings: string[] = [];
  const spec = await deps.moveLargeInputs(job, warnings);
  const bytes = deps.specBytes(spec);
  if (bytes > deps.specMaxBytes) {
    throw new ShoalError({ code: 'spec-too-large', bytes, maxBytes: deps.specMaxBytes });
  }
  if (before !== null) {
    if (!force) demandChange(before.records.spec.body.spec, spec);
    const { version } = await update(deps, before, spec, { how: 'update', reason: '' });
    if (key !== null) {
      const { job: id } = before.records.spec.body;
      deps.kv.put(`token/${key}`, `${id}@${version}`, deps.now() + TOKEN_MS);
    }
    const receipt = before.records.admission;
    return submitted(deps, { receipt, version, again: false, minKeepers, warnings });
  }
  const nonce = key?.slice(0, 32) ?? randomBytes(16).toString('hex');
  const notAfter = Date.now() + goodForMs(spec, deps.specValidMs);
  const reply = await deps.driver.request((request) => ({
    type: 'submit',
    request,
    spec,
    nonce,
    notAfter,
    minKeepers,
  }));
  if (reply.type === 'failed') throw failedReply(reply);
  if (reply.type !== 'receipt')
    throw new ShoalError({
      code: 'internal',
      what: `a submission was answered with ${reply.type}`,
    });
  if (key !== null) deps.kv.put(`token/${key}`, `${reply.job}@1`, deps.now() + TOKEN_MS);
  return submitted(deps, { ...reply, minKeepers, warnings });
}

/** @throws ShoalError `too-few-keepers` */
function submitted(
  { machine, missed }: ServiceDeps,
  {
    receipt,
    version,
    again,
    minKeepers,
    warnings,
  }: Pick<Submitted, 'receipt' | 'version' | 'again' | 'warnings'> &
    Pick<SubmitOptions, 'minKeepers'>,
): Submitted {
  const { job, keepers } = receipt.record.body;
  demandKeepers(job, keepers.length, minKeepers);
  const { wanted } = machine.keeperNumbers(missed());
  const few = fewKeepers(keepers.length, wanted);
  return {
    jobId: job,
    warnings: few === null ? warnings : [...warnings, few],
    receipt,
    version,
    keepersWanted: wanted,
    again,
  };
}

// — versions

/** Those of a job that are still known, the present one last. */
async function versionsOf(
  deps: ServiceDeps,
  ref: string,
  namespace: string,
): Promise<readonly JobView[]> {
  const present = await viewOf(deps, ref, namespace, true, 0);
  const { job, version, spec } = present.records.spec.body;
  const first = Math.max(1, version - PAST_MAX);
  const earlier = await Promise.all(
    Array.from({ length: version - first }, (_, at) =>
      viewOf(deps, job, spec.Namespace, true, first + at),
    ),
  );
  // Of one that nobody knows any more the present one is told.
  const known = earlier.filter(({ records }) => records.spec.body.version < version);
  return [...known, present];
}

/** The own owner's job of this name; another owner's is simply another job. */
async function namesake(deps: ServiceDeps, { Name, Namespace }: Job): Promise<FoundJob | null> {
  if (Name === '') return null;
  try {
    const found = await findJob(deps, Name, Namespace, 0, 0, NAME_MS);
    return found.records.spec.body.owner === deps.selfInfo().owner ? found : null;
  } catch (error) {
    const code = error instanceof ShoalError ? error.failure.code : '';
    if (code === 'job-not-found' || code === 'job-ambiguous') return null;
    throw error;
  }
}

/** @throws ShoalError `spec-invalid`, `no-changes` */
function demandChange(before: Job, spec: Job): void {
  if (before.Type !== spec.Type) return;
  const [was, is] = [before, { ...spec, Name: before.Name }].map((job) =>
    stringifySorted(jobToBacalhau(job), 0),
  );
  if (was === is) throw new ShoalError({ code: 'no-changes', name: before.Name });
}

/** Makes this the next version of a job. */
async function update(
  deps: ServiceDeps,
  { records }: FoundJob,
  spec: Job,
  { how, reason }: { readonly how: 'update' | 'rerun'; readonly reason: string },
): Promise<{ readonly version: number }> {
  const { job, spec: before } = records.spec.body;
  if (before.Type !== spec.Type) {
    const what = `Type: ${spec.Type}; the job ${before.Name} is of type ${before.Type}, and keeps it. Submit this one under another name.`;
    throw new ShoalError({ code: 'spec-invalid', problems: [what] });
  }
  const notAfter = Date.now() + goodForMs(spec, deps.specValidMs);
  const reply = await deps.driver.request((request) => ({
    type: 'update',
    request,
    job,
    spec,
    how,
    reason,
    notAfter,
  }));
  deps.jobs.changed(job);
  if (reply.type === 'failed') throw failedReply(reply);
  if (reply.type !== 'updated')
    throw new ShoalError({ code: 'internal', what: `an update was answered with ${reply.type}` });
  return reply;
}

async function rerun(
  deps: ServiceDeps,
  ref: string,
  namespace: string,
  { version, reason }: RerunOptions,
): Promise<Updated> {
  const present = await findJob(deps, ref, namespace, 0);
  const { job, spec } = present.records.spec.body;
  const state = stateIn(present);
  if (state === 'Pending' || state === 'Queued')
    throw new ShoalError({ code: 'job-pending', job, state });
  const { records } =
    version === 0 ? present : await findJob(deps, job, spec.Namespace, 0, version);
  demandVersion(records, version);
  const done = await update(deps, present, records.spec.body.spec, { how: 'rerun', reason });
  return { jobId: job, version: done.version, warnings: [] };
}

/** @throws ShoalError `version-not-found` */
function demandVersion({ spec }: JobRecords, version: number): void {
  if (version === 0 || spec.body.version === version) return;
  const { job, version: current } = spec.body;
  throw new ShoalError({ code: 'version-not-found', job, version, current });
}

async function stop(
  deps: ServiceDeps,
  ref: string,
  namespace: string,
  reason: string,
): Promise<Stopped> {
  const { records } = await findJob(deps, ref, namespace, 0);
  const { job } = records.spec.body;
  const outcome = closeIn(records)?.body.outcome;
  if (outcome === 'stopped') return { evaluationId: '', pending: null };
  const reply = await deps.driver.request((request) => ({ type: 'stop', request, job, reason }));
  deps.jobs.changed(job);
  if (reply.type === 'failed') throw failedReply(reply);
  if (reply.type !== 'stopping')
    throw new ShoalError({ code: 'internal', what: `a stop was answered with ${reply.type}` });
  const { signed, needed, notAfter, refused } = reply;
  const pending = signed < needed ? { signed, needed, notAfter, refused } : null;
  return { evaluationId: randomUUID(), pending };
}

// — nodes

function nodeViews(deps: ServiceDeps): readonly NodeView[] {
  const peers = new Map(deps.peers().map((peer) => [peer.peer, peer]));
  const now = Date.now();
  return deps.machine.sightings().map(({ advert, silentMs }) => {
    const { node } = advert;
    const self = node === deps.self;
    const peer = peers.get(node);
    return {
      advert,
      self,
      connected: self || peer?.connected === true,
      lastSeen: Math.round(now - silentMs),
      connectedSince: null,
      latencyMs: null,
      problem: peer?.problem ?? null,
    };
  });
}

// — logs

async function* logs(
  deps: ServiceDeps,
  request: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const look = () => recordsFor(deps, request);
  const wait = (ms: number) => pause(ms, signal);
  const chosen = await executionToShow({
    ...{ look, pause: wait, ref: request.execution, follow: request.follow },
  });
  const { execution } = chosen;
  let began = false;
  try {
    for await (const line of linesOf(deps, chosen, request, signal)) {
      began = true;
      yield line;
    }
  } catch (error) {
    const why =
      began || signal.aborted
        ? null
        : await failureOf({ look, pause: wait, follow: request.follow }, execution);
    if (why === null) throw error;
    throw new ShoalError({ code: 'logs-unavailable', execution, why }, { cause: error });
  }
  if (began || request.tail || signal.aborted) return;
  const why = await failureOf({ look, pause: wait, follow: request.follow }, execution);
  if (why !== null) throw new ShoalError({ code: 'logs-unavailable', execution, why });
}

/** From its node, or, where that is away or has deleted them, from the holders of what it published. */
async function* linesOf(
  deps: ServiceDeps,
  { execution, node, result }: Chosen,
  { tail, follow }: LogRequest,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const options = { tail, follow };
  if (node === deps.self) {
    yield* deps.localLogs(execution, options, result, signal);
    return;
  }
  const asked = new TextEncoder().encode(JSON.stringify({ execution, ...options }));
  let began = false;
  try {
    for await (const line of decodeLogLines(deps.remoteLogs(node, asked, signal), execution)) {
      began = true;
      yield line;
    }
  } catch (error) {
    if (began || result === null || signal.aborted) throw error;
    yield* deps.resultLogs(result, options, signal);
  }
}

/** Its end is told by other messages than its output, a moment before or after. */
const END_LOOKS = 10;
const END_LOOK_MS = 200;

/** Why an execution that printed nothing failed, which is what somebody looks for in its output; null when it did not. */
async function failureOf(
  { look, pause: wait, follow }: Omit<Following, 'ref'>,
  execution: ExecutionId,
): Promise<string | null> {
  for (let left = follow ? END_LOOKS : 1; left > 0; left -= 1) {
    const { failure, over } = await executionToShow({
      ...{ look, pause: wait, ref: execution, follow: false },
    });
    if (failure !== null) return `it printed nothing and failed: ${failure}`;
    if (over || left === 1 || !(await wait(END_LOOK_MS))) return null;
  }
  return null;
}

/** Of the version that is looked at, or of all. */
async function recordsFor(
  deps: ServiceDeps,
  { job, namespace, version, allVersions }: LogRequest,
): Promise<readonly JobRecords[]> {
  if (allVersions) return (await versionsOf(deps, job, namespace)).map(({ records }) => records);
  const { records } = await wholeJob(deps, await findJob(deps, job, namespace, 0, version));
  // Whoever reads logs knows that it runs.
  deps.jobs.changed(records.spec.body.job);
  demandVersion(records, version);
  return [records];
}
