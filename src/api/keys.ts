/**
 * API keys: the file they are kept in, and what a request with one may do. Only digests stay in
 * memory. Which requests need a key at all is decided in `guards.ts`.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { ShoalError } from '../failures/shoal-error.ts';

/** Each may do what those before it may. `read`: look; `submit`: jobs and content, too; `admin`: all. */
const SCOPES = ['read', 'submit', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

export interface ApiKey {
  readonly scope: Scope;
  /** SHA-256: of one length, so that comparing tells nothing about the key. */
  readonly digest: Uint8Array;
}

/** Shorter ones can be guessed; Bacalhau's bounds. */
const KEY = /^[\x21-\x7e]{20,255}$/;
/** More lines than any list of people and programs. */
const KEYS_MAX = 1_000;
/** Bits of a mode that let others than the owner read or write. */
const SHARED_BITS = 0o066;

const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest();

export const includes = (scope: Scope, needed: Scope): boolean =>
  SCOPES.indexOf(scope) >= SCOPES.indexOf(needed);

/**
 * Reads a file of lines `SCOPE KEY`; empty lines and those beginning with `#` say nothing.
 * @throws ShoalError `key-invalid`; the message never holds a key.
 */
export function readApiKeys(path: string): readonly ApiKey[] {
  const invalid = (why: string, cause?: unknown): ShoalError =>
    new ShoalError({ code: 'key-invalid', path, why }, { cause });
  let text: string;
  try {
    const file = openSync(path, 'r');
    try {
      const { mode } = fstatSync(file);
      if (process.platform !== 'win32' && (mode & SHARED_BITS) !== 0) {
        const octal = (mode & 0o777).toString(8).padStart(4, '0');
        throw invalid(`others may read or write it (mode ${octal}); run \`chmod 600 ${path}\``);
      }
      text = readFileSync(file, 'utf8');
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw invalid(error instanceof Error ? error.message : String(error), error);
  }
  const keys: ApiKey[] = [];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const [scope, key = '', ...rest] = line.trim().split(/\s+/);
    if (scope === undefined || scope === '' || scope.startsWith('#')) continue;
    const known = SCOPES.find((name) => name === scope);
    const where = `line ${index + 1}`;
    if (known === undefined || rest.length > 0)
      throw invalid(`${where} is not "read KEY", "submit KEY" or "admin KEY"`);
    if (!KEY.test(key)) throw invalid(`the key in ${where} has not 20 to 255 visible characters`);
    keys.push({ scope: known, digest: digestOf(key) });
    if (keys.length > KEYS_MAX) throw invalid(`it holds more than ${KEYS_MAX} keys`);
  }
  if (keys.length === 0) throw invalid('it holds no key');
  return keys;
}

/** The scope of the key in an `Authorization` header; null when it is none of them. */
export function scopeOf(authorization: string | undefined, keys: readonly ApiKey[]): Scope | null {
  const given = /^Bearer +(\S{1,255})$/i.exec(authorization ?? '')?.[1];
  if (given === undefined) return null;
  const digest = digestOf(given);
  let found: Scope | null = null;
  // All are compared, so that the time tells nothing about the place of a key.
  for (const key of keys) {
    const same = timingSafeEqual(digest, key.digest);
    if (same && (found === null || includes(key.scope, found))) found = key.scope;
  }
  return found;
}

/** What a request needs: what is not known to need less needs all. */
export function neededScope(method: string, path: string): Scope {
  if (method === 'GET' || method === 'HEAD') return 'read';
  return /^\/api\/v1\/(orchestrator\/jobs(\/[^/]*)*|shoal\/content)\/?$/.test(path)
    ? 'submit'
    : 'admin';
}
