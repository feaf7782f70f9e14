/** Runs commands in this process against the fake node behind a real server on a real port. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { after } from 'node:test';
import { run } from '../../../src/cli/main.ts';
import type { FlagRecord, Io } from '../../../src/cli/io.ts';
import type { ApiOptions } from '../../../src/api/server.ts';
import { createTestApi, type TestApi } from '../api/api-server.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface CliOptions {
  readonly stdin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly tty?: boolean;
  /** Width of the terminal, characters; default 200. */
  readonly columns?: number;
  /** Handed a function that presses Ctrl-C, and the text on stderr so far whenever it grows. */
  readonly onErr?: (text: string, interrupt: () => void) => void;
}

export interface Cli {
  readonly api: TestApi;
  readonly port: number;
  /** Working directory of every command. */
  readonly cwd: string;
  readonly started: FlagRecord[];
  run(args: readonly string[], options?: CliOptions): Promise<Ran>;
}

// Times are shown as the clocks of this process have them.
process.env['TZ'] = 'UTC';

class Sink extends Writable {
  text = '';
  readonly #onText: (text: string) => void;
  constructor(onText: (text: string) => void = () => {}) {
    super({ decodeStrings: false });
    this.#onText = onText;
  }
  override _write(chunk: Buffer | string, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
    this.#onText(this.text);
  }
}

/** Runs without a peer: what a command does alone. */
export async function runAlone(
  args: readonly string[],
  cwd: string,
  options: CliOptions & { readonly started?: FlagRecord[] } = {},
): Promise<Ran> {
  const listeners = new Set<() => void>();
  const interrupt = (): void => {
    for (const listener of [...listeners]) listener();
  };
  const stdout = new Sink();
  const stderr = new Sink((text) => options.onErr?.(text, interrupt));
  const tty = options.tty === true;
  const io: Io = {
    stdin: Readable.from([Buffer.from(options.stdin ?? '')]),
    stdout,
    stderr,
    terminal: { stdin: false, stdout: tty, stderr: tty },
    env: options.env ?? {},
    cwd,
    columns: () => options.columns ?? 200,
    onInterrupt: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    startDaemon: async (flags) => void options.started?.push(flags),
  };
  const code = await run(args, io);
  return { code, out: stdout.text, err: stderr.text };
}

/** A peer and a working directory; both go when the test file ends. */
export async function createCli(changes: Partial<ApiOptions> = {}): Promise<Cli> {
  const cwd = await mkdtemp(join(tmpdir(), 'shoal-cli-'));
  const api = await createTestApi({ spoolDir: join(cwd, '.spool'), ...changes });
  const { port } = await api.server.start();
  const started: FlagRecord[] = [];
  after(async () => {
    await api.server.stop();
    await rm(cwd, { recursive: true, force: true });
  });
  return {
    api,
    port,
    cwd,
    started,
    run: (args, options = {}) => {
      const env = { SHOAL_API_PORT: String(port), ...options.env };
      return runAlone(args, cwd, { ...options, env, started });
    },
  };
}
