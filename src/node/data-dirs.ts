/** The directories of a peer: made at the start, whatever was put in the place of one. */
import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import { errorCode } from '../lib/durable-file.ts';
import type { Log } from '../lib/log.ts';
import { setAside } from '../store/sqlite.ts';

/** What lies in these can be made or fetched again: a damaged one keeps no peer from starting. */
const WORKING = ['blocks', 'executions', 'spool'] as const;

/** @returns where what was in the way is now. @throws Error of the file system. */
export function makeDataDirs(dataDir: string): readonly string[] {
  const asides: string[] = [];
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  for (const path of WORKING.map((name) => join(dataDir, name))) {
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      asides.push(setAside(path));
      mkdirSync(path, { mode: 0o700 });
    }
  }
  return asides;
}

/**
 * Closes directories that are there already to all others: keys, results and what jobs write lie in
 * them, and they may have been made by hand or by an installer.
 * @throws ShoalError `path-unsafe` when one belongs to another user, who can read and exchange all of it.
 */
export function closeDataDirs(dataDir: string, log: Log): void {
  const own = process.geteuid?.();
  if (own === undefined) return;
  for (const directory of [dataDir, ...WORKING.map((name) => join(dataDir, name))]) {
    const found = statSync(directory, { throwIfNoEntry: false });
    if (!found?.isDirectory()) continue;
    if (found.uid !== own) {
      const why = `it belongs to another user (uid ${found.uid}); choose another data directory, or make it yours with \`chown ${own} ${directory}\``;
      throw new ShoalError({ code: 'path-unsafe', path: directory, why });
    }
    if ((found.mode & 0o077) === 0) continue;
    chmodSync(directory, 0o700);
    const before = (found.mode & 0o777).toString(8).padStart(4, '0');
    log.warn({ directory, before, now: '0700' }, 'data.closed');
  }
}
