/**
 * A node process dies with kill -9 while a container runs; the next one takes it up, or clears it
 * away.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { DockerEngineConfig } from '../../src/engines/docker/config.ts';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import type { EngineRun } from '../../src/engines/engine.ts';
import {
  containersOf,
  createWorkspace,
  docker,
  dockerMissing,
  engineConfig,
  runOf,
  shortOf,
  until,
} from './support.ts';
import type { RunChanges, Workspace } from './support.ts';

const skip = await dockerMissing();
const CHILD = fileURLToPath(new URL('crash-child.ts', import.meta.url));
const never = new AbortController().signal;

/** Starts a run in a process of its own and kills that process once the program has begun. */
async function abandonedRun(
  workspace: Workspace,
  config: DockerEngineConfig,
  changes: RunChanges,
): Promise<EngineRun> {
  const run = runOf(workspace, changes);
  const child = spawn(process.execPath, [CHILD, JSON.stringify(config), JSON.stringify(run)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
  return run;
}

/** The state of the run's container, e.g. `running` or `exited`. */
const statusOf = (run: EngineRun): Promise<string> =>
  docker('inspect', '--format', '{{.State.Status}}', `shoal-${run.order.execution}`);

test('a program that still runs is taken up with all of its output', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, {
    script:
      'echo before; echo oops >&2; until [ -e /outputs/go ]; do sleep 0.1; done; echo after; exit 4',
  });
  assert.equal(await statusOf(run), 'running');
  let started = 0;
  const ending = createDockerEngine(config).reattach(run, () => (started += 1), never);
  await until('the run is taken up', async () => started === 1);
  await writeFile(join(workspace.results, 'go'), '');
  assert.equal(shortOf(await ending), 'exited 4');
  assert.equal(await readFile(run.stdoutPath, 'utf8'), 'before\nafter\n');
  assert.equal(await readFile(run.stderrPath, 'utf8'), 'oops\n');
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('a program that ended meanwhile gives its output and exit code', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'echo all; sleep 0.5; exit 6' });
  await until('the program ends', async () => (await statusOf(run)) === 'exited');
  const outcome = await createDockerEngine(config).reattach(run, () => undefined, never);
  assert.equal(shortOf(outcome), 'exited 6');
  assert.equal(outcome?.type === 'exited' && outcome.usage.wallMs > 0, true);
  assert.equal(await readFile(run.stdoutPath, 'utf8'), 'all\n');
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('the time limit of a run that is taken up counts from its start', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'sleep 300', timeoutMs: 600_000 });
  // As its node has counted it, whatever Docker's clock shows.
  const taken = { ...run, elapsedMs: 599_000 };
  const outcome = await createDockerEngine(config).reattach(taken, () => undefined, never);
  assert.equal(shortOf(outcome), 'failed execution-timeout/limit');
  assert.ok(outcome?.type === 'failed' && (outcome.usage?.wallMs ?? 0) >= 599_000);
});

test('a run that is taken up can be cancelled', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'sleep 300' });
  const outcome = await createDockerEngine(config).reattach(
    run,
    () => undefined,
    AbortSignal.abort(),
  );
  assert.equal(shortOf(outcome), 'failed cancelled/transient');
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('a kill by the process that died is told from the program’s own end', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'sleep 300' });
  await writeFile(join(run.scratchDir, 'docker-stopped'), 'execution-timeout');
  await docker('kill', `shoal-${run.order.execution}`);
  const outcome = await createDockerEngine(config).reattach(run, () => undefined, never);
  assert.equal(shortOf(outcome), 'failed execution-timeout/limit');
});

test('a program that somebody else killed meanwhile is lost, not ended', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'sleep 300' });
  await docker('kill', `shoal-${run.order.execution}`);
  const outcome = await createDockerEngine(config).reattach(run, () => undefined, never);
  assert.equal(shortOf(outcome), 'failed docker-lost/node');
});

test('nothing left, or created and never started, means start anew', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = runOf(workspace);
  const engine = createDockerEngine(config);
  assert.equal(await engine.reattach(run, () => undefined, never), null);
  const label = `shoal.node=${config.nodeLabel}`;
  const name = `shoal-${run.order.execution}`;
  await docker('create', '--name', name, '--label', label, 'shoal-test/busybox:local', 'true');
  assert.equal(await engine.reattach(run, () => undefined, never), null);
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('a leftover container of the same execution makes room for a new run', { skip }, async () => {
  const config = engineConfig();
  await using workspace = await createWorkspace();
  const run = await abandonedRun(workspace, config, { script: 'echo once' });
  const outcome = await createDockerEngine(config).run(run, () => undefined, never);
  assert.equal(shortOf(outcome), 'exited 0');
  assert.equal(await readFile(run.stdoutPath, 'utf8'), 'once\n');
});

test('a sweep removes this node’s leftovers, and nothing that is kept or another’s', {
  skip,
}, async () => {
  const mine = engineConfig();
  const other = engineConfig();
  await using workspace = await createWorkspace();
  const kept = await abandonedRun(workspace, mine, { script: 'sleep 300' });
  const left = await abandonedRun(workspace, mine, { script: 'sleep 300' });
  const foreign = await abandonedRun(workspace, other, { script: 'sleep 300' });
  const engine = createDockerEngine(mine);
  const removed = await engine.sweep(new Set([kept.order.execution]));
  assert.deepEqual(removed, [`shoal-${left.order.execution}`]);
  assert.deepEqual(await containersOf(mine.nodeLabel), [`shoal-${kept.order.execution}`]);
  assert.deepEqual(await containersOf(other.nodeLabel), [`shoal-${foreign.order.execution}`]);
  assert.equal((await engine.sweep(new Set())).length, 1);
  assert.equal((await createDockerEngine(other).sweep(new Set())).length, 1);
});

test('a sweep removes what an earlier identity of its data directory left, and no living peer’s', {
  skip,
}, async () => {
  await using workspace = await createWorkspace();
  const machine = { hostLabel: `test-${randomUUID()}` };
  const { directory } = workspace;
  const now = engineConfig({ ...machine, dataLabel: directory });
  const others = {
    'an earlier identity here': [{ ...machine, dataLabel: directory }, 1],
    'an earlier identity here, of another mesh': [
      { ...machine, dataLabel: directory, meshLabel: 'another' },
      1,
    ],
    'one whose data directory is gone': [{ ...machine, dataLabel: `${directory}/gone` }, 1],
    'one with a data directory of its own': [{ ...machine, dataLabel: '/tmp' }, 0],
    'one that runs with a copy of the same key': [
      { ...machine, dataLabel: '/tmp', nodeLabel: now.nodeLabel },
      0,
    ],
    'one of another machine': [{ dataLabel: directory }, 0],
  } as const;
  const engine = createDockerEngine(now);
  for (const [what, [marks, expected]] of Object.entries(others)) {
    const config = engineConfig(marks);
    const { order } = await abandonedRun(workspace, config, { script: 'sleep 300' });
    const name = `shoal-${order.execution}`;
    assert.equal((await engine.sweep(new Set([order.execution]))).length, 0, `${what}, kept`);
    assert.deepEqual(await engine.sweep(new Set()), expected === 1 ? [name] : [], what);
    if (expected === 0) await docker('rm', '--force', name);
  }
});
