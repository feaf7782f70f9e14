/**
 * Ends a running container for a reason of ours, once, and remembers the reason: Docker reports our
 * own kill and the kernel's with the same exit code. The reason is also written down, for a later
 * process of this node that finds the dead container.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DockerApi } from './api.ts';

export type StopReason = 'cancelled' | 'execution-timeout' | 'output-not-written';

const REASONS: readonly StopReason[] = ['cancelled', 'execution-timeout', 'output-not-written'];
const FILE = 'docker-stopped';
/**
 * A container that cannot be killed within this time (a process stuck in the kernel) is given up.
 */
const GIVE_UP_MS = 60_000;
const RETRY_MS = 1000;

export interface Stopper {
  reason(): StopReason | null;
  /**
   * Stops the container; the first reason stays. `atOnce`: without SIGTERM and the time after it,
   * also when it is being stopped already. Never rejects.
   */
  stop(reason: StopReason, atOnce?: boolean): void;
  /** Aborted when stopping did not succeed within a minute. */
  readonly giveUp: AbortSignal;
  /** The container has ended: no more tries. */
  settle(): void;
}

export function createStopper(
  api: DockerApi,
  id: string,
  graceMs: number,
  scratchDir: string,
): Stopper {
  const giveUp = new AbortController();
  let reason: StopReason | null = null;
  let settled = false;
  let kill = false;
  let timers: NodeJS.Timeout[] = [];

  const attempt = async (): Promise<void> => {
    if (settled) return;
    try {
      if (kill) await api.kill(id);
      else await api.stop(id, Math.ceil(graceMs / 1000));
    } catch {
      await api.kill(id).catch(() => undefined);
    }
    // Docker may have been away; the watch tells when it is over.
    if (!settled) timers.push(setTimeout(() => void attempt(), RETRY_MS));
  };

  return {
    reason: () => reason,
    stop(why, atOnce = false) {
      if (settled) return;
      kill ||= atOnce;
      if (reason !== null) {
        if (atOnce) void attempt();
        return;
      }
      reason = why;
      timers = [setTimeout(() => giveUp.abort(), GIVE_UP_MS)];
      void writeFile(join(scratchDir, FILE), why, { mode: 0o600 })
        // Without the note a later process may take the kill for the program's end; no worse.
        .catch(() => undefined)
        .then(attempt);
    },
    giveUp: giveUp.signal,
    settle() {
      settled = true;
      for (const timer of timers) clearTimeout(timer);
    },
  };
}

/** Why an earlier process of this node stopped the container; null when it did not. */
export async function readStopReason(scratchDir: string): Promise<StopReason | null> {
  const text = await readFile(join(scratchDir, FILE), 'utf8').catch(() => '');
  return REASONS.find((reason) => reason === text) ?? null;
}
