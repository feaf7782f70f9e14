/**
 * What a command may touch of the process: streams, variables, the working directory, Ctrl-C. A
 * parameter instead of globals, so that tests run commands in their own process.
 */
import type { Readable, Writable } from 'node:stream';

/** Values of the flags of `serve` that were given, by their long name (`--api-port`). */
export type FlagRecord = Readonly<Record<string, string | boolean | readonly string[] | undefined>>;

export interface Io {
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Which of them are terminals. */
  readonly terminal: {
    readonly stdin: boolean;
    readonly stdout: boolean;
    readonly stderr: boolean;
  };
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Width of the terminal in characters. */
  columns(): number;
  /** Calls back on Ctrl-C from now on. @returns what ends that. */
  onInterrupt(listener: () => void): () => void;
  /** Runs a peer in this process; resolves when it has stopped. */
  startDaemon(flags: FlagRecord): Promise<void>;
}

/** The real process. A reader that goes away (`| head`) ends it quietly. */
export function processIo(startDaemon: Io['startDaemon']): Io {
  const { stdin, stdout, stderr } = process;
  for (const stream of [stdout, stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
  return {
    stdin,
    stdout,
    stderr,
    terminal: {
      stdin: stdin.isTTY === true,
      stdout: stdout.isTTY === true,
      stderr: stderr.isTTY === true,
    },
    env: process.env,
    cwd: process.cwd(),
    columns: () => stderr.columns || stdout.columns || 100,
    onInterrupt: (listener) => {
      process.on('SIGINT', listener);
      return () => process.off('SIGINT', listener);
    },
    startDaemon,
  };
}

/** Writes and, when the reader is slow, waits for it. */
export async function write(stream: Writable, text: string | Uint8Array): Promise<void> {
  if (text.length === 0 || stream.write(text)) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done);
      stream.off('close', done);
      resolve();
    };
    stream.on('drain', done);
    stream.on('close', done);
  });
}
