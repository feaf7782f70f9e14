/** Whether a relative path from somebody else may become a path on this machine. Decides only; touches no disk. */

/** Names that Windows gives to devices, whatever their extension. */
const WINDOWS_DEVICE = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\.|$)/i;

/** Directories inside each other, and blocks of one file above each other. */
export const TREE_DEPTH_MAX = 64;
/** Entries of one tree; more is a bomb, not a result. */
export const TREE_ENTRIES_MAX = 100_000;
/** All paths of one tree together: whoever lists, imports or writes it has them in memory. */
export const TREE_PATHS_MAX_BYTES = 64 << 20;
/** What Linux takes as a name. */
export const NAME_MAX_BYTES = 255;
/** PATH_MAX of Linux is 4096; the rest is for the directory that somebody puts it into. */
export const PATH_MAX_BYTES = 3_000;

/**
 * @returns why the path is refused, in words that fit after "refused: "; null when it is safe. What only this
 * machine's files cannot be called is no reason, see `whyNotHere`.
 */
export function whyUnsafe(path: string): string | null {
  if (path.startsWith('/')) return 'it is absolute';
  if (new TextEncoder().encode(path).length > PATH_MAX_BYTES)
    return `it is longer than ${PATH_MAX_BYTES} bytes`;
  const names = path.split('/');
  if (names.length > TREE_DEPTH_MAX) return `it is deeper than ${TREE_DEPTH_MAX} directories`;
  for (const name of names) {
    const why = whyNameUnsafe(name);
    if (why !== null) return why;
  }
  return null;
}

/** As `whyUnsafe`, for one name in a directory. */
export function whyNameUnsafe(name: string): string | null {
  if (name === '') return 'it has an empty name in it';
  if (name === '.' || name === '..') return `it has "${name}" in it`;
  if (name.includes('/')) return 'it has a slash in a name';
  if (name.includes('\0')) return 'it has a NUL in it';
  if (new TextEncoder().encode(name).length > NAME_MAX_BYTES)
    return `a name in it is longer than ${NAME_MAX_BYTES} bytes`;
  return null;
}

/**
 * @returns why a path that is safe cannot be a file of this machine, in words that fit after "left out: ";
 * null when it can. On Linux every name can; Windows takes a backslash for a separator, and `aux.c` for a device.
 */
export function whyNotHere(path: string, platform: NodeJS.Platform): string | null {
  if (platform !== 'win32') return null;
  for (const name of path.split('/')) {
    const [wrong] = /[\\:*?"<>|]/.exec(name) ?? [];
    if (wrong !== undefined) return `no file is called so on Windows, for its ${wrong}`;
    if (WINDOWS_DEVICE.test(name)) return `"${name}" is a device on Windows`;
    if (/[. ]$/.test(name)) return 'Windows drops the end of its name';
  }
  return null;
}

/** @returns why nothing may be written at the path here, whichever it is; null when it may. */
export const whyNotWritten = (path: string): string | null =>
  whyUnsafe(path) ?? whyNotHere(path, process.platform);
