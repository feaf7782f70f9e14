/**
 * How much disk a container fills beside its mounts: its own layer, the volumes that its image
 * declares, the three files of the network that Docker lays into it and root in it may write, and
 * what its processes hold open after deleting it, wherever it was.
 * Where this node may read Docker's directories it counts itself, allocated blocks and directories
 * included, and needs no Docker for it; elsewhere it asks Docker, which counts file sizes. Docker's
 * copy of the output is not counted but capped (`container-spec.ts`).
 */
import { access, constants, readFile, stat } from 'node:fs/promises';
import type { ContainerInspectInfo } from 'dockerode';
import type { ExecutionId } from '../../core/record/ids.ts';
import { errorCode } from '../../lib/durable-file.ts';
import { chargedBytes } from '../../lib/walk-tree.ts';
import type { Looks } from '../../lib/walk-tree.ts';
import type { DockerApi } from './api.ts';
import { DockerCallError } from './api.ts';
import { containerName } from './config.ts';
import { deletedBytes, noHabits } from './open-files.ts';
import type { OpenFilesOptions } from './open-files.ts';

export interface DiskMeter {
  /** As `Engine.diskBytes`. */
  measure(execution: ExecutionId, enough: number, signal: AbortSignal): Promise<number>;
  /** Nothing more is asked about it. */
  forget(execution: ExecutionId): void;
}

interface Known {
  readonly id: string;
  readonly running: boolean;
  /** Directories and files that this node counts itself; empty = Docker is asked. */
  readonly readable: readonly string[];
  /** Names of its volumes. */
  readonly volumes: readonly string[];
  /** null when its processes are not those of this machine, or not to be found. */
  readonly processes: Omit<OpenFilesOptions, 'enough' | 'looks'> | null;
  /** Bytes of the last time that Docker answered. */
  last: number;
}

/** @param looksMax what is looked at in one container, as in `Looks`; an open file is one, too. */
export function createDiskMeter(connect: () => Promise<DockerApi>, looksMax: number): DiskMeter {
  const known = new Map<ExecutionId, Known>();
  const find = async (api: DockerApi, execution: ExecutionId): Promise<Known | null> => {
    const found = known.get(execution) ?? (await lookAt(api, containerName(execution)));
    // Before it runs, nothing can be known of its processes.
    if (found !== null && found.running) known.set(execution, found);
    return found;
  };
  return {
    async measure(execution, enough, signal) {
      const api = await connect();
      try {
        const container = await find(api, execution);
        if (container === null) return 0;
        container.last =
          container.readable.length > 0
            ? await countAll(container, enough, { left: looksMax }, signal)
            : await ask(api, container);
        return container.last;
      } catch (error) {
        // A Docker that is away says nothing about the program; whether it is lost the watch decides.
        if (isAway(error)) return known.get(execution)?.last ?? 0;
        throw error;
      }
    },
    forget: (execution) => void known.delete(execution),
  };
}

/** No answer in time is none of these: so much may lie there that Docker cannot count it. */
const isAway = (error: unknown): boolean =>
  error instanceof DockerCallError && error.api.status === null && error.api.errno !== 'timeout';

async function lookAt(api: DockerApi, name: string): Promise<Known | null> {
  const found = await api.inspect(name);
  if (found === null) return null;
  const volumes = found.Mounts.filter((mount) => mount.Type === 'volume');
  const places = placesOf(found, volumes);
  const readable = places !== null && (await areReadable(places)) ? places : [];
  return {
    id: found.Id,
    running: found.State.Running,
    readable,
    processes: readable.length > 0 ? await processesOf(found, readable) : null,
    volumes: volumes.map((mount) => mount.Name ?? ''),
    last: 0,
  };
}

/** null when the storage driver does not say where the layer is. */
function placesOf(
  container: ContainerInspectInfo,
  volumes: ContainerInspectInfo['Mounts'],
): readonly string[] | null {
  const data = container.GraphDriver?.Data as Readonly<Record<string, string>> | null | undefined;
  const upper = data?.['UpperDir'];
  if (upper === undefined) return null;
  const { HostnamePath, HostsPath, ResolvConfPath } = container;
  const files = [HostnamePath, HostsPath, ResolvConfPath].filter((path) => path !== '');
  return [upper, ...volumes.map((mount) => mount.Source), ...files];
}

async function areReadable(places: readonly string[]): Promise<boolean> {
  const checks = places.map((place) =>
    access(place, constants.R_OK).then(
      () => true,
      // In host mode some of the files are not made.
      (error: unknown) => place !== places[0] && errorCode(error) === 'ENOENT',
    ),
  );
  return (await Promise.all(checks)).every((readable) => readable);
}

async function processesOf(
  container: ContainerInspectInfo,
  places: readonly string[],
): Promise<Known['processes']> {
  const init = container.State.Pid;
  const group = await readFile(`/proc/${init}/cgroup`, 'latin1').catch(() => '');
  if (init <= 0 || !group.includes(container.Id)) return null;
  // The program sees its layer through a file system of its own.
  const written = container.Mounts.filter((mount) => mount.RW).map((mount) => mount.Source);
  const paths = [`/proc/${init}/root`, ...places, ...written];
  const devices = await Promise.all(
    paths.map((path) =>
      stat(path).then(
        ({ dev }) => [dev],
        () => [],
      ),
    ),
  );
  return { proc: '/proc', init, devices: new Set(devices.flat()), habits: noHabits() };
}

async function countAll(
  { readable, processes }: Known,
  enough: number,
  looks: Looks,
  signal: AbortSignal,
): Promise<number> {
  let bytes = processes === null ? 0 : await deletedBytes({ ...processes, enough, looks }, signal);
  for (const place of readable) {
    if (bytes > enough) break;
    const measured = await chargedBytes(place, enough - bytes, looks, signal);
    if (measured.closed > 0) throw new Error(`${place} holds directories closed to this node`);
    bytes += measured.bytes;
  }
  return bytes;
}

async function ask(api: DockerApi, container: Known): Promise<number> {
  const layer = (await api.layerBytes(container.id)) ?? 0;
  const { volumes } = container;
  return layer + (volumes.length === 0 ? 0 : await api.volumeBytes(volumes));
}

/** True when this node can count itself what containers write. */
export const canCount = (rootDir: string): Promise<boolean> =>
  access(rootDir, constants.R_OK | constants.X_OK).then(
    () => rootDir !== '',
    () => false,
  );
