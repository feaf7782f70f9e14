/**
 * One execution from order to last event: prepare, run, publish, each step durable before the next,
 * so that a process that takes over finds out from the files where to go on. Does not know about
 * other executions; `runner.ts` holds them.
 */
import { JOB_TYPES } from '../../job/types.ts';
import type {
  ExecutionFailure,
  ExecutionOrder,
  OutputHead,
  RunEvent,
  Usage,
} from '../../core/record/execution.ts';
import type { Permits } from '../../../p2p/protocols/permits.ts';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { Engine, EngineOutcome, EngineRun } from '../../engines/engine.ts';
import type { Log } from '../../lib/log.ts';
import { TIMER_MAX_MS } from '../../lib/timer.ts';
import { chargedBytes } from '../../lib/walk-tree.ts';
import { LEFT_OUT_MAX, LEFT_OUT_WHY_MAX } from '../../core/record/course.ts';
import { DISK_FULL, diskError } from '../../storage/content-failures.ts';
import { assembleResult, checkResult } from '../../storage/results.ts';
import type { Publisher, Source } from '../../storage/source.ts';
import { StorageError, publisherOf } from '../../storage/source.ts';
import { resolvedEnvironment } from './environment.ts';
import type { ExecutionFacts, ExecutionFiles, FinalEvent } from './files.ts';
import { TIMEOUT, createGuard } from './guard.ts';
import type { Filled, Guard } from './guard.ts';
import { outputHead } from './output.ts';
import { isOwn, outputsOf, stage } from './staging.ts';
import { failpoint } from '../../lib/failpoint.ts';

/** The part of the configuration that the runner needs. */
export interface RunnerSettings {
  readonly inputMaxBytes: number;
  /** Disk of a job that asks for none. */
  readonly diskDefaultBytes: number;
  /** What is looked at to count the disk of a running job, as in `Looks`; > 0. */
  readonly diskLooksMax: number;
  /** Of stdout and stderr each. */
  readonly outputMaxBytes: number;
  readonly resultMaxBytes: number;
  readonly resultEntriesMax: number;
  readonly resultDepthMax: number;
  readonly logRetentionMs: number;
  /** Of all finished executions together. */
  readonly logsMaxBytes: number;
  readonly diskPollMs: number;
  readonly allowedEnv: readonly string[];
}

/** What every order is carried out with. */
export interface RunPorts {
  readonly engines: ReadonlyMap<string, Engine>;
  readonly sources: ReadonlyMap<string, Source>;
  readonly publishers: ReadonlyMap<string, Publisher>;
  readonly settings: RunnerSettings;
  /** The environment of this process, for `env:NAME` values. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  /** Told when there was no room on the disk for what an execution needs. */
  readonly onDiskFull: () => void;
}

/** One order while it is carried out. */
export interface OrderRun extends RunPorts {
  readonly order: ExecutionOrder;
  readonly files: ExecutionFiles;
  readonly log: Log;
  readonly phase: (phase: Extract<RunEvent, { readonly type: 'phase' }>['phase']) => void;
  /** Aborts when the owner cancels or the node stops. */
  readonly signal: AbortSignal;
  /** Turns of all executions of this node, by job; see `inTurn`. */
  readonly largeResults: Permits;
}

/** A result of more entries is large. */
const LARGE_ENTRIES = 5_000;

type Outcome = ExecutionFacts['outcome'];

/** The program did not come to an end of its own. */
class RunError extends Error {
  override readonly name = 'RunError';
  readonly failure: ExecutionFailure;
  readonly usage: Usage | null;
  constructor(failure: ExecutionFailure, usage: Usage | null) {
    super(failure.message);
    this.failure = failure;
    this.usage = usage;
  }
}

/**
 * Carries out what is left to do.
 * @returns the last event. Never throws for what a job does.
 * @throws the signal's reason when it aborted.
 */
export async function carryOut(carried: OrderRun): Promise<FinalEvent> {
  try {
    const outcome = (await outcomeSoFar(carried)) ?? (await run(carried));
    const { result, leftOut } = await publish(carried, outcome);
    return {
      type: 'ended',
      exitCode: outcome.exitCode,
      result,
      output: await heads(carried),
      usage: outcome.usage,
      ...(leftOut.length === 0 ? {} : { leftOut }),
    };
  } catch (error) {
    carried.signal.throwIfAborted();
    const { failure, usage } = explained(error, carried);
    return { type: 'failed', failure, output: await heads(carried), usage };
  }
}

const outcomeSoFar = async (carried: OrderRun): Promise<Outcome | null> =>
  (await ofEarlierRun(carried)) ? null : carried.files.read('outcome');

/** What the program printed so far. */
export const heads = (carried: OrderRun): Promise<OutputHead> =>
  outputHead(carried.files.stdoutPath, carried.files.stderrPath);

async function run(carried: OrderRun): Promise<Outcome> {
  const { files, order } = carried;
  const engine = carried.engines.get(order.task.Engine.Type);
  if (engine === undefined) {
    const message = `The engine "${order.task.Engine.Type}" is not there on this node.`;
    throw new RunError({ code: 'engine-missing', class: 'node', message }, null);
  }
  const prepared = (await ofEarlierRun(carried)) ? null : await files.read('prepared');
  const outcome =
    (prepared === null ? null : await takeUp(carried, engine, prepared)) ??
    (await begin(carried, engine));
  failpoint('run.ended');
  const ended = { exitCode: outcome.exitCode, usage: outcome.usage };
  // With nothing to publish the last event is what is written next, and says the same.
  if (publishes(order)) files.beginWrite('outcome', ended);
  return ended;
}

/** What lies in the directory is of a run before the program was started again. */
export async function ofEarlierRun({ files, order }: OrderRun): Promise<boolean> {
  if (order.restarts === 0) return false;
  const known = await files.read('order');
  return known === null || known.restarts < order.restarts;
}

/** @returns null when nothing of an earlier run is left and the program had not begun. */
async function takeUp(
  carried: OrderRun,
  engine: Engine,
  prepared: ExecutionFacts['prepared'],
): Promise<Outcome | null> {
  const started = await carried.files.read('started');
  const outcome = await watched(carried, engine, prepared, started, (engineRun, ...told) =>
    engine.reattach(engineRun, ...told),
  );
  if (outcome !== null) return outcome;
  carried.signal.throwIfAborted();
  if (started === null) return null;
  const message = 'This node was restarted while the program ran, and nothing of it is left.';
  // What does not end is started again here, as after every other end of it.
  const kind = JOB_TYPES[carried.order.jobType].ends ? 'node' : 'transient';
  throw new RunError({ code: 'lost-in-restart', class: kind, message }, null);
}

async function begin(carried: OrderRun, engine: Engine): Promise<Outcome> {
  const { files, order, settings, signal, sources } = carried;
  carried.phase('preparing');
  await files.reset();
  failpoint('execution.reset');
  files.beginWrite('order', order);
  const inputMaxBytes = Math.min(settings.inputMaxBytes, diskBytesOf(carried));
  const prepared = await stage({ order, files, sources, inputMaxBytes, signal });
  failpoint('run.staged');
  await files.settled();
  await files.write('prepared', prepared);
  signal.throwIfAborted();
  carried.phase('starting');
  const outcome = await watched(carried, engine, prepared, null, (engineRun, ...told) =>
    engine.run(engineRun, ...told),
  );
  if (outcome === null)
    throw new RunError(
      {
        code: 'engine-broken',
        class: 'node',
        message: `The engine ${engine.name} gave no outcome.`,
      },
      null,
    );
  return outcome;
}

type EngineCall = (
  run: EngineRun,
  onStarted: () => void,
  signal: AbortSignal,
) => Promise<EngineOutcome | null>;

/** Bytes that the job may fill in all. */
const diskBytesOf = ({ order, settings }: OrderRun): number =>
  order.task.resources.diskBytes || settings.diskDefaultBytes;

/** Everything on this node's disk that is there for the job alone. */
async function diskFilled(
  { files, order, settings }: OrderRun,
  engine: Engine,
  prepared: ExecutionFacts['prepared'],
  enough: number,
  signal: AbortSignal,
): Promise<Filled> {
  // What it was given must be looked at each time as well, and is no fault of the program.
  const looks = { left: settings.diskLooksMax + (prepared.inputLooks ?? 0) };
  // Without result paths nothing is in there: the program does not see it.
  const outputs = order.task.ResultPaths.length > 0 ? [files.outputs] : [];
  const paths = [files.stdoutPath, files.stderrPath, ...outputs, ...prepared.writableInputs];
  const [elsewhere, ...trees] = await Promise.all([
    engine.diskBytes(order.execution, enough, signal),
    ...paths.map((path) => chargedBytes(path, enough, looks, signal)),
  ]);
  return {
    bytes: trees.reduce((sum, { bytes }) => sum + bytes, prepared.inputBytes + elsewhere),
    closed: trees.reduce((sum, { closed }) => sum + closed, 0),
  };
}

/**
 * Calls the engine while the guard watches; the guard's word counts more than the engine's.
 * @param started what an earlier process noted of the program's begin
 */
async function watched(
  carried: OrderRun,
  engine: Engine,
  prepared: ExecutionFacts['prepared'],
  started: ExecutionFacts['started'] | null,
  call: EngineCall,
): Promise<Outcome | null> {
  const { order, settings, log } = carried;
  const guard = createGuard({
    timeoutMs: order.timeoutMs,
    diskBytes: diskBytesOf(carried),
    measure: (enough, signal) => diskFilled(carried, engine, prepared, enough, signal),
    diskPollMs: settings.diskPollMs,
    log,
  });
  const signal = AbortSignal.any([carried.signal, guard.signal]);
  // A node that lost what it has counted begins anew.
  const elapsedMs = started === null ? 0 : Math.max(0, carried.now() - started.at);
  const notes = startNotes(carried, guard, started === null ? null : elapsedMs);
  const run = { ...engineRunOf(carried, prepared), elapsedMs, atOnce: guard.atOnce };
  let outcome: EngineOutcome | null;
  try {
    outcome = await call(run, notes.onStarted, signal);
  } catch (error) {
    // An engine may answer the guard's signal by throwing; the limit is what happened.
    const broken = guard.broken();
    throw broken === null ? error : new RunError(broken, null);
  } finally {
    await Promise.all([guard.end(), notes.begun()]);
  }
  const exited = outcome?.type === 'exited';
  const broken = guard.broken();
  // A program that came to its own end just before its time was up has its exit code.
  if (broken !== null && !(exited && broken.code === TIMEOUT))
    throw new RunError(broken, outcome?.usage ?? null);
  if (outcome?.type === 'failed') throw new RunError(outcome.failure, outcome.usage);
  if (outcome?.outputDropped === true)
    log.warn({ max: settings.outputMaxBytes }, 'execution.output-dropped');
  return outcome;
}

/**
 * What happens when the program itself begins: phase, clock and marker, once.
 * @param elapsedMs since an earlier process noted that; null when none did
 */
function startNotes(
  carried: OrderRun,
  guard: Guard,
  elapsedMs: number | null,
): { readonly onStarted: () => void; readonly begun: () => Promise<void> } {
  let marking: Promise<void> | null = null;
  const mark = async (): Promise<void> => {
    guard.begin(elapsedMs ?? 0);
    // Nothing waits for it but the last event: how a program ended is more than that it began.
    if (elapsedMs === null) carried.files.beginWrite('started', { at: carried.now() });
  };
  return {
    onStarted() {
      if (marking !== null) return;
      carried.phase('running');
      marking = mark();
      // Reported by `begun`; without this a failure would count as unhandled until then.
      marking.catch(() => {});
    },
    begun: async () => {
      await marking;
    },
  };
}

function engineRunOf(
  carried: OrderRun,
  prepared: ExecutionFacts['prepared'],
): Omit<EngineRun, 'elapsedMs' | 'atOnce'> {
  const { files, order, settings } = carried;
  const diskBytes = diskBytesOf(carried);
  return {
    order,
    mounts: prepared.mounts,
    env: resolvedEnvironment(order, settings.allowedEnv, carried.environment),
    stdoutPath: files.stdoutPath,
    stderrPath: files.stderrPath,
    outputMaxBytes: Math.min(settings.outputMaxBytes, diskBytes),
    diskBytes,
    // What lies in directories of the host that the operator opened is not the job's disk.
    fileMaxBytes: prepared.mounts.some((mount) => mount.writable && !isOwn(mount, files))
      ? null
      : diskBytes,
    scratchDir: files.scratch,
  };
}

const publishes = ({ jobType, task }: ExecutionOrder): boolean =>
  JOB_TYPES[jobType].ends && task.Publisher.Type !== '' && task.Publisher.Type !== 'noop';

interface PublishedResult {
  readonly result: Extract<FinalEvent, { readonly type: 'ended' }>['result'];
  /** As in a state. */
  readonly leftOut: readonly string[];
}

async function publish(carried: OrderRun, outcome: Outcome): Promise<PublishedResult> {
  const { files, log, order, settings, signal } = carried;
  const type = order.task.Publisher.Type;
  if (!publishes(order)) return { result: null, leftOut: [] };
  const publisher = publisherOf(carried.publishers, type);
  const assembled = assembleResult({
    directory: files.results,
    stdoutPath: files.stdoutPath,
    stderrPath: files.stderrPath,
    exitCode: outcome.exitCode,
    outputs: outputsOf(order, await files.read('prepared')),
  });
  // Once it is told that the program is over, no crash makes it run again.
  await Promise.all([assembled, files.settled()]);
  failpoint('result.assembled');
  carried.phase('publishing');
  const limits = {
    entriesMax: settings.resultEntriesMax,
    depthMax: settings.resultDepthMax,
    bytesMax: settings.resultMaxBytes,
  };
  const checked = await checkResult(files.results, limits, signal);
  const published = await inTurn(carried, checked.entries, () =>
    publisher.publish(files.results, signal),
  );
  failpoint('result.published');
  const dropped = [...checked.dropped, ...published.dropped];
  if (dropped.length > 0)
    log.warn(
      { dropped: dropped.length, first: (dropped[0] ?? '').slice(0, 200) },
      'result.entries-dropped',
    );
  return { result: published.result, leftOut: leftOutOf(dropped) };
}

/** As many as a state may tell, and how many there are beside them. */
function leftOutOf(dropped: readonly string[]): readonly string[] {
  const more = dropped.length - LEFT_OUT_MAX;
  const told = more > 0 ? [...dropped.slice(0, LEFT_OUT_MAX - 1), `and ${more + 1} more`] : dropped;
  return told.map((one) => one.slice(0, LEFT_OUT_WHY_MAX).toWellFormed());
}

/**
 * Importing a tree of a hundred thousand entries takes hundreds of megabytes of memory, so of large
 * results few are published side by side, of one job one, and small ones wait for nobody.
 */
async function inTurn<T>(
  { largeResults, order, signal }: OrderRun,
  entries: number,
  work: () => Promise<T>,
): Promise<T> {
  if (entries <= LARGE_ENTRIES) return work();
  const leave = await largeResults.enter(order.job, TIMER_MAX_MS, signal);
  signal.throwIfAborted();
  try {
    return await work();
  } finally {
    leave?.();
  }
}

function explained(
  error: unknown,
  carried: OrderRun,
): { readonly failure: ExecutionFailure; readonly usage: Usage | null } {
  if (error instanceof RunError) return { failure: error.failure, usage: error.usage };
  const known = diskError(error, 'The execution failed');
  if (known instanceof StorageError) {
    if (known.failure.code === DISK_FULL) carried.onDiskFull();
    return { failure: known.failure, usage: null };
  }
  carried.log.error({ error }, 'execution.broken');
  const message =
    error instanceof ShoalError
      ? error.message
      : `The node failed: ${error instanceof Error ? error.message : String(error)}`;
  return {
    failure: { code: 'node-failed', class: 'node', message: message.slice(0, 1_000) },
    usage: null,
  };
}
