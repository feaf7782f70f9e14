/**
 * One container under supervision: its output into files, its time limit, cancelling, its end, and
 * its removal once everything about it is known. Whether it is started here or found running makes
 * no difference from then on.
 */
import { TIMER_MAX_MS } from '../../lib/timer.ts';
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { EngineOutcome, EngineRun } from '../engine.ts';
import type { DockerApi } from './api.ts';
import { DockerCallError } from './api.ts';
import type { DockerEngineConfig } from './config.ts';
import { outcomeOf, outputNotWritten } from './outcome.ts';
import { openOutputFiles } from './output.ts';
import type { OutputFiles } from './output.ts';
import { createStopper, readStopReason } from './stopper.ts';
import type { Stopper } from './stopper.ts';
import { createUsageMeter } from './usage.ts';
import { inspectPatiently, watchContainer } from './watch.ts';
import type { ContainerState, Ending, Watch } from './watch.ts';
import { failpoint } from '../../lib/failpoint.ts';

export interface SessionOptions {
  readonly api: DockerApi;
  readonly config: DockerEngineConfig;
  readonly run: EngineRun;
  /** The container's id. */
  readonly id: string;
  /** null: created just now and to be started; else it was found like this. */
  readonly found: ContainerState | null;
  readonly onStarted: () => void;
  readonly signal: AbortSignal;
}

/** The rest of the output normally follows the exit within milliseconds. */
const OUTPUT_LATE_MS = 10_000;
/** Time until a log that ended is looked at again. */
const LOG_AGAIN_MS = 500;

/**
 * Starts the container unless it was found, and sees it through.
 * @throws DockerCallError when it cannot be started; the container is then still there.
 */
export async function superviseContainer(options: SessionOptions): Promise<EngineOutcome> {
  const { api, config, run, id } = options;
  failpoint('container.created');
  const files = await openOutputFiles(run.stdoutPath, run.stderrPath, run.outputMaxBytes).catch(
    () => null,
  );
  if (files === null) {
    await api.remove(id);
    return { type: 'failed', failure: outputNotWritten(), usage: null };
  }
  const stopper = createStopper(api, id, config.stopGraceMs, run.scratchDir);
  const output = createOutputCopy(api, id, files, () => stopper.stop('output-not-written'));
  try {
    const watch = await startWatched(options, stopper, output);
    return await seeThrough(options, { files, stopper, output, watch });
  } finally {
    stopper.settle();
    output.abandon();
    await files.close();
  }
}

/** Everything listens before the program begins, so that nothing of a short one is missed. */
async function startWatched(
  options: SessionOptions,
  stopper: Stopper,
  output: OutputCopy,
): Promise<Watch> {
  const { api, id, found } = options;
  const watch = await watchContainer(api, {
    id,
    condition: found === null ? 'next-exit' : 'not-running',
    lostAfterMs: options.config.lostAfterMs,
    onBack: () => output.repeat(),
    giveUp: stopper.giveUp,
  });
  if (found !== null) {
    output.repeat();
    return watch;
  }
  try {
    output.follow(await api.attach(id));
    await api.start(id);
    failpoint('container.started');
  } catch (error) {
    if (await didStart(options, error)) {
      output.repeat();
      return watch;
    }
    watch.abandon();
    throw error;
  }
  return watch;
}

/**
 * A start that Docker did not answer may have happened all the same; taking it for failed would leave
 * a program running that nobody knows of.
 */
async function didStart(options: SessionOptions, error: unknown): Promise<boolean> {
  if (!(error instanceof DockerCallError) || error.api.status !== null) return false;
  const { api, config, id, signal } = options;
  const container = await inspectPatiently(api, id, config.lostAfterMs, signal).catch(() => null);
  return container !== null && container.State.Status !== 'created';
}

interface Supervision {
  readonly files: OutputFiles;
  readonly stopper: Stopper;
  readonly output: OutputCopy;
  readonly watch: Watch;
}

async function seeThrough(
  options: SessionOptions,
  { files, stopper, output, watch }: Supervision,
): Promise<EngineOutcome> {
  const { api, config, run, id, found } = options;
  options.onStarted();
  // Not by Docker's times: its clock may have been set since.
  const startedAt = performance.now() - run.elapsedMs;
  const disarm = armStops(options, stopper, startedAt);
  const meter = createUsageMeter(api, id);
  watch.begin();
  const ending = await watch.ending.finally(() => {
    meter.stop();
    disarm();
    stopper.settle();
  });
  await output.finish(ending.type === 'ended');
  const earlier = found === null ? null : await readStopReason(run.scratchDir);
  failpoint('container.ended');
  await api.remove(id).catch(() => undefined); // what cannot be removed now is swept later
  failpoint('container.removed');
  return outcomeOf({
    order: run.order,
    ending,
    stopped: stopper.reason() ?? earlier,
    unwatched: found !== null && !found.Running,
    stderrHead: files.stderrHead(),
    outputDropped: files.dropped() || output.incomplete(config.logMaxBytes),
    usage: meter.read(wallMsOf(ending, found, startedAt)),
  });
}

/** Docker's own times where the program ended while this process was not there. */
function wallMsOf({ state }: Ending, found: ContainerState | null, startedAt: number): number {
  const unseen = found?.Running === false && state !== null;
  const docker = unseen ? Date.parse(state.FinishedAt) - Date.parse(state.StartedAt) : Number.NaN;
  const wallMs = docker >= 0 ? docker : performance.now() - startedAt;
  return Math.max(0, Math.round(wallMs));
}

/**
 * Connects the caller's signal and the time limit with the stopper. @returns what disconnects them
 */
function armStops(options: SessionOptions, stopper: Stopper, startedAt: number): () => void {
  const { signal, run } = options;
  const onAbort = (): void => stopper.stop('cancelled');
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  const onAtOnce = (): void => stopper.stop('cancelled', true);
  run.atOnce.addEventListener('abort', onAtOnce, { once: true });
  if (run.atOnce.aborted) onAtOnce();
  let timer: NodeJS.Timeout | undefined;
  const arm = (): void => {
    const left = startedAt + run.order.timeoutMs - performance.now();
    if (left <= 0) stopper.stop('execution-timeout');
    else timer = setTimeout(arm, Math.min(left, TIMER_MAX_MS));
  };
  if (run.order.timeoutMs > 0 && options.found?.Running !== false) arm();
  return () => {
    signal.removeEventListener('abort', onAbort);
    run.atOnce.removeEventListener('abort', onAtOnce);
    clearTimeout(timer);
  };
}

/** The copying of a container's output, which may have to be taken up again. */
interface OutputCopy {
  /** Copies a stream that begins where the program begins. */
  follow(stream: Readable): void;
  /**
   * Lets go of the stream in use and copies the container's whole log, leaving out what is known.
   */
  repeat(): void;
  /** Waits for the rest. `readable`: the container has ended and is still there. */
  finish(readable: boolean): Promise<void>;
  abandon(): void;
  /** True when the log may have lost its beginning before it was read. */
  incomplete(logMaxBytes: number): boolean;
}

function createOutputCopy(
  api: DockerApi,
  id: string,
  files: OutputFiles,
  onWriteError: () => void,
): OutputCopy {
  const finished = new AbortController();
  let current: Readable | null = null;
  /** How often the log was taken up; a copy of an earlier time gives way. */
  let turn = 0;
  let work: Promise<void> = Promise.resolve();

  const copy = async (stream: Readable): Promise<void> => {
    current = stream;
    try {
      await files.copy(stream);
    } catch {
      stream.destroy();
      onWriteError();
    }
  };
  const copyLog = async (mine: number): Promise<void> => {
    files.rewind();
    const log = await api.logs(id).catch(() => null);
    if (log === null) return;
    if (mine === turn) await copy(log);
    else log.destroy();
  };
  // A Docker that has just come back may end a log though the program goes on.
  const keepCopying = async (mine: number): Promise<void> => {
    while (mine === turn && !finished.signal.aborted) {
      await copyLog(mine);
      await delay(LOG_AGAIN_MS, undefined, { signal: finished.signal }).catch(() => undefined);
    }
  };
  /** Waits for the copy under way, but not for ever. */
  const settled = async (): Promise<void> => {
    const timer = setTimeout(() => current?.destroy(), OUTPUT_LATE_MS);
    await work;
    clearTimeout(timer);
  };
  return {
    follow(stream) {
      work = copy(stream);
    },
    repeat() {
      current?.destroy();
      turn += 1;
      const mine = turn;
      work = work.then(() => keepCopying(mine));
    },
    async finish(readable) {
      finished.abort();
      await settled();
      if (!readable || turn === 0) return;
      work = copyLog(turn);
      await settled();
    },
    abandon() {
      finished.abort();
      current?.destroy();
    },
    incomplete: (logMaxBytes) => turn > 0 && files.seenBytes() > logMaxBytes,
  };
}
