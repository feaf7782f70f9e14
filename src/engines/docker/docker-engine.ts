/**
 * The docker engine: runs one execution as one hardened container and reports how it ended. Data
 * goes in and out by bind mounts only. It keeps no state of its own that a crash could lose: the
 * container's name is made of the execution's id, so a later process finds it.
 *
 * It does not fetch inputs, publish results, decide who may run what, or filter HTTP: a job that
 * asks for `HTTP` is refused here too, should it ever get this far, rather than given more network.
 */
import { chmod } from 'node:fs/promises';
import type { ExecutionFailure, ExecutionOrder } from '../../core/record/execution.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import type { Engine, EngineOutcome, EngineRun, EngineStatus } from '../engine.ts';
import type { DockerApi, EngineFacts } from './api.ts';
import { DockerCallError, connectDocker } from './api.ts';
import type { DockerEngineConfig } from './config.ts';
import { LABELS, containerName } from './config.ts';
import { canCount, createDiskMeter } from './disk.ts';
import type { DiskMeter } from './disk.ts';
import { createOptionsOf } from './container-spec.ts';
import type { Abilities } from './container-spec.ts';
import { failureOf, startFailure, unavailable } from './failures.ts';
import { handOver, ownerOf } from './hand-over.ts';
import { ensureImage } from './image.ts';
import { cancelled } from './outcome.ts';
import { readDockerParams } from './params.ts';
import type { DockerParams } from './params.ts';
import { pinMounts, sweepPins } from './pins.ts';
import { choosePorts } from './ports.ts';
import { statusOf, unavailableStatus } from './probe.ts';
import { superviseContainer } from './session.ts';
import { isLeftOver, sweptLabels } from './sweep.ts';
import { inspectPatiently } from './watch.ts';

/** What the engine has learned about the Docker it talks to, and what it is doing. */
interface Shared {
  readonly config: DockerEngineConfig;
  readonly connect: () => Promise<DockerApi>;
  readonly disk: DiskMeter;
  abilities: Abilities;
  facts: EngineFacts | null;
  /** Executions of this process: never swept, as they remove their containers themselves. */
  readonly active: Set<ExecutionId>;
}

/** @param config complete; loads the Docker client only when it is first needed. */
export function createDockerEngine(config: DockerEngineConfig): Engine {
  let connection: Promise<DockerApi> | null = null;
  const connect = (): Promise<DockerApi> => (connection ??= connectDocker(config.socketPath));
  const shared: Shared = {
    config,
    connect,
    disk: createDiskMeter(connect, config.diskLooksMax),
    abilities: { privateCgroup: true, init: true },
    facts: null,
    active: new Set(),
  };
  return {
    name: 'docker',
    probe: () => probe(shared),
    run: (run, onStarted, signal) =>
      tracked(shared, run, () => runContainer(shared, run, onStarted, signal)),
    reattach: (run, onStarted, signal) =>
      tracked(shared, run, () => reattach(shared, run, onStarted, signal)),
    // A run that is over has removed its container.
    diskBytes: async (execution, enough, signal) =>
      shared.active.has(execution) ? shared.disk.measure(execution, enough, signal) : 0,
    remainsOf: (execution) => ({
      type: 'container',
      socketPath: socketOf(config.socketPath),
      name: containerName(execution),
    }),
    sweep: (keep) => sweep(shared, keep),
  };
}

/** As the client finds it; one that is reached over the network is not. */
function socketOf(configured: string | null): string {
  const host = process.env['DOCKER_HOST'] ?? '';
  return configured ?? (host.startsWith('unix://') ? host.slice(7) : '/var/run/docker.sock');
}

const failed = (failure: ExecutionFailure): EngineOutcome => ({
  type: 'failed',
  failure,
  usage: null,
});

async function tracked<T>(shared: Shared, run: EngineRun, work: () => Promise<T>): Promise<T> {
  shared.active.add(run.order.execution);
  try {
    return await work();
  } finally {
    shared.active.delete(run.order.execution);
    shared.disk.forget(run.order.execution);
  }
}

async function probe(shared: Shared): Promise<EngineStatus> {
  const api = await shared.connect();
  try {
    shared.facts = await api.facts();
    return statusOf(shared.facts, await canCount(shared.facts.rootDir));
  } catch (error) {
    if (!(error instanceof DockerCallError)) throw error;
    shared.facts = null;
    return unavailableStatus(error.api, shared.config.socketPath);
  }
}

async function runContainer(
  shared: Shared,
  run: EngineRun,
  onStarted: () => void,
  signal: AbortSignal,
): Promise<EngineOutcome> {
  const { config } = shared;
  const read = readDockerParams(run.order.task);
  if (!read.ok) return failed(read.failure);
  if (run.order.task.Network.Type === 'HTTP') {
    const text = 'This node cannot restrict a job to single domains (Network.Type HTTP).';
    return failed(failureOf('network-unsupported', 'node', text));
  }
  const api = await shared.connect();
  try {
    shared.facts ??= await api.facts();
    const pull = {
      skipPull: config.skipPull,
      privateRegistries: config.privateRegistries,
      pullTimeoutMs: config.pullTimeoutMs,
      imageMaxBytes: config.imageMaxBytes,
      onProgress: (text: string) => config.onProgress(run.order.execution, text),
    };
    const imageFailure = await ensureImage(api, read.params.image, shared.facts, pull, signal);
    if (imageFailure !== null) return failed(imageFailure);
    const closed = await openResultDirectories(run);
    if (closed !== null) return failed(closed);
    const pinned = await pinMounts(run, config.nodeLabel);
    if (!pinned.ok) return failed(pinned.failure);
    const started = (): void => {
      void pinned.release();
      onStarted();
    };
    try {
      return await createAndRun(shared, api, pinned.run, read.params, started, signal);
    } finally {
      await pinned.release();
      await takeOver(shared, api, run);
    }
  } catch (error) {
    if (error instanceof DockerCallError) return failed(startFailure(error.api));
    throw error;
  }
}

/** Makes what the program left this node's own, where this node is not root. */
async function takeOver(shared: Shared, api: DockerApi, run: EngineRun): Promise<void> {
  const read = readDockerParams(run.order.task);
  if (!read.ok || process.geteuid?.() === 0) return;
  try {
    const owner = ownerOf((shared.facts ??= await api.facts()));
    if (owner !== null) await handOver(api, run, read.params.image, shared.config, owner);
  } catch (error) {
    // Docker is away, and how the program ended does not hang on this.
    if (!(error instanceof DockerCallError)) throw error;
  }
}

/**
 * The program may run as any user of the image, so everybody may write to the result directories;
 * their parent directory is the node's own (0700), so nobody else of this machine gets there.
 */
async function openResultDirectories(run: EngineRun): Promise<ExecutionFailure | null> {
  // They come last. An input of the same target is a place of somebody else, and stays as it is.
  const first = run.mounts.length - run.order.task.ResultPaths.length;
  for (const mount of run.mounts.slice(first)) {
    const opened = await chmod(mount.source, 0o777).then(
      () => true,
      () => false,
    );
    if (opened) continue;
    const text = `The directory for the result path ${mount.target} cannot be used on this node.`;
    return failureOf('result-path-unusable', 'node', text);
  }
  return null;
}

async function createAndRun(
  shared: Shared,
  api: DockerApi,
  run: EngineRun,
  params: DockerParams,
  onStarted: () => void,
  signal: AbortSignal,
): Promise<EngineOutcome> {
  const { config } = shared;
  for (;;) {
    if (signal.aborted) return failed(cancelled());
    const chosen = await choosePorts(run.order.task.Network, config);
    if (!chosen.ok) return failed(chosen.failure);
    try {
      const options = createOptionsOf(run, params, chosen.ports, config, shared.abilities);
      const id = await createFresh(api, options, config.nodeLabel);
      if (id === null) return failed(nameTaken(run.order));
      return await superviseContainer({ api, config, run, id, found: null, onStarted, signal });
    } catch (error) {
      await removeOwn(api, run.order, config.nodeLabel);
      const weaker = error instanceof DockerCallError ? giveUpAbility(shared, error) : null;
      if (weaker === null) throw error;
      shared.abilities = weaker;
    }
  }
}

/**
 * What to leave out when an old engine refused a part of the hardening; null when it was not that.
 */
function giveUpAbility(shared: Shared, error: DockerCallError): Abilities | null {
  const { abilities } = shared;
  if (abilities.privateCgroup && /cgroup ?namespace/i.test(error.api.text)) {
    return { ...abilities, privateCgroup: false };
  }
  if (abilities.init && /docker-init/.test(error.api.text)) return { ...abilities, init: false };
  return null;
}

const NAME_IN_USE = 409;

/** Creates the container; one of the same name is ours and left over, and makes room. */
async function createFresh(
  api: DockerApi,
  options: Parameters<DockerApi['create']>[0],
  nodeLabel: string,
): Promise<string | null> {
  try {
    return await api.create(options);
  } catch (error) {
    if (!(error instanceof DockerCallError) || error.api.status !== NAME_IN_USE) throw error;
    const name = options.name ?? '';
    const old = await api.inspect(name);
    if (old !== null && old.Config.Labels[LABELS.node] !== nodeLabel) return null;
    await api.remove(name);
    return api.create(options);
  }
}

/** Clears away what a failed start left; what cannot be removed now is swept later. */
async function removeOwn(api: DockerApi, order: ExecutionOrder, nodeLabel: string): Promise<void> {
  const left = await api.inspect(containerName(order.execution)).catch(() => null);
  if (left?.Config.Labels[LABELS.node] !== nodeLabel) return;
  await api.remove(left.Id).catch(() => undefined);
}

function nameTaken(order: ExecutionOrder): ExecutionFailure {
  const text = `A container named ${containerName(order.execution)} of another node is on this machine.`;
  return failureOf('container-name-taken', 'node', text);
}

async function reattach(
  shared: Shared,
  run: EngineRun,
  onStarted: () => void,
  signal: AbortSignal,
): Promise<EngineOutcome | null> {
  const { config } = shared;
  const api = await shared.connect();
  const name = containerName(run.order.execution);
  try {
    // With Docker away "nothing is left" would be a guess, and the program might run twice.
    const container = await inspectPatiently(api, name, config.lostAfterMs, signal);
    if (container === null || container.Config.Labels[LABELS.node] !== config.nodeLabel) {
      // It may have ended while an earlier process was killed, before its files were taken over.
      await takeOver(shared, api, run);
      return null;
    }
    if (container.State.Status === 'created') {
      await api.remove(container.Id);
      return null;
    }
    const found = container.State;
    const { Id: id } = container;
    const outcome = await superviseContainer({ api, config, run, id, found, onStarted, signal });
    await takeOver(shared, api, run);
    return outcome;
  } catch (error) {
    if (!(error instanceof DockerCallError)) throw error;
    return failed(signal.aborted ? cancelled() : unavailable(error.api));
  }
}

async function sweep(shared: Shared, keep: ReadonlySet<ExecutionId>): Promise<readonly string[]> {
  const { config, active } = shared;
  await sweepPins(config.nodeLabel, active);
  const api = await shared.connect();
  const removed: string[] = [];
  try {
    const lists = await Promise.all(sweptLabels(config).map((labels) => api.list(labels)));
    const found = new Map(lists.flat().map((container) => [container.id, container]));
    for (const container of found.values()) {
      // An execution that began while the list was on its way is not a leftover.
      const kept: ReadonlySet<string> = new Set([...keep, ...active]);
      if (!(await isLeftOver(container, config, kept))) continue;
      await api.remove(container.id);
      removed.push(container.name);
    }
  } catch (error) {
    // Docker is away: the next sweep finds what is left.
    if (!(error instanceof DockerCallError)) throw error;
  }
  return removed;
}
