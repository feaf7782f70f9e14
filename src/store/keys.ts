/**
 * The key files of a peer: its own key, its owner's, and the key of a private mesh. A private key
 * is 64 hex digits in a file that only its user may read, made at first use. Does no cryptography.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import { failpoint } from '../lib/failpoint.ts';

const SEED_BYTES = 32;
/** The end of a draft's name: the process that wrote it. */
const DRAFT = /\.\d+\.new$/;
const SEED_TEXT = /^[0-9a-f]{64}\n?$/;
/** Anything for the group or for others. */
const SHARED_BITS = 0o077;
/** Generous; a key file has 65 bytes, a swarm key file 95. */
const KEY_FILE_MAX_BYTES = 1_024;

/**
 * Reads an Ed25519 seed (32 bytes), and makes the file with a new one if there is none. Two
 * processes that start at once get the same key.
 * @param random gives that many random bytes.
 * @throws ShoalError `key-invalid` when others may read the file, or it holds no key.
 */
export function loadKey(path: string, random: (length: number) => Uint8Array): Uint8Array {
  try {
    if (!existsSync(path)) createKey(path, random(SEED_BYTES));
    removeDrafts(path);
    return readSeed(path);
  } catch (error) {
    throw asKeyError(path, error);
  }
}

/** Whoever links first wins; the file has its content before it has its name. */
function createKey(path: string, seed: Uint8Array): void {
  const directory = dirname(path);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const draft = `${path}.${process.pid}.new`;
  // Where others write as well, they may have put a link of this name.
  rmSync(draft, { force: true });
  const file = openSync(draft, 'wx', 0o600);
  try {
    writeSync(file, `${Buffer.from(seed).toString('hex')}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  failpoint('key.written');
  try {
    linkSync(draft, path);
    syncDirectory(directory);
    failpoint('key.linked');
  } catch (error) {
    // Another was quicker, and has removed this draft, too.
    if (codeOf(error) !== 'EEXIST' && !existsSync(path)) throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** What a process that died in the middle left: a key that is nobody's, and no secret to leave about. */
function removeDrafts(path: string): void {
  const directory = dirname(path);
  const left = readdirSync(directory).filter(
    (name) => name.startsWith(`${basename(path)}.`) && DRAFT.test(name),
  );
  for (const name of left) rmSync(join(directory, name), { force: true });
}

function syncDirectory(path: string): void {
  const directory = openSync(path, 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

function readSeed(path: string): Uint8Array {
  const { text, mode, uid } = readSmall(path);
  const own = process.geteuid?.() ?? uid;
  if (uid !== own)
    throw invalid(
      path,
      `it belongs to another user (uid ${uid}), who may know and change it; run \`chown ${own} ${path}\` if it is yours`,
    );
  if (process.platform !== 'win32' && (mode & SHARED_BITS) !== 0) {
    const octal = (mode & 0o777).toString(8).padStart(4, '0');
    throw invalid(path, `others may read or write it (mode ${octal}); run \`chmod 600 ${path}\``);
  }
  if (!SEED_TEXT.test(text)) throw invalid(path, 'it does not hold 64 hex digits');
  return Uint8Array.from(Buffer.from(text.trim(), 'hex'));
}

/**
 * Reads the key of a private mesh in the format of go-libp2p and kubo: three lines, the header
 * `/key/swarm/psk/1.0.0/`, the encoding `/base16/`, 64 hex digits.
 * @returns the file's bytes, as `@libp2p/pnet` wants them.
 * @throws ShoalError `key-invalid`.
 */
export function readSwarmKey(path: string): Uint8Array {
  let text: string;
  try {
    ({ text } = readSmall(path));
  } catch (error) {
    throw asKeyError(path, error);
  }
  const [header, encoding, key, ...rest] = text.trimEnd().split(/\r?\n/);
  if (header !== '/key/swarm/psk/1.0.0/') {
    throw invalid(path, 'its first line is not "/key/swarm/psk/1.0.0/"');
  }
  if (encoding !== '/base16/') throw invalid(path, 'its second line is not "/base16/"');
  if (key === undefined || !/^[0-9a-fA-F]{64}$/.test(key) || rest.length > 0) {
    throw invalid(path, 'its third and last line is not 64 hex digits');
  }
  return Buffer.from(`${header}\n${encoding}\n${key.toLowerCase()}\n`, 'utf8');
}

function readSmall(path: string): {
  readonly text: string;
  readonly mode: number;
  readonly uid: number;
} {
  const file = openSync(path, 'r');
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw invalid(path, 'it is not a file');
    if (stat.size > KEY_FILE_MAX_BYTES)
      throw invalid(path, `it has ${stat.size} bytes, too many for a key`);
    return { text: readFileSync(file, 'latin1'), mode: stat.mode, uid: stat.uid };
  } finally {
    closeSync(file);
  }
}

const invalid = (path: string, why: string): ShoalError =>
  new ShoalError({ code: 'key-invalid', path, why });

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const SYSTEM_WHY: Readonly<Record<string, string>> = {
  ENOENT: 'it does not exist',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a directory',
  EROFS: 'it does not exist and the file system is read-only',
  ENOSPC: 'it does not exist and the disk is full',
};

function asKeyError(path: string, error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  const why = SYSTEM_WHY[String(codeOf(error))] ?? String(error);
  return new ShoalError({ code: 'key-invalid', path, why }, { cause: error });
}
