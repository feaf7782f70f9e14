/**
 * Who is served when more ask than can be served at once: a few at a time, of each peer at most a
 * share, the others in line. Who has least goes first, so a crowd of requests of one peer keeps
 * nobody else waiting. Serves nothing itself.
 */
export interface PermitLimits {
  /** Over all peers. */
  readonly max: number;
  /** For one peer. */
  readonly perPeer: number;
  /** In line, over all peers; whoever comes then is sent away at once. */
  readonly waitingMax: number;
}

interface Waiter {
  readonly peer: string;
  readonly enter: () => void;
}

export interface Permits {
  /** @returns what gives the permit back, or null when none came free within `ms` or before the abort. */
  enter(peer: string, ms: number, signal: AbortSignal | null): Promise<(() => void) | null>;
  readonly taken: number;
}

export function createPermits(limits: PermitLimits): Permits {
  const held = new Map<string, number>();
  const line: Waiter[] = [];
  let taken = 0;

  const heldBy = (peer: string): number => held.get(peer) ?? 0;
  const mayEnter = (peer: string): boolean => taken < limits.max && heldBy(peer) < limits.perPeer;

  const take = (peer: string): (() => void) => {
    taken += 1;
    held.set(peer, heldBy(peer) + 1);
    let returned = false;
    return () => {
      if (returned) return;
      returned = true;
      taken -= 1;
      if (heldBy(peer) === 1) held.delete(peer);
      else held.set(peer, heldBy(peer) - 1);
      admitNext();
    };
  };

  /** The one that holds least; of several the one that waits longest. */
  const admitNext = (): void => {
    let next: Waiter | null = null;
    for (const one of line) {
      if (!mayEnter(one.peer)) continue;
      if (next === null || heldBy(one.peer) < heldBy(next.peer)) next = one;
    }
    if (next === null) return;
    line.splice(line.indexOf(next), 1);
    next.enter();
  };

  return {
    enter(peer, ms, signal) {
      if (signal?.aborted === true) return Promise.resolve(null);
      if (mayEnter(peer)) return Promise.resolve(take(peer));
      if (line.length >= limits.waitingMax) return Promise.resolve(null);
      return new Promise((resolve) => {
        const one: Waiter = {
          peer,
          enter: () => {
            stopWaiting();
            resolve(take(peer));
          },
        };
        const giveUp = (): void => {
          stopWaiting();
          line.splice(line.indexOf(one), 1);
          resolve(null);
        };
        const stopWaiting = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', giveUp);
        };
        const timer = setTimeout(giveUp, ms);
        signal?.addEventListener('abort', giveUp);
        line.push(one);
      });
    },
    get taken() {
      return taken;
    },
  };
}
