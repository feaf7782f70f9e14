/**
 * Puts an uploaded file tree into a directory of the daemon's own, from where the content store reads
 * it. The client's paths are only ever taken below that directory.
 */
import { chmod, mkdir, mkdtemp, open, readdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Failure } from '../failures/failure.ts';
import { TREE_ENTRIES_MAX, whyNotWritten } from '../lib/safe-path.ts';
import { decodeTree, TreeFormatError, type TreeItem } from '../lib/tree-stream.ts';
import { givenMode, whyLinkLeaves } from '../lib/tree-modes.ts';
import { removeTree } from '../lib/remove-tree.ts';
import { failpoint } from '../lib/failpoint.ts';

const refuse = (failure: Failure): never => {
  throw new ShoalError(failure);
};

async function writeItem(root: string, item: TreeItem): Promise<void> {
  const target = join(root, ...item.path.split('/'));
  if (item.kind === 'directory') {
    await mkdir(target, { recursive: true });
    return;
  }
  await mkdir(dirname(target), { recursive: true });
  // `wx`: a path given twice is refused instead of written over.
  const file = await open(target, 'wx', 0o600);
  try {
    for await (const chunk of item.data) await file.writeFile(chunk);
    await file.chmod(givenMode(item.mode, 'file'));
  } finally {
    await file.close();
  }
}

/** Last of all: nothing is ever written through one, and a closed directory can still be filled. */
async function writeRest(
  root: string,
  links: ReadonlyMap<string, string>,
  modes: ReadonlyMap<string, number>,
): Promise<void> {
  for (const [path, link] of links) {
    const target = join(root, ...path.split('/'));
    await mkdir(dirname(target), { recursive: true });
    await symlink(link, target);
  }
  for (const [path, mode] of [...modes].reverse())
    await chmod(join(root, ...path.split('/')), givenMode(mode, 'directory'));
}

async function writeTree(
  root: string,
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<void> {
  let entries = 0;
  let bytes = 0;
  const links = new Map<string, string>();
  const modes = new Map<string, number>();
  for await (const item of decodeTree(source)) {
    const why = whyNotWritten(item.path) ?? whyLinkLeaves(item.path, item.link ?? '.');
    if (why !== null) refuse({ code: 'path-unsafe', path: item.path.slice(0, 200), why });
    entries += 1;
    bytes += item.bytes;
    if (entries > TREE_ENTRIES_MAX) {
      refuse({
        code: 'request-invalid',
        place: 'upload',
        value: `more than ${TREE_ENTRIES_MAX} entries`,
        expected: 'fewer; pack them into an archive',
      });
    }
    if (bytes > maxBytes) refuse({ code: 'content-too-large', cid: 'The upload', bytes, maxBytes });
    if (item.link !== undefined) links.set(item.path, item.link);
    else await writeItem(root, item);
    if (item.kind === 'directory' && item.mode !== undefined) modes.set(item.path, item.mode);
  }
  await writeRest(root, links, modes);
}

function asFailure(error: unknown): unknown {
  if (error instanceof TreeFormatError) {
    return new ShoalError({
      code: 'request-invalid',
      place: 'upload',
      value: 'the stream',
      expected: `a whole file tree (${error.message})`,
    });
  }
  const code = (error as { readonly code?: unknown } | null)?.code;
  if (code === 'EEXIST' || code === 'ENOTDIR' || code === 'EISDIR') {
    return new ShoalError({
      code: 'request-invalid',
      place: 'upload',
      value: 'the tree',
      expected: 'each path once',
    });
  }
  if (code === 'ENOSPC')
    return new ShoalError(
      { code: 'store-unusable', path: 'of this peer', why: 'the disk is full' },
      { cause: error },
    );
  return error;
}

/** Removes what a process left that died in the middle of uploads: nobody goes on with them. Before the first one. */
export async function clearSpool(spoolDir: string): Promise<void> {
  for (const name of await readdir(spoolDir).catch(() => []))
    await removeTree(join(spoolDir, name));
}

/** Receives a tree, hands its directory to `use`, and removes it again whatever happens. */
export async function withReceivedTree<T>(
  source: AsyncIterable<Uint8Array>,
  spoolDir: string,
  maxBytes: number,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  await mkdir(spoolDir, { recursive: true, mode: 0o700 });
  const root = await mkdtemp(join(spoolDir, 'upload-'));
  try {
    await writeTree(root, source, maxBytes).catch((error: unknown) => {
      throw asFailure(error);
    });
    failpoint('upload.received');
    const used = await use(root);
    failpoint('upload.added');
    return used;
  } finally {
    await removeTree(root);
  }
}
