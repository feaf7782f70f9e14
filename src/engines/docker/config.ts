/**
 * What the docker engine is told by the node's configuration. No defaults here: `src/config` owns
 * them. Nothing in it comes from a job.
 */
import type { ExecutionId } from '../../core/record/ids.ts';

export interface DockerEngineConfig {
  /** Unix socket of the engine; null = `DOCKER_HOST`, else the system's usual one. */
  readonly socketPath: string | null;
  /** This node's id: running containers are touched only when they carry it. */
  readonly nodeLabel: string;
  /** The mesh's network id. */
  readonly meshLabel: string;
  /** This node's data directory; it holds the lock of it. */
  readonly dataLabel: string;
  /** Names the machine, and the view of it that this process has. */
  readonly hostLabel: string;
  /** What a job gets that names no network type. */
  readonly defaultNetwork: 'None' | 'Bridge';
  /** `uid:gid` that every program runs as; null = the image's own user. */
  readonly user: string | null;
  /**
   * True: the image's file system cannot be written to, `/tmp`, `/var/tmp` and `/run` are in
   * memory.
   */
  readonly readonlyRootfs: boolean;
  /** Size of each of those in bytes; counts as memory of the program. */
  readonly tmpfsBytes: number;
  /**
   * Capabilities given back after all were dropped, e.g. `CHOWN`; empty unless the operator trusts
   * owners.
   */
  readonly capabilities: readonly string[];
  /** Processes and threads of one execution; ≥ 1. */
  readonly pidsLimit: number;
  /** Open files per process; ≥ 1. */
  readonly openFilesMax: number;
  /**
   * Bytes of output that the Docker engine itself keeps, at most the disk of the run; needed only
   * after a crash of this node.
   */
  readonly logMaxBytes: number;
  /** What is looked at to count the disk of one container, as in `Looks`; > 0. */
  readonly diskLooksMax: number;
  /** Budget of one pull in milliseconds. */
  readonly pullTimeoutMs: number;
  /** Bytes of one image, unpacked. */
  readonly imageMaxBytes: number;
  /** True: images must be there already; nothing is pulled. */
  readonly skipPull: boolean;
  /** Milliseconds between SIGTERM and SIGKILL; 0 … 10,000. */
  readonly stopGraceMs: number;
  /** How long the Docker engine may stay away before a run counts as lost, milliseconds. */
  readonly lostAfterMs: number;
  /** Host ports for `Static: 0`, both included. */
  readonly portFirst: number;
  readonly portLast: number;
  /** Registries that images may be pulled from though they are not public. */
  readonly privateRegistries: readonly string[];
  /** Addresses of this machine that ports may be published on. */
  readonly portAddresses: readonly string[];
  /** Told how a pull comes along, at most once a second per execution. */
  readonly onProgress: (execution: ExecutionId, text: string) => void;
}

/** Labels by which containers are found again. */
export const LABELS = {
  mesh: 'shoal.mesh',
  node: 'shoal.node',
  job: 'shoal.job',
  execution: 'shoal.execution',
  attempt: 'shoal.attempt',
  data: 'shoal.data',
  host: 'shoal.host',
} as const;

/**
 * The name is made of the execution's id alone, so a container is found even if nothing was written
 * down.
 */
export const containerName = (execution: ExecutionId): string => `shoal-${execution}`;
