/**
 * What of a mode and of a symlink travels with a tree, wherever trees are added, sent or written. Decides only;
 * touches no disk.
 */

const FILE_MODE = 0o644;
const DIRECTORY_MODE = 0o755;
/** Nobody else gets to write by a tree that came from elsewhere, and two umasks make the same content. */
const DROPPED = 0o022;

/**
 * The permission bits that a tree says of this entry; null where they are those of any file or directory, so that
 * ordinary content is named as IPFS names it. A file that says some takes a block more.
 */
export function keptMode(mode: number, kind: 'file' | 'directory'): number | null {
  const kept = mode & 0o777 & ~DROPPED;
  return kept === (kind === 'file' ? FILE_MODE : DIRECTORY_MODE) ? null : kept;
}

/** The mode to give what is written: what the tree says, as far as it is kept. */
export const givenMode = (mode: number | undefined, kind: 'file' | 'directory'): number => {
  const usual = kind === 'file' ? FILE_MODE : DIRECTORY_MODE;
  return mode === undefined ? usual : (keptMode(mode, kind) ?? usual);
};

/** Characters; PATH_MAX of Linux. */
const LINK_MAX = 4_095;

/**
 * @param at path of the link below the root, `/`-separated.
 * @returns why a link is not kept, in words that fit after "left out: "; null when it stays inside the root,
 * wherever other links of the tree lead: it may only go up before it goes down, so `..` never follows a link.
 */
export function whyLinkLeaves(at: string, target: string): string | null {
  if (target === '' || target.includes('\0') || target.length > LINK_MAX)
    return 'a symbolic link to no path';
  if (target.startsWith('/')) return `a symbolic link to an absolute path (${shown(target)})`;
  let depth = at.split('/').length - 1;
  let down = false;
  for (const name of target.split('/')) {
    if (name === '' || name === '.') continue;
    if (name !== '..') down = true;
    else if (down) return `a symbolic link that goes up after it went down (${shown(target)})`;
    else depth -= 1;
    if (depth < 0) return `a symbolic link that leads out of the directory (${shown(target)})`;
  }
  return null;
}

const shown = (target: string): string => target.slice(0, 100);
