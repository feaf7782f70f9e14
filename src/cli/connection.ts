/**
 * Which peer a command talks to and with which key: from flags, the environment, and what lies in the
 * default data directory. Talks to nobody itself.
 */
import { own } from '../job/own.ts';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import { HttpClient, type Client } from './client.ts';

/** The base of every path. `host`: a name, an address or a whole URL. */
export function baseUrl(host: string, port: string): URL {
  const text = host.includes('://')
    ? host
    : `http://${host.includes(':') && !host.startsWith('[') ? `[${host}]` : host}:${port}`;
  const invalid = (): never => {
    throw new ShoalError({
      code: 'usage',
      what: `"${text}" is not the address of an API.`,
      hint: 'Give --api-host and --api-port, e.g. 127.0.0.1 and 1234.',
    });
  };
  if (!URL.canParse(text)) return invalid();
  const url = new URL(text);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return invalid();
  if (url.hostname === '0.0.0.0') url.hostname = '127.0.0.1';
  if (url.hostname === '[::]') url.hostname = '[::1]';
  return url;
}

export interface Connection {
  readonly apiHost?: string;
  readonly apiPort?: string;
  readonly apiKeyFile?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The key from a file, so that it stands in no list of processes. @throws ShoalError `key-invalid`. */
function keyOf(flags: Connection, env: Environment): string {
  const path = flags.apiKeyFile || env['SHOAL_API_KEY_FILE'] || '';
  if (path === '') return env['SHOAL_API_KEY'] || env['BACALHAU_API_KEY'] || '';
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ShoalError({ code: 'key-invalid', path, why }, { cause });
  }
}

/** The socket of the peer with the default data directory; null when there is nothing of that name. */
function defaultSocket(env: Environment): string | null {
  const home = env['HOME'];
  const dataDir = env['SHOAL_NODE_DATA_DIR'] || (home ? join(home, '.shoal') : '');
  const socket = join(dataDir, 'api.sock');
  return dataDir !== '' && existsSync(socket) ? socket : null;
}

/**
 * Flags, then `SHOAL_*`, then `BACALHAU_*`; without a word about the place the socket of the default
 * data directory when a peer listens there, and 127.0.0.1:1234 otherwise.
 */
export function createClient(flags: Connection, env: Environment): Client {
  const key = keyOf(flags, env);
  const named =
    flags.apiHost ||
    flags.apiPort ||
    ['SHOAL_API_HOST', 'BACALHAU_API_HOST', 'SHOAL_API_PORT', 'BACALHAU_API_PORT'].some((name) =>
      own(env, name),
    );
  const socket = env['SHOAL_API_SOCKET'];
  if (!named && socket && socket !== 'none')
    return new HttpClient({ base: new URL('http://localhost'), socket }, null, key);
  const host = flags.apiHost || env['SHOAL_API_HOST'] || env['BACALHAU_API_HOST'] || '127.0.0.1';
  const port = flags.apiPort || env['SHOAL_API_PORT'] || env['BACALHAU_API_PORT'] || '1234';
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65_535) {
    throw new ShoalError({
      code: 'usage',
      what: `"${port}" is not a port; expected 1 to 65535.`,
      hint: '',
    });
  }
  const maybe = named || socket ? null : defaultSocket(env);
  return new HttpClient({ base: baseUrl(host, port), socket: null }, maybe, key);
}
