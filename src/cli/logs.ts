/** The output of an execution on this terminal: its stdout on stdout, its stderr on stderr. */
import { ShoalError } from '../failures/shoal-error.ts';
import type { ErrorJson } from '../api/types.ts';
import type { CommandContext } from './command.ts';
import { RemoteError } from './errors.ts';
import { jobPath } from './ids.ts';
import { write } from './io.ts';
import { plainText } from './text.ts';

export interface LogOptions {
  readonly job: string;
  readonly namespace: string;
  /** '' = the latest. */
  readonly execution: string;
  readonly follow: boolean;
  readonly tail: boolean;
  /** undefined = the current one. */
  readonly version?: number | undefined;
  /** The latest execution of all versions, or one of any of them. */
  readonly allVersions?: boolean | undefined;
}

/**
 * Prints until the stream ends. On a terminal escape sequences are taken out; into a file or pipe
 * goes what the program wrote.
 * @throws RemoteError as the peer says; ShoalError `interrupted` on Ctrl-C.
 */
export async function printLogs(
  { io, client }: CommandContext,
  options: LogOptions,
): Promise<void> {
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  const query = {
    namespace: options.namespace,
    execution_id: options.execution,
    follow: options.follow,
    tail: options.tail,
    job_version: options.version,
    all_job_versions: options.allVersions,
  };
  try {
    for await (const frame of client().frames(`${jobPath(options.job)}/logs`, query, stop.signal)) {
      if (frame.error !== undefined) {
        const Details = {
          code: frame.code ?? 'internal',
          retryable: 'false',
        } as ErrorJson['Details'];
        throw new RemoteError({
          Status: 0,
          Message: frame.error,
          RequestID: '',
          Code: '',
          Component: '',
          Details,
        });
      }
      const to = frame.value.Type === 2 ? 'stderr' : 'stdout';
      const { Line } = frame.value;
      await write(io[to], io.terminal[to] ? plainText(Line) : Line);
    }
    if (stop.signal.aborted) {
      const what = `No longer following. Job ${options.job} goes on; \`shoal job logs -f ${options.job}\` follows again.`;
      throw new ShoalError({ code: 'interrupted', what });
    }
  } finally {
    release();
  }
}
