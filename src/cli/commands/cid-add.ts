/** `cid add`: sends a file, a directory or stdin to the peer and prints the CID. */
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ShoalError } from '../../failures/shoal-error.ts';
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

async function* none(): AsyncGenerator<Uint8Array> {}

async function* counted(
  bytes: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of bytes) {
    progress.add(chunk.length);
    yield chunk;
  }
}

/** Every file and directory below `root`, in the order of their names. What is neither is left out. */
async function* walk(root: string, prefix: string, dropped: string[]): AsyncGenerator<TreeItem> {
  for (const name of (await readdir(join(root, prefix))).sort()) {
    const path = prefix === '' ? name : `${prefix}/${name}`;
    const full = join(root, path);
    const found = await lstat(full);
    if (found.isDirectory()) {
      yield { path, kind: 'directory', bytes: 0, data: none() };
      yield* walk(root, path, dropped);
    } else if (found.isFile())
      yield { path, kind: 'file', bytes: found.size, data: createReadStream(full) };
    else if (found.isSymbolicLink())
      dropped.push(`${path}: it is a symbolic link (to ${await readlink(full)})`);
    else dropped.push(`${path}: it is neither a file nor a directory`);
  }
}

async function sourceOf(path: string, given: string): Promise<'file' | 'directory'> {
  const found = await stat(path).catch(() => null);
  if (found === null) throw new ShoalError({ code: 'path-not-found', path: given });
  if (found.isDirectory()) return 'directory';
  if (found.isFile()) return 'file';
  throw new ShoalError({
    code: 'usage',
    what: `${given} is neither a file nor a directory.`,
    hint: '',
  });
}

export const cidAdd: CommandCode<Options> = async ({ io, client }, [given = ''], options) => {
  const path = resolve(io.cwd, given);
  const kind = given === '-' ? 'stdin' : await sourceOf(path, given);
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
