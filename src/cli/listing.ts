/**
 * What of somebody's tree is fetched to a disk here: the peer's list of it, checked. A name that leads out of
 * the directory refuses the whole, as no honest tree has one. What only this disk cannot hold is left out and
 * said, each entry for itself: the rest is of use without it. Writes nothing but two probes.
 */
import { lstat, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import type { ContentLine } from '../api/types.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import { TREE_ENTRIES_MAX, whyNotHere, whyUnsafe } from '../lib/safe-path.ts';
import { whyLinkLeaves } from '../lib/tree-modes.ts';
import { RemoteError } from './errors.ts';

export type Entry = Extract<ContentLine, { readonly entry: unknown }>['entry'];

/** Two spellings of a name that a disk takes for the same one become the same text. */
export type Fold = (name: string) => string;

/** Lines of an answer, which is let go of when the reader stops: whatever breaks it later is nobody's. */
async function* linesOf(answer: Readable): AsyncGenerator<string> {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  for await (const chunk of answer) {
    const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

/** @throws ShoalError `content-corrupt` – the list breaks off; RemoteError as the peer says. */
export async function readList(answer: Readable, cid: string): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for await (const text of linesOf(answer)) {
    const line = JSON.parse(text) as ContentLine;
    if ('error' in line) throw new RemoteError(line.error);
    if ('end' in line) return entries;
    entries.push(line.entry);
    if (entries.length > TREE_ENTRIES_MAX)
      throw new ShoalError({
        code: 'content-too-large',
        cid,
        bytes: entries.length,
        maxBytes: TREE_ENTRIES_MAX,
      });
  }
  throw new ShoalError({ code: 'content-corrupt', cid, why: 'its list of files breaks off' });
}

/**
 * How the disk of `directory` takes names: some do not tell `Notes` from `notes`, or the two ways to write `é`.
 * Asked of the disk itself, as it depends on how it was made.
 */
export async function foldOf(directory: string): Promise<Fold> {
  const probe = await mkdtemp(join(directory, '.names-'));
  const same = async (written: string, asked: string): Promise<boolean> => {
    await writeFile(join(probe, written), '');
    return lstat(join(probe, asked)).then(
      () => true,
      () => false,
    );
  };
  try {
    const foldsCase = await same('case', 'CASE');
    const foldsForms = await same('e\u0301', '\u00e9');
    return (name) => {
      const formed = foldsForms ? name.normalize('NFC') : name;
      return foldsCase ? formed.toLowerCase() : formed;
    };
  } finally {
    await rm(probe, { recursive: true, force: true });
  }
}

/**
 * The entries that this disk can hold; `leaveOut` is told of each other one.
 * @throws ShoalError `path-unsafe`.
 */
export function holdable(
  entries: readonly Entry[],
  fold: Fold,
  platform: NodeJS.Platform,
  leaveOut: (path: string, why: string) => void,
): readonly Entry[] {
  const seen = new Map<string, string>();
  const left = new Set<string>();
  const isBelowLeft = (path: string): boolean => {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1))
      if (left.has(path.slice(0, end))) return true;
    return false;
  };
  return entries.filter(({ path, kind, link }) => {
    if (path === '') {
      if (kind !== 'symlink') return kind === 'file';
      const why = 'it is a symbolic link, not a file or directory';
      throw new ShoalError({ code: 'path-unsafe', path: '/', why });
    }
    const unsafe = whyUnsafe(path);
    if (unsafe !== null) throw new ShoalError({ code: 'path-unsafe', path, why: unsafe });
    if (isBelowLeft(path)) return false;
    const why =
      whyNotHere(path, platform) ??
      (kind === 'symlink' ? whyLinkLeaves(path, link ?? '') : null) ??
      whyTaken(path, fold, seen);
    if (why === null) return true;
    left.add(path);
    leaveOut(path, why);
    return false;
  });
}

function whyTaken(path: string, fold: Fold, seen: Map<string, string>): string | null {
  const folded = fold(path);
  const other = seen.get(folded);
  if (other === undefined) {
    seen.set(folded, path);
    return null;
  }
  return other === path
    ? 'the name is there twice'
    : `this disk takes it and ${other} for one name`;
}
