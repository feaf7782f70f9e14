/**
 * The node's allow-list of host paths (Bacalhau's `AllowListedLocalPaths`): globs with `**` for any
 * depth and an optional `:ro` (default) or `:rw`. Pure text; whether a path is a symlink out of its
 * place is checked again when it is staged.
 *
 * Places that jobs may write to are not trusted any more than the jobs: what has its name in such a
 * place may become something else at any moment.
 */

import { coversPath } from '../../job/wildcard.ts';

/** No system opens a longer one. */
const PATH_MAX = 4_096;

interface Rule {
  readonly glob: string;
  readonly writable: boolean;
}

function parseRule(text: string): Rule {
  const mode = /:(ro|rw)$/.exec(text)?.[1];
  const glob = mode === undefined ? text : text.slice(0, -3);
  return { glob, writable: mode === 'rw' };
}

/** True when a rule covers `path` (absolute, normalised) with the access wanted. */
export function pathAllowed(rules: readonly string[], path: string, writable: boolean): boolean {
  if (!path.startsWith('/') || path.length > PATH_MAX || path.split('/').includes('..'))
    return false;
  return rules
    .map(parseRule)
    .some((rule) => coversPath(rule.glob, path) && (rule.writable || !writable));
}

/**
 * True when a job may exchange what `path` names: something above it is open to jobs for writing.
 * What the operator opened itself is not, as its name stands in a directory that jobs cannot reach.
 */
export function pathExchangeable(rules: readonly string[], path: string): boolean {
  for (let end = path.lastIndexOf('/'); end > 0; end = path.lastIndexOf('/', end - 1)) {
    if (pathAllowed(rules, path.slice(0, end), true)) return true;
  }
  return pathAllowed(rules, '/', true) && path !== '/';
}
