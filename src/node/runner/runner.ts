/**
 * Carries out executions on this node: the hand of the core. Each order becomes a directory, a run of
 * its engine and a sequence of events; a crash at any point is continued, not repeated. How many run
 * at a time is the core's decision alone. Never throws for what a job does.
 */
import { mkdir } from 'node:fs/promises';
import { isInterruption } from '../../core/record/execution.ts';
import type { ExecutionOrder, RunEvent } from '../../core/record/execution.ts';
import { asExecutionId } from '../../core/record/ids.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import { createPermits } from '../../../p2p/protocols/permits.ts';
import { pause } from '../../lib/abort.ts';
import type { Log } from '../../lib/log.ts';
import { carryOut, heads, ofEarlierRun } from './run-one.ts';
import type { OrderRun, RunPorts } from './run-one.ts';
import { executionFiles } from './files.ts';
import type { FinalEvent } from './files.ts';
import { createSweeper } from './sweep.ts';
import { createWarden } from './warden.ts';
import { failpoint } from '../../lib/failpoint.ts';

export interface RunnerOptions extends RunPorts {
  /** Directory of all executions; made when it is not there. */
  readonly executionsDir: string;
  readonly log: Log;
  /** Told each event once, in order. */
  readonly emit: (execution: ExecutionId, event: RunEvent) => void;
}

export interface Runner {
  /**
   * Begins an execution, or goes on with one that an earlier process began. Returns at once.
   * @param resume it may have been begun; only logged, because the files tell.
   * @param until by this process's clock: its program is ended then, unless it is extended; null = no such end
   */
  start(order: ExecutionOrder, resume: boolean, until?: number | null): void;
  /** Its program may run until then. */
  extend(execution: ExecutionId, until: number): void;
  /** Ends it and reports `cancelled`; nothing when it is over. */
  cancel(execution: ExecutionId, why: string): void;
  /** Its files may go after the retention time. */
  forget(execution: ExecutionId): void;
  /** Executions that are not over. */
  keep(): ReadonlySet<ExecutionId>;
  /** True while the execution is not over, also between two runs of its program; what follows its logs needs to know. */
  isActive(execution: ExecutionId): boolean;
  /**
   * Removes what nobody needs: files past their time, and what engines have left of executions that
   * nobody goes on with. To be called every minute or so, from when the core has started again what
   * it knows.
   */
  sweep(): Promise<void>;
  /** Ends all programs without a word to the core, and waits at most `deadlineMs` for them. */
  stop(deadlineMs: number): Promise<void>;
}

/** Published side by side; nobody is sent away, as all have their place on this node already. */
const LARGE_RESULTS = { max: 2, perPeer: 1, waitingMax: Number.POSITIVE_INFINITY };

interface Active {
  readonly abort: AbortController;
  /** Rings when it has to end; null when it need not. */
  alarm: NodeJS.Timeout | null;
}

/** Why a run was aborted. */
class RunEnd extends Error {
  override readonly name = 'RunEnd';
  readonly kind: 'cancel' | 'stop';
  constructor(kind: 'cancel' | 'stop', why: string) {
    super(why);
    this.kind = kind;
  }
}

export function createRunner(options: RunnerOptions): Runner {
  const active = new Map<ExecutionId, Active>();
  /** Its program is over, and is started again. */
  const resting = new Set<ExecutionId>();
  /** Of each execution the run that was begun last, until it is cleared up after. */
  const last = new Map<ExecutionId, Promise<void>>();
  /** Work under way, the clearing up after the last event included. */
  const background = new Set<Promise<void>>();
  const sweeper = createSweeper(options);
  const largeResults = createPermits(LARGE_RESULTS);
  const warden = createWarden({
    executionsDir: options.executionsDir,
    remainsOf: (execution) =>
      [...options.engines.values()].flatMap((engine) => engine.remainsOf?.(execution) ?? []),
    log: options.log,
  });
  let stopping = false;

  const tell = (execution: ExecutionId, event: RunEvent): void => {
    if (stopping) return;
    try {
      options.emit(execution, event);
    } catch (error) {
      options.log.error({ error, execution }, 'execution.event-lost');
    }
  };

  /** Work that nobody waits for; its failure is logged, never thrown. */
  const inBackground = (execution: ExecutionId, work: Promise<void>): void => {
    const guarded = work.catch((error: unknown) =>
      options.log.error({ error, execution }, 'execution.files-broken'),
    );
    background.add(guarded);
    void guarded.finally(() => background.delete(guarded));
  };

  /** @returns when whoever ends it in place of this process knows of it */
  const limit = (execution: ExecutionId, run: Active, until: number): Promise<void> => {
    const leftMs = until - performance.now();
    if (run.alarm !== null) clearTimeout(run.alarm);
    const end = (): void => run.abort.abort(new RunEnd('cancel', 'it may run no longer'));
    if (leftMs <= 0) end();
    else run.alarm = setTimeout(end, leftMs);
    return warden.watch(execution, Math.max(0, leftMs));
  };

  inBackground(asExecutionId('all'), warden.adopt());
  return {
    start(order, resume, until = null) {
      const { execution } = order;
      if (stopping || active.has(execution)) return;
      const abort = new AbortController();
      const run: Active = { abort, alarm: null };
      const log = options.log.child({ execution });
      log.debug({ job: order.job, resume }, 'execution.start');
      const phase: OrderRun['phase'] = (name) => tell(execution, { type: 'phase', phase: name });
      resting.delete(execution);
      const earlier = last.get(execution);
      const before =
        until === null
          ? earlier
          : Promise.all([earlier, limit(execution, run, until)]).then(() => undefined);
      const done = carryThrough(
        { ...options, order, log, signal: abort.signal, phase, largeResults, before },
        (event) => {
          active.delete(execution);
          if (run.alarm !== null) clearTimeout(run.alarm);
          if (until !== null) inBackground(execution, warden.release(execution));
          if (isInterruption(order.jobType, event)) resting.add(execution);
          tell(execution, event);
        },
      );
      active.set(execution, run);
      last.set(execution, done);
      const drop = (): void => {
        if (last.get(execution) === done) last.delete(execution);
      };
      void done.then(drop, drop);
      inBackground(execution, done);
    },
    extend(execution, until) {
      const run = active.get(execution);
      if (run !== undefined) inBackground(execution, limit(execution, run, until));
    },
    cancel(execution, why) {
      const run = active.get(execution);
      if (run !== undefined) run.abort.abort(new RunEnd('cancel', why));
      else
        inBackground(
          execution,
          cancelIdle(options, execution, (event) => tell(execution, event)),
        );
    },
    forget(execution) {
      resting.delete(execution);
      inBackground(execution, markForgotten(options, execution));
    },
    keep: () => new Set(active.keys()),
    isActive: (execution) => active.has(execution) || resting.has(execution),
    sweep: () => sweeper(() => new Set(active.keys())),
    async stop(deadlineMs) {
      stopping = true;
      for (const run of active.values()) run.abort.abort(new RunEnd('stop', 'the node stops'));
      warden.leave();
      const waiting = new AbortController();
      const all = Promise.all(background);
      const inTime = await Promise.race([
        all.then(() => true),
        pause(deadlineMs, waiting.signal).then(() => false),
      ]);
      waiting.abort();
      if (!inTime) options.log.warn({ executions: [...active.keys()] }, 'runner.stopped-late');
    },
  };
}

type Setup = Omit<OrderRun, 'files'> & {
  readonly executionsDir: string;
  /** The clearing up after the run before. */
  readonly before: Promise<void> | undefined;
};

/** From where the files stand to the last event, which is durable before it is told. Never rejects. */
async function carryThrough(setup: Setup, tell: (event: FinalEvent) => void): Promise<void> {
  const { log, order } = setup;
  try {
    const carried: OrderRun = {
      ...setup,
      files: executionFiles(setup.executionsDir, order.execution),
    };
    await setup.before;
    const told = (await ofEarlierRun(carried)) ? null : await carried.files.read('final');
    if (told !== null) {
      tell(told);
      return;
    }
    const event = await lastEvent(carried);
    if (event === null) return carried.files.settled();
    // Between here and `tell` a crash is harmless: the next process tells what is written.
    await mkdir(carried.files.directory, { recursive: true, mode: 0o700 });
    await Promise.all([carried.files.write('final', event), carried.files.settled()]);
    tell(event);
    failpoint('run.told');
    await carried.files
      .clear()
      .catch((error: unknown) => log.warn({ error }, 'execution.not-cleared'));
    failpoint('execution.cleared');
  } catch (error) {
    // Even the files cannot be written: the core still has to hear that this node cannot do it.
    log.error({ error }, 'execution.broken');
    const message = `This node cannot keep its own files: ${error instanceof Error ? error.message : String(error)}`;
    tell({
      type: 'failed',
      failure: { code: 'node-failed', class: 'node', message: message.slice(0, 1_000) },
      output: null,
      usage: null,
    });
  }
}

/** @returns null when the node stops: the next process goes on. */
async function lastEvent(carried: OrderRun): Promise<FinalEvent | null> {
  try {
    return await carryOut(carried);
  } catch (error) {
    const reason: unknown = carried.signal.reason;
    if (!(reason instanceof RunEnd)) throw error;
    if (reason.kind === 'stop') return null;
    const began = (await carried.files.read('prepared')) !== null;
    return { type: 'cancelled', output: began ? await heads(carried) : null };
  }
}

/** Cancels what is on disk but was not taken up again after a restart. */
async function cancelIdle(
  options: RunnerOptions,
  execution: ExecutionId,
  tell: (event: FinalEvent) => void,
): Promise<void> {
  const files = executionFiles(options.executionsDir, execution);
  if ((await files.read('order')) === null || (await files.read('final')) !== null) return;
  await files.write('final', { type: 'cancelled', output: null });
  tell({ type: 'cancelled', output: null });
}

async function markForgotten(options: RunnerOptions, execution: ExecutionId): Promise<void> {
  const files = executionFiles(options.executionsDir, execution);
  const known = (await files.read('order')) ?? (await files.read('final'));
  if (known !== null && (await files.read('forgotten')) === null)
    await files.write('forgotten', { at: options.now() });
}
