/**
 * A few machines joined without a network: messages arrive in order and at once, time moves only when
 * a test moves it. Nothing is random. Faults are what a test asks for; the simulator makes the rest.
 */
import assert from 'node:assert/strict';
import type { ExecutionOrder, RunEvent } from '../../../src/core/record/execution.ts';
import { asMillis, asRequestId } from '../../../src/core/record/ids.ts';
import type { ExecutionId, JobId, NodeId } from '../../../src/core/record/ids.ts';
import { DEFAULT_LIMITS } from '../../../src/core/contract/limits.ts';
import { createMachine } from '../../../src/core/machine.ts';
import type { Effect, RefuseCode } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Inspection, JobInspection } from '../../../src/core/contract/inspection.ts';
import type { Limits } from '../../../src/core/contract/limits.ts';
import type { Machine } from '../../../src/core/contract/machine.ts';
import type { Profile } from '../../../src/core/contract/profile.ts';
import type { Reply } from '../../../src/core/contract/reply.ts';
import type { CopyOutcome, Message, MessageType } from '../../../src/core/contract/messages.ts';
import type { Suite } from '../../../src/core/record/suite.ts';
import type { Job } from '../../../src/job/model.ts';
import { profileOf } from '../../simulation/profile.ts';
import { shelvedJob } from '../../simulation/shelved.ts';
import { createSimStore } from '../../simulation/sim-store.ts';
import type { SimStore } from '../../simulation/sim-store.ts';
import { WALL, at, idOf, storeOf, suiteOf } from './fixtures.ts';

/** More deliveries than this without an end are a loop. */
const DELIVERIES_MAX = 20_000;

export type EffectOf<T extends Effect['type']> = Extract<Effect, { type: T }>;
export type MessageOf<T extends MessageType> = Extract<Message, { type: T }>;

export interface Sent {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: Message;
}

/** What happened to one node in one input. */
export interface Step {
  readonly node: number;
  readonly input: Input;
  readonly effects: readonly Effect[];
}

export interface ClusterOptions {
  readonly nodes: number;
  /** What the programs do; the default runs and ends with exit code 0 at once. */
  readonly program?: (order: ExecutionOrder, node: number) => readonly RunEvent[];
  readonly profile?: (node: number) => Partial<Profile>;
  /** Owner key number of each node; 0 unless told. */
  readonly owner?: (node: number) => number;
  readonly limits?: Partial<Limits>;
  /** Programs that do not end when they are told to. */
  readonly deaf?: true;
  /** A node's keys in place of the usual ones: to make it fail. */
  readonly suite?: (suite: Suite, node: number) => Suite;
}

/** A request without the id that it gets. */
type Asked = Input extends infer One
  ? One extends { readonly request: unknown }
    ? Omit<One, 'request'>
    : never
  : never;

export const DONE: readonly RunEvent[] = [
  { type: 'phase', phase: 'running' },
  {
    type: 'ended',
    exitCode: 0,
    result: null,
    output: { stdout: 'hello\n', stdoutTruncated: false, stderr: '', stderrTruncated: false },
    usage: { cpuMs: 1, peakMemoryBytes: 1, wallMs: 1 },
  },
];

interface Waiting {
  readonly node: number;
  readonly input: Input;
  /** So long it lay there before it is handled. */
  readonly waitedMs?: number;
}

interface Node {
  machine: Machine;
  store: SimStore;
  up: boolean;
  paused: boolean;
}

export class Cluster {
  /** Everything that happened, in order. */
  readonly steps: Step[] = [];
  readonly sent: Sent[] = [];
  /** Messages for which this says true never arrive. */
  lose: (sent: Sent) => boolean = () => false;
  /** How a node's copy of a result goes; null: it takes for ever. */
  copy: (node: number, effect: EffectOf<'replicate'>) => CopyOutcome | null = () => 'made';
  now = 1_000;
  /** How far the wall clock of a node is ahead of the others', milliseconds. */
  skewMs: (node: number) => number = () => 0;
  /** What a node has counted when it starts: it may have lost that. */
  countedMs: (node: number) => number = () => this.now;
  /** The disk of a node cannot read this job. */
  unreadable: (node: number, job: JobId) => boolean = () => false;
  /** A step of the core may throw: the test makes it do so. */
  defectsExpected = false;
  readonly #options: ClusterOptions;
  readonly #nodes: Node[] = [];
  readonly #queue: Waiting[] = [];
  #requests = 0;

  constructor(options: ClusterOptions) {
    this.#options = options;
    for (let index = 0; index < options.nodes; index += 1) {
      const store = createSimStore(storeOf(index));
      this.#nodes.push({ machine: this.#create(index, store), store, up: true, paused: false });
    }
    for (let index = 0; index < options.nodes; index += 1) this.#boot(index);
    this.#settle();
  }

  #create(index: number, store: SimStore): Machine {
    const limits = { ...DEFAULT_LIMITS, ...this.#options.limits };
    const countedMs = this.countedMs(index);
    const config = { node: idOf(index), store: store.id, limits, countedMs };
    const suite = suiteOf(index, this.#options.owner?.(index) ?? 0);
    return createMachine(config, this.#options.suite?.(suite, index) ?? suite, store.restore());
  }

  #boot(index: number): void {
    const profile = { ...profileOf(index, idOf(index)), ...this.#options.profile?.(index) };
    this.#queue.push({ node: index, input: { type: 'profile', profile } });
    for (let other = 0; other < this.#options.nodes; other += 1) {
      if (other === index || !this.#node(other).up) continue;
      this.#queue.push({ node: index, input: { type: 'peer-connected', node: idOf(other) } });
      this.#queue.push({ node: other, input: { type: 'peer-connected', node: idOf(index) } });
    }
  }

  #node(index: number): Node {
    const node = this.#nodes[index];
    assert.ok(node, `there is a node ${index}`);
    return node;
  }

  indexOf(id: NodeId): number {
    return this.#nodes.findIndex((_, index) => idOf(index) === id);
  }

  machine(index: number): Machine {
    return this.#node(index).machine;
  }

  store(index: number): SimStore {
    return this.#node(index).store;
  }

  /** One input to one node, with everything that follows from it at this moment. */
  input(node: number, input: Input, waitedMs = 0): readonly Effect[] {
    const before = this.steps.length;
    this.#queue.push({ node, input, waitedMs });
    this.#settle();
    return this.steps[before]?.effects ?? [];
  }

  message(node: number, from: number, message: Message): readonly Effect[] {
    return this.input(node, { type: 'message', from: idOf(from), message });
  }

  submit(node: number, spec: Job, nonce = 'b'.repeat(32)): string {
    const notAfter = WALL + 86_400_000;
    return this.request(node, { type: 'submit', spec, nonce, notAfter, minKeepers: 0 });
  }

  /** A local request; its answer is `reply`. */
  request(node: number, input: Asked): string {
    const request = asRequestId(`r-${this.#requests}`);
    this.#requests += 1;
    this.input(node, { ...input, request });
    return request;
  }

  /** The reply to a request, once there is one. */
  reply(request: string): Reply | null {
    for (const { effects } of this.steps) {
      for (const effect of effects) {
        if (effect.type === 'reply' && effect.request === request) return effect.reply;
      }
    }
    return null;
  }

  /** Time goes on; every node is woken when it asked for it. */
  advance(ms: number): void {
    const end = this.now + ms;
    for (;;) {
      let next: { node: number; at: number } | null = null;
      this.#nodes.forEach(({ machine, up, paused }, node) => {
        const due = up && !paused ? machine.nextWake() : null;
        if (due !== null && due <= end && (next === null || due < next.at))
          next = { node, at: due };
      });
      if (next === null) break;
      const { node, at: due } = next as { node: number; at: number };
      this.now = Math.max(this.now, due);
      this.input(node, { type: 'wake' });
    }
    this.now = end;
  }

  /** Advances until the condition holds. */
  until(what: string, condition: () => boolean, withinMs = 120_000): void {
    const end = this.now + withinMs;
    while (!condition()) {
      assert.ok(this.now < end, `within ${withinMs} ms: ${what}`);
      this.advance(100);
    }
  }

  /** The process dies; what was written stays. */
  crash(node: number): void {
    this.#node(node).up = false;
    this.#nodes.forEach((_, other) => {
      if (other === node) return;
      this.#queue.push({ node: other, input: { type: 'peer-disconnected', node: idOf(node) } });
    });
    this.#settle();
  }

  restart(index: number): void {
    const node = this.#node(index);
    node.machine = this.#create(index, node.store);
    node.up = true;
    this.#boot(index);
    this.#settle();
  }

  /** The process does not run, and what is sent to it is lost. */
  pause(node: number): void {
    this.#node(node).paused = true;
  }

  resume(node: number): void {
    this.#node(node).paused = false;
  }

  /** What a node has in memory, and the jobs that it has on its disk because they are over. */
  inspect(node: number): Inspection {
    const inspection = this.machine(node).inspect();
    const inMemory = new Set(inspection.jobs.map(({ job }) => job));
    const shelved = this.store(node)
      .rows('shelved')
      .filter(({ job }) => !inMemory.has(job))
      .flatMap(({ job }) => shelvedJob(this.store(node), job) ?? []);
    return { ...inspection, jobs: [...inspection.jobs, ...shelved] };
  }

  job(node: number): JobInspection {
    const { jobs } = this.inspect(node);
    assert.equal(jobs.length, 1, `node ${node} keeps one job`);
    return jobs[0] as JobInspection;
  }

  /** Effects of one type, of one node or of all. */
  effects<T extends Effect['type']>(type: T, node: number | null = null): readonly EffectOf<T>[] {
    return this.steps
      .filter((step) => node === null || step.node === node)
      .flatMap(({ effects }) => effects)
      .filter((effect): effect is EffectOf<T> => effect.type === type);
  }

  /** Messages of one type that were sent, lost ones included. */
  messages<T extends MessageType>(type: T): readonly (Sent & { readonly message: MessageOf<T> })[] {
    return this.sent.filter(({ message }) => message.type === type) as never;
  }

  /** Reports of a program that the test itself plays. */
  report(node: number, execution: ExecutionId, events: readonly RunEvent[]): void {
    for (const event of events) this.input(node, { type: 'run-event', execution, event });
  }

  #settle(): void {
    for (let count = 0; this.#queue.length > 0; count += 1) {
      assert.ok(count < DELIVERIES_MAX, 'the machines come to rest');
      const { node, input, waitedMs = 0 } = this.#queue.shift() as Waiting;
      const { machine, up, paused } = this.#node(node);
      if (!up || paused) continue;
      const [now, wall] = [asMillis(this.now), at(this.now + this.skewMs(node))];
      const effects = machine.handle(input, now, wall, asMillis(this.now - waitedMs));
      this.steps.push({ node, input, effects });
      for (const effect of effects) this.#perform(node, effect);
    }
  }

  #perform(node: number, effect: Effect): void {
    switch (effect.type) {
      case 'persist':
        return this.#node(node).store.apply(effect.writes);
      case 'send': {
        const sent = { from: idOf(node), to: effect.to, message: effect.message };
        this.sent.push(sent);
        const to = this.indexOf(effect.to);
        if (to < 0 || this.lose(sent)) return;
        this.#queue.push({
          node: to,
          input: { type: 'message', from: sent.from, message: sent.message },
        });
        return;
      }
      case 'gossip':
        this.#nodes.forEach((_, other) => {
          if (other === node) return;
          this.#queue.push({
            node: other,
            input: { type: 'gossip', from: idOf(node), gossip: effect.gossip },
          });
        });
        return;
      case 'run': {
        const events = (this.#options.program ?? (() => DONE))(effect.order, node);
        const { execution } = effect.order;
        for (const event of events)
          this.#queue.push({ node, input: { type: 'run-event', execution, event } });
        return;
      }
      case 'cancel-run': {
        if (this.#options.deaf === true) return;
        const event = { type: 'cancelled', output: null } as const;
        this.#queue.push({
          node,
          input: { type: 'run-event', execution: effect.execution, event },
        });
        return;
      }
      case 'defect':
        assert.ok(this.defectsExpected, `a defect at ${effect.where}: ${effect.error}`);
        return;
      case 'reload': {
        const { job } = effect;
        const rows = this.unreadable(node, job) ? null : this.#node(node).store.restoreJob(job);
        // Before whatever waits, as the driver does it.
        this.#queue.unshift({ node, input: { type: 'reload', job, rows } });
        return;
      }
      case 'replicate': {
        const { execution, cid } = effect;
        const outcome = this.copy(node, effect);
        if (outcome !== null)
          this.#queue.push({ node, input: { type: 'replicated', execution, cid, outcome } });
        return;
      }
      default:
    }
  }
}

/** The codes of the refusals among effects. */
export const refusals = (effects: readonly Effect[]): readonly RefuseCode[] =>
  effects.filter((effect) => effect.type === 'refuse').map(({ code }) => code);
