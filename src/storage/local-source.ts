/**
 * Inputs of type `localDirectory` (or `local`): a path of this machine that its operator opened to
 * jobs, mounted as it is, without a copy. The path that counts is the one behind all symlinks: it
 * must be allowed too, so that a job cannot open a door by leaving a link in a writable place. That
 * path is then opened without following any, so that no door opens between looking and opening; and
 * where jobs may write as well, the engine is told which file it was.
 */
import { lstat, readlink, realpath } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, relative, resolve } from 'node:path';
import { pathAllowed, pathExchangeable } from '../core/placing/allowed-paths.ts';
import type { InputSource } from '../job/model.ts';
import { identityOfOpen, openWithoutLinks } from '../lib/descriptor.ts';
import { errorCode } from '../lib/durable-file.ts';
import { diskError } from './content-failures.ts';
import { StorageError } from './source.ts';
import type { Source, StagedMount } from './source.ts';

type CreateAs = 'noCreate' | 'dir' | 'file';

interface Request {
  readonly path: string;
  readonly writable: boolean;
  readonly createAs: CreateAs;
}

/**
 * @param type `localdirectory` or its alias `local`.
 * @param allowedPaths globs with `:ro` (default) or `:rw`, as the operator wrote them.
 */
export function createLocalSource(
  type: 'localdirectory' | 'local',
  allowedPaths: readonly string[],
): Source {
  return {
    type,
    async stage(input, context) {
      const request = requestOf(input);
      checkAllowed(allowedPaths, request.path, request);
      try {
        const rules = await resolvedRules(allowedPaths);
        const settled = await settle(request, rules);
        context.signal.throwIfAborted();
        return {
          mounts: [{ ...settled, target: input.Target, writable: request.writable }],
          bytes: 0,
          cleanup: async () => {},
        };
      } catch (error) {
        throw diskError(error, `The local input ${request.path}`);
      }
    },
  };
}

function requestOf(input: InputSource): Request {
  const { SourcePath, ReadWrite, CreateAs } = input.Source.Params;
  if (typeof SourcePath !== 'string' || !isAbsolute(SourcePath) || SourcePath.includes('\0')) {
    throw new StorageError(
      'spec',
      'input-invalid',
      `The local input for ${input.Target} needs an absolute SourcePath.`,
    );
  }
  const createAs = String(CreateAs ?? 'noCreate').toLowerCase();
  return {
    path: normalize(SourcePath).replace(/(.)\/$/, '$1'),
    writable: ReadWrite === true || String(ReadWrite).toLowerCase() === 'true',
    createAs: createAs === 'dir' || createAs === 'file' ? createAs : 'noCreate',
  };
}

function checkAllowed(rules: readonly string[], path: string, request: Request): void {
  if (pathAllowed(rules, path, request.writable)) return;
  const access = request.writable ? 'write to' : 'read';
  const behind = path === request.path ? '' : ` (it leads to ${path})`;
  throw new StorageError(
    'node',
    'path-not-allowed',
    `Jobs may not ${access} ${request.path}${behind} on this node.`,
  );
}

/** The real path to mount: it exists, or is created when that was asked for, and is allowed. */
async function settle(
  request: Request,
  rules: readonly string[],
): Promise<Pick<StagedMount, 'source' | 'shared'>> {
  const existing = await realpathOrNull(request.path);
  if (existing === null && request.createAs === 'noCreate') {
    throw new StorageError(
      'node',
      'path-not-found',
      `${request.path} does not exist on this node.`,
    );
  }
  // Nothing may be created before the place where it would really come to lie is known and allowed.
  const source = existing ?? (await plannedPath(request.path));
  checkAllowed(rules, source, request);
  const handle = await opened(source, existing === null ? request.createAs : 'noCreate', request);
  try {
    await checkKind(handle, request);
    const exchangeable = pathExchangeable(rules, source);
    if (!exchangeable && !pathAllowed(rules, source, true)) return { source };
    return { source, shared: { identity: await identityOfOpen(handle), exchangeable } };
  } finally {
    await handle.close();
  }
}

async function opened(source: string, as: CreateAs, request: Request): Promise<FileHandle> {
  try {
    const make = { noCreate: 'nothing', dir: 'directory', file: 'file' } as const;
    return await openWithoutLinks(source, make[as]);
  } catch (error) {
    if (errorCode(error) !== 'ELOOP' && errorCode(error) !== 'ENOTDIR') throw error;
    throw new StorageError(
      'node',
      'path-changed',
      `${request.path} was changed while this node looked at it.`,
      { cause: error },
    );
  }
}

async function checkKind(handle: FileHandle, request: Request): Promise<void> {
  const found = await handle.stat();
  if (!found.isDirectory() && !found.isFile()) {
    throw new StorageError(
      'node',
      'input-kind',
      `${request.path} is neither a file nor a directory.`,
    );
  }
  const wanted = request.createAs;
  if ((wanted === 'dir' && !found.isDirectory()) || (wanted === 'file' && !found.isFile())) {
    throw new StorageError(
      'spec',
      'input-kind',
      `${request.path} exists, but is not a ${wanted === 'dir' ? 'directory' : 'file'}.`,
    );
  }
}

/** The nearest ancestor that exists, without symlinks, and the rest below it. */
async function plannedPath(path: string): Promise<string> {
  let ancestor = dirname(path);
  for (;;) {
    const real = await realpathOrNull(ancestor);
    if (real !== null) return join(real, relative(ancestor, path));
    ancestor = dirname(ancestor);
  }
}

/** The rules with the symlinks of their fixed beginnings resolved: the operator chose those. */
async function resolvedRules(rules: readonly string[]): Promise<readonly string[]> {
  // Writable places first, the higher before the lower: no link in one of them is the operator's.
  const isWritable = (rule: string): boolean => rule.endsWith(':rw');
  const depth = (rule: string): number => rule.split('/').length;
  const order = rules.toSorted(
    (a, b) => Number(isWritable(b)) - Number(isWritable(a)) || depth(a) - depth(b),
  );
  const resolved: string[] = [];
  for (const rule of order) {
    const glob = rule.replace(/:(ro|rw)$/, '');
    const parts = glob.split('/');
    const firstGlob = parts.findIndex((part) => /[*?]/.test(part));
    // An exact path may end in a symlink itself; what stands before a glob is a directory.
    const fixed = firstGlob < 0 ? glob : parts.slice(0, firstGlob).join('/') || '/';
    const real = await operatorsPath(fixed, [...rules, ...resolved]);
    resolved.push((real === '/' ? '' : real) + rule.slice(fixed === '/' ? 0 : fixed.length));
  }
  return resolved;
}

/** As many as the kernel follows in one path. */
const LINKS_MAX = 40;

/** `path` with its links resolved, but for those that a job may have made. */
async function operatorsPath(path: string, rules: readonly string[]): Promise<string> {
  let names = path.split('/').filter((name) => name !== '');
  let real = '/';
  for (let links = 0; names.length > 0; ) {
    const [name = '', ...rest] = names;
    const next = join(real, name);
    if (pathExchangeable(rules, next)) return join(real, ...names);
    const target = await linkTarget(next);
    if (target === null) {
      real = next;
      names = rest;
      continue;
    }
    links += 1;
    if (links > LINKS_MAX) return path;
    const onward = resolve(real, target);
    names = [...onward.split('/').filter((part) => part !== ''), ...rest];
    real = '/';
  }
  return real;
}

/** null when there is no link. */
async function linkTarget(path: string): Promise<string | null> {
  try {
    return (await lstat(path)).isSymbolicLink() ? await readlink(path) : null;
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
    throw error;
  }
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
    throw error;
  }
}
