/**
 * Carries out execution orders of one node in virtual time: preparing, starting, running, publishing,
 * the end. Programs live outside the node's process: they survive its restart unless the fault plan
 * takes them along. What a run does is drawn from the execution's id, so it does not depend on when
 * it starts.
 */
import type { ExecutionOrder, FailureClass, RunEvent } from '../../src/core/record/execution.ts';
import type { ExecutionId } from '../../src/core/record/ids.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import type { EventQueue } from './event-queue.ts';
import { hashText } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import type { Random } from './random.ts';

type Stage = 'preparing' | 'starting' | 'running' | 'publishing' | 'exited' | 'over';

/** What a simulated program does, named in `Task.Meta['sim-outcome']`. */
export type Outcome = 'succeed' | 'spec-error' | 'limit' | 'exit-nonzero';

export interface SimRun {
  readonly order: ExecutionOrder;
  readonly stage: Stage;
  /** A program (or its preparation) uses resources now. */
  readonly active: boolean;
}

interface Run {
  readonly order: ExecutionOrder;
  stage: Stage;
  /** The last thing this run will report; null until it is decided. */
  last: RunEvent | null;
  /** Guards scheduled steps: a step of an older generation does nothing. */
  generation: number;
  lost: boolean;
  cancelling: boolean;
  /** Its program is killed then, by what needs no process of its node. */
  endsAt: number | null;
}

/** What a program has to say goodbye; then it is killed. */
const GOODBYE_MS = 5_000;

export interface SimRunnerContext {
  readonly queue: EventQueue;
  /** Forked per execution. */
  readonly random: Random;
  readonly blackHole: boolean;
  faults(): FaultPlan;
  /** Hands an event to the node's process; called only while it is attached. */
  emit(execution: ExecutionId, event: RunEvent): void;
}

export interface SimRunner {
  /** @param leftMs real time until its program must be over; null = no such end */
  run(order: ExecutionOrder, resume: boolean, leftMs?: number | null): void;
  /** It may run for so long from now on. */
  extend(execution: ExecutionId, leftMs: number): void;
  cancel(execution: ExecutionId): void;
  forget(execution: ExecutionId): void;
  /** The node's process died. `lossRate`: share of its programs that die with it. */
  detach(lossRate: number): void;
  /** The process is back and removes whatever its store does not explain. */
  attach(keep: ReadonlySet<ExecutionId>): void;
  runs(): readonly SimRun[];
}

const OUTPUT = { stdout: '', stdoutTruncated: false, stderr: '', stderrTruncated: false } as const;
const NEXT: Partial<Record<Stage, Stage>> = {
  preparing: 'starting',
  starting: 'running',
  publishing: 'over',
};

const endless = ({ jobType }: ExecutionOrder): boolean => !JOB_TYPES[jobType].ends;

const isActive = (run: Run): boolean => run.stage !== 'over' && run.stage !== 'exited' && !run.lost;

const failure = (code: string, kind: FailureClass): RunEvent => ({
  type: 'failed',
  failure: { code, class: kind, message: `The simulated run failed: ${code}.` },
  output: null,
  usage: null,
});

export function createSimRunner(context: SimRunnerContext): SimRunner {
  const runs = new Map<ExecutionId, Run>();
  let attached = true;

  const finish = (run: Run, event: RunEvent): void => {
    run.generation += 1;
    run.stage = 'over';
    run.last = event;
    if (attached) context.emit(run.order.execution, event);
  };

  const enter = (run: Run, stage: 'preparing' | 'starting' | 'running' | 'publishing'): void => {
    run.stage = stage;
    const generation = (run.generation += 1);
    const wait = stage === 'running' ? runMs(run.order) : stageMs(stage, run, context);
    // A program's own end does not need the node's process; every other step does.
    context.queue.after(wait, () => {
      if (run.generation === generation) leave(run);
    });
    if (attached) context.emit(run.order.execution, { type: 'phase', phase: stage });
  };

  const leave = (run: Run): void => {
    if (run.stage === 'running') {
      run.stage = 'exited';
      if (!attached) return;
    }
    const problem = run.stage === 'publishing' ? null : problemOf(run, context);
    if (problem !== null) finish(run, problem);
    else if (run.stage === 'publishing') finish(run, endOf(run.order));
    else if (run.stage === 'exited' && endless(run.order)) finish(run, endOf(run.order));
    else if (run.stage === 'exited') enter(run, 'publishing');
    else enter(run, NEXT[run.stage] as 'starting' | 'running');
  };

  const limit = (run: Run, leftMs: number): void => {
    const endsAt = context.queue.now() + leftMs + GOODBYE_MS;
    run.endsAt = endsAt;
    context.queue.after(leftMs + GOODBYE_MS, () => {
      if (run.endsAt !== endsAt || !isActive(run)) return;
      run.lost = true;
      run.generation += 1;
    });
  };

  const resume = (run: Run): void => {
    if (run.lost) finish(run, failure('lost-container', endless(run.order) ? 'transient' : 'node'));
    else if (run.last !== null) context.emit(run.order.execution, run.last);
    else if (run.stage === 'exited') leave(run);
    else if (run.stage === 'running')
      context.emit(run.order.execution, { type: 'phase', phase: 'running' });
    else if (run.stage === 'publishing') enter(run, 'publishing');
    else enter(run, 'preparing');
  };

  return {
    run: (order, again, leftMs = null) => {
      const known = runs.get(order.execution);
      // It was to begin some time ago, and the disk was slow.
      if (leftMs !== null && leftMs <= 0) {
        if (known === undefined) context.emit(order.execution, { type: 'cancelled', output: null });
        else if (known.stage !== 'over') finish(known, { type: 'cancelled', output: OUTPUT });
        else if (known.last !== null) context.emit(order.execution, known.last);
        return;
      }
      if (known !== undefined && leftMs !== null) limit(known, leftMs);
      if (known !== undefined && known.order.restarts >= order.restarts) {
        // What is over is told again, as by the files of a run: an older row may be on the disk of its node.
        if (again || !isActive(known)) resume(known);
        return;
      }
      const run: Run = {
        order,
        stage: 'preparing',
        last: null,
        generation: 0,
        lost: false,
        cancelling: false,
        endsAt: null,
      };
      runs.set(order.execution, run);
      if (leftMs !== null) limit(run, leftMs);
      enter(run, 'preparing');
    },
    extend: (execution, leftMs) => {
      const run = runs.get(execution);
      if (run !== undefined) limit(run, leftMs);
    },
    cancel: (execution) => {
      const run = runs.get(execution);
      if (run === undefined) {
        if (attached) context.emit(execution, { type: 'cancelled', output: null });
        return;
      }
      if (run.stage === 'over' || run.cancelling) return;
      run.cancelling = true;
      context.queue.after(context.random.integer(10, 500), () => {
        run.cancelling = false;
        if (run.stage !== 'over') finish(run, { type: 'cancelled', output: OUTPUT });
      });
    },
    forget: (execution) => {
      runs.delete(execution);
    },
    detach: (lossRate) => {
      attached = false;
      for (const run of runs.values()) {
        run.cancelling = false;
        if (run.stage !== 'running') run.generation += 1;
        if (isActive(run) && context.random.chance(lossRate)) {
          run.lost = true;
          run.generation += 1;
        }
      }
    },
    attach: (keep) => {
      attached = true;
      for (const [execution, run] of [...runs]) {
        if (keep.has(execution)) continue;
        run.generation += 1;
        runs.delete(execution);
      }
    },
    runs: () =>
      [...runs.values()].map((run) => ({
        order: run.order,
        stage: run.stage,
        active: isActive(run),
      })),
  };
}

/** What does not end does so some times at first. */
function wantedMs({ task: { Meta }, restarts }: ExecutionOrder): number {
  const isEarly = restarts < Number(Meta['sim-ends'] ?? '0');
  return Number((isEarly ? Meta['sim-end-ms'] : Meta['sim-run-ms']) ?? '1000');
}

/** What is drawn for a run is another when its program is started again. */
const nameOf = ({ execution, restarts }: ExecutionOrder): string =>
  restarts === 0 ? execution : `${execution} ${restarts}`;

/** Wall time of the program, from the job itself. */
function runMs(order: ExecutionOrder): number {
  const wanted = wantedMs(order);
  return order.timeoutMs > 0 ? Math.min(wanted, order.timeoutMs) : wanted;
}

function stageMs(stage: Stage, run: Run, context: SimRunnerContext): number {
  const own = context.random.fork(`${nameOf(run.order)} ${stage}`);
  if (context.blackHole) return own.integer(1, 50);
  return stage === 'preparing' ? own.integer(50, 3_000) : own.integer(20, 500);
}

/** Why the run ends badly at the end of its present stage; null when it goes on. */
function problemOf(run: Run, context: SimRunnerContext): RunEvent | null {
  if (context.blackHole) return failure('engine-broken', 'node');
  const outcome = (run.order.task.Meta['sim-outcome'] ?? 'succeed') as Outcome;
  const own = context.random.fork(`${nameOf(run.order)} ${run.stage} fails`);
  const faults = context.faults();
  if (run.stage === 'preparing') {
    if (outcome === 'spec-error') return failure('image-not-found', 'spec');
    if (own.chance(faults.runTransientRate)) return failure('registry-unavailable', 'transient');
  }
  if (run.stage === 'starting' && own.chance(faults.runNodeRate))
    return failure('engine-broken', 'node');
  if (run.stage !== 'exited') return null;
  if (outcome === 'limit') return failure('out-of-memory', 'limit');
  return runMs(run.order) < wantedMs(run.order) ? failure('execution-timeout', 'limit') : null;
}

/** The regular end: the result's name depends on nothing but the execution. */
function endOf(order: ExecutionOrder): RunEvent {
  const nonzero = order.task.Meta['sim-outcome'] === 'exit-nonzero';
  const publishes = order.task.Publisher.Type !== '' && !endless(order);
  return {
    type: 'ended',
    exitCode: nonzero ? 3 : 0,
    result: publishes ? { cid: `bafy${hashText(order.execution)}`, bytes: 1_024 } : null,
    output: OUTPUT,
    usage: { cpuMs: runMs(order), peakMemoryBytes: 1_000_000, wallMs: runMs(order) },
  };
}
