/** Ordinary runs: output, exit codes, environment, data, and how a program is stopped. */
import assert from 'node:assert/strict';
import { stat, readFile, writeFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import {
  IMAGE,
  containersOf,
  createWorkspace,
  dockerMissing,
  engineConfig,
  runOf,
  runOnce,
  shortOf,
  until,
} from './support.ts';

const skip = await dockerMissing();

test('stdout, stderr and the exit code of a program come back apart', { skip }, async () => {
  const config = engineConfig();
  const ran = await runOnce(
    { script: 'echo out; echo err >&2; exit 3' },
    createDockerEngine(config),
  );
  assert.equal(shortOf(ran.outcome), 'exited 3');
  assert.equal(ran.stdout, 'out\n');
  assert.equal(ran.stderr, 'err\n');
  assert.equal(ran.started, 1);
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('the environment is the node’s, then the engine’s own variables over it', {
  skip,
}, async () => {
  const ran = await runOnce({
    env: { FROM_TASK: 'task', BOTH: 'task', BACALHAU_JOB_TYPE: 'forged' },
    params: {
      Image: IMAGE,
      Entrypoint: ['sh', '-c'],
      Parameters: ['echo "$FROM_TASK $BOTH $BACALHAU_JOB_TYPE $SHOAL_ATTEMPT $PWD"'],
      EnvironmentVariables: ['BOTH=engine'],
      WorkingDirectory: '/var/tmp',
    },
  });
  assert.equal(ran.stdout, 'task engine batch 0 /var/tmp\n');
});

test('a program that is not root writes to its result path', { skip }, async () => {
  await using workspace = await createWorkspace();
  const engine = createDockerEngine(engineConfig({ user: '65534:65534' }));
  const run = runOf(workspace, { script: 'id -u > /outputs/who' });
  const outcome = await engine.run(run, () => undefined, new AbortController().signal);
  assert.equal(shortOf(outcome), 'exited 0');
  assert.equal(await readFile(join(workspace.results, 'who'), 'utf8'), '65534\n');
  assert.equal((await stat(workspace.directory)).mode & 0o777, 0o700);
});

test('inputs are seen at their target, and read-only ones cannot be written', {
  skip,
}, async () => {
  await using workspace = await createWorkspace();
  const source = join(workspace.directory, 'input');
  await mkdir(source, { mode: 0o755 });
  await writeFile(join(source, 'a.txt'), 'hello');
  const run = runOf(workspace, {
    script: 'cat /inputs/a.txt; touch /inputs/b || echo refused',
    inputs: [{ source, target: '/inputs', writable: false }],
  });
  const engine = createDockerEngine(engineConfig());
  await engine.run(run, () => undefined, new AbortController().signal);
  assert.equal(await readFile(run.stdoutPath, 'utf8'), 'hellorefused\n');
});

test('output beyond the limit is dropped and the program runs on', { skip }, async () => {
  const ran = await runOnce({
    script: 'dd if=/dev/zero bs=1k count=3000 2>/dev/null; echo x > /outputs/done; exit 5',
    outputMaxBytes: 100_000,
  });
  assert.equal(shortOf(ran.outcome), 'exited 5');
  assert.equal(ran.outcome.type === 'exited' && ran.outcome.outputDropped, true);
  assert.equal(ran.stdout.length, 100_000);
});

test('a run past its time limit is stopped, even when it ignores SIGTERM', { skip }, async () => {
  const ran = await runOnce({
    script: 'trap "" TERM; sleep 300 & wait; sleep 300',
    timeoutMs: 1000,
  });
  assert.equal(shortOf(ran.outcome), 'failed execution-timeout/limit');
});

test('cancelling stops a running program and removes its container', { skip }, async () => {
  const config = engineConfig();
  const controller = new AbortController();
  await using workspace = await createWorkspace();
  const run = runOf(workspace, { script: 'echo up; sleep 300' });
  const running = createDockerEngine(config).run(run, () => undefined, controller.signal);
  await until(
    'the program runs',
    async () => (await readFile(run.stdoutPath, 'utf8').catch(() => '')) !== '',
  );
  controller.abort();
  assert.equal(shortOf(await running), 'failed cancelled/transient');
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('SIGTERM reaches the program before it is killed', { skip }, async () => {
  const ran = await runOnce({
    script: 'trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done',
    timeoutMs: 500,
  });
  assert.equal(shortOf(ran.outcome), 'failed execution-timeout/limit');
  assert.equal(ran.stdout, 'bye\n');
});

test('a run that was cancelled before it began starts nothing', { skip }, async () => {
  const ran = await runOnce({}, createDockerEngine(engineConfig()), AbortSignal.abort());
  assert.equal(shortOf(ran.outcome), 'failed cancelled/transient');
  assert.equal(ran.started, 0);
});

test('what a longer run used is measured', { skip }, async () => {
  const ran = await runOnce({
    script: 'end=$(($(date +%s)+4)); while [ $(date +%s) -lt $end ]; do :; done',
  });
  assert.equal(ran.outcome.type, 'exited');
  const { usage } = ran.outcome;
  assert.ok(usage !== null && usage.wallMs > 0, JSON.stringify(usage));
  assert.ok((usage.cpuMs ?? 0) > 100, JSON.stringify(usage));
  assert.ok((usage.peakMemoryBytes ?? 0) > 4096, JSON.stringify(usage));
});
