/** A small file system of its own for one peer's data, and what fills it. Needs root. */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { Peer } from './peer.ts';

const mayMount = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;
/** For `skip`. */
export const onlyRoot = mayMount ? false : 'needs root, to mount a small file system';

/** Puts the data directory on a file system of this size; gone after the test, with its peer stopped. */
export function onSmallDisk(context: TestContext, peer: Peer, megabytes: number): void {
  mkdirSync(peer.dataDir);
  const type = ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=700`, 'tmpfs'];
  const { status, stderr } = spawnSync('mount', [...type, peer.dataDir]);
  if (status !== 0) throw new Error(String(stderr));
  context.after(async () => {
    if (peer.running) await peer.stop();
    spawnSync('umount', ['--lazy', peer.dataDir]);
  });
}

/** Writes until only so much is free. @returns what gives it back */
export function fill(peer: Peer, leaveBytes: number): () => void {
  const path = join(peer.dataDir, 'ballast');
  const file = openSync(path, 'w');
  const block = new Uint8Array(4_096);
  try {
    for (;;) {
      const { bavail, bsize } = statfsSync(peer.dataDir);
      const free = bavail * bsize;
      if (free <= leaveBytes) break;
      const many = Math.max(1, Math.floor((free - leaveBytes) / block.length / 2));
      for (let count = 0; count < many; count += 1) writeSync(file, block);
    }
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  } finally {
    closeSync(file);
  }
  return () => rmSync(path, { force: true });
}
