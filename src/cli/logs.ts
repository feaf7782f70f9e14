/**
 * The output of the executions of a job on this terminal: stdout on stdout, stderr on stderr. Of several
 * partitions each line says which it is of.
 */
import { ShoalError } from '../failures/shoal-error.ts';
import { pause } from '../lib/abort.ts';
import type { ErrorJson, ExecutionJson, JobAnswer } from '../api/types.ts';
import type { CommandContext } from './command.ts';
import { codeOf, RemoteError, tell } from './errors.ts';
import { executionsOf } from './executions.ts';
import { jobPath } from './ids.ts';
import { write } from './io.ts';
import { plainText, shortNode } from './text.ts';

export interface LogOptions {
  readonly job: string;
  readonly namespace: string;
  /** '' = the latest of each partition. */
  readonly execution: string;
  readonly follow: boolean;
  readonly tail: boolean;
  /** Of this one alone; undefined = of all. */
  readonly partition?: number | undefined;
  /** undefined = the current one. */
  readonly version?: number | undefined;
  /** The latest execution of all versions, or one of any of them. */
  readonly allVersions?: boolean | undefined;
}

/** Each takes a stream of the peer, which has 64 of them for all its clients. */
const FOLLOWED_MAX = 32;
/** While following, how often executions are looked for that were not there before. */
const LOOK_MS = 1_000;

/** What goes before each line; '' where there is one partition. */
type Prefix = string;

interface Shown {
  readonly to: 'stdout' | 'stderr';
  readonly line: string;
  /** What was written, where it is no text. */
  readonly exact: Buffer | null;
}

/** The frames of one execution, or of the one that the peer chooses. */
async function* frames(
  { client }: CommandContext,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Shown> {
  const query = {
    namespace: options.namespace,
    execution_id: options.execution,
    follow: options.follow,
    tail: options.tail,
    job_version: options.version,
    all_job_versions: options.allVersions,
  };
  for await (const frame of client().frames(`${jobPath(options.job)}/logs`, query, signal)) {
    if (frame.error !== undefined) {
      const Details = {
        code: frame.code ?? 'internal',
        retryable: 'false',
      } as ErrorJson['Details'];
      const Message = frame.error;
      throw new RemoteError({
        ...{ Status: 0, Message, RequestID: '', Code: '', Component: '', Details },
      });
    }
    const { Type, Line, Bytes } = frame.value;
    const exact = Bytes === undefined ? null : Buffer.from(Bytes, 'base64');
    yield { to: Type === 2 ? 'stderr' : 'stdout', line: Line, exact };
  }
}

/** On a terminal escape sequences are taken out; into a file or pipe goes what the program wrote. */
async function show(
  context: CommandContext,
  options: LogOptions,
  prefix: Prefix,
  signal: AbortSignal,
): Promise<void> {
  const { io } = context;
  const begins = { stdout: true, stderr: true };
  for await (const { to, line, exact } of frames(context, options, signal)) {
    if (exact !== null && !io.terminal[to]) {
      if (begins[to]) await write(io[to], prefix);
      await write(io[to], exact);
      begins[to] = line.endsWith('\n');
      continue;
    }
    const text = io.terminal[to] ? plainText(line) : line;
    const marked =
      prefix === ''
        ? text
        : (begins[to] ? prefix : '') + text.replaceAll(/\n(?!$)/g, `\n${prefix}`);
    begins[to] = text.endsWith('\n');
    await write(io[to], marked);
  }
}

/** The execution of each partition whose output is that of the partition: the last one that was not given up. */
function latest(executions: readonly ExecutionJson[]): Map<number, ExecutionJson> {
  const found = new Map<number, ExecutionJson>();
  const rank = ({ Phase, Attempt }: ExecutionJson): number =>
    Attempt - (Phase === 'cancelled' || Phase === 'lost' ? 1_000_000 : 0);
  for (const one of executions) {
    const known = found.get(one.PartitionIndex);
    if (known === undefined || rank(one) > rank(known)) found.set(one.PartitionIndex, one);
  }
  return new Map([...found].sort(([a], [b]) => a - b));
}

const isOver = ({ Job }: JobAnswer): boolean =>
  ['Completed', 'Failed', 'Stopped'].includes(Job.State.StateType);

/** Where each node decides for itself, a node is all there is to say about a partition. */
const prefixOf = ({ Job }: JobAnswer, { PartitionIndex, NodeID }: ExecutionJson): Prefix =>
  Job.Type === 'ops' || Job.Type === 'daemon'
    ? `[${shortNode(NodeID)}] `
    : `[partition ${PartitionIndex}] `;

class Partitions {
  readonly #context: CommandContext;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  /** By execution; each once. */
  readonly #shown = new Map<string, Promise<void>>();
  #failed: unknown = null;
  #told = 0;

  constructor(context: CommandContext, options: LogOptions, signal: AbortSignal) {
    this.#context = context;
    this.#options = options;
    this.#signal = signal;
  }

  /** @returns whether the job was over before its executions were looked for. */
  async look(): Promise<boolean> {
    const { job, namespace, version, partition, follow } = this.#options;
    const client = this.#context.client();
    const answer = await client.get<JobAnswer>(jobPath(job), { namespace, job_version: version });
    const all = { limit: Number.POSITIVE_INFINITY, orderBy: '', reverse: false };
    const { items } = await executionsOf(client, { job, namespace, version, ...all });
    const chosen = [...latest(items).values()].filter(
      ({ PartitionIndex }) => partition === undefined || PartitionIndex === partition,
    );
    if (follow && chosen.length > FOLLOWED_MAX)
      throw new ShoalError({
        code: 'usage',
        what: `Job ${job} has ${chosen.length} partitions; at most ${FOLLOWED_MAX} are followed at once.`,
        hint: 'Choose one with --partition N.',
      });
    for (const one of chosen) {
      if (this.#signal.aborted) break;
      if (this.#shown.has(one.ID)) continue;
      const shown = this.#show(one, partition === undefined ? prefixOf(answer, one) : '');
      this.#shown.set(one.ID, shown);
      if (!follow) await shown;
    }
    return isOver(answer);
  }

  /** What one of several has no output for is said, and keeps the others from nothing. */
  async #show(one: ExecutionJson, prefix: Prefix): Promise<void> {
    try {
      await show(this.#context, { ...this.#options, execution: one.ID }, prefix, this.#signal);
      this.#told += 1;
    } catch (error) {
      this.#failed ??= error;
      if (prefix !== '') this.#context.io.stderr.write(`${prefix}${tell(error).message}\n`);
    }
  }

  /** @throws when nothing could be shown, or nothing is there to show. */
  async end(): Promise<void> {
    await Promise.all(this.#shown.values());
    if (this.#told > 0 || this.#signal.aborted) return;
    if (this.#failed !== null) throw this.#failed;
    const { job, partition } = this.#options;
    const ref = partition === undefined ? '' : `partition ${partition} of job ${job}`;
    throw new ShoalError({ code: 'execution-not-found', ref, job });
  }
}

/** All partitions, or the one that was chosen. */
async function showPartitions(
  context: CommandContext,
  options: LogOptions,
  signal: AbortSignal,
): Promise<void> {
  const partitions = new Partitions(context, options, signal);
  for (;;) {
    const over = await partitions.look();
    if (!options.follow || over || !(await pause(LOOK_MS, signal))) break;
  }
  await partitions.end();
}

/** Whether there is more than one execution to tell apart. */
async function isOfSeveral({ client }: CommandContext, options: LogOptions): Promise<boolean> {
  const { job, namespace, version, partition, execution, allVersions } = options;
  if (execution !== '' || allVersions === true) return false;
  if (partition !== undefined) return true;
  const { Job } = await client().get<JobAnswer>(jobPath(job), { namespace, job_version: version });
  if (Job.Type === 'batch' || Job.Type === 'service') return Job.Count > 1;
  return true;
}

/**
 * Prints until the streams end.
 * @throws RemoteError as the peer says; ShoalError `interrupted` on Ctrl-C.
 */
export async function printLogs(context: CommandContext, options: LogOptions): Promise<void> {
  const { io } = context;
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  try {
    // Who is no job gets the answer that the log itself gives.
    const several = await isOfSeveral(context, options).catch((error: unknown) => {
      if (codeOf(error) === null) throw error;
      return false;
    });
    await (several
      ? showPartitions(context, options, stop.signal)
      : show(context, options, '', stop.signal));
    if (stop.signal.aborted) {
      const what = `No longer following. Job ${options.job} goes on; \`shoal job logs -f ${options.job}\` follows again.`;
      throw new ShoalError({ code: 'interrupted', what });
    }
  } finally {
    release();
  }
}
