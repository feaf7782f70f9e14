/**
 * Counts what a program adds to its writable mounts: bytes by which files grow and entries it
 * creates. What it removes is given back, but bytes of a removed file that is still open only when
 * its last descriptor closes, since they occupy the disk until then. Knows no paths.
 */
import { ERRNO, WasiError } from './errno.ts';

interface Inode {
  handles: number;
  /** Removed from its directory while open. */
  orphaned: boolean;
}

export class Quota {
  readonly #bytesMax: number;
  readonly #filesMax: number;
  readonly #open = new Map<string, Inode>();
  #bytes = 0;
  #files = 0;

  constructor(bytesMax: number, filesMax: number) {
    this.#bytesMax = bytesMax;
    this.#filesMax = filesMax;
  }

  /** Takes up to `wanted` bytes. @returns how many may be used, 0 when nothing is left. */
  takeUpTo(wanted: number): number {
    const granted = Math.max(0, Math.min(wanted, this.#bytesMax - this.#bytes));
    this.#bytes += granted;
    return granted;
  }

  /** @throws WasiError ENOSPC when fewer than `wanted` bytes are left. */
  take(wanted: number): void {
    if (wanted > this.#bytesMax - this.#bytes) throw new WasiError(ERRNO.NOSPC);
    this.#bytes += wanted;
  }

  giveBack(bytes: number): void {
    // Files that were there before were never counted, so removing them must not go below zero.
    this.#bytes = Math.max(0, this.#bytes - bytes);
  }

  /** @throws WasiError ENOSPC when the program has created its share of entries. */
  takeEntry(): void {
    if (this.#files >= this.#filesMax) throw new WasiError(ERRNO.NOSPC);
    this.#files += 1;
  }

  giveBackEntry(): void {
    this.#files = Math.max(0, this.#files - 1);
  }

  /** A descriptor on `inode` was opened; a reader keeps the bytes on disk as a writer does. */
  opened(inode: string): void {
    const known = this.#open.get(inode);
    if (known === undefined) this.#open.set(inode, { handles: 1, orphaned: false });
    else known.handles += 1;
  }

  /** A descriptor on `inode` closes; the file had `bytes` then. */
  closed(inode: string, bytes: number): void {
    const known = this.#open.get(inode);
    if (known === undefined) return;
    known.handles -= 1;
    if (known.handles > 0) return;
    this.#open.delete(inode);
    if (known.orphaned) this.giveBack(bytes);
  }

  /** The last name of `inode` is gone; the file had `bytes` then. */
  removed(inode: string, bytes: number): void {
    this.giveBackEntry();
    const known = this.#open.get(inode);
    if (known === undefined) this.giveBack(bytes);
    else known.orphaned = true;
  }
}
