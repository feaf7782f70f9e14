/**
 * Paths inside an execution, as text: where inputs and results may be mounted. Host paths are the
 * node's business.
 */

/** `/a//b/./c/../d/` → `/a/b/d`, like Go's `path.Clean`; a relative path may begin with `..`. */
export function cleanPath(path: string): string {
  const absolute = path.startsWith('/');
  const kept: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') kept.push(part);
    else if (kept.length > 0 && kept.at(-1) !== '..') kept.pop();
    else if (!absolute) kept.push('..');
  }
  return (absolute ? '/' : '') + kept.join('/') || '.';
}

/** What a target means: relative ones are taken below `/`. */
export function targetPath(target: string): string {
  return cleanPath(`/${target}`);
}

/** True when `path` is `parent` or below it; both cleaned. */
export function isWithin(path: string, parent: string): boolean {
  if (path === parent || parent === '/') return true;
  return path.startsWith(`${parent}/`);
}

/**
 * Why nothing can be mounted at this path with this engine; null when it can be tried.
 * Docker takes absolute paths only and neither `/` nor what lies in `/proc`; engines with a file
 * system of their own take any path that stays inside.
 */
export function whyNotMountable(path: string, engine: string): string | null {
  const clean = cleanPath(path);
  if (clean === '..' || clean.startsWith('../')) return 'it leads out of the execution';
  if (engine !== 'docker') return null;
  if (!path.startsWith('/')) return 'Docker mounts at absolute paths only, beginning with /';
  if (clean === '/') return 'it would hide the whole file system of the image';
  if (isWithin(clean, '/proc')) return 'nothing can be mounted in /proc';
  return null;
}
