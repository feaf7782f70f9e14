/**
 * Fetches the files of a CID through the peer into a directory of ours, one at a time. What is there
 * already in full is not fetched again, so an interrupted transfer goes on where it stopped. Names
 * come from strangers: nothing is written outside of the directory, and no symlink is ever made. That
 * nobody else writes to the directory meanwhile is seen to in `partial.ts`.
 */
import type { StatsFs } from 'node:fs';
import { lstat, mkdir, open, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Failure } from '../failures/failure.ts';
import { TREE_ENTRIES_MAX, whyUnsafe } from '../lib/safe-path.ts';
import { formatBytes } from '../lib/units.ts';
import type { ContentLine } from '../api/types.ts';
import type { Client } from './client.ts';
import { RemoteError } from './errors.ts';
import type { Io } from './io.ts';
import { StatusLine } from './status-line.ts';

const PROGRESS_MS = 200;

const refuse = (failure: Failure, cause?: unknown): never => {
  throw new ShoalError(failure, { cause });
};

interface Entry {
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly bytes: number;
}

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

/** @throws ShoalError `content-corrupt` – the list breaks off. */
async function listOf({
  client,
  cid,
  holders,
  signal,
}: TransferOptions): Promise<readonly Entry[]> {
  const answer = await client.download(
    `/shoal/content/${encodeURIComponent(cid)}/list`,
    { holder: holders },
    signal,
  );
  const entries: Entry[] = [];
  for await (const text of createInterface({
    input: answer,
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    const line = JSON.parse(text) as ContentLine;
    if ('error' in line) throw new RemoteError(line.error);
    if ('end' in line) return entries;
    entries.push(line.entry);
    if (entries.length > TREE_ENTRIES_MAX)
      refuse({ code: 'content-too-large', cid, bytes: entries.length, maxBytes: TREE_ENTRIES_MAX });
  }
  return refuse({ code: 'content-corrupt', cid, why: 'its list of files breaks off' });
}

/** Refuses names that would leave the directory or fall together on some disks; drops symlinks. */
function checked(entries: readonly Entry[], progress: Progress): readonly Entry[] {
  const seen = new Map<string, string>();
  return entries.filter(({ path, kind }) => {
    if (path === '') return kind === 'file';
    const why = whyUnsafe(path);
    if (why !== null) refuse({ code: 'path-unsafe', path, why });
    const folded = path.normalize('NFC').toLowerCase();
    const other = seen.get(folded);
    if (other !== undefined)
      refuse({
        code: 'path-unsafe',
        path,
        why: `it and "${other}" are the same name on some disks`,
      });
    seen.set(folded, path);
    if (kind === 'symlink') progress.say(`Left out: ${path} is a symbolic link`);
    return kind !== 'symlink';
  });
}

async function sizeOf(path: string): Promise<number | null> {
  return lstat(path).then(
    (found) => (found.isFile() ? found.size : null),
    () => null,
  );
}

async function fetchFile(
  entry: Entry,
  target: string,
  { client, cid, destination, holders, progress, signal }: TransferOptions,
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
  const file = await open(part, 'wx', 0o644);
  let bytes = 0;
  try {
    for await (const chunk of answer) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      if (bytes > entry.bytes) break;
      await file.writeFile(piece);
      progress.add(piece.length);
    }
    await file.sync();
  } finally {
    await file.close();
  }
  if (bytes !== entry.bytes)
    refuse({
      code: 'content-corrupt',
      cid,
      why: `${entry.path || 'the file'} has ${bytes} bytes instead of ${entry.bytes}`,
    });
  await rename(part, target);
}

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
  const entries = checked(await listOf(options), progress);
  const isFile = entries.length === 1 && entries[0]?.path === '';
  progress.total = entries.reduce((bytes, entry) => bytes + entry.bytes, 0);
  const root = isFile && fileName === null ? dirname(destination) : destination;
  await mkdir(root, { recursive: true });
  await checkSpace(root, progress.total, options.shown);
  for (const entry of entries) {
    const target = isFile
      ? fileName === null
        ? destination
        : join(destination, fileName)
      : join(destination, ...entry.path.split('/'));
    if (entry.kind === 'directory') {
      await mkdir(target, { recursive: true });
      continue;
    }
    await mkdir(dirname(target), { recursive: true });
    if ((await sizeOf(target)) === entry.bytes) progress.add(entry.bytes);
    else await fetchFile(entry, target, options);
  }
  return isFile ? 'file' : 'directory';
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
