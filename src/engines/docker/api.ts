/**
 * The few calls of the Docker API that the engine uses, each with a deadline, so that a hung Docker
 * never hangs a node. It knows nothing of jobs and copies no files in or out: the archive calls of
 * the API are left out on purpose, as an image can attack whoever unpacks them.
 */
import type Dockerode from 'dockerode';
import type { ContainerCreateOptions, ContainerInspectInfo } from 'dockerode';
import type { Readable } from 'node:stream';
import { readApiError } from './failures.ts';
import type { ApiError } from './failures.ts';

/** Milliseconds each call may take. Creating and starting include unpacking and mounting. */
const DEADLINE = {
  query: 5_000,
  create: 30_000,
  start: 60_000,
  kill: 15_000,
  /** Docker walks through all that a container wrote. */
  measure: 30_000,
  remove: 15_000,
  stream: 15_000,
} as const;

export class DockerCallError extends Error {
  override readonly name = 'DockerCallError';
  readonly api: ApiError;
  constructor(what: string, api: ApiError, options?: ErrorOptions) {
    super(`${what}: ${api.text}`, options);
    this.api = api;
  }
}

export interface ImageFacts {
  readonly os: string;
  readonly architecture: string;
  /** Unpacked, all layers. */
  readonly bytes: number;
  /** Directories that it wants to have outside of its layers; one volume each. */
  readonly volumes: number;
}

export interface EngineFacts {
  readonly version: string;
  readonly os: string;
  readonly architecture: string;
  readonly cgroupVersion: string;
  readonly rootless: boolean;
  readonly userns: boolean;
  /** Where it keeps its layers, on its own machine. */
  readonly rootDir: string;
  /** What the engine itself warns of. */
  readonly warnings: readonly string[];
}

export interface FoundContainer {
  readonly id: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface DockerApi {
  facts(): Promise<EngineFacts>;
  /** null when the image is not here. */
  inspectImage(image: string): Promise<ImageFacts | null>;
  /** Removes an image; one that is gone or in use is fine. */
  removeImage(image: string): Promise<void>;
  /** Newline-delimited JSON of the pull's progress; the caller bounds its time. */
  pull(image: string, platform: string, signal: AbortSignal): Promise<Readable>;
  /** @returns the container's id */
  create(options: ContainerCreateOptions): Promise<string>;
  start(id: string): Promise<void>;
  /** null when there is no such container. `id` may be a name. */
  inspect(id: string): Promise<ContainerInspectInfo | null>;
  /** Bytes that a container wrote into its own layer; null when there is no such container. */
  layerBytes(id: string): Promise<number | null>;
  /** Bytes in these volumes together. Slow: Docker looks at all that it has. */
  volumeBytes(names: readonly string[]): Promise<number>;
  /** The multiplexed output from the moment of the call. */
  attach(id: string): Promise<Readable>;
  /** The multiplexed output from the beginning, until the container ends. */
  logs(id: string): Promise<Readable>;
  /** Newline-delimited JSON of what happens to the container. */
  events(id: string): Promise<Readable>;
  /** Newline-delimited JSON of its resource use, about once a second. */
  stats(id: string): Promise<Readable>;
  /** True when the container has exited; false when the question can no longer be answered. */
  exited(id: string, condition: 'next-exit' | 'not-running', signal: AbortSignal): Promise<boolean>;
  /** SIGTERM, then SIGKILL after `graceSeconds`. A container that is gone or has ended is fine. */
  stop(id: string, graceSeconds: number): Promise<void>;
  kill(id: string): Promise<void>;
  /** Removes it and its anonymous volumes, running or not; one that is gone is fine. */
  remove(id: string): Promise<void>;
  /** All containers, running or not, with these labels (`key=value`). */
  list(labels: readonly string[]): Promise<readonly FoundContainer[]>;
}

type Client = Dockerode;

/** @param socketPath see `DockerEngineConfig.socketPath` */
export async function connectDocker(socketPath: string | null): Promise<DockerApi> {
  // Loading the client takes about 100 ms, which a node without docker jobs need not pay.
  const { default: Client } = await import('dockerode');
  const client = socketPath === null ? new Client() : new Client({ socketPath });
  return {
    ...queries(client),
    ...containerCalls(client),
    ...measurements(client),
    ...streamCalls(client),
  };
}

/** Runs one call; a late or failed one throws `DockerCallError`. */
async function within<T>(
  what: string,
  ms: number,
  make: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const text = `no answer within ${ms / 1000} s`;
      reject(new DockerCallError(what, { status: null, errno: 'timeout', text }));
      controller.abort();
    }, ms);
  });
  try {
    return await Promise.race([make(controller.signal), late]);
  } catch (error) {
    if (error instanceof DockerCallError) throw error;
    throw new DockerCallError(what, readApiError(error), { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Statuses that mean "as you wish already" or "not there". */
async function unless<T>(statuses: readonly number[], call: Promise<T>): Promise<T | null> {
  try {
    return await call;
  } catch (error) {
    const status = error instanceof DockerCallError ? error.api.status : null;
    if (status !== null && statuses.includes(status)) return null;
    throw error;
  }
}

function queries(
  client: Client,
): Pick<DockerApi, 'facts' | 'inspectImage' | 'removeImage' | 'list'> {
  return {
    async facts() {
      const [version, info] = await within('docker version', DEADLINE.query, () =>
        Promise.all([client.version(), client.info() as Promise<InfoReply>]),
      );
      const security = info.SecurityOptions ?? [];
      return {
        version: version.Version,
        os: version.Os,
        architecture: version.Arch,
        cgroupVersion: info.CgroupVersion ?? '1',
        rootless: security.some((option) => option.includes('rootless')),
        userns: security.some((option) => option.includes('userns')),
        rootDir: info.DockerRootDir ?? '',
        warnings: info.Warnings ?? [],
      };
    },
    async inspectImage(image) {
      const found = await unless(
        [404],
        within('inspect image', DEADLINE.query, () => client.getImage(image).inspect()),
      );
      // Whoever makes an image by hand may leave it out.
      const config = found?.Config ?? null;
      return found === null
        ? null
        : {
            os: found.Os,
            architecture: found.Architecture,
            bytes: found.Size,
            volumes: Object.keys(config?.Volumes ?? {}).length,
          };
    },
    async removeImage(image) {
      const call = within('remove image', DEADLINE.remove, () => client.getImage(image).remove());
      await unless([404, 409], call);
    },
    async list(labels) {
      const found = await within('list containers', DEADLINE.query, (abortSignal) =>
        client.listContainers({
          all: true,
          filters: JSON.stringify({ label: labels }),
          abortSignal,
        }),
      );
      return found.map((container) => ({
        id: container.Id,
        name: (container.Names[0] ?? container.Id).replace(/^\//, ''),
        labels: container.Labels,
      }));
    },
  };
}

interface InfoReply {
  readonly CgroupVersion?: string;
  readonly DockerRootDir?: string;
  readonly SecurityOptions?: readonly string[] | null;
  readonly Warnings?: readonly string[] | null;
}

function containerCalls(
  client: Client,
): Pick<DockerApi, 'create' | 'start' | 'inspect' | 'exited' | 'stop' | 'kill' | 'remove'> {
  return {
    async create(options) {
      const made = await within('create container', DEADLINE.create, (abortSignal) =>
        client.createContainer({ ...options, abortSignal }),
      );
      return made.id;
    },
    async start(id) {
      await within('start container', DEADLINE.start, (abortSignal) =>
        client.getContainer(id).start({ abortSignal }),
      );
    },
    inspect: (id) =>
      unless(
        [404],
        within('inspect container', DEADLINE.query, (abortSignal) =>
          client.getContainer(id).inspect({ abortSignal }),
        ),
      ),
    async exited(id, condition, signal) {
      // What it answers, inspecting says better; and it may never answer when Docker dies
      // meanwhile.
      return client
        .getContainer(id)
        .wait({ condition, abortSignal: signal })
        .then(
          () => true,
          () => false,
        );
    },
    async stop(id, graceSeconds) {
      const ms = DEADLINE.kill + graceSeconds * 1000;
      const call = within('stop container', ms, (abortSignal) =>
        client.getContainer(id).stop({ t: graceSeconds, abortSignal }),
      );
      await unless([304, 404], call);
    },
    async kill(id) {
      const call = within('kill container', DEADLINE.kill, (abortSignal) =>
        client.getContainer(id).kill({ signal: 'SIGKILL', abortSignal }),
      );
      // 409: it is not running.
      await unless([404, 409], call);
    },
    async remove(id) {
      const call = within('remove container', DEADLINE.remove, (abortSignal) =>
        client.getContainer(id).remove({ force: true, v: true, abortSignal }),
      );
      // 409: its removal is under way.
      await unless([404, 409], call);
    },
  };
}

/** Fields that the client's types do not know. */
interface SizedContainer {
  readonly SizeRw?: number;
}
interface DiskUsage {
  readonly Volumes?: readonly {
    readonly Name: string;
    readonly UsageData?: { readonly Size: number } | null;
  }[];
}

function measurements(client: Client): Pick<DockerApi, 'layerBytes' | 'volumeBytes'> {
  return {
    async layerBytes(id) {
      const found = await unless(
        [404],
        within('measure container', DEADLINE.measure, (abortSignal) =>
          client.getContainer(id).inspect({ size: true, abortSignal } as object),
        ),
      );
      return found === null ? null : ((found as SizedContainer).SizeRw ?? 0);
    },
    async volumeBytes(names) {
      const found: DiskUsage = await within('measure volumes', DEADLINE.measure, () => client.df());
      const wanted = (found.Volumes ?? []).filter(({ Name }) => names.includes(Name));
      // Docker says -1 where it does not know.
      return wanted.reduce((sum, { UsageData }) => sum + Math.max(0, UsageData?.Size ?? 0), 0);
    },
  };
}

function streamCalls(
  client: Client,
): Pick<DockerApi, 'pull' | 'attach' | 'logs' | 'events' | 'stats'> {
  // A stream outlives its call: the deadline is for the answer's head only.
  const open = (what: string, make: () => Promise<unknown>): Promise<Readable> =>
    within(what, DEADLINE.stream, async () => {
      const stream = (await make()) as Readable;
      // Without a listener, Docker going away would end the process.
      stream.on('error', () => undefined);
      return stream;
    });
  return {
    async pull(image, platform, signal) {
      const stream = (await client.pull(image, { platform, abortSignal: signal }).catch((error) => {
        throw new DockerCallError('pull image', readApiError(error), { cause: error });
      })) as Readable;
      stream.on('error', () => undefined);
      return stream;
    },
    attach: (id) =>
      open('attach to container', () =>
        client.getContainer(id).attach({ stream: true, stdout: true, stderr: true }),
      ),
    logs: (id) =>
      open('read the log', () =>
        client.getContainer(id).logs({ follow: true, stdout: true, stderr: true }),
      ),
    events: (id) =>
      open('follow events', () =>
        client.getEvents({ filters: { container: [id], event: ['oom', 'kill', 'die'] } }),
      ),
    stats: (id) => open('follow statistics', () => client.getContainer(id).stats({ stream: true })),
  };
}
