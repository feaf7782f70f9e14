/**
 * Sources that others may exchange, held in place until the container has its own mount of them.
 * Docker takes a path and resolves it later, and it cannot mount what another process's descriptor
 * names; so the file that was looked at is bound to a place that only this node may enter, and
 * Docker is given that. Only root may do that: without it such sources are refused. Mounts below
 * such a source are not bound with it, because taking them away again would end the originals.
 */
import { spawn } from 'node:child_process';
import { mkdir, open, readdir, rmdir, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { dirname, join } from 'node:path';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import { identityOf, identityOfOpen, openWithoutLinks } from '../../lib/descriptor.ts';
import type { EngineRun, Mount } from '../engine.ts';
import { failureOf } from './failures.ts';

/** Gone with the mounts at a restart of the machine; neither cleaned nor backed up by anybody. */
const PINS_ROOT = '/run/shoal';

export interface Pinned {
  readonly ok: true;
  /** The run with sources that nobody can exchange. */
  readonly run: EngineRun;
  /** To be called when the container has started or never will. Idempotent, never throws. */
  release(): Promise<void>;
}

export type PinOutcome = Pinned | { readonly ok: false; readonly failure: ExecutionFailure };

class PinError extends Error {
  override readonly name = 'PinError';
  readonly failure: ExecutionFailure;
  constructor(failure: ExecutionFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** @param nodeLabel names this node among those of the machine. */
export async function pinMounts(run: EngineRun, nodeLabel: string): Promise<PinOutcome> {
  if (!run.mounts.some((mount) => mount.shared?.exchangeable))
    return { ok: true, run, release: async () => {} };
  const directory = join(PINS_ROOT, nodeLabel, run.order.execution);
  const release = (): Promise<void> => releasePins(directory);
  try {
    const mounts: Mount[] = [];
    for (const mount of run.mounts) {
      const { shared } = mount;
      if (!shared?.exchangeable) mounts.push(mount);
      else mounts.push(await pin(mount, shared.identity, join(directory, String(mounts.length))));
    }
    return { ok: true, run: { ...run, mounts }, release };
  } catch (error) {
    await release();
    if (error instanceof PinError) return { ok: false, failure: error.failure };
    return { ok: false, failure: notPinned('', String(error)) };
  }
}

async function pin(mount: Mount, identity: string, place: string): Promise<Mount> {
  if (process.geteuid?.() !== 0) throw new PinError(notPinned(mount.target, 'it is not root'));
  const handle = await openWithoutLinks(mount.source, 'nothing').catch(() => null);
  try {
    if (handle === null || (await identityOfOpen(handle)) !== identity)
      throw new PinError(changed(mount.target));
    await mkdir(dirname(place), { recursive: true, mode: 0o700 });
    if ((await handle.stat()).isDirectory()) await mkdir(place);
    else await (await open(place, 'wx', 0o600)).close();
    const problem = await bind(handle, place);
    if (problem !== null) throw new PinError(notPinned(mount.target, problem));
    if (identityOf(await stat(place, { bigint: true })) !== identity)
      throw new PinError(notPinned(mount.target, 'another file was bound'));
    return { source: place, target: mount.target, writable: mount.writable };
  } finally {
    await handle?.close();
  }
}

/** Binds what the descriptor names, which the child has as its descriptor 3. @returns the problem */
async function bind(handle: FileHandle, place: string): Promise<string | null> {
  const args = ['--no-canonicalize', '--no-mtab', '--bind', '/proc/self/fd/3', place];
  return command('mount', args, [handle.fd]);
}

async function command(
  name: string,
  args: readonly string[],
  descriptors: readonly number[],
): Promise<string | null> {
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe', ...descriptors] });
  const ended = new Promise<string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? null : `code ${code}`));
  });
  const said = child.stderr === null ? '' : await text(child.stderr).catch(() => '');
  const problem = await ended;
  return problem === null ? null : `${name}: ${problem} ${said.trim()}`;
}

async function releasePins(directory: string): Promise<void> {
  for (const name of await readdir(directory).catch(() => [])) {
    const place = join(directory, name);
    await command('umount', ['--no-canonicalize', '--lazy', place], []);
    // While it is mounted neither of these does anything.
    await rmdir(place).catch(() => unlink(place).catch(() => {}));
  }
  await rmdir(directory).catch(() => {});
}

/** Lets go of what an earlier process of this node held when it was killed. */
export async function sweepPins(
  nodeLabel: string,
  active: ReadonlySet<ExecutionId>,
): Promise<void> {
  const directory = join(PINS_ROOT, nodeLabel);
  for (const name of await readdir(directory).catch(() => [])) {
    if (!(active as ReadonlySet<string>).has(name)) await releasePins(join(directory, name));
  }
  await rmdir(directory).catch(() => {});
}

const changed = (target: string): ExecutionFailure =>
  failureOf('path-changed', 'node', `What the input for ${target} names was exchanged meanwhile.`);

const notPinned = (target: string, why: string): ExecutionFailure =>
  failureOf(
    'path-exchangeable',
    'node',
    `The local input for ${target} lies below a directory that jobs may write to, and this node cannot keep others from exchanging it (${why}). Name the directory itself that the operator opened.`,
  );
