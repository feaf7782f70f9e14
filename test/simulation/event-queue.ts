/**
 * Virtual time: a binary heap of instants, each with its actions in the order in which they were
 * added. Time only moves when the queue is run; there is no other clock in the simulator.
 */

export type Action = () => void;

export interface EventQueue {
  /** Milliseconds since the simulation began; whole numbers. */
  now(): number;
  /** Runs `action` `delayMs` from now (at least 0, rounded up), after everything already due then. */
  after(delayMs: number, action: Action): void;
  /** Runs everything due up to and including `time`, then sets the clock to it. */
  runUntil(time: number): void;
  /** Actions not yet run. */
  size(): number;
  /** Actions run so far. */
  executed(): number;
}

export function createEventQueue(): EventQueue {
  const heap: number[] = [];
  const buckets = new Map<number, Action[]>();
  let clock = 0;
  let pending = 0;
  let executed = 0;

  const after = (delayMs: number, action: Action): void => {
    const time = clock + Math.max(0, Math.ceil(delayMs));
    const bucket = buckets.get(time);
    pending += 1;
    if (bucket !== undefined) {
      bucket.push(action);
      return;
    }
    buckets.set(time, [action]);
    pushTime(heap, time);
  };

  const runUntil = (time: number): void => {
    while (heap.length > 0 && (heap[0] as number) <= time) {
      const instant = heap[0] as number;
      clock = instant;
      const bucket = buckets.get(instant) as Action[];
      // Actions may add more for this very instant: the loop sees them, in order.
      for (let index = 0; index < bucket.length; index += 1) {
        pending -= 1;
        executed += 1;
        (bucket[index] as Action)();
      }
      buckets.delete(instant);
      popTime(heap);
    }
    clock = Math.max(clock, time);
  };

  return { now: () => clock, after, runUntil, size: () => pending, executed: () => executed };
}

function pushTime(heap: number[], time: number): void {
  let index = heap.length;
  heap.push(time);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    if ((heap[parent] as number) <= time) break;
    heap[index] = heap[parent] as number;
    index = parent;
  }
  heap[index] = time;
}

/** Removes the smallest instant. Nothing smaller can have been added since: time never runs back. */
function popTime(heap: number[]): void {
  const last = heap.pop() as number;
  if (heap.length === 0) return;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number))
      child += 1;
    if ((heap[child] as number) >= last) break;
    heap[index] = heap[child] as number;
    index = child;
  }
  heap[index] = last;
}
