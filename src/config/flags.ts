/**
 * The flags of `shoal serve`: which configuration key each one sets, and its line of help. The table
 * is the whole truth; the command line is built from it and so is the help text. It reads nothing
 * and knows no values: `load.ts` merges them with the other places a value may come from.
 */

export interface ServeFlag {
  readonly flag: `--${string}`;
  /** Placeholder of the value in the help text; null for a switch. */
  readonly argument: string | null;
  /** The configuration key (`section.key`) that it sets; `''` for `--config`, which names the file itself. */
  readonly path: string;
  /** May be given several times; the values make up a list (or a map of `KEY=VALUE`). */
  readonly repeatable: boolean;
  /** What a switch sets its key to; null when the flag takes a value. */
  readonly sets: boolean | null;
  readonly help: string;
}

const value = (flag: `--${string}`, argument: string, path: string, help: string): ServeFlag => ({
  flag,
  argument,
  path,
  repeatable: false,
  sets: null,
  help,
});
const list = (flag: `--${string}`, argument: string, path: string, help: string): ServeFlag => ({
  flag,
  argument,
  path,
  repeatable: true,
  sets: null,
  help,
});
const toggle = (flag: `--${string}`, path: string, sets: boolean, help: string): ServeFlag => ({
  flag,
  argument: null,
  path,
  repeatable: false,
  sets,
  help,
});

/** In the order in which help shows them. */
export const serveFlags: readonly ServeFlag[] = [
  value(
    '--config',
    'FILE',
    '',
    'configuration file (default: config.yaml in the data directory, if there is one)',
  ),
  value(
    '--data-dir',
    'DIR',
    'node.dataDir',
    'where this peer keeps its keys, records, content and logs',
  ),
  value(
    '--owner-key',
    'FILE',
    'node.ownerKey',
    'key that signs the jobs submitted through this peer; made at first use',
  ),
  list('--label', 'KEY=VALUE', 'node.labels', 'label that jobs can select this peer by'),

  value(
    '--network-id',
    'NAME',
    'network.id',
    'mesh to belong to; peers of different meshes never mix',
  ),
  value('--swarm-key', 'FILE', 'network.swarmKey', 'pre-shared key of a private mesh'),
  list('--listen', 'MULTIADDR', 'network.listen', 'address to listen on for peers'),
  list(
    '--announce',
    'MULTIADDR',
    'network.announce',
    'address told to peers instead of those found',
  ),
  list(
    '--bootstrap',
    'MULTIADDR',
    'network.bootstrap',
    'peer to join the mesh through (…/p2p/<peer id>)',
  ),
  toggle('--mdns', 'network.mdns', true, 'look for peers on the local network'),

  value('--api-host', 'ADDRESS', 'api.host', 'address the HTTP API listens on'),
  value('--api-port', 'PORT', 'api.port', 'port the HTTP API listens on; 0 lets the system choose'),
  toggle(
    '--api-insecure',
    'api.insecure',
    true,
    'allow an API address that other machines can reach without a key',
  ),
  value(
    '--api-socket',
    'PATH',
    'api.socket',
    'Unix socket of the API for this user (default: api.sock in the data directory); none = no socket',
  ),
  value('--api-keys', 'FILE', 'api.keys', 'file of API keys, lines of "read|submit|admin KEY"'),
  list('--api-allow-host', 'NAME', 'api.allowedHosts', 'name by which clients reach the API'),
  list(
    '--api-allow-origin',
    'ORIGIN',
    'api.allowedOrigins',
    'origin of web pages that may use the API, such as https://dash.example',
  ),

  toggle('--no-docker', 'engines.docker.enabled', false, 'run no docker jobs'),
  value('--docker-socket', 'PATH', 'engines.docker.socket', 'socket of the Docker daemon'),
  toggle('--no-wasm', 'engines.wasm.enabled', false, 'run no wasm jobs'),
  toggle('--noop', 'engines.noop.enabled', true, 'take jobs of the noop engine (for tests)'),

  value(
    '--cpu',
    'AMOUNT',
    'capacity.cpu',
    'processors to give to jobs: cores (2, 500m) or a share (80%)',
  ),
  value(
    '--memory',
    'AMOUNT',
    'capacity.memory',
    'memory to give to jobs: an amount (4GB) or a share (80%)',
  ),
  value(
    '--disk',
    'AMOUNT',
    'capacity.disk',
    'disk to give to jobs: an amount (20GB) or a share of what is free (80%)',
  ),
  value('--gpu', 'AMOUNT', 'capacity.gpu', 'GPUs to give to jobs: a count or a share (100%)'),

  list('--allow-owner', 'KEY', 'policy.allowOwners', 'take jobs of this owner key only'),
  list('--deny-owner', 'KEY', 'policy.denyOwners', 'take no jobs of this owner key'),
  list('--allow-namespace', 'NAME', 'policy.allowNamespaces', 'take jobs of this namespace only'),
  list('--deny-namespace', 'NAME', 'policy.denyNamespaces', 'take no jobs of this namespace'),
  list(
    '--allow-image',
    'PREFIX',
    'policy.allowImages',
    'run only images whose reference begins with this',
  ),
  list(
    '--allow-network',
    'TYPE',
    'policy.networks',
    'network type that jobs may have here (None, Default, Bridge, Host)',
  ),
  list(
    '--allow-path',
    'GLOB[:rw]',
    'policy.allowedPaths',
    'path of this machine that jobs may read, or write with :rw',
  ),
  list(
    '--allow-env',
    'PATTERN',
    'policy.allowedEnv',
    'variable of this process that jobs may ask for',
  ),

  value('--max-attempts', 'N', 'jobs.maxAttempts', 'tries of one partition before its job fails'),
  value('--log-level', 'LEVEL', 'logging.level', 'trace, debug, info, warn, error or silent'),
];
