/**
 * Where a peer lives, in two words that its containers carry: the machine, and the data directory.
 * Two peers with the same words share a view of the file system and of the processes, so that the
 * lock of the data directory tells whether the other one is alive.
 */
import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';

export interface Lineage {
  readonly host: string;
  /** Without symlinks. */
  readonly dataDir: string;
}

/** @param dataDir must exist. */
export function lineageOf(dataDir: string): Lineage {
  // Another container has another root and other processes, even where it has the same name; a
  // sandboxed service sees other files, and what it does not see is not gone.
  const root = statSync('/');
  const view = [
    hostname(),
    textOr('', () => readFileSync('/etc/machine-id', 'latin1').trim()),
    textOr('', () => readlinkSync('/proc/self/ns/pid')),
    textOr('', () => readlinkSync('/proc/self/ns/mnt')),
    `${root.dev}:${root.ino}`,
  ];
  const host = createHash('sha256').update(view.join('\n')).digest('hex').slice(0, 32);
  return { host, dataDir: realpathSync(dataDir) };
}

/** Not every system has these. */
function textOr(otherwise: string, read: () => string): string {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
