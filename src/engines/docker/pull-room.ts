/**
 * Watches the disk while Docker pulls an image. Layers are compressed, so nothing that a registry says
 * tells how large one becomes: a hundred megabytes may be a hundred gigabytes of zeros. What counts is
 * by how much the room shrinks where Docker keeps its layers; whatever else is written there meanwhile
 * counts with it.
 */
import { statfs } from 'node:fs/promises';
import { pause } from '../../lib/abort.ts';

export interface PullRoom {
  /** Aborts when the pull has taken too much. */
  readonly signal: AbortSignal;
  stop(): void;
}

/** Milliseconds: a fast disk takes some hundred megabytes in it. */
const LOOK_MS = 250;

/**
 * @param directory of Docker; one that is not on this machine is not watched.
 * @param maxBytes by which the room may shrink
 */
export function watchPullRoom(directory: string, maxBytes: number): PullRoom {
  const tooMuch = new AbortController();
  const over = new AbortController();
  const watch = async (): Promise<void> => {
    const before = await roomAt(directory);
    while (before !== null && (await pause(LOOK_MS, over.signal))) {
      const now = await roomAt(directory);
      if (now !== null && before - now > maxBytes) return tooMuch.abort();
    }
  };
  void watch();
  return { signal: tooMuch.signal, stop: () => over.abort() };
}

const roomAt = (directory: string): Promise<number | null> =>
  statfs(directory).then(
    ({ bavail, bsize }) => bavail * bsize,
    () => null,
  );
