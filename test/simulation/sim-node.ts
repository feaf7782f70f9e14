/**
 * One simulated node: the machine, its clocks, its disk and its effect queue. This is the driver's
 * twin: one queue, one timer. Effects leave in order; a `persist` holds back everything behind it
 * until its group commit is on disk, and a crash loses what was not.
 */
import { Arrivals } from './arrivals.ts';
import { shelvedJob } from './shelved.ts';
import type { Hlc, Millis, NodeId, PublicKey, StoreId } from '../../src/core/record/ids.ts';
import { asHlc, asMillis, asStoreId } from '../../src/core/record/ids.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Input } from '../../src/core/contract/input.ts';
import type { Inspection, JobInspection } from '../../src/core/contract/inspection.ts';
import type { Machine, MachineConfig } from '../../src/core/contract/machine.ts';
import type { Profile } from '../../src/core/contract/profile.ts';
import type { Restored, StoreWrite } from '../../src/core/contract/stored.ts';
import type { Suite } from '../../src/core/record/suite.ts';
import type { EventQueue } from './event-queue.ts';
import type { FaultPlan } from './faults.ts';
import type { NodeView, Observer } from './observer.ts';
import type { Random } from './random.ts';
import type { SimRun, SimRunner } from './sim-runner.ts';
import type { SimStore, Table } from './sim-store.ts';
import { createSimStore } from './sim-store.ts';

export type MachineFactory = (config: MachineConfig, suite: Suite, restored: Restored) => Machine;

export interface SimNodeContext {
  readonly index: number;
  readonly id: NodeId;
  readonly owner: PublicKey;
  readonly profile: Profile;
  readonly queue: EventQueue;
  readonly random: Random;
  readonly runner: SimRunner;
  readonly observer: Required<Observer>;
  /** `countedMs`: see `MachineConfig`. */
  readonly create: (store: StoreId, restored: Restored, countedMs: number) => Machine;
  /** Tables a planted bug loses at every restart. */
  readonly forgetsAtRestart: readonly Table[];
  faults(): FaultPlan;
  /** Performs everything but `persist`. */
  perform(node: SimNode, effect: Effect): void;
}

type Queued = { readonly effect: Effect; synced: boolean };

/** Wall clock at the start of every simulation: an arbitrary day. */
const EPOCH_MS = 1_800_000_000_000;
/** A machine that asks to be woken this often in a row without doing anything is spinning. */
const IDLE_WAKES_MAX = 2_000;

/** What a process finds when it starts again: all, nothing, or what is left of this under a new id. */
export type DiskFate = 'kept' | 'lost' | SimStore;

export class SimNode implements NodeView {
  readonly index: number;
  readonly id: NodeId;
  readonly owner: PublicKey;
  profile: Profile;
  store: SimStore;
  up = false;
  paused = false;
  incarnation = 0;
  /** Wall clock error, milliseconds. */
  skewMs = 0;
  /** Speed of the monotonic clock: 1 = exact. */
  rate = 1;
  /** It was told to leave, and has not ended yet. */
  leaving = false;
  undisturbedSince = 0;
  /** It fails whatever it is given. */
  broken = false;
  /** Gossip never reaches it. */
  deaf = false;

  readonly #context: SimNodeContext;
  #machine: Machine | null = null;
  #bootedAt = 0;
  #lastWall = 0;
  #effects: Queued[] = [];
  #syncing = false;
  #backlog: Input[] = [];
  #timerAt: number | null = null;
  #idleWakes = 0;
  #stores = 0;
  /** Counted time at its start, and when it last died. */
  #countedFrom = 0;
  #died = { counted: 0, at: 0 };
  /** What arrived while another input was being handled. */
  #arrivals = new Arrivals(() => this.now());
  #busy = false;
  /** Jobs to be read again: the driver handles nothing until the disk has told of them. */
  #unread = 0;
  /** No write gets to the disk before this, in the time of the world. */
  #fullUntil = 0;
  /** Happens in place of the next write to the disk. */
  #failSync: (() => void) | null = null;

  constructor(context: SimNodeContext) {
    this.#context = context;
    this.index = context.index;
    this.id = context.id;
    this.owner = context.owner;
    this.profile = context.profile;
    this.store = createSimStore(this.#newStoreId());
  }

  now(): Millis {
    return asMillis(Math.floor((this.#context.queue.now() - this.#bootedAt) * this.rate));
  }

  /** Its operator gives it other labels, which it has from its next start on when it is down. */
  relabel(labels: Profile['labels']): void {
    this.profile = { ...this.profile, labels: { ...this.profile.labels, ...labels } };
    if (this.up) this.deliver({ type: 'profile', profile: this.profile });
  }

  runs(): readonly SimRun[] {
    return this.#context.runner.runs();
  }

  inspect(): Inspection {
    if (this.#machine === null) throw new Error(`${this.id} is down and cannot be inspected`);
    const inspection = this.#machine.inspect();
    return { ...inspection, jobs: [...inspection.jobs, ...this.#shelved(inspection)] };
  }

  /** The jobs it keeps on its disk only, because they are over: as good as in memory. */
  #shelved({ jobs }: Inspection): readonly JobInspection[] {
    const inMemory = new Set(jobs.map(({ job }) => job));
    const shelved: JobInspection[] = [];
    for (const job of this.store.jobs('shelved')) {
      const known = inMemory.has(job) ? null : shelvedJob(this.store, job);
      if (known !== null) shelved.push(known);
    }
    return shelved;
  }

  start(): void {
    if (this.up) throw new Error(`${this.id} is up already`);
    const context = this.#context;
    this.up = true;
    this.undisturbedSince = context.queue.now();
    this.paused = false;
    this.leaving = false;
    this.incarnation += 1;
    this.#bootedAt = context.queue.now();
    this.#lastWall = 0;
    if (this.incarnation > 1) this.store.drop(context.forgetsAtRestart);
    const restored = this.store.restore();
    context.runner.attach(new Set(restored.executions.map(({ order }) => order.execution)));
    try {
      this.#countedFrom = this.#counted();
      this.#machine = context.create(this.store.id, restored, this.#countedFrom);
    } catch (error) {
      context.observer.onDefect(this, null, error);
      this.crash(() => 'kept');
      return;
    }
    context.observer.onStart(this);
    this.deliver({ type: 'profile', profile: this.profile });
    this.#tellDisk();
  }

  /** What it counted when its last process died, and the time of the machine since then. */
  #counted(): number {
    const { counted, at } = this.#died;
    return Math.floor(counted + this.#context.queue.now() - at);
  }

  /** The process dies now. `fate` is asked once it is certain what the last writes have left. */
  crash(fate: () => DiskFate): void {
    if (!this.up) return;
    const context = this.#context;
    this.#loseUnsynced();
    this.#died = { counted: this.#countedFrom + this.now(), at: context.queue.now() };
    this.up = false;
    this.undisturbedSince = context.queue.now();
    this.paused = false;
    this.#machine = null;
    this.#backlog = [];
    this.#arrivals = new Arrivals(() => this.now());
    this.#busy = false;
    this.#unread = 0;
    this.#timerAt = null;
    this.#failSync = null;
    const found = fate();
    const lost = this.store.id;
    if (found === 'lost') this.store = createSimStore(this.#newStoreId());
    else if (found !== 'kept') {
      const { blocks } = this.store;
      this.store = found.renewed(this.#newStoreId(), blocks);
    }
    context.runner.detach(found === 'lost' ? 1 : context.faults().runLossRate);
    context.observer.onCrash(this, found === 'lost' ? lost : null);
  }

  /** SIGSTOP: nothing is handled, the clocks go on, what arrives waits. */
  pause(): void {
    if (this.up) this.paused = true;
  }

  /** SIGCONT: the timer and what waited come in an order nobody promised. */
  resume(): void {
    if (!this.up || !this.paused) return;
    this.paused = false;
    this.undisturbedSince = this.#context.queue.now();
    const waiting = this.#backlog;
    this.#backlog = [];
    this.#flush();
    const timerFirst = this.#context.random.chance(0.5);
    if (timerFirst) this.#wakeIfDue();
    for (const input of waiting) this.deliver(input);
    if (!timerFirst) this.#wakeIfDue();
    this.#schedule();
  }

  /** The same for gossip, which never gets to some. */
  hear(input: Input): void {
    if (!this.deaf) this.deliver(input);
  }

  deliver(input: Input): void {
    if (!this.up) return;
    // Also before it hears of it: who is stopped then is as good as gone.
    if (input.type === 'drain') this.leaving = input.on;
    if (this.paused) {
      this.#backlog.push(input);
      return;
    }
    const { handleMs } = this.#context.faults();
    const free = this.#unread === 0 && this.#arrivals.isEmpty;
    if (handleMs === 0 && free) return this.#handle(input);
    this.#arrivals.add(input);
    if (!this.#busy && this.#unread === 0) this.#work(handleMs);
  }

  /** What the disk says now, with all on it that was handled before: the next thing that is handled. */
  reload(input: Input): void {
    this.#unread -= 1;
    this.#handle(input);
    if (this.#unread === 0 && !this.#busy && !this.paused)
      this.#work(this.#context.faults().handleMs);
  }

  /** One input after the other, each in its time; one in fifty takes long. */
  #work(handleMs: number): void {
    const next = this.#unread > 0 ? undefined : this.#arrivals.next();
    if (next === undefined) return;
    const { input, at } = next;
    this.#busy = true;
    const { random, queue } = this.#context;
    const mean = random.chance(0.02) ? 25 * handleMs : handleMs;
    const { incarnation } = this;
    queue.after(Math.floor(2 * mean * random.next()), () => {
      if (incarnation !== this.incarnation || !this.up) return;
      this.#busy = false;
      // Stopped meanwhile: it is handled first when the process goes on.
      if (this.paused) this.#backlog.unshift(input);
      else this.#handle(input, asMillis(at));
      if (!this.#busy) this.#work(this.#context.faults().handleMs);
    });
  }

  #handle(input: Input, arrivedAt = this.now()): void {
    const machine = this.#machine as Machine;
    const observer = this.#context.observer;
    observer.onInput(this, input);
    this.#keepContent(input);
    let effects: readonly Effect[];
    try {
      effects = machine.handle(input, this.now(), this.wall(), arrivedAt);
      // A machine contains its own defects; here none may show.
      const defect = effects.find((effect) => effect.type === 'defect');
      if (defect !== undefined) throw new Error(`${defect.where}: ${defect.error}`);
    } catch (error) {
      observer.onDefect(this, input, error);
      this.crash(() => 'kept');
      this.#context.queue.after(1_000, () => {
        if (!this.up) this.start();
      });
      return;
    }
    observer.onHandled(this, input, effects);
    this.#idleWakes = input.type === 'wake' && effects.length === 0 ? this.#idleWakes + 1 : 0;
    if (this.#idleWakes === IDLE_WAKES_MAX) {
      observer.onDefect(
        this,
        input,
        new Error(`${IDLE_WAKES_MAX} wakes in a row without an effect`),
      );
    }
    for (const effect of effects) {
      this.#effects.push({ effect, synced: false });
      if (effect.type === 'reload') this.#unread += 1;
    }
    this.#flush();
    this.#schedule();
  }

  /** What a program leaves, or was copied, lies on the disk before the machine hears of it. */
  #keepContent(input: Input): void {
    if (input.type === 'replicated' && input.outcome === 'made') this.store.blocks.add(input.cid);
    if (input.type !== 'run-event' || input.event.type !== 'ended') return;
    if (input.event.result !== null) this.store.blocks.add(input.event.result.cid);
  }

  /** The disk takes nothing for a while, and the process is told so, and when it is over. */
  fillDisk(ms: number): void {
    this.#fullUntil = Math.max(this.#fullUntil, this.#context.queue.now() + ms);
    // Until then it says to everybody that it takes nothing.
    this.undisturbedSince = Math.max(this.undisturbedSince, this.#fullUntil);
    this.#tellDisk();
  }

  /** A process that starts on a full disk finds that out at once. */
  #tellDisk(): void {
    const { queue } = this.#context;
    const ms = this.#fullUntil - queue.now();
    if (ms <= 0) return;
    const { incarnation } = this;
    this.deliver({ type: 'disk', full: true });
    queue.after(ms, () => {
      // It may have been filled again meanwhile.
      const isOver = this.#fullUntil <= queue.now();
      if (isOver && incarnation === this.incarnation) this.deliver({ type: 'disk', full: false });
    });
  }

  /** The disk fails at the next write: the process must end, and cannot say what is on it. */
  failNextSync(end: () => void): void {
    this.#failSync = end;
  }

  /** Physical wall clock with the skew; runs back within one process only where the plan says so. */
  wall(): Hlc {
    const physical = EPOCH_MS + this.#context.queue.now() + this.skewMs;
    const back = this.#context.faults().wallRunsBack > 0;
    this.#lastWall = back || physical > this.#lastWall ? physical : this.#lastWall + 0.001;
    return asHlc(this.#lastWall);
  }

  #newStoreId(): StoreId {
    this.#stores += 1;
    const name = `${String(this.#context.index).padStart(4, '0')}${String(this.#stores).padStart(4, '0')}`;
    return asStoreId(name.padEnd(32, '0'));
  }

  #flush(): void {
    while (this.up && !this.paused && this.#effects.length > 0) {
      const head = this.#effects[0] as Queued;
      if (head.effect.type === 'persist' && !head.synced) {
        this.#sync();
        return;
      }
      this.#effects.shift();
      this.#context.observer.onEffect(this, head.effect);
      if (head.effect.type !== 'persist') this.#context.perform(this, head.effect);
    }
  }

  /** Group commit: one fsync for every write that waits when it begins. */
  #sync(): void {
    if (this.#syncing) return;
    this.#syncing = true;
    const group = this.#effects.filter(
      ({ effect, synced }) => effect.type === 'persist' && !synced,
    );
    const { incarnation } = this;
    const { queue, random } = this.#context;
    const plan = this.#context.faults();
    const slow = random.chance(plan.fsyncSlowRate);
    const wait = slow ? random.integer(plan.fsyncMs, plan.fsyncSlowMs) : plan.fsyncMs;
    const full = Math.max(0, this.#fullUntil - queue.now());
    queue.after(Math.max(wait, full), () => {
      if (incarnation !== this.incarnation || !this.up) return;
      const failing = this.#context.faults().failedSyncsPerMinute > 0;
      if (this.#failSync !== null && failing) return this.#failSync();
      this.#syncing = false;
      for (const item of group) this.#makeDurable(item);
      this.#flush();
    });
  }

  #makeDurable(item: Queued): void {
    const { effect } = item;
    if (effect.type !== 'persist') return;
    item.synced = true;
    this.#context.observer.onDurable(this, effect.writes as readonly StoreWrite[]);
    this.store.apply(effect.writes);
  }

  /** A log is written from the front: of a sync under way any number of first groups may have made it. */
  #loseUnsynced(): void {
    if (this.#syncing) {
      const waiting = this.#effects.filter(
        ({ effect, synced }) => effect.type === 'persist' && !synced,
      );
      const kept = this.#context.random.integer(0, waiting.length);
      for (const item of waiting.slice(0, kept)) this.#makeDurable(item);
    }
    this.#syncing = false;
    this.#effects = [];
  }

  #wakeIfDue(): void {
    const wake = this.#machine?.nextWake() ?? null;
    if (this.up && wake !== null && wake <= this.now()) this.deliver({ type: 'wake' });
  }

  /** Keeps one timer: an earlier one that rings in vain only looks again. */
  #schedule(): void {
    if (!this.up || this.paused) return;
    const wake = this.#machine?.nextWake() ?? null;
    if (wake === null) return;
    const { queue } = this.#context;
    const at = Math.max(queue.now() + 1, this.#worldTime(wake));
    if (this.#timerAt !== null && this.#timerAt <= at) return;
    this.#timerAt = at;
    const { incarnation } = this;
    queue.after(at - queue.now(), () => {
      if (incarnation !== this.incarnation || this.#timerAt !== at) return;
      this.#timerAt = null;
      // While inputs wait nothing is woken: the machine sees with each of them what is due.
      if (this.paused || this.#busy || this.#unread > 0) return;
      this.#wakeIfDue();
      this.#schedule();
    });
  }

  /** The first whole instant of the world at which this node's clock shows `wake`. */
  #worldTime(wake: number): number {
    let at = Math.ceil(this.#bootedAt + wake / this.rate);
    while (Math.floor((at - this.#bootedAt) * this.rate) < wake) at += 1;
    return at;
  }
}
