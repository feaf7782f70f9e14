/**
 * What the Docker tests share: whether Docker is here, an engine with everything set, and orders
 * for it. Containers of one test file carry their own node label, so that files can run side by
 * side.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { environmentOf } from '../../src/core/record/execution.ts';
import type { ExecutionOrder } from '../../src/core/record/execution.ts';
import { asExecutionId, asJobId } from '../../src/core/record/ids.ts';
import type { DockerEngineConfig } from '../../src/engines/docker/config.ts';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import type { Engine, EngineOutcome, EngineRun, Mount } from '../../src/engines/engine.ts';
import type { Json, Network, Task } from '../../src/job/model.ts';

const exec = promisify(execFile);

/** Made by `scripts/docker-setup`; holds nothing but busybox. */
export const IMAGE = 'shoal-test/busybox:local';

/** The name of an image that one test file makes: the same file may run twice on one Docker. */
export const imageNamed = (name: string): string => `shoal-test/${name}-${process.pid}:local`;

/** Runs the docker command of this machine. @returns its stdout, trimmed */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await exec('docker', args);
  return stdout.trim();
}

/**
 * Why Docker tests cannot run here; false when they can. With SHOAL_TEST_REQUIRE_DOCKER set they
 * are never left out: they fail instead.
 */
export async function dockerMissing(): Promise<string | false> {
  if (process.env['SHOAL_TEST_REQUIRE_DOCKER'] !== undefined) return false;
  try {
    await docker('image', 'inspect', IMAGE);
    return false;
  } catch (error) {
    const why = `Docker or the image ${IMAGE} is not here: run scripts/docker-setup as root (${String(error).slice(0, 200)})`;
    process.stderr.write(`\n*** DOCKER TESTS LEFT OUT: ${why}\n\n`);
    return why;
  }
}

export function engineConfig(changes: Partial<DockerEngineConfig> = {}): DockerEngineConfig {
  return {
    defaultNetwork: 'None',
    socketPath: null,
    nodeLabel: `test-${randomUUID()}`,
    meshLabel: 'test',
    dataLabel: `/nowhere/${randomUUID()}`,
    hostLabel: `test-${randomUUID()}`,
    user: null,
    readonlyRootfs: false,
    tmpfsBytes: 16 * 1024 * 1024,
    capabilities: [],
    pidsLimit: 64,
    openFilesMax: 1024,
    diskLooksMax: 250_000,
    logMaxBytes: 16 * 1024 * 1024,
    pullTimeoutMs: 30_000,
    // What others write on this disk while an image is pulled counts with it.
    imageMaxBytes: 1e13,
    skipPull: false,
    stopGraceMs: 2000,
    lostAfterMs: 60_000,
    portFirst: 20_000,
    portLast: 32_000,
    // The tests of pulling play a registry on loopback.
    privateRegistries: ['127.0.0.1'],
    portAddresses: [],
    onProgress: () => undefined,
    ...changes,
  };
}

export interface RunChanges {
  /** Run by `sh -c`, unless `params` are given. */
  readonly script?: string;
  readonly params?: Readonly<Record<string, Json>>;
  readonly network?: Partial<Network>;
  readonly memoryBytes?: number;
  readonly cpuMillis?: number;
  readonly gpus?: number;
  readonly timeoutMs?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly outputMaxBytes?: number;
  readonly diskBytes?: number;
  readonly inputs?: readonly Mount[];
  readonly execution?: string;
}

/** A directory that is laid out as the runner does it: private, results below it. */
export interface Workspace extends AsyncDisposable {
  readonly directory: string;
  readonly results: string;
}

export async function createWorkspace(): Promise<Workspace> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-docker-'));
  await chmod(directory, 0o700);
  const results = join(directory, 'outputs');
  await mkdir(results, { mode: 0o755 });
  await mkdir(join(directory, 'scratch'));
  return {
    directory,
    results,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}

function taskOf(changes: RunChanges): Task {
  const script = changes.script ?? 'true';
  return {
    Name: 'main',
    Engine: {
      Type: 'docker',
      Params: changes.params ?? { Image: IMAGE, Parameters: ['sh', '-c', script] },
    },
    Publisher: { Type: '', Params: {} },
    Env: changes.env ?? {},
    Meta: {},
    InputSources: [],
    ResultPaths: [{ Name: 'outputs', Path: '/outputs' }],
    ResourcesConfig: { CPU: '', Memory: '', Disk: '', GPU: '' },
    resources: {
      cpuMillis: changes.cpuMillis ?? 500,
      memoryBytes: changes.memoryBytes ?? 64 * 1024 * 1024,
      diskBytes: 0,
      gpus: changes.gpus ?? 0,
    },
    Network: { Type: 'Default', Domains: [], Ports: [], ...changes.network },
    Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
  };
}

export function runOf(workspace: Workspace, changes: RunChanges = {}): EngineRun {
  const order: ExecutionOrder = {
    execution: asExecutionId(changes.execution ?? `e-${randomUUID()}`),
    job: asJobId(`j-${randomUUID()}`),
    jobType: 'batch',
    jobName: 'test',
    namespace: 'default',
    version: 1,
    partition: 0,
    partitionCount: 1,
    attempt: 0,
    restarts: 0,
    epoch: 0,
    task: taskOf(changes),
    holders: [],
    timeoutMs: changes.timeoutMs ?? 0,
  };
  const results = { source: workspace.results, target: '/outputs', writable: true };
  return {
    order,
    mounts: [...(changes.inputs ?? []), results],
    env: environmentOf(order),
    stdoutPath: join(workspace.directory, 'stdout'),
    stderrPath: join(workspace.directory, 'stderr'),
    outputMaxBytes: changes.outputMaxBytes ?? 1024 * 1024,
    diskBytes: changes.diskBytes ?? 1e9,
    fileMaxBytes: changes.diskBytes ?? 1e9,
    scratchDir: join(workspace.directory, 'scratch'),
    elapsedMs: 0,
    atOnce: new AbortController().signal,
  };
}

export interface Ran {
  readonly outcome: EngineOutcome;
  readonly stdout: string;
  readonly stderr: string;
  readonly started: number;
  readonly run: EngineRun;
}

const readOr = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** Runs one script in a workspace of its own and collects everything. */
export async function runOnce(
  changes: RunChanges,
  engine: Engine = createDockerEngine(engineConfig()),
  signal: AbortSignal = new AbortController().signal,
): Promise<Ran> {
  await using workspace = await createWorkspace();
  const run = runOf(workspace, changes);
  let started = 0;
  const outcome = await engine.run(run, () => (started += 1), signal);
  const stdout = await readOr(run.stdoutPath);
  const stderr = await readOr(run.stderrPath);
  return { outcome, stdout, stderr, started, run };
}

/** `exited 3` or `failed out-of-memory/limit`: what tests compare. */
export function shortOf(outcome: EngineOutcome | null): string {
  if (outcome === null) return 'null';
  if (outcome.type === 'exited') return `exited ${outcome.exitCode}`;
  return `failed ${outcome.failure.code}/${outcome.failure.class}`;
}

/** Waits until `probe` gives something; throws with `what` after the deadline. */
export async function until<T>(
  what: string,
  probe: () => Promise<T | null | false>,
  deadlineMs = 30_000,
): Promise<T> {
  const end = performance.now() + deadlineMs;
  for (;;) {
    const value = await probe();
    if (value !== null && value !== false) return value;
    if (performance.now() > end) throw new Error(`not in ${deadlineMs} ms: ${what}`);
    await delay(50);
  }
}

/** Names of all containers with this node label, running or not. */
export async function containersOf(nodeLabel: string): Promise<readonly string[]> {
  const filter = `label=shoal.node=${nodeLabel}`;
  const names = await docker('ps', '--all', '--filter', filter, '--format', '{{.Names}}');
  return names === '' ? [] : names.split('\n');
}
