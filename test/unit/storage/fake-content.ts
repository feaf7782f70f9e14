/**
 * A content store in memory that keeps the laws of the real one which sources, publishers and logs
 * rest on: addresses are hashes of what is stored, a destination must not exist, sizes are limited,
 * special files and symlinks that lead out are dropped. No blocks, no peers, no CID arithmetic.
 */
import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, readlink, writeFile } from 'node:fs/promises';
import { isAbsolute, join, normalize } from 'node:path';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import type { ContentEntry, ContentStore, FetchOptions } from '../../../src/lib/content.ts';

type Tree = Uint8Array | Map<string, Tree>;

export interface FakeContent extends ContentStore {
  /** The options of each fetch so far. */
  readonly fetches: readonly FetchOptions[];
  /** Files below a root, path → text. */
  filesOf(cid: string): Readonly<Record<string, string>>;
  /** The next `add` waits until this is called. */
  hold(): () => void;
}

export function createFakeContent(): FakeContent {
  const trees = new Map<string, Tree>();
  const pins = new Set<string>();
  const fetches: FetchOptions[] = [];
  let gate: Promise<void> = Promise.resolve();
  const keep = (tree: Tree): { readonly cid: string; readonly bytes: number } => {
    const cid = `bafy${digest(tree)}`;
    trees.set(cid, tree);
    pins.add(cid);
    return { cid, bytes: sizeOf(tree) };
  };
  const find = (cid: string, options: FetchOptions): Tree => {
    fetches.push(options);
    options.signal.throwIfAborted();
    if (!cid.startsWith('bafy'))
      throw new ShoalError({ code: 'cid-invalid', value: cid, why: 'it is no CID' });
    const tree = trees.get(cid);
    if (tree === undefined)
      throw new ShoalError({ code: 'content-not-found', cid, asked: options.holders.length });
    const bytes = sizeOf(tree);
    if (bytes > options.maxBytes)
      throw new ShoalError({ code: 'content-too-large', cid, bytes, maxBytes: options.maxBytes });
    return tree;
  };
  return {
    fetches,
    filesOf: (cid) =>
      Object.fromEntries(
        flat(trees.get(cid) ?? new Map(), '').flatMap(([path, tree]) =>
          tree instanceof Map ? [] : [[path, Buffer.from(tree).toString()]],
        ),
      ),
    hold() {
      let release = (): void => {};
      gate = new Promise((resolve) => (release = resolve));
      return release;
    },
    async add(path, signal) {
      const dropped: string[] = [];
      const tree = await read(path, '', dropped);
      await Promise.race([
        gate,
        new Promise<never>((_, reject) =>
          signal.addEventListener('abort', () => reject(signal.reason as Error)),
        ),
      ]);
      signal.throwIfAborted();
      return { ...keep(tree), dropped };
    },
    async addStream(bytes) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of bytes) chunks.push(chunk);
      return keep(Buffer.concat(chunks));
    },
    async writeTo(cid, destination, options) {
      const tree = find(cid, options);
      for (const [, each] of flat(tree, '')) {
        options.onWrite?.(null);
        if (!(each instanceof Map)) options.onWrite?.(each.length);
      }
      await write(tree, destination);
      return { cid, bytes: sizeOf(tree), kind: tree instanceof Map ? 'directory' : 'file' };
    },
    async replicate(cid, options) {
      return { cid, bytes: sizeOf(find(cid, options)) };
    },
    async *list(cid, options): AsyncGenerator<ContentEntry> {
      for (const [path, tree] of flat(find(cid, options), '')) {
        yield { path, kind: tree instanceof Map ? 'directory' : 'file', bytes: sizeOf(tree) };
      }
    },
    async *read(cid, path, options) {
      const found = flat(find(cid, options), '').find(([name]) => name === path)?.[1];
      if (found === undefined || found instanceof Map)
        throw new ShoalError({ code: 'path-not-found', path });
      yield found;
    },
    has: async (cid) => trees.has(cid),
    pin: async (cid) => void pins.add(cid),
    unpin: async (cid) => void pins.delete(cid),
  };
}

const flat = (tree: Tree, path: string): [string, Tree][] => [
  [path, tree],
  ...(tree instanceof Map
    ? [...tree].flatMap(([name, child]) => flat(child, path === '' ? name : `${path}/${name}`))
    : []),
];

const sizeOf = (tree: Tree): number =>
  tree instanceof Map
    ? [...tree.values()].reduce((sum, child) => sum + sizeOf(child), 0)
    : tree.length;

function digest(tree: Tree): string {
  const hash = createHash('sha256');
  if (tree instanceof Map)
    for (const [name, child] of tree) hash.update(`${name}\0${digest(child)}`);
  else hash.update(tree);
  return hash.digest('hex');
}

async function read(path: string, below: string, dropped: string[]): Promise<Tree> {
  const found = await lstat(path);
  if (found.isFile()) return readFile(path);
  const tree = new Map<string, Tree>();
  for (const name of (await readdir(path)).sort()) {
    const child = join(path, name);
    const kind = await lstat(child);
    const link = kind.isSymbolicLink() ? await readlink(child) : null;
    const leaves =
      link !== null && (isAbsolute(link) || normalize(join(below, link)).startsWith('..'));
    if (leaves || !(kind.isFile() || kind.isDirectory()))
      dropped.push(`${join(below, name)}: not kept`);
    else tree.set(name, await read(child, join(below, name), dropped));
  }
  return tree;
}

async function write(tree: Tree, destination: string): Promise<void> {
  if (!(tree instanceof Map)) {
    await writeFile(destination, tree, { flag: 'wx' });
    return;
  }
  await mkdir(destination);
  for (const [name, child] of tree) await write(child, join(destination, name));
}
