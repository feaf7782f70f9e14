/**
 * Files that a program made belong to the user it ran as, mostly root. A node that is not root may then
 * neither read all of them nor remove any that lie in a directory of the program's own. So when the
 * program is over, a container of the same image gives them to the node's user. It runs the `chown` of
 * this machine, as an image need not have one, and may no more than any ordinary container: should
 * the image get code of its own to run in it, that finds what its program could reach, too.
 */
import { realpath } from 'node:fs/promises';
import type { ContainerCreateOptions } from 'dockerode';
import { walkTree } from '../../lib/walk-tree.ts';
import type { EngineRun, Mount } from '../engine.ts';
import type { DockerApi, EngineFacts } from './api.ts';
import { DockerCallError } from './api.ts';
import type { DockerEngineConfig } from './config.ts';
import { containerName, LABELS } from './config.ts';

/** As Docker wants it, `uid:gid`, and as the files then have it. */
export interface Owner {
  readonly inContainer: string;
  readonly uid: number;
}

/** A million files take a few seconds. */
const HAND_OVER_MS = 60_000;
const MEMORY_BYTES = 64 * 1024 * 1024;
/** Where programs and their libraries are on one system or another. */
const SYSTEM = ['/bin', '/lib', '/lib64', '/usr'];

/** Whom files have to be given to; null when this node may do everything with them as they are. */
export function ownerOf(facts: Pick<EngineFacts, 'rootless'>): Owner | null {
  const uid = process.geteuid?.() ?? 0;
  if (uid === 0) return null;
  // The root of a rootless Docker is the user that runs it.
  return { inContainer: facts.rootless ? '0:0' : `${uid}:${process.getegid?.() ?? 0}`, uid };
}

/**
 * Gives everything that the program left in the node's own directories to the node's user. What cannot
 * be given stays as it is, and is told by whoever reads or removes it. Never throws for Docker.
 */
export async function handOver(
  api: DockerApi,
  run: EngineRun,
  image: string,
  config: DockerEngineConfig,
  owner: Owner,
): Promise<void> {
  const own = run.mounts.filter((mount) => mount.writable && mount.shared === undefined);
  const signal = AbortSignal.timeout(HAND_OVER_MS);
  let id: string | null = null;
  try {
    const foreign: Mount[] = [];
    for (const mount of own)
      if (await holdsForeign(mount.source, owner.uid, signal)) foreign.push(mount);
    if (foreign.length === 0) return;
    const options = await optionsOf(run, image, config, owner, foreign);
    // One of an earlier process that was killed meanwhile.
    if (options.name !== undefined) await api.remove(options.name);
    id = await api.create(options);
    await api.start(id);
    await api.exited(id, 'not-running', signal);
  } catch (error) {
    if (!(error instanceof DockerCallError) && !signal.aborted) throw error;
  } finally {
    if (id !== null) await api.remove(id).catch(() => undefined);
  }
}

async function holdsForeign(root: string, uid: number, signal: AbortSignal): Promise<boolean> {
  for await (const { stat } of walkTree(root, signal)) if (Number(stat.uid) !== uid) return true;
  return false;
}

async function optionsOf(
  run: EngineRun,
  image: string,
  config: DockerEngineConfig,
  owner: Owner,
  mounts: readonly Mount[],
): Promise<ContainerCreateOptions> {
  const { execution, job } = run.order;
  const bound = mounts.map((mount, at) => ({ source: mount.source, target: `/hand-over/${at}` }));
  const system = await Promise.all(
    SYSTEM.map(async (target) => ({ source: await realpath(target).catch(() => null), target })),
  );
  return {
    name: `${containerName(execution)}-hand-over`,
    Image: image,
    Entrypoint: ['/bin/chown'],
    Cmd: ['-R', '-h', '-P', owner.inContainer, ...bound.map(({ target }) => target)],
    User: '0:0',
    WorkingDir: '/',
    Env: ['LD_PRELOAD=', 'LD_LIBRARY_PATH=', 'LD_AUDIT='],
    Healthcheck: { Test: ['NONE'] },
    Labels: {
      [LABELS.mesh]: config.meshLabel,
      [LABELS.node]: config.nodeLabel,
      [LABELS.job]: job,
      [LABELS.execution]: execution,
    },
    HostConfig: {
      NetworkMode: 'none',
      CapDrop: ['ALL'],
      // Not DAC_READ_SEARCH, which opens every file of the disk by its number.
      CapAdd: ['CHOWN', 'DAC_OVERRIDE'],
      SecurityOpt: ['no-new-privileges:true'],
      ReadonlyRootfs: true,
      Memory: MEMORY_BYTES,
      MemorySwap: MEMORY_BYTES,
      PidsLimit: 16,
      LogConfig: { Type: 'none', Config: {} },
      Mounts: [
        ...system.flatMap(({ source, target }) =>
          source === null ? [] : [bind(source, target, true)],
        ),
        ...bound.map(({ source, target }) => bind(source, target, false)),
      ],
    },
  };
}

const bind = (Source: string, Target: string, ReadOnly: boolean) => ({
  Type: 'bind' as const,
  Source,
  Target,
  ReadOnly,
  BindOptions: { Propagation: 'rprivate' as const },
});
