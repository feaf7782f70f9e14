/**
 * Clocks of whole milliseconds, and waiting that sleeps: the shim's own clock is finer than a
 * program should have, and its `poll_oneoff` spins on one subscription.
 */
import { wasi } from '@bjorn3/browser_wasi_shim';
import type { Call, Descriptors } from './calls.ts';
import { ERRNO, WasiError } from './errno.ts';

/** 1 ms: finer clocks help only to spy on neighbours through caches. */
const CLOCK_NANOSECONDS = 1_000_000n;
const SUBSCRIPTION_BYTES = 48;
const EVENT_BYTES = 32;
/** Longest single wait; `Atomics.wait` takes no more than 2^31 ms on some platforms. */
const WAIT_MS_MAX = 2 ** 30;

/** Nanoseconds, in whole milliseconds. */
function clockNow(clock: number): bigint {
  const cpu = (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const readings: Record<number, () => number> = {
    [wasi.CLOCKID_REALTIME]: () => Date.now(),
    [wasi.CLOCKID_MONOTONIC]: () => performance.now(),
    [wasi.CLOCKID_PROCESS_CPUTIME_ID]: cpu,
    [wasi.CLOCKID_THREAD_CPUTIME_ID]: cpu,
  };
  const reading = readings[clock];
  if (reading === undefined) throw new WasiError(ERRNO.INVAL);
  return BigInt(Math.floor(reading())) * CLOCK_NANOSECONDS;
}

interface Subscription {
  readonly userdata: bigint;
  readonly type: number;
  /** Nanoseconds to wait; 0 for what is ready now. */
  readonly waitNanoseconds: bigint;
  readonly errno: number;
}

/** Reads one subscription itself: the shim looks for the flags of a clock at a wrong offset. */
function subscriptionAt(view: DataView, pointer: number, descriptors: Descriptors): Subscription {
  const userdata = view.getBigUint64(pointer, true);
  const type = view.getUint8(pointer + 8);
  if (type !== wasi.EVENTTYPE_CLOCK) {
    const open = descriptors[view.getUint32(pointer + 16, true)] !== undefined;
    return { userdata, type, waitNanoseconds: 0n, errno: open ? ERRNO.OK : ERRNO.BADF };
  }
  const clock = view.getUint32(pointer + 16, true);
  if (clock !== wasi.CLOCKID_REALTIME && clock !== wasi.CLOCKID_MONOTONIC) {
    return { userdata, type, waitNanoseconds: 0n, errno: ERRNO.INVAL };
  }
  const timeout = view.getBigUint64(pointer + 24, true);
  const absolute =
    (view.getUint16(pointer + 40, true) & wasi.SUBCLOCKFLAGS_SUBSCRIPTION_CLOCK_ABSTIME) !== 0;
  const left = absolute ? timeout - clockNow(clock) : timeout;
  return { userdata, type, waitNanoseconds: left > 0n ? left : 0n, errno: ERRNO.OK };
}

/** Time and waiting. */
export function clockCalls(
  descriptors: Descriptors,
  memory: () => WebAssembly.Memory,
): Record<string, Call> {
  const view = (): DataView => new DataView(memory().buffer);
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  return {
    clock_res_get: (clock, result) => {
      clockNow(Number(clock));
      view().setBigUint64(Number(result), CLOCK_NANOSECONDS, true);
      return ERRNO.OK;
    },
    clock_time_get: (clock, _precision, result) => {
      view().setBigUint64(Number(result), clockNow(Number(clock)), true);
      return ERRNO.OK;
    },
    sched_yield: () => ERRNO.OK,
    poll_oneoff: (input, output, count, written) => {
      if (Number(count) === 0) return ERRNO.INVAL;
      const subscriptions: Subscription[] = [];
      for (let at = 0; at < Number(count); at += 1) {
        subscriptions.push(
          subscriptionAt(view(), Number(input) + at * SUBSCRIPTION_BYTES, descriptors),
        );
      }
      let shortest = subscriptions[0]?.waitNanoseconds ?? 0n;
      for (const { waitNanoseconds } of subscriptions) {
        if (waitNanoseconds < shortest) shortest = waitNanoseconds;
      }
      if (shortest > 0n) Atomics.wait(sleeper, 0, 0, Math.min(Number(shortest) / 1e6, WAIT_MS_MAX));
      const due = subscriptions.filter(({ waitNanoseconds }) => waitNanoseconds <= shortest);
      due.forEach((event, index) =>
        writeEvent(view(), Number(output) + index * EVENT_BYTES, event),
      );
      view().setUint32(Number(written), due.length, true);
      return ERRNO.OK;
    },
  };
}

function writeEvent(view: DataView, pointer: number, event: Subscription): void {
  view.setBigUint64(pointer, event.userdata, true);
  view.setUint16(pointer + 8, event.errno, true);
  view.setUint8(pointer + 10, event.type);
  // Bytes readable or writable: unknown, at least one; and no hang-up.
  view.setBigUint64(pointer + 16, event.type === wasi.EVENTTYPE_CLOCK ? 0n : 1n, true);
  view.setUint16(pointer + 24, 0, true);
}
