/**
 * Inputs of type `inline`: a `data:` URL inside the spec. A gzip-compressed tar becomes a directory,
 * anything else a file at the target. The copy belongs to one execution, so it may write to it.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { decodeDataUrl } from '../job/inline.ts';
import type { InputSource } from '../job/model.ts';
import { errorCode } from '../lib/durable-file.ts';
import { diskError } from './content-failures.ts';
import { ENTRY_BYTES } from '../lib/walk-tree.ts';
import { StorageError } from './source.ts';
import type { StageContext, Staged } from './source.ts';
import { TarError, isTar, readTar } from './tar.ts';

const unzip = promisify(gunzip);
const GZIP_TYPES = [
  'application/gzip',
  'application/x-gzip',
  'application/tar+gzip',
  'application/x-tgz',
];
/** A 10 MB archive of empty files would otherwise make millions of them. */
const ENTRIES_MAX = 10_000;

/** What it needs is all in the input: whose execution it is for makes no difference. */
type Context = Omit<StageContext, 'order'>;

interface InlineSource {
  readonly type: 'inline';
  /** @throws StorageError; or the signal's reason when it aborts. */
  stage(input: InputSource, context: Context): Promise<Staged>;
}

/** @param maxBytes of one input, as it is and once it is unpacked. */
export function createInlineSource(maxBytes: number): InlineSource {
  return {
    type: 'inline',
    async stage(input, context) {
      const limit = Math.min(maxBytes, context.maxBytes);
      const what = `The inline input for ${input.Target}`;
      const { bytes, mediaType } = payload(input.Source.Params['URL'], what, limit);
      const archive = isGzip(bytes, mediaType) ? await unpacked(bytes, what, limit) : null;
      context.signal.throwIfAborted();
      try {
        const written =
          archive !== null && isTar(archive)
            ? await writeTree(archive, context, what)
            : await writeOne(bytes, context);
        return {
          mounts: [{ source: context.destination, target: input.Target, writable: true }],
          bytes: written,
          cleanup: async () => {},
        };
      } catch (error) {
        throw contradiction(error, what) ?? diskError(error, what);
      }
    },
  };
}

function payload(
  url: unknown,
  what: string,
  limit: number,
): { readonly bytes: Uint8Array; readonly mediaType: string } {
  if (typeof url !== 'string')
    throw new StorageError('spec', 'input-invalid', `${what} has no URL.`);
  const decoded = decodeDataUrl(url);
  if (!decoded.ok)
    throw new StorageError(
      'spec',
      'input-invalid',
      `${what} cannot be read: its URL ${decoded.why}.`,
    );
  if (decoded.bytes.length > limit) throw tooLarge(what, limit);
  return decoded;
}

function isGzip(bytes: Uint8Array, mediaType: string): boolean {
  const type = mediaType.split(';')[0]?.trim().toLowerCase() ?? '';
  return GZIP_TYPES.includes(type) && bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** zlib stops at the limit, so a bomb costs no more memory than that. */
async function unpacked(bytes: Uint8Array, what: string, limit: number): Promise<Uint8Array> {
  try {
    return await unzip(bytes, { maxOutputLength: Math.max(1, limit) });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(what, limit);
    throw new StorageError(
      'spec',
      'input-invalid',
      `${what} is damaged: it cannot be decompressed.`,
      {
        cause: error,
      },
    );
  }
}

async function writeTree(
  archive: Uint8Array,
  { destination, spend, signal }: Context,
  what: string,
): Promise<number> {
  const entries = treeOf(archive, what);
  spend(ENTRY_BYTES * namesIn(entries, what));
  let bytes = 0;
  await mkdir(destination, { mode: 0o755 });
  for (const entry of entries) {
    signal.throwIfAborted();
    if (entry.kind !== 'directory') spend(entry.bytes.length);
    const path = join(destination, entry.path);
    if (entry.kind === 'directory') {
      await mkdir(path, { recursive: true, mode: 0o755 });
    } else {
      await mkdir(dirname(path), { recursive: true, mode: 0o755 });
      await writeFile(path, entry.bytes, { mode: entry.executable ? 0o755 : 0o644 });
      bytes += entry.bytes.length;
    }
  }
  return bytes;
}

function treeOf(archive: Uint8Array, what: string): ReturnType<typeof readTar> {
  try {
    const entries = readTar(archive, ENTRIES_MAX);
    if (entries.length <= ENTRIES_MAX) return entries;
    throw tooMany(what);
  } catch (error) {
    if (!(error instanceof TarError)) throw error;
    throw new StorageError('spec', 'input-invalid', `${what} ${error.message}.`, { cause: error });
  }
}

/**
 * Files and directories that it makes, those included that are only part of a path: one entry of an
 * archive may name two thousand of them, and a few kilobytes would make millions.
 */
function namesIn(entries: ReturnType<typeof readTar>, what: string): number {
  const names = new Set<string>();
  for (const { path } of entries) {
    for (let end = path.indexOf('/'); end >= 0; end = path.indexOf('/', end + 1)) {
      names.add(path.slice(0, end));
      if (names.size > ENTRIES_MAX) throw tooMany(what);
    }
    names.add(path);
  }
  if (names.size > ENTRIES_MAX) throw tooMany(what);
  return names.size;
}

async function writeOne(bytes: Uint8Array, { destination, spend }: Context): Promise<number> {
  spend(ENTRY_BYTES + bytes.length);
  await writeFile(destination, bytes, { mode: 0o644, flag: 'wx' });
  return bytes.length;
}

/** One name as a file and as a directory, or a name that no file may have. */
function contradiction(error: unknown, what: string): StorageError | null {
  const code = errorCode(error);
  if (code === null || !['EEXIST', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EINVAL'].includes(code))
    return null;
  return new StorageError(
    'spec',
    'input-invalid',
    `${what} holds names that cannot be written (${code}).`,
    {
      cause: error,
    },
  );
}

const tooMany = (what: string): StorageError =>
  new StorageError(
    'limit',
    'input-too-large',
    `${what} holds more than ${ENTRIES_MAX} files and directories.`,
  );

const tooLarge = (what: string, limit: number): StorageError =>
  new StorageError(
    'limit',
    'input-too-large',
    `${what} holds more than the ${limit} bytes allowed. Add it with \`shoal cid add\` and name it by CID.`,
  );
