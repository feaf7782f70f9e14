/** `cid add`: sends a file, a directory or stdin to the peer and prints the CID. */
import { isUtf8 } from 'node:buffer';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ShoalError } from '../../failures/shoal-error.ts';
import { escapedName } from '../../lib/escaped-name.ts';
import { keptMode, whyLinkLeaves } from '../../lib/tree-modes.ts';
import {
  TREE_MEDIA_TYPE,
  TreeFormatError,
  encodeTree,
  type TreeItem,
} from '../../lib/tree-stream.ts';
import type { ContentJson } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { printLines, printValue } from '../output.ts';
import { plainText } from '../text.ts';
import { Progress } from '../transfer.ts';

interface Options {
  readonly output: 'text' | 'json' | 'yaml' | 'name';
  readonly pretty?: boolean;
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    progress.add(chunk.length);
    yield chunk;
  }
}

interface Source {
  readonly kind: 'stdin' | 'file' | 'directory';
  /** Of a file, where it is not that of any file. */
  readonly mode: number | null;
}

/** Every entry below `root`, in the order of their names. What a tree cannot hold is left out. */
async function* walk(root: string, prefix: string, dropped: string[]): AsyncGenerator<TreeItem> {
  // By bytes: a name need not be text.
  const names = await readdir(join(root, prefix), { encoding: 'buffer' });
  for (const raw of names.sort(Buffer.compare)) {
    if (!isUtf8(raw)) {
      dropped.push(`${escapedName(prefix, raw)}: its name is not UTF-8`);
      continue;
    }
    const path = prefix === '' ? raw.toString() : `${prefix}/${raw.toString()}`;
    const full = join(root, path);
    const found = await lstat(full);
    const none = { path, bytes: 0, data: nothing() };
    if (found.isDirectory()) {
      yield { ...none, kind: 'directory', ...modeOf(found.mode, 'directory') };
      yield* walk(root, path, dropped);
    } else if (found.isFile()) {
      const data = createReadStream(full);
      yield { path, kind: 'file', bytes: found.size, data, ...modeOf(found.mode, 'file') };
    } else if (found.isSymbolicLink()) {
      const link = await readlink(full);
      const why = whyLinkLeaves(path, link);
      if (why === null) yield { ...none, kind: 'symlink', link };
      else dropped.push(`${path}: ${why}`);
    } else dropped.push(`${path}: it is neither a file nor a directory`);
  }
}

function modeOf(mode: number, kind: 'file' | 'directory'): { readonly mode?: number } {
  const kept = keptMode(mode, kind);
  return kept === null ? {} : { mode: kept };
}

/** What this user may not read, or is gone meanwhile, in words: the system's own name a code and our call. */
function unreadable(error: unknown, given: string): ShoalError | null {
  const { code, path = given } = (error ?? {}) as {
    readonly code?: string;
    readonly path?: string;
  };
  if (code === undefined || !['EACCES', 'EPERM', 'ENOENT', 'EIO'].includes(code)) return null;
  const why = code === 'ENOENT' ? 'it is not there any more' : `it may not be read (${code})`;
  return new ShoalError({ code: 'path-unsafe', path, why }, { cause: error });
}

async function sourceOf(path: string, given: string): Promise<Source> {
  const found = await stat(path).catch(() => null);
  if (found === null) throw new ShoalError({ code: 'path-not-found', path: given });
  if (found.isDirectory()) return { kind: 'directory', mode: null };
  if (found.isFile()) return { kind: 'file', mode: keptMode(found.mode, 'file') };
  throw new ShoalError({
    code: 'usage',
    what: `${given} is neither a file nor a directory.`,
    hint: '',
  });
}

export const cidAdd: CommandCode<Options> = async ({ io, client }, [given = ''], options) => {
  const path = resolve(io.cwd, given);
  const source: Source =
    given === '-' ? { kind: 'stdin', mode: null } : await sourceOf(path, given);
  const { kind, mode } = source;
  const progress = new Progress(io, 'Adding');
  const dropped: string[] = [];
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  const bytes =
    kind === 'directory'
      ? encodeTree(walk(path, '', dropped))
      : kind === 'file'
        ? createReadStream(path)
        : io.stdin;
  const mediaType = kind === 'directory' ? TREE_MEDIA_TYPE : 'application/octet-stream';
  try {
    const added = await client().upload<ContentJson>(
      '/shoal/content',
      mode === null ? {} : { mode: mode.toString(8) },
      mediaType,
      counted(bytes, progress),
      stop.signal,
    );
    progress.end();
    for (const left of [...dropped, ...added.Dropped])
      io.stderr.write(`Left out: ${plainText(left)}\n`);
    const { output, pretty } = options;
    if (output === 'json' || output === 'yaml') {
      const value = { ...added, Dropped: [...dropped, ...added.Dropped] };
      await printValue(io, value, output, pretty === true);
    } else await printLines(io, [added.CID]);
  } catch (error) {
    if (stop.signal.aborted)
      throw new ShoalError(
        { code: 'interrupted', what: 'Interrupted; nothing was added.' },
        { cause: error },
      );
    const refused = unreadable(error, given);
    if (refused !== null) throw refused;
    if (error instanceof TreeFormatError)
      throw new ShoalError(
        { code: 'usage', what: `${error.message}.`, hint: 'Add it when nothing writes to it.' },
        { cause: error },
      );
    throw error;
  } finally {
    progress.end();
    release();
  }
};
