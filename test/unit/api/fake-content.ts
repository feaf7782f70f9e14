/** A content store in memory: a CID is made from the hash of what it names. Not IPFS; the API cannot tell. */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { keptMode } from '../../../src/lib/tree-modes.ts';
import type {
  ContentEntry,
  ContentRef,
  ContentStore,
  FetchOptions,
} from '../../../src/lib/content.ts';

/** A file's bytes, null for a directory, or the target of a symlink. */
type Node = Uint8Array | null | { readonly link: string };
type Tree = ReadonlyMap<string, Node>;

const bytesOf = (node: Node): Uint8Array => (node instanceof Uint8Array ? node : Buffer.alloc(0));

const sum = (tree: Tree): number =>
  [...tree.values()].reduce((bytes, node) => bytes + bytesOf(node).length, 0);

const kindOf = (node: Node): ContentEntry['kind'] =>
  node === null ? 'directory' : node instanceof Uint8Array ? 'file' : 'symlink';

function cidOf(tree: Tree): string {
  const hash = createHash('sha256');
  for (const [path, node] of [...tree].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${path}\0${kindOf(node)}\0`).update(bytesOf(node));
  return `bafy${hash.digest('hex')}`;
}

export class FakeContent implements ContentStore {
  readonly trees = new Map<string, Tree>();
  /** Set to make the reading of this path break off after some bytes. */
  breakAt: string | null = null;
  /** How often each path was read. */
  readonly reads = new Map<string, number>();
  /** Permission bits of paths, where they are not the usual ones, of all trees. */
  readonly modes = new Map<string, number>();
  /** Paths whose size a list says wrong. */
  readonly wrongSizes = new Map<string, number>();

  /** Stores a tree; `''` as only path is a single file, `null` a directory. */
  put(
    tree: Readonly<Record<string, string | null | { readonly link: string }>>,
    modes: Readonly<Record<string, number>> = {},
  ): ContentRef {
    const entries = Object.entries(tree).map(
      ([path, node]) => [path, typeof node === 'string' ? Buffer.from(node) : node] as const,
    );
    for (const [path, mode] of Object.entries(modes)) this.modes.set(path, mode);
    return this.#keep(new Map(entries));
  }

  #keep(tree: Tree): ContentRef {
    const cid = cidOf(tree);
    this.trees.set(cid, tree);
    return { cid, bytes: sum(tree) };
  }

  #get(cid: string, options: FetchOptions): Tree {
    if (!cid.startsWith('bafy'))
      throw new ShoalError({
        code: 'cid-invalid',
        value: cid.slice(0, 80),
        why: 'unknown encoding',
      });
    const tree = this.trees.get(cid);
    if (tree === undefined)
      throw new ShoalError({ code: 'content-not-found', cid, asked: options.holders.length });
    return tree;
  }

  async add(path: string): Promise<ContentRef & { readonly dropped: readonly string[] }> {
    const tree = new Map<string, Node>();
    const walk = async (directory: string, prefix: string): Promise<void> => {
      for (const name of (await readdir(directory)).sort()) {
        const full = join(directory, name);
        const found = await lstat(full);
        const isDirectory = found.isDirectory();
        if (found.isSymbolicLink()) {
          tree.set(`${prefix}${name}`, { link: await readlink(full) });
          continue;
        }
        tree.set(`${prefix}${name}`, isDirectory ? null : await readFile(full));
        const mode = keptMode(found.mode, isDirectory ? 'directory' : 'file');
        if (mode !== null) this.modes.set(`${prefix}${name}`, mode);
        if (isDirectory) await walk(full, `${prefix}${name}/`);
      }
    };
    await walk(path, '');
    return { ...this.#keep(tree), dropped: [] };
  }

  async addStream(
    bytes: AsyncIterable<Uint8Array>,
    _signal: AbortSignal,
    mode: number | null = null,
  ): Promise<ContentRef> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of bytes) chunks.push(chunk);
    if (mode !== null) this.modes.set('', mode);
    return this.#keep(new Map([['', Buffer.concat(chunks)]]));
  }

  async writeTo(): Promise<never> {
    throw new ShoalError({ code: 'internal', what: 'the API never writes to a path' });
  }

  async replicate(cid: string, options: FetchOptions): Promise<ContentRef> {
    return { cid, bytes: sum(this.#get(cid, options)) };
  }

  async *list(cid: string, options: FetchOptions): AsyncGenerator<ContentEntry> {
    const tree = this.#get(cid, options);
    if (!tree.has('')) yield { path: '', kind: 'directory', bytes: 0 };
    for (const [path, node] of tree) {
      const bytes = this.wrongSizes.get(path) ?? bytesOf(node).length;
      const mode = this.modes.get(path);
      yield {
        path,
        kind: kindOf(node),
        bytes,
        ...(mode === undefined ? {} : { mode }),
        ...(node !== null && 'link' in node ? { link: node.link } : {}),
      };
    }
  }

  async *read(cid: string, path: string, options: FetchOptions): AsyncGenerator<Uint8Array> {
    const data = this.#get(cid, options).get(path);
    if (!(data instanceof Uint8Array)) throw new ShoalError({ code: 'path-not-found', path });
    this.reads.set(path, (this.reads.get(path) ?? 0) + 1);
    if (this.breakAt === path) {
      yield data.subarray(0, Math.floor(data.length / 2));
      throw new ShoalError({ code: 'content-corrupt', cid, why: 'a block is missing' });
    }
    yield data;
  }

  async has(cid: string): Promise<boolean> {
    return this.trees.has(cid);
  }
  async pin(): Promise<void> {}
  async unpin(): Promise<void> {}
}
