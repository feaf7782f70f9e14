/**
 * The file tree that a program sees: one root, host files and directories mounted in it, and the
 * empty directories above the mounts. Resolves a path to a host path one component at a time and
 * follows symlinks itself, as names of this tree, so none can lead the host out of a mount. Opens and
 * changes nothing.
 *
 * Where others may write as well, a component may be exchanged for a link between looking and using.
 * There the walk goes through the directories itself (they become the working directory of the
 * process, one name at a time), sees that each is the one it looked at, and the caller uses one name
 * in the last of them, which no exchange can lead anywhere else. Symlinks are refused there.
 */
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { ERRNO, WasiError } from './errno.ts';
import { inodeOf } from './host-file.ts';
import type { RunnerMount } from './wire.ts';

/** NAME_MAX of Linux, and a depth that PATH_MAX allows only for names of one or two letters. */
const NAME_BYTES_MAX = 255;
const DEPTH_MAX = 1_024;
/** As many as the kernel follows in one path. */
const LINKS_MAX = 40;

/** A mount point, or a directory that exists only because mounts lie below it. */
interface TreeNode {
  readonly children: Map<string, TreeNode>;
  mount: RunnerMount | null;
}

/** Where a path leads. */
export interface Place {
  /** Its name in the directory above; '' for the root. */
  readonly name: string;
  /**
   * Host path, whose parents were all seen to be real directories; null = not on the host. In a mount
   * that others write to it is a name in the working directory, good until the next walk.
   */
  readonly host: string | null;
  /** Device and inode of the directory that it is in, in a mount that others write to; else null. */
  readonly parent: string | null;
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

export const isLink = ({ stat }: Place): boolean => stat?.isSymbolicLink() === true;

export const exists = (place: Place): boolean => place.stat !== null || isDirectory(place);

const SELF = '.';

export class HostTree {
  readonly #root: TreeNode = { children: new Map(), mount: null };
  /** The directory that is the working directory now; null before the first walk into one. */
  #inside: Step | null = null;

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
   * Resolves `path` below the directory `base`, and never above it: a descriptor is all that a program has
   * when it names a path by it. `follow`: a symlink as last component stands for what it leads to.
   * @returns the place; its last component may not exist, or is a symlink.
   * @throws WasiError NOENT, NOTDIR, LOOP, PERM, NAMETOOLONG, INVAL.
   */
  resolve(base: readonly string[], path: string, follow = false): Place {
    if (path.includes('\0')) throw new WasiError(ERRNO.INVAL);
    if (path.startsWith('/')) throw new WasiError(ERRNO.PERM);
    const steps = this.#walk(base, path, follow);
    const { place } = lastOf(steps);
    if (!isShared(place)) return place;
    if (place.parent === null) return this.#within(steps);
    // Steps back may have led up from where the walk had gone.
    this.#enter(steps.slice(0, -1));
    return place;
  }

  /** As `resolve` for the directory `base` itself, to be listed. */
  resolveInside(base: readonly string[]): Place {
    return this.#within(this.#walk(base, SELF, false));
  }

  /** The last step, seen from inside where it is a directory that others write to. */
  #within(steps: readonly Step[]): Place {
    const { place } = lastOf(steps);
    if (!isShared(place) || place.stat?.isDirectory() !== true) return place;
    this.#enter(steps);
    return { ...place, host: SELF };
  }

  #walk(base: readonly string[], path: string, follow: boolean): Step[] {
    const steps: Step[] = [this.#rootStep()];
    for (const name of base) steps.push(this.#descend(steps, name));
    const floor = steps.length;
    const names = path.split('/');
    let links = 0;
    for (let name = names.shift(); name !== undefined; name = names.shift()) {
      // A trailing slash: as in POSIX, fine for a directory that is yet to be made.
      if (name === '' && !exists(lastOf(steps).place)) continue;
      requireDirectory(lastOf(steps).place);
      if (name === '' || name === '.') continue;
      if (name === '..') {
        if (steps.length === floor) throw new WasiError(ERRNO.PERM);
        steps.pop();
        continue;
      }
      if (steps.length > DEPTH_MAX) throw new WasiError(ERRNO.NAMETOOLONG);
      const step = this.#descend(steps, name);
      if (!isLink(step.place) || (names.length === 0 && !follow)) {
        steps.push(step);
        continue;
      }
      links += 1;
      if (links > LINKS_MAX) throw new WasiError(ERRNO.LOOP);
      names.unshift(...namesOfLink(step.place));
    }
    return steps;
  }

  #rootStep(): Step {
    const { mount } = this.#root;
    return mountStep(this.#root, '', mount?.source ?? null, mount, []);
  }

  /** Makes the directory that the walk leads to the working directory. @throws WasiError LOOP */
  #enter(steps: readonly Step[]): void {
    const last = lastOf(steps);
    if (this.#inside === last) return;
    const { node, place } = last;
    if (!node?.mount) this.#enter(steps.slice(0, -1));
    this.#inside = null;
    process.chdir(node?.mount ? node.mount.source : place.name);
    if (place.stat === null || inodeOf(statSync(SELF)) !== inodeOf(place.stat))
      throw new WasiError(ERRNO.LOOP);
    this.#inside = last;
  }

  #descend(steps: readonly Step[], name: string): Step {
    const { place, node: nodeAbove } = lastOf(steps);
    requireDirectory(place);
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new WasiError(ERRNO.NAMETOOLONG);
    const node = nodeAbove?.children.get(name) ?? null;
    const path = [...place.path, name];
    if (node?.mount) return mountStep(node, name, node.mount.source, node.mount, path);
    const step = { name, mount: place.mount, parent: null, path };
    if (!isShared(place))
      return stepOf(node, { ...step, host: place.host === null ? null : `${place.host}/${name}` });
    if (place.stat === null) return stepOf(node, { ...step, host: null });
    this.#enter(steps);
    return stepOf(node, { ...step, host: name, parent: inodeOf(place.stat) });
  }
}

/** @throws WasiError PERM for one that leads to the root of the host. */
function namesOfLink({ host }: Place): readonly string[] {
  const target = readlinkSync(host ?? '');
  if (target.startsWith('/')) throw new WasiError(ERRNO.PERM);
  return target.split('/');
}

const isShared = ({ host, mount }: Pick<Place, 'host' | 'mount'>): boolean =>
  host !== null && mount !== null && mount.identity !== null;

function mountStep(
  node: TreeNode,
  name: string,
  host: string | null,
  mount: RunnerMount | null,
  path: readonly string[],
): Step {
  const step = stepOf(node, { name, host, mount, parent: null, path });
  const { stat } = step.place;
  if (isShared(step.place) && (stat === null || inodeOf(stat) !== mount?.identity))
    throw new WasiError(ERRNO.LOOP);
  return step;
}

function stepOf(
  node: TreeNode | null,
  place: Pick<Place, 'name' | 'host' | 'mount' | 'parent' | 'path'>,
): Step {
  const { host } = place;
  const stat = host === null ? null : (lstatSync(host, { throwIfNoEntry: false }) ?? null);
  // Where others write it may be another one by the time it is read.
  if (stat?.isSymbolicLink() && isShared(place)) throw new WasiError(ERRNO.LOOP);
  const mountedBelow = node === null ? [] : [...node.children.keys()];
  return { node, place: { ...place, stat, fixed: node !== null, mountedBelow } };
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
