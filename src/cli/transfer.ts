/**
 * Fetches the files of a CID through the peer into a directory of ours, one at a time. What is there
 * already in full is not fetched again, so an interrupted transfer goes on where it stopped. Names
 * come from strangers: nothing is written outside of the directory, and symlinks are made last of all, only
 * those that stay inside. That nobody else writes to the directory meanwhile is seen to in `partial.ts`.
 */
import type { StatsFs } from 'node:fs';
import { chmod, lstat, mkdir, open, rename, rm, statfs, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Failure } from '../failures/failure.ts';
import { errorCode } from '../lib/durable-file.ts';
import { givenMode } from '../lib/tree-modes.ts';
import { formatBytes } from '../lib/units.ts';
import type { Client } from './client.ts';
import type { Io } from './io.ts';
import { foldOf, holdable, readList } from './listing.ts';
import type { Entry } from './listing.ts';
import { StatusLine } from './status-line.ts';

const PROGRESS_MS = 200;

const refuse = (failure: Failure, cause?: unknown): never => {
  throw new ShoalError(failure, { cause });
};

/** Bytes so far and per second, on the line in place. */
export class Progress {
  readonly #line: StatusLine;
  readonly #what: string;
  readonly #startedAt = Date.now();
  #bytes = 0;
  #shownAt = 0;
  /** 0 = not known. */
  total = 0;

  constructor(io: Io, what: string) {
    this.#line = new StatusLine(io, false);
    this.#what = what;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
    const now = Date.now();
    if (now - this.#shownAt < PROGRESS_MS) return;
    this.#shownAt = now;
    const rate = (this.#bytes / Math.max(1, now - this.#startedAt)) * 1000;
    const of = this.total > 0 ? ` of ${formatBytes(this.total)}` : '';
    this.#line.now(`${this.#what} ${formatBytes(this.#bytes)}${of}, ${formatBytes(rate)}/s`);
  }

  say(line: string): void {
    this.#line.say(line);
  }

  end(): void {
    this.#line.clear();
  }
}

export interface TransferOptions {
  readonly client: Client;
  readonly cid: string;
  readonly holders: readonly string[];
  /** Directory that receives a directory's entries, or the file of a CID that is a single file. */
  readonly destination: string;
  /** The place where a person looks for it, in messages. */
  readonly shown: string;
  /** Name of the file within `destination` for a CID that is a single file; null = `destination` itself. */
  readonly fileName: string | null;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

async function listOf(options: TransferOptions): Promise<readonly Entry[]> {
  const { client, cid, holders, signal } = options;
  const place = `/shoal/content/${encodeURIComponent(cid)}/list`;
  return readList(await client.download(place, { holder: holders }, signal), cid);
}

/** What a disk says of a name that it cannot hold, or not beside another one. */
const NOT_HELD: ReadonlySet<string | null> = new Set(['EILSEQ', 'EINVAL', 'ENAMETOOLONG']);

async function sizeOf(path: string): Promise<number | null> {
  return lstat(path).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  );
}

async function fetchFile(
  entry: Entry,
  target: string,
  { client, cid, destination, holders, progress, shown, signal }: TransferOptions,
): Promise<void> {
  // Beside the whole, as a name in it may be as long as a name can be, or be this one.
  const part = `${destination}.shoal-part`;
  const query = { path: entry.path, holder: holders };
  const answer = await client.download(
    `/shoal/content/${encodeURIComponent(cid)}/file`,
    query,
    signal,
  );
  // Never through a link or into a file that is there, though nobody else should get here.
  await rm(part, { force: true });
  const mode = givenMode(entry.mode, 'file');
  const file = await open(part, 'wx', mode | 0o200);
  let bytes = 0;
  let asked = entry.bytes;
  try {
    for await (const chunk of answer) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      if (bytes > asked) {
        asked = bytes + SPACE_STEP_BYTES;
        await checkSpace(dirname(part), SPACE_STEP_BYTES, shown);
      }
      await file.writeFile(piece);
      progress.add(piece.length);
    }
    await file.chmod(mode);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(part, target);
}

/** A file that is larger than its tree says is asked about again each time it has grown by this. */
const SPACE_STEP_BYTES = 64 << 20;
/** Of the disk that is fetched to, so much is left to everything else on it: the smaller of both. */
const MARGIN_BYTES = 200_000_000;
const MARGIN_SHARE = 0.02;

/** Why so many bytes are not fetched to a disk; null when they fit. */
export function whyNoSpace(
  { bavail, blocks, bsize }: Pick<StatsFs, 'bavail' | 'blocks' | 'bsize'>,
  bytes: number,
): string | null {
  const free = bavail * bsize;
  const margin = Math.min(MARGIN_BYTES, blocks * bsize * MARGIN_SHARE);
  if (free - margin >= bytes) return null;
  return `${formatBytes(bytes)} are needed and ${formatBytes(free)} are free, of which ${formatBytes(margin)} are left alone`;
}

async function checkSpace(directory: string, bytes: number, shown: string): Promise<void> {
  const why = bytes === 0 ? null : whyNoSpace(await statfs(directory), bytes);
  if (why !== null) refuse({ code: 'store-unusable', path: shown, why });
}

function asInterrupt(error: unknown, { cid, signal }: TransferOptions): unknown {
  if (signal.aborted)
    return new ShoalError(
      { code: 'interrupted', what: 'Interrupted. The same command goes on where it stopped.' },
      { cause: error },
    );
  const { code } = (error ?? {}) as { readonly code?: string };
  if (code === 'ECONNRESET' || code === 'ABORT_ERR' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return new ShoalError(
      {
        code: 'content-corrupt',
        cid,
        why: 'the transfer broke off; the same command goes on where it stopped',
      },
      { cause: error },
    );
  }
  return error;
}

async function transfer(options: TransferOptions): Promise<'file' | 'directory'> {
  const { destination, fileName, progress } = options;
  const listed = await listOf(options);
  const isFile = listed.length === 1 && listed[0]?.path === '' && listed[0].kind === 'file';
  const root = isFile && fileName === null ? dirname(destination) : destination;
  await mkdir(root, { recursive: true });
  const leaveOut = (path: string, why: string): void => progress.say(`Left out: ${path}: ${why}`);
  const entries = holdable(listed, await foldOf(root), process.platform, leaveOut);
  progress.total = entries.reduce((bytes, entry) => bytes + entry.bytes, 0);
  await checkSpace(root, progress.total, options.shown);
  const whole = fileName === null ? destination : join(destination, fileName);
  const targetOf = (path: string): string =>
    path === '' ? whole : join(destination, ...path.split('/'));
  const each = async (some: readonly Entry[], work: typeof place): Promise<void> => {
    for (const entry of some) {
      await work(entry, targetOf(entry.path), options).catch((error: unknown) => {
        if (!NOT_HELD.has(errorCode(error))) throw error;
        leaveOut(entry.path, `this disk cannot hold its name (${errorCode(error)})`);
      });
    }
  };
  await each(
    entries.filter(({ kind }) => kind !== 'symlink'),
    place,
  );
  // Nothing is written through a link, nor into a directory that is closed already.
  await each(entries.filter(({ kind }) => kind !== 'file').reverse(), finish);
  return isFile ? 'file' : 'directory';
}

async function place(entry: Entry, target: string, options: TransferOptions): Promise<void> {
  if (entry.kind === 'directory') {
    await mkdir(target, { recursive: true });
    return;
  }
  await mkdir(dirname(target), { recursive: true });
  // What bears its name is whole: a part has another. How large it is says the list, which may be wrong.
  const there = await sizeOf(target);
  if (there !== null) options.progress.add(there);
  else await fetchFile(entry, target, options);
}

async function finish(entry: Entry, target: string): Promise<void> {
  if (entry.kind === 'symlink') {
    await mkdir(dirname(target), { recursive: true });
    // One that an earlier try made.
    await rm(target, { force: true });
    await symlink(entry.link ?? '', target);
  } else if (entry.mode !== undefined) await chmod(target, givenMode(entry.mode, 'directory'));
}

/** @throws ShoalError `path-unsafe`, `content-corrupt`, `interrupted`; RemoteError as the peer says. */
export async function fetchContent(options: TransferOptions): Promise<'file' | 'directory'> {
  try {
    return await transfer(options);
  } catch (error) {
    throw asInterrupt(error, options);
  } finally {
    options.progress.end();
  }
}
