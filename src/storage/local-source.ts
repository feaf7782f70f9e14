/**
 * Inputs of type `localDirectory` (or `local`): a path of this machine that its operator opened to
 * jobs, mounted as it is, without a copy. The path that counts is the one behind all symlinks: it
 * must be allowed too, so that a job cannot open a door by leaving a link in a writable place.
 */
import { mkdir, open, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, normalize, relative } from 'node:path';
import { pathAllowed } from '../core/allowed-paths.ts';
import type { InputSource } from '../job/model.ts';
import { errorCode } from '../lib/durable-file.ts';
import { diskError } from './content-failures.ts';
import { StorageError } from './source.ts';
import type { Source } from './source.ts';

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
        const source = await settle(request, rules);
        context.signal.throwIfAborted();
        return {
          mounts: [{ source, target: input.Target, writable: request.writable }],
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
async function settle(request: Request, rules: readonly string[]): Promise<string> {
  const existing = await realpathOrNull(request.path);
  if (existing !== null) {
    checkAllowed(rules, existing, request);
    await checkKind(existing, request);
    return existing;
  }
  if (request.createAs === 'noCreate') {
    throw new StorageError(
      'node',
      'path-not-found',
      `${request.path} does not exist on this node.`,
    );
  }
  // Nothing may be created before the place where it would really come to lie is known and allowed.
  const planned = await plannedPath(request.path);
  checkAllowed(rules, planned, request);
  await create(planned, request.createAs);
  const created = await realpath(request.path);
  checkAllowed(rules, created, request);
  return created;
}

async function checkKind(path: string, request: Request): Promise<void> {
  const found = await stat(path);
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

async function create(path: string, as: 'dir' | 'file'): Promise<void> {
  await mkdir(as === 'dir' ? path : dirname(path), { recursive: true });
  if (as === 'file') await (await open(path, 'a')).close();
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

/** Each rule, and the same with the symlinks of its fixed beginning resolved: the operator chose those. */
async function resolvedRules(rules: readonly string[]): Promise<readonly string[]> {
  const resolved = await Promise.all(
    rules.map(async (rule) => {
      const glob = rule.replace(/:(ro|rw)$/, '');
      const parts = glob.split('/');
      const firstGlob = parts.findIndex((part) => /[*?]/.test(part));
      // An exact path may end in a symlink itself; what stands before a glob is a directory.
      const fixed = firstGlob < 0 ? glob : parts.slice(0, firstGlob).join('/') || '/';
      const real = await realpathOrNull(fixed);
      return real === null
        ? rule
        : (real === '/' ? '' : real) + rule.slice(fixed === '/' ? 0 : fixed.length);
    }),
  );
  return resolved;
}

async function realpathOrNull(path: string): Promise<string | null> {
  try {
    return await realpath(path);
  } catch (error) {
    if (errorCode(error) === 'ENOENT' || errorCode(error) === 'ENOTDIR') return null;
    throw error;
  }
}
