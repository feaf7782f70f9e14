/**
 * Makes sure that an image is here before a container is made of it: local first, then one pull
 * with its progress told. A newer image of the same tag in the registry is not looked for, as in
 * Bacalhau.
 */
import { own } from '../../job/own.ts';
import { lookup } from 'node:dns/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import { isPublicAddress } from '../../job/addresses.ts';
import { registryOf, whyNotRegistry } from '../../job/image.ts';
import type { DockerApi, EngineFacts, ImageFacts } from './api.ts';
import { DockerCallError } from './api.ts';
import { failureOf, pullFailure, startFailure } from './failures.ts';
import { jsonLines } from './lines.ts';
import { watchPullRoom } from './pull-room.ts';

export interface ImageOptions {
  /** Registries that are asked though they are not public. */
  readonly privateRegistries: readonly string[];
  readonly skipPull: boolean;
  readonly pullTimeoutMs: number;
  /** Of one image, unpacked. */
  readonly imageMaxBytes: number;
  readonly onProgress: (text: string) => void;
}

/** Docker makes one after the other, ten a second: twenty thousand keep it busy for an hour. */
const VOLUMES_MAX = 100;

/** Milliseconds between two progress texts; a pull reports hundreds of times a second. */
const PROGRESS_EVERY_MS = 1000;

/** A pull that was broken off in its last moments is ended by Docker all the same, some moments later. */
const LATE = { looks: 12, everyMs: 250 };

/** Machines that run programs of another kind natively: engine → images. */
const ALSO_RUNS: Readonly<Record<string, readonly string[]>> = {
  amd64: ['386'],
  arm64: ['arm'],
};

/** @returns null when the image can be used, else why not. Aborting gives `cancelled`. */
export async function ensureImage(
  api: DockerApi,
  image: string,
  facts: EngineFacts,
  options: ImageOptions,
  signal: AbortSignal,
): Promise<ExecutionFailure | null> {
  try {
    const local = await api.inspectImage(image);
    if (local !== null && runsOn(facts, local)) return whyRefused(image, local);
    if (options.skipPull) {
      return local === null ? notHere(image) : wrongPlatform(image, local, facts);
    }
    const refused = await registryRefused(image, options.privateRegistries);
    if (refused !== null) return refused;
    const failure = await pullImage(api, image, facts, options, signal);
    if (local === null && failure?.code === 'image-too-large') await removeLate(api, image);
    if (failure !== null) return failure;
    const pulled = await api.inspectImage(image);
    if (pulled === null) {
      const text = `The image ${image} was pulled and is gone again.`;
      return failureOf('image-pull-failed', 'transient', text);
    }
    if (pulled.bytes > options.imageMaxBytes) {
      // Another run may hold it already; then it stays until that ends, as images do.
      await api.removeImage(image);
      return tooLarge(image, options.imageMaxBytes);
    }
    return runsOn(facts, pulled) ? whyRefused(image, pulled) : wrongPlatform(image, pulled, facts);
  } catch (error) {
    if (error instanceof DockerCallError) return startFailure(error.api);
    throw error;
  }
}

/** Removes an image that was refused while it was pulled: otherwise the next run finds it here. */
async function removeLate(api: DockerApi, image: string): Promise<void> {
  for (let look = 0; look < LATE.looks; look += 1) {
    if ((await api.inspectImage(image)) !== null) return api.removeImage(image);
    await delay(LATE.everyMs);
  }
}

/**
 * Docker asks whatever an image names, with this machine's reach. By name and by what the name means
 * now; Docker looks it up again, so this is no lock against one that changes in between, but what a
 * registry says is told to nobody either (`failures.ts`).
 */
async function registryRefused(
  image: string,
  allowed: readonly string[],
): Promise<ExecutionFailure | null> {
  const registry = registryOf(image);
  const host = registry.replace(/:\d*$/, '');
  const refuse = (why: string): ExecutionFailure => {
    const text = `Images are not pulled from ${registry} on this node: ${why}. Its operator can allow it (policy.privateRegistries).`;
    return failureOf('registry-not-allowed', 'node', text);
  };
  const why = whyNotRegistry(registry, allowed);
  if (why !== null) return refuse(why);
  if (registry === 'docker.io' || allowed.includes(registry) || allowed.includes(host)) return null;
  // A name that is not found here may be known to the proxy that Docker goes through.
  const found = await lookup(host, { all: true }).catch(() => []);
  const inside = found.find(({ address }) => !isPublicAddress(address));
  return inside === undefined ? null : refuse('its name leads to an address that is not public');
}

/** True when programs of this image can run on this engine; images without a mark are trusted. */
function runsOn(engine: EngineFacts, image: ImageFacts): boolean {
  const sameOs = image.os === '' || image.os === engine.os;
  const { architecture } = image;
  const sameKind =
    architecture === '' ||
    architecture === engine.architecture ||
    (own(ALSO_RUNS, engine.architecture)?.includes(architecture) ?? false);
  return sameOs && sameKind;
}

function whyRefused(image: string, { volumes }: ImageFacts): ExecutionFailure | null {
  if (volumes <= VOLUMES_MAX) return null;
  const text = `The image ${image.slice(0, 300)} declares ${volumes} volumes, more than the ${VOLUMES_MAX} allowed.`;
  return failureOf('image-volumes', 'limit', text);
}

function notHere(image: string): ExecutionFailure {
  const text = `The image ${image} is not on this node, and pulling is switched off here.`;
  return failureOf('image-not-present', 'node', text);
}

function tooLarge(image: string, maxBytes: number): ExecutionFailure {
  const text = `The image ${image} takes more than the ${maxBytes} bytes allowed on this node.`;
  return failureOf('image-too-large', 'limit', text);
}

function wrongPlatform(image: string, is: ImageFacts, engine: EngineFacts): ExecutionFailure {
  const text = `The image ${image} is for ${is.os}/${is.architecture}, this node is ${engine.os}/${engine.architecture}.`;
  return failureOf('image-platform', 'node', text);
}

async function pullImage(
  api: DockerApi,
  image: string,
  facts: EngineFacts,
  options: ImageOptions,
  signal: AbortSignal,
): Promise<ExecutionFailure | null> {
  const late = AbortSignal.timeout(options.pullTimeoutMs);
  const room = watchPullRoom(facts.rootDir, options.imageMaxBytes);
  const stop = AbortSignal.any([signal, late, room.signal]);
  const interrupted = (): ExecutionFailure | null => {
    if (signal.aborted) return failureOf('cancelled', 'transient', 'Stopped while pulling.');
    if (room.signal.aborted) return tooLarge(image, options.imageMaxBytes);
    if (!late.aborted) return null;
    const text = `Pulling ${image} took longer than ${options.pullTimeoutMs / 1000} s.`;
    return failureOf('image-pull-failed', 'transient', text);
  };
  options.onProgress(`pulling ${image}`);
  const progress = createProgress(image, options.onProgress);
  try {
    const stream = await api.pull(image, `${facts.os}/${facts.architecture}`, stop);
    const onAbort = (): void => void stream.destroy(new Error('stopped'));
    stop.addEventListener('abort', onAbort, { once: true });
    if (stop.aborted) onAbort();
    try {
      return (await readPull(image, jsonLines(stream), progress, interrupted)) ?? null;
    } finally {
      stop.removeEventListener('abort', onAbort);
    }
  } catch (error) {
    const why = interrupted();
    if (why !== null) return why;
    if (error instanceof DockerCallError) return pullFailure(image, error.api);
    throw error;
  } finally {
    room.stop();
  }
}

interface PullLine {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

async function readPull(
  image: string,
  lines: AsyncGenerator<unknown, boolean>,
  progress: (line: PullLine) => void,
  interrupted: () => ExecutionFailure | null,
): Promise<ExecutionFailure | null> {
  for (;;) {
    const next = await lines.next();
    if (next.done === true) {
      if (next.value) return interrupted();
      const text = 'the connection to Docker broke off';
      return interrupted() ?? pullFailure(image, { status: null, errno: 'unreachable', text });
    }
    const line = next.value as PullLine;
    if (typeof line.error === 'string') {
      return pullFailure(image, { status: 200, errno: null, text: line.error });
    }
    progress(line);
  }
}

/** Adds up the layers' progress and tells it now and then. */
function createProgress(image: string, tell: (text: string) => void): (line: PullLine) => void {
  const layers = new Map<string, { current: number; total: number; done: boolean }>();
  let toldAt = performance.now();
  return (line) => {
    if (line.id === undefined || line.status === undefined) return;
    if (line.status.startsWith('Pulling from')) return;
    const layer = layers.get(line.id) ?? { current: 0, total: 0, done: false };
    layers.set(line.id, layer);
    if (line.status === 'Downloading') {
      layer.current = line.progressDetail?.current ?? layer.current;
      layer.total = line.progressDetail?.total ?? layer.total;
    }
    if (line.status === 'Pull complete' || line.status === 'Already exists') layer.done = true;
    // Docker does not tell the last bytes of a layer.
    if (layer.done) layer.current = layer.total;
    const all = [...layers.values()];
    const finished = all.every((one) => one.done);
    const now = performance.now();
    if (!finished && now - toldAt < PROGRESS_EVERY_MS) return;
    toldAt = now;
    const megabytes = (pick: 'current' | 'total'): string =>
      (all.reduce((sum, one) => sum + one[pick], 0) / 1e6).toFixed(1);
    const done = all.filter((one) => one.done).length;
    tell(
      `pulling ${image}: ${done} of ${all.length} layers, ${megabytes('current')} of ${megabytes('total')} MB`,
    );
  };
}
