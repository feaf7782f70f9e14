import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ExecutionOrder } from '../../../../src/core/record/execution.ts';
import { asExecutionId, asJobId } from '../../../../src/core/record/ids.ts';
import { outcomeOf } from '../../../../src/engines/docker/outcome.ts';
import type { EndFacts } from '../../../../src/engines/docker/outcome.ts';
import type { Ending } from '../../../../src/engines/docker/watch.ts';

const order: ExecutionOrder = {
  execution: asExecutionId('e-1'),
  job: asJobId('j-1'),
  jobType: 'batch',
  jobName: 'test',
  namespace: 'default',
  version: 1,
  partition: 0,
  partitionCount: 1,
  attempt: 0,
  restarts: 0,
  epoch: 0,
  task: {
    Name: 'main',
    Engine: { Type: 'docker', Params: {} },
    Publisher: { Type: '', Params: {} },
    Env: {},
    Meta: {},
    InputSources: [],
    ResultPaths: [],
    ResourcesConfig: { CPU: '', Memory: '', Disk: '', GPU: '' },
    resources: { cpuMillis: 0, memoryBytes: 64 * 1024 * 1024, diskBytes: 0, gpus: 0 },
    Network: { Type: 'None', Domains: [], Ports: [] },
    Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
  },
  holders: [],
  timeoutMs: 1000,
};

const ended = (exitCode: number, changes: Partial<Ending> = {}): Ending => ({
  type: 'ended',
  state: {
    Status: 'exited',
    Running: false,
    Paused: false,
    Restarting: false,
    OOMKilled: false,
    Dead: false,
    Pid: 0,
    ExitCode: exitCode,
    Error: '',
    StartedAt: '',
    FinishedAt: '',
  },
  interrupted: false,
  outOfMemory: false,
  signalled: false,
  ...changes,
});

const lost = (type: 'gone' | 'unreachable'): Ending => ({ ...ended(0), type, state: null });

const facts = (ending: Ending, changes: Partial<EndFacts> = {}): EndFacts => ({
  order,
  ending,
  stopped: null,
  unwatched: false,
  stderrHead: '',
  outputDropped: false,
  usage: { cpuMs: null, peakMemoryBytes: null, wallMs: 1 },
  ...changes,
});

const TINI = '[FATAL tini (7)] exec nosuch failed: No such file or directory\n';

test('each way a container can end has one outcome', () => {
  const cases: readonly [string, EndFacts][] = [
    ['exited 0', facts(ended(0))],
    ['exited 137', facts(ended(137))],
    ['exited 0', facts(ended(0, { outOfMemory: true }))],
    ['out-of-memory limit', facts(ended(137, { outOfMemory: true }))],
    ['out-of-memory limit', facts(ended(1, { outOfMemory: true, interrupted: true }))],
    [
      'execution-timeout limit',
      facts(ended(137, { signalled: true }), { stopped: 'execution-timeout' }),
    ],
    ['cancelled transient', facts(ended(0), { stopped: 'cancelled' })],
    ['cancelled transient', facts(lost('unreachable'), { stopped: 'cancelled' })],
    ['output-not-written node', facts(ended(137), { stopped: 'output-not-written' })],
    ['docker-lost node', facts(lost('gone'))],
    ['docker-lost node', facts(lost('unreachable'))],
    ['docker-lost node', facts(ended(137, { interrupted: true }))],
    ['docker-lost node', facts(ended(143, { signalled: true }))],
    ['docker-lost node', facts(ended(255), { unwatched: true })],
    ['exited 1', facts(ended(1, { interrupted: true, signalled: true }), { unwatched: true })],
    ['exited 127', facts(ended(127), { stderrHead: 'sh: nosuch: not found' })],
    ['entrypoint-not-found spec', facts(ended(127), { stderrHead: TINI })],
    ['exited 3', facts(ended(3), { stderrHead: TINI })],
  ];
  for (const [expected, given] of cases) {
    const outcome = outcomeOf(given);
    const short =
      outcome.type === 'exited'
        ? `exited ${outcome.exitCode}`
        : `${outcome.failure.code} ${outcome.failure.class}`;
    assert.equal(short, expected, JSON.stringify(given));
  }
});
