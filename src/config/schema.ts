/**
 * Every setting of a peer: its default, unit, range and reason, in one schema. The unit is part of
 * the key. Nothing here reads a file or the environment (`load.ts`), and nothing outside this folder
 * knows a default.
 */
import { TIMER_MAX_MS } from '../lib/timer.ts';
import * as z from 'zod';
import { DEFAULT_LIMITS } from '../core/contract/limits.ts';
import { isIpAddress } from '../job/addresses.ts';
import {
  isLabelValue,
  LABEL_KEY,
  LABEL_KEY_EXPECTED,
  LABEL_VALUE_EXPECTED,
  LABEL_VALUE_MAX,
  LABELS_EXPECTED,
  tooManyLabels,
} from './labels.ts';
import { isAmount, isByteAmount, isShare } from './amounts.ts';

const HOUR_MS = 3_600_000;
const MB = 1_000_000;
const MIB = 1_048_576;
const GB = 1_000_000_000;

const bytes = () => z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const ms = (min: number) => z.int().min(min).max(TIMER_MAX_MS);
const words = () => z.array(z.string().min(1).max(4_096)).max(1_000);

const capacityText = (unit: 'count' | 'bytes', what: string) =>
  z
    .string()
    .refine(
      (text) => isShare(text) || (unit === 'bytes' ? isByteAmount(text) : isAmount(text)),
      `expected ${what}`,
    );

const multiaddr = z
  .string()
  .regex(/^(\/[^/\s]+)+$/, 'expected a multiaddr such as /ip4/192.0.2.7/tcp/4711');

/** Who is dialled proves that it is the one named. */
const bootstrapAddress = z
  .string()
  .regex(
    /^(\/[^/\s]+)+$/,
    'expected the address of a peer as its `shoal serve` prints it, such as /ip4/192.0.2.7/tcp/4711/p2p/12D3KooW…',
  );

/** Files hold keys, so what looks like a key itself is a mistake that must not be printed. */
const keyFile = z
  .string()
  .refine(
    (text) => !looksLikeKey(text),
    'expected the path of a file that holds the key, not the key itself',
  );

/** True for key material: several lines, or one long run of hexadecimal digits or base64. */
export function looksLikeKey(text: string): boolean {
  return (
    /[\r\n]/.test(text) ||
    /^(0x)?[0-9a-f]{40,}$/i.test(text) ||
    /^[A-Za-z0-9+][A-Za-z0-9+/_-]{42,}={0,2}$/.test(text)
  );
}

const node = z.strictObject({
  dataDir: z
    .string()
    .min(1)
    .default('~/.shoal')
    .describe('keys, records, content, logs and working files of this peer'),
  /** Outside dataDir on purpose: it belongs to the person, who may run several peers. */
  ownerKey: keyFile
    .min(1)
    .default('~/.shoal/owner.key')
    .describe('file of the key that signs jobs; made at first use'),
  labels: z
    .record(
      z.string().regex(LABEL_KEY, `expected ${LABEL_KEY_EXPECTED}`),
      z.string().max(LABEL_VALUE_MAX).refine(isLabelValue, `expected ${LABEL_VALUE_EXPECTED}`),
    )
    .refine(
      (labels) => tooManyLabels(Object.entries(labels)) === null,
      `expected ${LABELS_EXPECTED}`,
    )
    .default({})
    .describe('labels that jobs can select this peer by, beside the automatic ones'),
});

const network = z.strictObject({
  id: z
    .string()
    .regex(
      /^[a-z0-9][a-z0-9._-]{0,62}$/,
      'expected lower-case letters, digits, ".", "_", "-", at most 63',
    )
    .default('shoal')
    .describe('mesh to belong to; part of every signature and protocol name'),
  /** A fixed port, because a firewall rule needs one. */
  listen: z
    .array(multiaddr)
    .min(1)
    .max(20)
    .default(['/ip4/0.0.0.0/tcp/4711'])
    .describe('addresses to listen on for peers'),
  listenFallback: z
    .boolean()
    .default(true)
    .describe(
      'take other ports when those of the default listen addresses and of the API are in use',
    ),
  announce: z
    .array(multiaddr)
    .max(20)
    .default([])
    .describe('addresses told to peers instead of those found'),
  bootstrap: z
    .array(bootstrapAddress)
    .max(100)
    .default([])
    .describe('peers to join the mesh through'),
  /** Only on request: a peer tells its presence to nobody who was not named. */
  mdns: z.boolean().default(false).describe('look for peers on the local network'),
  swarmKey: keyFile
    .default('')
    .describe('file of the pre-shared key of a private mesh; empty = none'),
  /** Each connection may buffer some MiB, so this bounds memory. */
  connectionsMax: z.int().min(4).max(10_000).default(200).describe('open connections to peers'),
});

/** Lower-case: that is how hosts are compared. */
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;

/** As a browser sends it: scheme, host, and a port that is not the usual one. `*` is none, nor is `null`. */
function isOrigin(text: string): boolean {
  return /^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text;
}

const api = z.strictObject({
  /** Loopback: whoever reaches the API acts with this peer's owner key. */
  host: z.string().min(1).default('127.0.0.1').describe('address of the HTTP API'),
  port: z
    .int()
    .min(0)
    .max(65_535)
    .default(1_234)
    .describe('port of the HTTP API; 0 = the system chooses'),
  insecure: z
    .boolean()
    .default(false)
    .describe('allow an address that other machines can reach without keys'),
  /** Whoever opens it is the user of this peer; whoever reaches loopback need not be. */
  socket: z
    .string()
    .default('')
    .describe(
      'Unix socket of the API for this user; empty = api.sock in dataDir, none = no socket',
    ),
  keys: keyFile
    .default('')
    .describe('file of API keys, lines of "read|submit|admin KEY"; empty = none are asked for'),
  /** A page that has its name point here would otherwise be taken for our own. */
  allowedHosts: z
    .array(z.string().regex(HOST_NAME, 'expected a host name such as peer.example, without a port'))
    .max(100)
    .default([])
    .describe('names beside localhost by which clients reach the HTTP API'),
  /** Each is a site whose pages act with this peer's owner key, or with the key that they send. */
  allowedOrigins: z
    .array(
      z
        .string()
        .refine(isOrigin, 'expected an origin such as https://dash.example:8443, without a path'),
    )
    .max(100)
    .default([])
    .describe('origins of web pages that may use the HTTP API beside its own'),
});

const docker = z.strictObject({
  enabled: z.boolean().default(true).describe('offer the docker engine where a daemon answers'),
  socket: z
    .string()
    .default('')
    .describe('socket of the Docker daemon; empty = DOCKER_HOST or /var/run/docker.sock'),
  /** The image's own: jobs written for Bacalhau expect it, and without capabilities even its root can do little. */
  user: z
    .string()
    .regex(/^(\d{1,10}:\d{1,10})?$/, 'expected uid:gid, or nothing for the user of the image')
    .default('')
    .describe('user and group of every program; empty = as the image says'),
  /** Off: many images write beside their program (caches, compiled files), and their layer goes with the container. */
  readonlyRootfs: z
    .boolean()
    .default(false)
    .describe('the file system of the image cannot be written to'),
  tmpfsBytes: bytes()
    .default(64 * MB)
    .describe('size of /tmp, /var/tmp and /run in a container each, in memory'),
  capabilities: z
    .array(z.string().regex(/^[A-Z_]+$/, 'expected a name such as CHOWN'))
    .max(40)
    .default([])
    .describe('capabilities given to programs; none unless the owners are trusted'),
  /** Stops fork bombs; interpreters with a thread pool per core stay well below. */
  pidsLimit: z
    .int()
    .min(1)
    .max(100_000)
    .default(512)
    .describe('processes and threads of one container'),
  openFilesMax: z
    .int()
    .min(16)
    .max(1_048_576)
    .default(4_096)
    .describe('open files per process of a container'),
  /** Needed only after a crash of this peer: while it lives it reads the output itself. */
  logMaxBytes: bytes()
    .default(64 * MB)
    .describe('output that the Docker daemon keeps of one container'),
  /** Pulling does not count as run time, so it needs a bound of its own. */
  pullTimeoutMs: ms(1_000)
    .default(15 * 60_000)
    .describe('time for pulling one image'),
  /** Machine learning images have 5 to 15 GB; their disk is nobody's reservation. */
  imageMaxBytes: bytes()
    .default(20 * GB)
    .describe('largest image that is pulled, unpacked'),
  skipPull: z.boolean().default(false).describe('run only images that are here already'),
  stopGraceMs: ms(0)
    .max(10_000)
    .default(5_000)
    .describe('time between asking a container to stop and killing it'),
  lostAfterMs: ms(0)
    .default(30_000)
    .describe('how long the Docker daemon may be away before a run counts as lost'),
  /** Below the range from which Linux takes ports for outgoing connections. */
  portFirst: z
    .int()
    .min(1_024)
    .max(65_535)
    .default(20_000)
    .describe('first host port for ports that jobs ask for'),
  portLast: z.int().min(1_024).max(65_535).default(32_000).describe('last of them'),
});

const wasm = z.strictObject({
  enabled: z.boolean().default(true).describe('offer the wasm engine'),
  /** Compiling takes memory of many times the module. */
  moduleMaxBytes: z
    .int()
    .min(1_024)
    .max(GB)
    .default(64 * MB)
    .describe('largest module'),
  /**
   * Reserved beside the memory of each job, and the most that its process holds beside it. Measured:
   * 50 MiB for a small module, 95 for one of 20 MB, 174 for one of 60 MB; what a job does not use of
   * its own memory is room for its module, too.
   */
  overheadBytes: z
    .int()
    .min(64 * MIB)
    .max(4 * GB)
    .default(96 * MIB)
    .describe('memory of the process of one program beside what its job asks for'),
  openFilesMax: z.int().min(3).max(65_536).default(1_024).describe('files a program may have open'),
});

const noop = z.strictObject({
  enabled: z.boolean().default(false).describe('take jobs of the noop engine (for tests)'),
});

const capacity = z.strictObject({
  cpu: capacityText('count', 'cores (2, 0.5, 500m) or a share (80%)')
    .default('80%')
    .describe('processors for jobs'),
  memory: capacityText('bytes', 'an amount (4GB, 512MiB) or a share (80%)')
    .default('80%')
    .describe('memory for jobs'),
  disk: capacityText('bytes', 'an amount (20GB) or a share of what is free (80%)')
    .default('80%')
    .describe('disk for jobs'),
  gpu: capacityText('count', 'a count or a share (100%)').default('100%').describe('GPUs for jobs'),
});

const policy = z.strictObject({
  allowOwners: z
    .array(ownerKeyText())
    .max(10_000)
    .default([])
    .describe('owner keys whose jobs are taken; empty = all'),
  denyOwners: z
    .array(ownerKeyText())
    .max(10_000)
    .default([])
    .describe('owner keys whose jobs are refused'),
  allowNamespaces: words().default([]).describe('namespaces whose jobs are taken; empty = all'),
  denyNamespaces: words().default([]).describe('namespaces whose jobs are refused'),
  allowImages: words()
    .default([])
    .describe('beginnings of image references that may run; empty = all'),
  /** A registry of a private network is whatever listens there: an image would have this machine ask it. */
  privateRegistries: z
    .array(z.string().regex(/^[a-zA-Z0-9.:[\]-]+$/, 'expected a host with or without a port'))
    .max(100)
    .default([])
    .describe(
      'registries that images may be pulled from though they are not public: host or host:port',
    ),
  /** Host is not among them: such a job reaches everything that listens on this machine's loopback. */
  networks: z
    .array(z.enum(['None', 'Default', 'Bridge', 'Host']))
    .default(['None', 'Default', 'Bridge'])
    .describe('network types that jobs may have here'),
  /** Closed: what strangers run could reach whatever this machine reaches. */
  defaultNetwork: z
    .enum(['None', 'Bridge'])
    .default('None')
    .describe('what docker jobs get here that name no network type, or Default'),
  /** Loopback alone: another address opens what strangers run to everybody who reaches it. */
  portAddresses: z
    .array(z.string().refine(isIpAddress, 'expected an IP address such as 0.0.0.0'))
    .max(100)
    .default(['127.0.0.1', '::1'])
    .describe('addresses of this machine that jobs may publish ports on; 0.0.0.0 = all'),
  allowedPaths: z
    .array(z.string().regex(/^\/[^\0]*$/, 'expected an absolute path, with globs and :ro or :rw'))
    .max(1_000)
    .default([])
    .describe('paths of this machine that jobs may read (:ro, the default) or write (:rw)'),
  allowedEnv: words()
    .default([])
    .describe('variables of this process that jobs may ask for; * = anything'),
});

const jobs = z.strictObject({
  maxAttempts: z
    .int()
    .min(1)
    .max(100)
    .default(DEFAULT_LIMITS.maxAttempts)
    .describe('tries of one partition before its job fails'),
  retentionMs: ms(60_000)
    .default(DEFAULT_LIMITS.retentionMs)
    .describe('how long the records of a finished job are kept'),
  /** Shorter than a restart of a machine it would move jobs about that are back in a moment. */
  keeperReplaceAfterMs: ms(5_000)
    .default(DEFAULT_LIMITS.keeperReplaceAfterMs)
    .describe('a keeper of a job that is away for this long is replaced by another peer'),
  /** Shorter than a usual outage of a network it would have jobs run on both sides of it. */
  reseedAfterMs: ms(5_000)
    .default(DEFAULT_LIMITS.reseedAfterMs)
    .describe('a job goes on with other keepers when a majority of them is away for this long'),
});

const storage = z.strictObject({
  /** All inputs of one execution together. */
  inputMaxBytes: bytes()
    .default(100 * GB)
    .describe('largest input of one execution'),
  inlineMaxBytes: z
    .int()
    .min(0)
    .max(100 * MB)
    .default(10 * MB)
    .describe('largest inline input once it is unpacked'),
  /** Not reserved, as most jobs write next to nothing; but no job is without a limit. */
  diskDefaultBytes: z
    .int()
    .min(1)
    .max(Number.MAX_SAFE_INTEGER)
    .default(10 * GB)
    .describe('disk that a job may fill which asks for none'),
  /** Each takes some 30 µs, again and again, and nobody sees what is written meanwhile. */
  diskLooksMax: z
    .int()
    .min(1_000)
    .max(100_000_000)
    .default(250_000)
    .describe('files that a running job may have on disk or open; a directory counts as ten'),
  outputMaxBytes: bytes().default(GB).describe('bytes kept of stdout and of stderr'),
  resultMaxBytes: bytes()
    .default(10 * GB)
    .describe('largest result of one execution'),
  /** A DAG of more entries takes minutes to import and to list. */
  resultEntriesMax: z
    .int()
    .min(1)
    .max(10_000_000)
    .default(100_000)
    .describe('files and directories of one result'),
  resultDepthMax: z
    .int()
    .min(1)
    .max(1_000)
    .default(64)
    .describe('nested directories of one result'),
  logRetentionMs: ms(0)
    .default(HOUR_MS)
    .describe('how long logs and working files of a finished execution are kept here'),
  /** Room for records, logs and what runs already; of a small disk 2 % is enough for that. */
  marginBytes: bytes()
    .default(200 * MB)
    .describe('free disk below which this peer takes nothing new, at most marginPercent of it'),
  marginPercent: z
    .number()
    .min(0)
    .max(90)
    .default(2)
    .describe('the same as a share of the disk; the smaller of both counts'),
  logsMaxBytes: bytes()
    .default(5 * GB)
    .describe('logs of finished executions kept here together; the oldest go first'),
  diskPollMs: ms(10)
    .default(2_000)
    .describe('interval of measuring the disk that a running job uses'),
});

const results = z.strictObject({
  retentionMs: ms(60_000)
    .default(DEFAULT_LIMITS.resultRetentionMs)
    .describe('how long a result is kept on its holders'),
  /** A machine that is only started again is back by then. */
  holderLostMs: ms(5_000)
    .default(DEFAULT_LIMITS.holderLostMs)
    .describe('a holder that is away for this long is replaced: another peer makes a copy'),
  quotaBytes: bytes()
    .default(50 * GB)
    .describe('disk for results and other content; what is pinned is not removed for it'),
});

const logging = z.strictObject({
  level: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .describe('least level that is logged'),
});

function ownerKeyText() {
  return z.string().regex(/^[0-9a-f]{64}$/, 'expected a public key of 64 hexadecimal digits');
}

/** Addresses that only this machine reaches. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/;

/** @returns why the API may not listen there; null when it may. Kept apart from the schema, so that it is told beside other problems. */
export function apiHostProblem(host: unknown, insecure: unknown, keys: unknown): string | null {
  if (insecure === true || (typeof keys === 'string' && keys !== '')) return null;
  if (typeof host !== 'string' || LOOPBACK.test(host)) return null;
  return 'other machines could reach the API there without a key: keep to 127.0.0.1, give keys (--api-keys), or allow it with api.insecure (--api-insecure)';
}

export const configSchema = z.strictObject({
  node: node.prefault({}),
  network: network.prefault({}),
  api: api.prefault({}),
  engines: z
    .strictObject({ docker: docker.prefault({}), wasm: wasm.prefault({}), noop: noop.prefault({}) })
    .prefault({}),
  capacity: capacity.prefault({}),
  policy: policy.prefault({}),
  jobs: jobs.prefault({}),
  storage: storage.prefault({}),
  results: results.prefault({}),
  logging: logging.prefault({}),
});

type DeepReadonly<T> = T extends readonly (infer Item)[]
  ? readonly DeepReadonly<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
    : T;

/** Resolved once at start; deeply frozen. */
export type Config = DeepReadonly<z.output<typeof configSchema>>;
