/** The directories of a peer: made at the start, whatever was put in the place of one. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../lib/durable-file.ts';
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
