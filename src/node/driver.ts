/**
 * The only place where time meets the core: one inbox, one timer, one clock. All inputs
 * that wait are handled together, what they want written goes to disk in one transaction (group
 * commit), and only then do their other effects leave the process.
 */
import { TIMER_MAX_MS } from '../lib/timer.ts';
import { performance } from 'node:perf_hooks';
import { asHlc, asMillis, asRequestId } from '../core/record/ids.ts';
import type { JobId, RequestId } from '../core/record/ids.ts';
import type { Effect } from '../core/contract/effect.ts';
import type { Input } from '../core/contract/input.ts';
import type { Machine } from '../core/contract/machine.ts';
import type { Reply } from '../core/contract/reply.ts';
import type { Restored, StoreWrite } from '../core/contract/stored.ts';
import type { Log } from '../lib/log.ts';
import { BATCH_MAX, createInbox } from './inbox.ts';
import type { Arrived, GossipInput, LocalInput, MessageInput } from './inbox.ts';
import type { Outward, Owed } from './owed.ts';
import { failpoint } from '../lib/failpoint.ts';

/** What the driver leaves to others. */
export type Performed = Exclude<Effect, { type: 'persist' | 'reply' | 'reload' }>;

/** Everything an effect may need of the world. */
export interface DriverPorts {
  /**
   * One durable transaction.
   * @returns false when nothing was written because the disk is full: it is tried again.
   * @throws when the store cannot be used any more: the node then ends.
   */
  readonly persist: (writes: readonly StoreWrite[]) => boolean;
  /** What a full disk keeps waiting. */
  readonly owed: Owed;
  /** Told that something waits for room on the disk, and that it no longer does. */
  readonly onFull: (full: boolean) => void;
  readonly perform: (effect: Performed) => void;
  /** Everything on disk about one job. @throws when it cannot be read: the job is left alone then. */
  readonly reload: (job: JobId) => Restored;
  /** Something threw that may not, and cost what it was at. */
  readonly onDefect: (where: string, error: unknown) => void;
  /** Told once, with the last inputs, when the core or the store broke: nothing is handled any more. */
  readonly onFatal: (error: unknown, lastInputs: readonly string[]) => void;
  readonly log: Log;
}

export interface Driver {
  /** What happens in this process always gets in; of gossip the oldest goes when too much waits. */
  push(input: LocalInput | GossipInput): void;
  /**
   * Hands in what a peer said.
   * @param bytes its size on the wire.
   * @returns a promise when the peer has its share waiting; nothing more of it may come until it resolves.
   */
  hear(input: MessageInput, bytes: number): Promise<void> | undefined;
  /** Hands in a request and waits for its reply. */
  request(make: (request: RequestId) => LocalInput): Promise<Reply>;
  /** Handles what waits, then stops the timer. Later inputs are dropped. */
  stop(): void;
  /** Resolves when what waits now has been handled and its effects performed. */
  caughtUp(): Promise<void>;
  /** Handles nothing any more, and writes nothing: the store is gone. */
  abandon(): void;
  /** For metrics. */
  gauges(): DriverGauges;
}

export interface DriverGauges {
  readonly queued: number;
  readonly handled: number;
  /** Longest batch since last asked, milliseconds. */
  readonly slowestMs: number;
  /** Peers whose streams stand still because they have their share waiting. */
  readonly pausedPeers: number;
  readonly gossipDropped: number;
}

const INPUTS_KEPT = 200;
/** Between two commits under load, milliseconds: a few, so that inputs under load share one transaction. */
const GROUP_MS = 2;
/** The core answers every request within half of this; one that a defect swallowed is answered here. */
const REQUEST_MS = 60_000;
/** Between two tries to write what a full disk kept waiting, milliseconds. */
const AGAIN_MS = 1_000;

export function createDriver(machine: Machine, ports: DriverPorts): Driver {
  const inbox = createInbox(() => performance.now());
  const waiting = new Map<RequestId, (reply: Reply) => void>();
  const last: Input[] = [];
  let timer: NodeJS.Timeout | null = null;
  let scheduled = false;
  let ended = false;
  let requests = 0;
  let handled = 0;
  let slowestMs = 0;
  let committedAt = -Infinity;
  let again: NodeJS.Timeout | null = null;
  /** Jobs to be read anew once the disk says what happened, all of it. */
  const unread = new Set<JobId>();

  function schedule(): void {
    if (scheduled || ended) return;
    scheduled = true;
    // Right after a commit inputs are left to gather: under load they then share one fsync.
    const left = committedAt + GROUP_MS - performance.now();
    if (left > 0) setTimeout(drain, left);
    else setImmediate(drain);
  }

  function drain(): void {
    scheduled = false;
    if (ended) return;
    const started = performance.now();
    try {
      commit(inbox.take(BATCH_MAX));
    } catch (error) {
      fail(error);
      return;
    }
    slowestMs = Math.max(slowestMs, performance.now() - started);
    if (inbox.length > 0) schedule();
    else wind();
  }

  function commit(inputs: readonly Arrived[]): void {
    let effects: Effect[] = [];
    for (const { input, at } of inputs) {
      handle(input, effects, at);
      // What is on disk is what happened, so everything before goes there first.
      for (let jobs = reloadsOf(effects); jobs.length > 0; jobs = reloadsOf(effects)) {
        carryOut(effects);
        effects = [];
        for (const job of jobs) reload(job, effects);
      }
    }
    carryOut(effects);
  }

  /** @param at when it arrived; null = now */
  function handle(input: Input, effects: Effect[], at: number | null = null): void {
    last.push(input);
    if (last.length > INPUTS_KEPT) last.shift();
    handled += 1;
    ports.log.trace({ input: input.type }, 'core.input');
    try {
      const now = asMillis(performance.now());
      const arrivedAt = asMillis(at ?? now);
      for (const effect of machine.handle(input, now, asHlc(Date.now()), arrivedAt))
        effects.push(effect);
    } catch (error) {
      ports.onDefect('core', error);
    }
  }

  function reload(job: JobId, effects: Effect[]): void {
    if (!ports.owed.isEmpty()) {
      unread.add(job);
      return;
    }
    try {
      handle({ type: 'reload', job, rows: ports.reload(job) }, effects);
    } catch (error) {
      ports.onDefect('reload', error);
      handle({ type: 'reload', job, rows: null }, effects);
    }
  }

  function carryOut(effects: readonly Effect[]): void {
    const writes = effects.flatMap((effect) => (effect.type === 'persist' ? effect.writes : []));
    const outward = effects.filter(
      ({ type }) => type !== 'persist' && type !== 'reload',
    ) as Outward[];
    performAll(written(writes) ? outward : ports.owed.add(writes, outward));
    failpoint('effects.done');
  }

  /** @returns false when it has to wait, because of the disk or behind what waits already. */
  function written(writes: readonly StoreWrite[]): boolean {
    if (!ports.owed.isEmpty()) return false;
    if (writes.length === 0) return true;
    failpoint('commit.before');
    if (ports.persist(writes)) {
      failpoint('commit.after');
      committedAt = performance.now();
      return true;
    }
    ports.onFull(true);
    again = setInterval(settleOwed, AGAIN_MS);
    return false;
  }

  /** What was kept waiting, once more; with it on disk everything goes on as before. */
  function settleOwed(): void {
    try {
      if (!ports.persist(ports.owed.writes())) return;
    } catch (error) {
      fail(error);
      return;
    }
    stopAgain();
    performAll(ports.owed.settle());
    ports.onFull(false);
    const effects: Effect[] = [];
    for (const job of unread) reload(job, effects);
    unread.clear();
    carryOut(effects);
    schedule();
  }

  function stopAgain(): void {
    if (again !== null) clearInterval(again);
    again = null;
  }

  function performAll(effects: readonly Outward[]): void {
    for (const effect of effects) {
      if (effect.type === 'reply') answer(effect.request, effect.reply);
      else perform(effect);
    }
  }

  function perform(effect: Performed): void {
    try {
      ports.perform(effect);
    } catch (error) {
      ports.onDefect(`effect.${effect.type}`, error);
    }
  }

  function answer(request: RequestId, reply: Reply): void {
    failpoint('reply.before');
    waiting.get(request)?.(reply);
    waiting.delete(request);
    failpoint('reply.after');
  }

  /** Keeps exactly one timer. */
  function wind(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const wake = machine.nextWake();
    if (wake === null || ended) return;
    const ms = Math.min(TIMER_MAX_MS, Math.max(0, Math.ceil(wake - performance.now())));
    timer = setTimeout(() => push({ type: 'wake' }), ms);
  }

  function abandon(): void {
    ended = true;
    stopAgain();
    if (timer !== null) clearTimeout(timer);
  }

  function fail(error: unknown): void {
    abandon();
    ports.onFatal(error, last.map(inputLine));
  }

  function push(input: LocalInput | GossipInput): void {
    if (ended) return;
    if (input.type === 'gossip') inbox.addGossip(input);
    else inbox.addLocal(input);
    schedule();
  }

  return {
    push,
    hear(input, bytes) {
      if (ended) return undefined;
      const room = inbox.addMessage(input, bytes);
      schedule();
      return room;
    },
    abandon,
    async caughtUp() {
      const target = handled + inbox.length;
      while (!ended && handled < target)
        await new Promise((resolve) => setTimeout(resolve, GROUP_MS));
    },
    request(make) {
      requests += 1;
      const request = asRequestId(`r${requests}`);
      return new Promise((resolve) => {
        const what = 'a request was not answered';
        const late = setTimeout(
          () => answer(request, { type: 'failed', problem: { code: 'internal', what } }),
          REQUEST_MS,
        ).unref();
        waiting.set(request, (reply) => {
          clearTimeout(late);
          resolve(reply);
        });
        push(make(request));
      });
    },
    stop() {
      if (ended) return;
      if (inbox.length > 0) drain();
      // The last chance; what is still not on disk has been promised to nobody.
      if (!ended && !ports.owed.isEmpty()) settleOwed();
      abandon();
    },
    gauges() {
      const slowest = slowestMs;
      slowestMs = 0;
      const { length: queued, pausedPeers, gossipDropped } = inbox;
      return { queued, handled, slowestMs: slowest, pausedPeers, gossipDropped };
    },
  };
}

const reloadsOf = (effects: readonly Effect[]): readonly JobId[] =>
  effects.at(-1)?.type === 'reload'
    ? effects.filter((effect) => effect.type === 'reload').map(({ job }) => job)
    : [];

/** An input as a line of JSON, for the file that a crash leaves behind; bytes as hexadecimal digits. */
function inputLine(input: Input): string {
  return JSON.stringify(input, (_key, value: unknown) =>
    value instanceof Uint8Array ? `0x${Buffer.from(value).toString('hex')}` : value,
  );
}
