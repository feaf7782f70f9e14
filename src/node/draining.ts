/**
 * A peer that is to leave without breaking off what it does: it takes nothing new and hands over what it
 * leads at once (the core does both), lets what runs here come to its end, and leaves when nothing is
 * left of it. What has not ended by the deadline is ended then, and goes on elsewhere.
 */
import type { Draining } from '../api/service.ts';

export interface DrainingDeps {
  /** The core takes nothing new from now on; or does again. */
  readonly drain: (on: boolean) => void;
  /** Executions that run here, or whose job has still to learn how they ended. */
  readonly left: () => number;
  /** Jobs that run here and nowhere else can. */
  readonly onlyHere: () => readonly string[];
  /** Ends what runs and closes the peer; called once. */
  readonly leave: () => void;
  /** It closes, also when a signal told it to: nothing of that can be taken back. */
  readonly isLeaving: () => boolean;
  /** Milliseconds of a clock that nobody sets, of the wall clock, and a timer. */
  readonly now: () => number;
  readonly wall: () => number;
  readonly every: (ms: number, look: () => void) => () => void;
}

/** A person waits; what it costs is to count two maps. */
const LOOK_MS = 250;
/** What only this peer could run costs a look at each member for each job, and any client may ask. */
const ONLY_HERE_MS = 5_000;

export interface Drain {
  /** Begins, or moves the deadline of what was begun. @param withinMs from now, ≥ 0 */
  begin(withinMs: number): Draining;
  /** Takes it back, while it has not begun to close; the answer tells. */
  end(): Draining;
  view(): Draining;
}

export function createDrain(deps: DrainingDeps): Drain {
  let deadline: number | null = null;
  let stop = (): void => {};
  let found: { readonly at: number; readonly jobs: readonly string[] } | null = null;

  function onlyHere(): readonly string[] {
    if (found === null || deps.now() - found.at >= ONLY_HERE_MS)
      found = { at: deps.now(), jobs: deps.onlyHere() };
    return found.jobs;
  }

  function look(): void {
    // A signal was quicker. What is left then is never less, and a timer would keep the process.
    if (deps.isLeaving()) return stop();
    if (deadline === null || (deps.left() > 0 && deps.now() < deadline)) return;
    stop();
    deps.leave();
  }

  const wallOf = (moment: number): number => Math.round(deps.wall() + moment - deps.now());
  const view = (): Draining => ({
    // It may have been told by a signal, without a word to this.
    leavesBy: deadline === null ? (deps.isLeaving() ? deps.wall() : null) : wallOf(deadline),
    executions: deps.left(),
    onlyHere: onlyHere(),
  });

  return {
    begin(withinMs) {
      if (deps.isLeaving()) return view();
      const first = deadline === null;
      deadline = deps.now() + withinMs;
      if (first) {
        found = null;
        deps.drain(true);
        // Not at once: what was assigned a moment ago is on its way into the books.
        stop = deps.every(LOOK_MS, look);
      }
      return view();
    },
    end() {
      if (deps.isLeaving()) return view();
      stop();
      if (deadline !== null) deps.drain(false);
      deadline = null;
      return view();
    },
    view,
  };
}

export const realTime = {
  now: () => performance.now(),
  wall: () => Date.now(),
  every(ms: number, look: () => void): () => void {
    const timer = setInterval(look, ms).unref();
    return () => clearInterval(timer);
  },
};
