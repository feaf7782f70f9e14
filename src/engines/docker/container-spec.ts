/**
 * What a container is allowed: turns an order into Docker's create options. Pure.
 *
 * The rule is "nothing but what the job was given": no network unless the spec asks, no
 * capabilities, no gain of privileges, the default system call filter, own process, IPC and cgroup
 * namespaces, memory without swap, a limit on processes and open files, no core dumps.
 *
 * Two locks are left open on purpose, because a job written for Bacalhau must run as it was
 * written:
 * - The root file system is writable unless `readonlyRootfs` is set. Ordinary images write beside
 *   themselves (`__pycache__`, `/root/.cache`, a log next to the program), and all of it is a layer
 *   that is thrown away with the container; what it could fill is the disk, which a read-only
 *   root would not prevent either, as the result directories are writable.
 * - The program runs as the image's own user unless `user` is set. Result directories belong to the
 *   node and many images have files only root may read. Without capabilities this root may not
 *   override file permissions (but see `capabilitiesFor`), change owners, mount, trace, or reach the host; what remains is that
 *   files it writes belong to root. A node that takes jobs of strangers sets `user`, or runs a
 *   rootless engine, where that root is nobody.
 */
import { dirname } from 'node:path';
import type { ContainerCreateOptions, HostConfig, PortMap } from 'dockerode';
import type { Network, Resources } from '../../job/model.ts';
import { granted } from '../../job/resources.ts';
import type { EngineRun } from '../engine.ts';
import type { DockerEngineConfig } from './config.ts';
import { LABELS, containerName } from './config.ts';
import type { DockerParams } from './params.ts';
import { mergeEnvironment } from './params.ts';

/** A published port; `hostIp` and `hostPort` mean nothing in host mode. */
export interface BoundPort {
  readonly name: string;
  readonly hostIp: string;
  readonly hostPort: number;
  readonly containerPort: number;
}

/** Parts of the hardening that old engines do not know; each is given up only when refused. */
export interface Abilities {
  readonly privateCgroup: boolean;
  readonly init: boolean;
}

/** Docker refuses less. */
const MEMORY_MIN_BYTES = 6 * 1024 * 1024;
/** Docker refuses less than a hundredth of a core. */
const CPU_MIN_MILLIS = 10;
/** Killed before the node itself when the machine runs out of memory; 0 … 1000. */
const OOM_SCORE_ADJ = 500;

export function createOptionsOf(
  run: EngineRun,
  params: DockerParams,
  ports: readonly BoundPort[],
  config: DockerEngineConfig,
  abilities: Abilities,
): ContainerCreateOptions {
  const { order } = run;
  const env = mergeEnvironment({ ...run.env, ...portVariables(ports) }, params.environment);
  return {
    name: containerName(order.execution),
    Image: params.image,
    ...(params.entrypoint.length > 0 ? { Entrypoint: [...params.entrypoint] } : {}),
    ...(params.parameters.length > 0 ? { Cmd: [...params.parameters] } : {}),
    ...(params.workingDirectory === '' ? {} : { WorkingDir: params.workingDirectory }),
    ...(config.user === null ? {} : { User: config.user }),
    Env: [...env],
    Labels: {
      [LABELS.mesh]: config.meshLabel,
      [LABELS.node]: config.nodeLabel,
      [LABELS.job]: order.job,
      [LABELS.execution]: order.execution,
      [LABELS.attempt]: String(order.attempt),
      [LABELS.data]: config.dataLabel,
      [LABELS.host]: config.hostLabel,
    },
    Tty: false,
    AttachStdin: false,
    AttachStdout: true,
    AttachStderr: true,
    OpenStdin: false,
    // One that the image brings is run by Docker itself, up to a thousand times a second, and what
    // Docker needs for that is outside of the container's limits; nobody here asks for its outcome.
    Healthcheck: { Test: ['NONE'] },
    StopTimeout: Math.ceil(config.stopGraceMs / 1000),
    ExposedPorts: Object.fromEntries(ports.map((port) => [`${port.containerPort}/tcp`, {}])),
    HostConfig: hostConfigOf(run, ports, config, abilities),
  };
}

function hostConfigOf(
  run: EngineRun,
  ports: readonly BoundPort[],
  config: DockerEngineConfig,
  abilities: Abilities,
): HostConfig {
  const mode = networkMode(run.order.task.Network, config.defaultNetwork);
  return {
    NetworkMode: mode,
    ...(mode === 'bridge' ? { PortBindings: portBindings(ports) } : {}),
    Privileged: false,
    CapDrop: ['ALL'],
    CapAdd: [...new Set([...config.capabilities, ...capabilitiesFor(run)])],
    SecurityOpt: ['no-new-privileges:true'],
    ReadonlyRootfs: config.readonlyRootfs,
    ...(config.readonlyRootfs ? { Tmpfs: tmpfs(config) } : {}),
    ...limitsOf(run.order.task.resources),
    PidsLimit: config.pidsLimit,
    OomScoreAdj: OOM_SCORE_ADJ,
    Ulimits: [
      { Name: 'nofile', Soft: config.openFilesMax, Hard: config.openFilesMax },
      { Name: 'core', Soft: 0, Hard: 0 },
      // The disk is measured now and then; no single file outgrows it in between.
      ...(run.fileMaxBytes === null
        ? []
        : [{ Name: 'fsize', Soft: run.fileMaxBytes, Hard: run.fileMaxBytes }]),
    ],
    IpcMode: 'private',
    ...(abilities.privateCgroup ? { CgroupnsMode: 'private' as const } : {}),
    Init: abilities.init,
    AutoRemove: false,
    RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
    LogConfig: {
      Type: 'local',
      Config: {
        'max-size': String(Math.min(config.logMaxBytes, run.diskBytes)),
        'max-file': '1',
        compress: 'false',
      },
    },
    Mounts: run.mounts.map((mount) => ({
      Type: 'bind' as const,
      Source: mount.source,
      Target: mount.target,
      ReadOnly: !mount.writable,
      BindOptions: { Propagation: 'rprivate' as const },
    })),
  };
}

/**
 * A directory of this machine that its operator opened to jobs mostly belongs to an ordinary user, and root
 * without capabilities may neither write there nor read what is private; so the job could not do what it was
 * allowed to. Not DAC_READ_SEARCH, which opens every file of the disk by its number.
 */
function capabilitiesFor({ mounts, scratchDir }: EngineRun): readonly string[] {
  const own = `${dirname(scratchDir)}/`;
  return mounts.some(({ source }) => !source.startsWith(own)) ? ['DAC_OVERRIDE'] : [];
}

/** Memory without swap. Both limits are always set: 0 would mean none to Docker. */
function limitsOf(asked: Resources): HostConfig {
  const resources = granted(asked);
  const memory = Math.max(MEMORY_MIN_BYTES, Math.ceil(resources.memoryBytes));
  const cpu = Math.max(CPU_MIN_MILLIS, resources.cpuMillis);
  return {
    Memory: memory,
    MemorySwap: memory,
    NanoCpus: Math.round(cpu * 1e6),
    ...(resources.gpus > 0
      ? { DeviceRequests: [{ Driver: '', Count: resources.gpus, Capabilities: [['gpu']] }] }
      : {}),
  };
}

/**
 * Where the image has the directory, the kernel's mount takes its mode and not the one asked for;
 * so the program's user is made the owner where it is known.
 */
function tmpfs(config: DockerEngineConfig): Record<string, string> {
  const [, uid, gid] = /^(\d+):(\d+)$/.exec(config.user ?? '') ?? [];
  const owner = uid === undefined ? '' : `,uid=${uid},gid=${gid}`;
  const options = `rw,nosuid,nodev,mode=1777,size=${config.tmpfsBytes}${owner}`;
  return { '/tmp': options, '/var/tmp': options, '/run': options };
}

/** `Default` means none unless the operator of the node wants it otherwise. */
export function networkMode(
  network: Network,
  byDefault: DockerEngineConfig['defaultNetwork'],
): 'none' | 'bridge' | 'host' {
  switch (network.Type) {
    case 'Bridge':
      return 'bridge';
    case 'Host':
    case 'Full':
      return 'host';
    case 'Default':
      return byDefault === 'Bridge' ? 'bridge' : 'none';
    case 'None':
    case 'HTTP':
      return 'none';
  }
}

function portBindings(ports: readonly BoundPort[]): PortMap {
  return Object.fromEntries(
    ports.map((port) => [
      `${port.containerPort}/tcp`,
      [{ HostIp: port.hostIp, HostPort: String(port.hostPort) }],
    ]),
  );
}

/**
 * How a program learns its ports: `BACALHAU_HOST_PORT_<name>`, `BACALHAU_PORT_<name>`, same as
 * `SHOAL_`.
 */
function portVariables(ports: readonly BoundPort[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const port of ports) {
    for (const prefix of ['BACALHAU', 'SHOAL']) {
      variables[`${prefix}_HOST_PORT_${port.name}`] = String(port.hostPort);
      variables[`${prefix}_PORT_${port.name}`] = String(port.containerPort);
    }
  }
  return variables;
}
