/**
 * One peer: `shoal serve` as a process of its own, on loopback, with its own data directory. Starts
 * it, signals it, starts it again where it was, and asks it over its HTTP API. Knows nothing of jobs.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { until } from './wait.ts';

const BASE = '/api/v1';
/** Reading the records and a first dial takes about a second; two processors may be shared by many. */
const START_MS = 60_000;
/** A peer that does not end by itself within this after SIGTERM has a leak. */
const STOP_MS = 15_000;
const REQUEST_MS = 15_000;
const TAIL_LINES = 40;

export interface PeerOptions {
  readonly name: string;
  readonly command: string;
  /** Holds everything of this peer; the data directory is below it. */
  readonly directory: string;
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where the peer has a network of its own; null = loopback. */
  readonly place: Place | null;
}

/** A network that this process is not in. */
export interface Place {
  readonly listen: string;
  wrap(command: readonly string[]): readonly [string, ...string[]];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;
  constructor(what: string, status: number, body: string) {
    super(`${what}: ${status} ${body.slice(0, 500)}`);
    this.status = status;
    this.code = codeIn(body);
  }
}

function codeIn(body: string): string {
  try {
    const value = JSON.parse(body) as { readonly Details?: { readonly code?: string } };
    return value.Details?.code ?? '';
  } catch {
    return '';
  }
}

interface Asked {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
}

const GET: Asked = { method: 'GET', headers: {} };

/** One request with a connection of its own: one that was kept may be to a process that is gone. */
async function ask({
  body,
  ...options
}: Asked & RequestOptions): Promise<{ readonly status: number; readonly body: string }> {
  const signal = AbortSignal.timeout(REQUEST_MS);
  const outgoing = request({ ...options, agent: false, signal });
  const answered = once(outgoing, 'response') as Promise<[IncomingMessage]>;
  outgoing.end(body);
  const [answer] = await answered;
  return { status: answer.statusCode ?? 0, body: await text(answer) };
}

/** A line of the log of a peer. */
export interface LogEvent {
  readonly event?: string;
  readonly [key: string]: unknown;
}

export class Peer {
  readonly name: string;
  readonly dataDir: string;
  readonly logPath: string;
  readonly #options: PeerOptions;
  #child: ChildProcess | null = null;
  #exit: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  /** Where the log of the present process begins, characters. */
  #logFrom = 0;
  nodeId = '';
  address = '';
  apiPort = 0;

  constructor(options: PeerOptions) {
    this.#options = options;
    this.name = options.name;
    this.dataDir = join(options.directory, 'data');
    this.logPath = join(options.directory, 'log');
  }

  /**
   * Starts the process; one that ran before gets its ports back. Resolves when it is ready.
   * @param env variables of this process alone.
   */
  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    const { command, flags, place } = this.#options;
    const port = this.address === '' ? '0' : (/\/tcp\/(\d+)/.exec(this.address)?.[1] ?? '0');
    const own = ['--data-dir', this.dataDir, '--api-port', String(this.apiPort)];
    const listen = place?.listen ?? `/ip4/127.0.0.1/tcp/${port}`;
    const line = [command, 'serve', ...own, '--listen', listen, ...flags] as const;
    const [file, ...args] = place?.wrap(line) ?? line;
    this.#logFrom = this.log().length;
    const log = openSync(this.logPath, 'a');
    const all = { ...this.#options.env, ...env };
    const child = spawn(file, args, { stdio: ['ignore', log, log], env: all });
    closeSync(log);
    this.#child = child;
    this.#exit = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        this.#child = null;
        resolve({ code, signal });
      });
    });
    await until(
      `${this.name} is ready`,
      // What a probe throws means "not yet", so that it has ended is told afterwards.
      () => this.#child === null || /^ready /m.test(this.#ownLog()),
      { deadlineMs: START_MS, describe: () => this.tail() },
    );
    if (this.#child === null)
      throw new Error(`${this.name} ended while it started:\n${this.tail()}`);
    this.nodeId = this.#printed('peer id');
    this.address = this.#printed('bootstrap');
    this.apiPort = Number(new URL(this.#printed('api')).port);
  }

  #printed(label: string): string {
    const line = new RegExp(`^${label} +(\\S+)`, 'm').exec(this.#ownLog());
    if (line?.[1] === undefined)
      throw new Error(`${this.name} printed no ${label}:\n${this.tail()}`);
    return line[1];
  }

  get running(): boolean {
    return this.#child !== null;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error(`${this.name} does not run`);
    return this.#child.pid;
  }

  /** The whole log of this peer, all its processes one after the other. */
  log(): string {
    try {
      return readFileSync(this.logPath, 'utf8');
    } catch {
      return '';
    }
  }

  #ownLog(): string {
    return this.log().slice(this.#logFrom);
  }

  tail(lines = TAIL_LINES): string {
    return this.log()
      .trimEnd()
      .split('\n')
      .slice(-lines)
      .map((line) => `    ${line.slice(0, 400)}`)
      .join('\n');
  }

  /** What this peer logged under this name, all its processes. */
  events(name: string): readonly LogEvent[] {
    return this.log()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes(`"event":"${name}"`))
      .map((line) => JSON.parse(line) as LogEvent);
  }

  /** How its last process ended; waits while it runs. */
  exit(): Promise<Exit> {
    return this.#exit;
  }

  /** Dies at once and loses what was not on disk. */
  async kill(): Promise<void> {
    process.kill(this.pid, 'SIGKILL');
    await this.#exit;
  }

  /** Stops as an operator does. @throws when it does not end by itself, in time, with code 0. */
  async stop(): Promise<void> {
    const { pid } = this;
    process.kill(pid, 'SIGCONT');
    process.kill(pid, 'SIGTERM');
    const late = new Promise<'late'>((resolve) => setTimeout(resolve, STOP_MS, 'late').unref());
    const exit = await Promise.race([this.#exit, late]);
    if (exit === 'late') {
      await this.kill();
      throw new Error(
        `${this.name} did not end within ${STOP_MS} ms after SIGTERM:\n${this.tail()}`,
      );
    }
    if (exit.code !== 0) {
      throw new Error(
        `${this.name} ended with ${JSON.stringify(exit)} after SIGTERM:\n${this.tail()}`,
      );
    }
  }

  /** The process stands still, its connections stay open: a black hole. */
  pause(): void {
    process.kill(this.pid, 'SIGSTOP');
  }

  resume(): void {
    process.kill(this.pid, 'SIGCONT');
  }

  // — its HTTP API

  /** How the command line reaches it. */
  get apiVariables(): Readonly<Record<string, string>> {
    return this.#options.place === null
      ? { SHOAL_API_PORT: String(this.apiPort) }
      : { SHOAL_API_SOCKET: this.#socketPath };
  }

  /** A socket in the file system can be opened from any network. */
  get #socketPath(): string {
    return join(this.dataDir, 'api.sock');
  }

  async #request(path: string, asked: Asked): Promise<string> {
    const where =
      this.#options.place === null
        ? { host: '127.0.0.1', port: this.apiPort }
        : { socketPath: this.#socketPath };
    const { status, body } = await ask({ ...where, path, ...asked });
    if (status !== 200) throw new ApiError(`${asked.method} ${path} of ${this.name}`, status, body);
    return body;
  }

  /** @param path below `/api/v1`. @throws ApiError when it answers with an error. */
  async get<T>(path: string): Promise<T> {
    return JSON.parse(await this.#request(BASE + path, GET)) as T;
  }

  async send<T>(method: 'PUT' | 'POST' | 'DELETE', path: string, body: unknown): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    return JSON.parse(
      await this.#request(BASE + path, { method, headers, body: JSON.stringify(body) }),
    ) as T;
  }

  /** Adds bytes as a file. @returns its CID */
  async addContent(bytes: Uint8Array<ArrayBuffer> | string): Promise<string> {
    const headers = { 'content-type': 'application/octet-stream' };
    const body = await this.#request(`${BASE}/shoal/content`, {
      method: 'POST',
      headers,
      body: bytes,
    });
    return (JSON.parse(body) as { readonly CID: string }).CID;
  }

  /** The sum of all series of this name whose labels contain `labels`, e.g. `code="bad-signature"`. */
  async metric(name: string, labels = ''): Promise<number> {
    const text = await this.#request('/metrics', GET);
    return text
      .split('\n')
      .filter(
        (line) =>
          line.startsWith(`${name} `) || (line.startsWith(`${name}{`) && line.includes(labels)),
      )
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }
}
