/**
 * A peer that has just started keeps its first submissions waiting until it has met the peers that it
 * knows, for some seconds at most: else their jobs would be kept by this peer alone.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { KEEPERS_MAX } from '../core/contract/limits.ts';

/** A dial takes milliseconds, and two seconds where the other side shall do it. */
const JOIN_MS = 5_000;
const LOOK_MS = 25;

export interface JoiningDeps {
  /** Somebody known has not been tried yet, or was just asked whom else it knows. */
  readonly joining: () => boolean;
  /** Members connected now. */
  readonly connected: () => number;
  /** Those of them that the core knows by their adverts. */
  readonly introduced: () => number;
  readonly now: () => number;
  readonly pause: (ms: number) => Promise<unknown>;
}

/** @returns what resolves once there is nobody more to wait for, the peer having started just now */
export function createJoining(deps: JoiningDeps): () => Promise<void> {
  const end = deps.now() + JOIN_MS;
  const met = (): boolean => {
    const introduced = deps.introduced();
    if (introduced >= KEEPERS_MAX - 1) return true;
    return !deps.joining() && introduced >= deps.connected();
  };
  return async () => {
    while (deps.now() < end && !met()) await deps.pause(LOOK_MS);
  };
}

export const realTime = {
  now: () => performance.now(),
  pause: (ms: number) => delay(ms),
};
