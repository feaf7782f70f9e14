/** Orders and inputs for the tests of storage and of the runner. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExecutionOrder } from '../../../src/core/record/execution.ts';
import { asExecutionId, asJobId } from '../../../src/core/record/ids.ts';
import type { InputSource, Json, Task } from '../../../src/job/model.ts';
import { StorageError } from '../../../src/storage/source.ts';
import type { StageContext } from '../../../src/storage/source.ts';

export const inputOf = (
  type: string,
  params: Readonly<Record<string, Json>>,
  target = '/in',
): InputSource => ({
  Source: { Type: type, Params: params },
  Alias: '',
  Target: target,
});

export function orderOf(
  execution: string,
  task: Partial<Task>,
  order: Partial<ExecutionOrder> = {},
): ExecutionOrder {
  return {
    execution: asExecutionId(execution),
    job: asJobId('j-00000000'),
    jobType: 'batch',
    jobName: 'test',
    namespace: 'default',
    version: 1,
    partition: 0,
    partitionCount: 1,
    attempt: 0,
    restarts: 0,
    epoch: 0,
    holders: [],
    timeoutMs: 0,
    ...order,
    task: {
      Name: 'main',
      Engine: { Type: 'noop', Params: {} },
      Publisher: { Type: '', Params: {} },
      Env: {},
      Meta: {},
      InputSources: [],
      ResultPaths: [],
      ResourcesConfig: { CPU: '', Memory: '', Disk: '', GPU: '' },
      resources: { cpuMillis: 100, memoryBytes: 1_000_000, diskBytes: 0, gpus: 0 },
      Network: { Type: 'None', Domains: [], Ports: [] },
      Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
      ...task,
    },
  };
}

export interface Place extends AsyncDisposable {
  readonly path: string;
  context(name: string, given?: Partial<StageContext>): StageContext;
}

/** A directory that is gone when the test is over. */
export async function place(): Promise<Place> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-storage-'));
  return {
    path,
    context: (name, given = {}) => ({
      order: orderOf('e-1', {}),
      destination: join(path, name),
      maxBytes: 1_000_000,
      spend: () => {},
      signal: new AbortController().signal,
      ...given,
    }),
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}

/** What a rejected promise says as an execution's failure: `class code`. */
export async function failureOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StorageError) return `${error.failure.class} ${error.failure.code}`;
    throw error;
  }
  return 'no failure';
}
