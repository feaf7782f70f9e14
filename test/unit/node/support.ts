/** A runner over real processes and files, and what it told. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionOrder, RunEvent } from '../../../src/core/record/execution.ts';
import type { ExecutionId } from '../../../src/core/record/ids.ts';
import type { Engine } from '../../../src/engines/engine.ts';
import { pause } from '../../../src/lib/abort.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createRunner } from '../../../src/node/runner/runner.ts';
import type { Runner, RunnerOptions } from '../../../src/node/runner/runner.ts';
import { createInlineSource } from '../../../src/storage/inline-source.ts';
import { createIpfsSource } from '../../../src/storage/ipfs-source.ts';
import { createIpfsPublisher, createNoopPublisher } from '../../../src/storage/publishers.ts';
import type { Publisher, Source } from '../../../src/storage/source.ts';
import type { Task } from '../../../src/job/model.ts';
import { createFakeContent } from '../storage/fake-content.ts';
import type { FakeContent } from '../storage/fake-content.ts';
import { orderOf } from '../storage/support.ts';
import { createShellEngine } from './shell-engine.ts';
import type { ShellEngine } from './shell-engine.ts';

export type Last = Exclude<RunEvent, { readonly type: 'phase' }>;

export interface World extends AsyncDisposable {
  readonly directory: string;
  readonly executionsDir: string;
  readonly runner: Runner;
  readonly engine: ShellEngine;
  readonly content: FakeContent;
  readonly log: string[];
  /** Phases and the last event's type, in the order told. */
  told(execution?: string): string[];
  /** Waits for the last event. */
  last(execution?: string): Promise<Last>;
  /** Waits until the runner told this phase. */
  phase(name: string, execution?: string): Promise<void>;
}

export interface WorldOptions {
  readonly engines?: ReadonlyMap<string, Engine>;
  readonly sources?: ReadonlyMap<string, Source>;
  readonly publishers?: ReadonlyMap<string, Publisher>;
  readonly settings?: Partial<RunnerOptions['settings']>;
  readonly environment?: RunnerOptions['environment'];
  readonly now?: () => number;
  readonly emit?: (event: RunEvent) => void;
}

export const settings: RunnerOptions['settings'] = {
  inputMaxBytes: 1_000_000,
  diskDefaultBytes: 10_000_000,
  diskLooksMax: 10_000,
  outputMaxBytes: 1_000_000,
  resultMaxBytes: 10_000_000,
  resultEntriesMax: 1_000,
  resultDepthMax: 16,
  logRetentionMs: 1_000,
  logsMaxBytes: 1_000_000_000,
  diskPollMs: 20,
  allowedEnv: [],
};

export async function world(options: WorldOptions = {}): Promise<World> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-runner-'));
  const executionsDir = join(directory, 'executions');
  const engine = createShellEngine(true);
  const content = createFakeContent();
  const log: string[] = [];
  const told: { execution: string; event: RunEvent }[] = [];
  const waiting = new Set<() => void>();
  const runner = createRunner({
    engines: options.engines ?? new Map([['shell', engine]]),
    sources:
      options.sources ??
      new Map(
        [createIpfsSource(content), createInlineSource(1_000)].map((each) => [each.type, each]),
      ),
    publishers:
      options.publishers ??
      new Map(
        [createIpfsPublisher(content), createNoopPublisher('')].map((each) => [each.type, each]),
      ),
    settings: { ...settings, ...options.settings },
    environment: options.environment ?? {},
    now: options.now ?? Date.now,
    onDiskFull: () => {},
    executionsDir,
    log: createLog('debug', { write: (line) => void log.push(line) }),
    emit(execution: ExecutionId, event: RunEvent) {
      told.push({ execution, event });
      for (const wake of waiting) wake();
      options.emit?.(event);
    },
  });
  const until = (
    what: string,
    execution: string,
    found: (event: RunEvent) => boolean,
  ): Promise<RunEvent> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const hit = told.find((each) => each.execution === execution && found(each.event));
        if (hit === undefined) return;
        clearTimeout(deadline);
        waiting.delete(look);
        resolve(hit.event);
      };
      const deadline = setTimeout(
        () =>
          reject(
            new Error(`no ${what} of ${execution}; told: ${JSON.stringify(told)}\n${log.join('')}`),
          ),
        20_000,
      );
      waiting.add(look);
      look();
    });
  return {
    directory,
    executionsDir,
    runner,
    engine,
    content,
    log,
    told: (execution = 'e-1') =>
      told
        .filter((each) => each.execution === execution)
        .map(({ event }) => (event.type === 'phase' ? event.phase : event.type)),
    last: async (execution = 'e-1') =>
      (await until('last event', execution, (event) => event.type !== 'phase')) as Last,
    phase: async (name, execution = 'e-1') =>
      void (await until(
        name,
        execution,
        (event) => event.type === 'phase' && event.phase === name,
      )),
    async [Symbol.asyncDispose]() {
      await runner.stop(10_000);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Waits for a condition; `what` says what was waited for in vain. */
export async function eventually(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`never: ${what}`);
    await pause(5, new AbortController().signal);
  }
}

/** An order of the shell engine. */
export const shell = (
  script: string,
  task: Partial<Task> = {},
  order: Partial<ExecutionOrder> = {},
): ExecutionOrder =>
  orderOf(
    order.execution ?? 'e-1',
    { Engine: { Type: 'shell', Params: { Script: script } }, ...task },
    order,
  );

/** The failure of a last event as `class code`. */
export const failureOf = (event: Last): string =>
  event.type === 'failed' ? `${event.failure.class} ${event.failure.code}` : event.type;
