/**
 * The file tree that a program sees: one root, host files and directories mounted in it, and the
 * empty directories above the mounts. Resolves a path to a host path one component at a time and
 * refuses every symlink, so no name inside a mount can lead out of it. Opens and changes nothing.
 */
import { lstatSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { ERRNO, WasiError } from './errno.ts';
import type { RunnerMount } from './wire.ts';

/** NAME_MAX of Linux, and a depth that PATH_MAX allows only for names of one or two letters. */
const NAME_BYTES_MAX = 255;
const DEPTH_MAX = 1_024;

/** A mount point, or a directory that exists only because mounts lie below it. */
interface TreeNode {
  readonly children: Map<string, TreeNode>;
  mount: RunnerMount | null;
}

/** Where a path leads. */
export interface Place {
  /** Its name in the directory above; '' for the root. */
  readonly name: string;
  /** Host path, whose parents were all seen to be real directories; null = not on the host. */
  readonly host: string | null;
  /** What is at `host` now; null when nothing is. */
  readonly stat: Stats | null;
  /** The mount it lies in; null outside every mount. */
  readonly mount: RunnerMount | null;
  /** True for a mount point and for what is above one: the program cannot move or remove it. */
  readonly fixed: boolean;
  /** Names that mounts add below this place. */
  readonly mountedBelow: readonly string[];
  /** Components from the root. */
  readonly path: readonly string[];
}

interface Step {
  readonly place: Place;
  readonly node: TreeNode | null;
}

export const isDirectory = (place: Place): boolean =>
  place.stat === null
    ? place.mountedBelow.length > 0 || place.path.length === 0
    : place.stat.isDirectory();

export const exists = (place: Place): boolean => place.stat !== null || isDirectory(place);

export class HostTree {
  readonly #root: TreeNode = { children: new Map(), mount: null };

  constructor(mounts: readonly RunnerMount[]) {
    for (const mount of mounts) {
      let node = this.#root;
      for (const name of mount.target) {
        let next = node.children.get(name);
        if (next === undefined) {
          next = { children: new Map(), mount: null };
          node.children.set(name, next);
        }
        node = next;
      }
      node.mount = mount;
    }
  }

  /**
   * Resolves `path` below the directory `base`. `..` goes up to the root and no further.
   * @returns the place; its last component may not exist.
   * @throws WasiError NOENT, NOTDIR, LOOP, NOTCAPABLE, NAMETOOLONG, INVAL.
   */
  resolve(base: readonly string[], path: string): Place {
    if (path.includes('\0')) throw new WasiError(ERRNO.INVAL);
    if (path.startsWith('/')) throw new WasiError(ERRNO.NOTCAPABLE);
    const steps: Step[] = [this.#rootStep()];
    for (const name of base) steps.push(this.#descend(lastOf(steps), name));
    for (const name of path.split('/')) {
      // A trailing slash: as in POSIX, fine for a directory that is yet to be made.
      if (name === '' && !exists(lastOf(steps).place)) continue;
      requireDirectory(lastOf(steps).place);
      if (name === '' || name === '.') continue;
      if (name === '..') {
        if (steps.length === 1) throw new WasiError(ERRNO.NOTCAPABLE);
        steps.pop();
        continue;
      }
      if (steps.length > DEPTH_MAX) throw new WasiError(ERRNO.NAMETOOLONG);
      steps.push(this.#descend(lastOf(steps), name));
    }
    return lastOf(steps).place;
  }

  #rootStep(): Step {
    return step(this.#root, '', this.#root.mount?.source ?? null, this.#root.mount, []);
  }

  #descend(above: Step, name: string): Step {
    requireDirectory(above.place);
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new WasiError(ERRNO.NAMETOOLONG);
    const node = above.node?.children.get(name) ?? null;
    const path = [...above.place.path, name];
    if (node?.mount) return step(node, name, node.mount.source, node.mount, path);
    const host = above.place.host === null ? null : `${above.place.host}/${name}`;
    return step(node, name, host, above.place.mount, path);
  }
}

function step(
  node: TreeNode | null,
  name: string,
  host: string | null,
  mount: RunnerMount | null,
  path: readonly string[],
): Step {
  const stat = host === null ? null : (lstatSync(host, { throwIfNoEntry: false }) ?? null);
  if (stat?.isSymbolicLink()) throw new WasiError(ERRNO.LOOP);
  const mountedBelow = node === null ? [] : [...node.children.keys()];
  return { node, place: { name, host, stat, mount, fixed: node !== null, mountedBelow, path } };
}

function requireDirectory(place: Place): void {
  if (!exists(place)) throw new WasiError(ERRNO.NOENT);
  if (!isDirectory(place)) throw new WasiError(ERRNO.NOTDIR);
}

function lastOf(steps: readonly Step[]): Step {
  const last = steps.at(-1);
  if (last === undefined) throw new Error('a walk has at least the root');
  return last;
}
