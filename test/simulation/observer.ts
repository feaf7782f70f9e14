/**
 * What the world tells its onlookers: checkers, statistics, timelines. Observers only look; the
 * world runs the same with or without them.
 */
import type { Profile } from '../../src/core/contract/profile.ts';
import type { JobId, NodeId, StoreId } from '../../src/core/record/ids.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Input } from '../../src/core/contract/input.ts';
import type { Inspection } from '../../src/core/contract/inspection.ts';
import type { Reply } from '../../src/core/contract/reply.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { Gossip, Message } from '../../src/core/contract/messages.ts';
import type { SimRun } from './sim-runner.ts';
import type { SimStore } from './sim-store.ts';
import type { ClientJob } from './workload.ts';

/** A node as an observer may see it. */
export interface NodeView {
  readonly index: number;
  readonly id: NodeId;
  readonly up: boolean;
  readonly paused: boolean;
  /** It fails whatever it is given. */
  readonly broken: boolean;
  /** It was told to leave. */
  readonly leaving: boolean;
  /** Since when it has been as it is: up, stopped or down. */
  readonly undisturbedSince: number;
  readonly profile: Profile;
  /** Counts process starts. */
  readonly incarnation: number;
  readonly store: SimStore;
  /** The node's own monotonic clock. */
  now(): number;
  runs(): readonly SimRun[];
  /** Expensive: derived by the machine at each call. */
  inspect(): Inspection;
}

export interface Violation {
  /** `S2`, `L1`, …: its number in the table of checkers in `test/README.md`, or the name of a strict one. */
  readonly checker: string;
  readonly node: NodeId | null;
  readonly job: JobId | null;
  readonly atMs: number;
  readonly message: string;
}

export interface Observer {
  /** Before the machine sees it. */
  onInput?(node: NodeView, input: Input): void;
  /** After the machine handled it; its effects have not happened yet. */
  onHandled?(node: NodeView, input: Input, effects: readonly Effect[]): void;
  /** An effect happens: it is past every barrier before it. */
  onEffect?(node: NodeView, effect: Effect): void;
  /** Rows reached the disk. Called before they replace the older ones. */
  onDurable?(node: NodeView, writes: readonly StoreWrite[]): void;
  onSend?(node: NodeView, to: NodeId, message: Message): void;
  onGossip?(node: NodeView, gossip: Gossip): void;
  onReply?(node: NodeView, job: ClientJob | null, reply: Reply): void;
  /** A process began, with what its disk held. */
  onStart?(node: NodeView): void;
  /** A process ended; `diskLost`: with its disk, whose id this was. */
  onCrash?(node: NodeView, diskLost: StoreId | null): void;
  /** The machine itself failed: an assertion, or an error it must not throw. */
  onDefect?(node: NodeView, input: Input | null, error: unknown): void;
  /** A fault or another event of the world, in words. */
  onWorld?(text: string, node: NodeView | null, job: JobId | null): void;
}

const OBSERVED = [
  'onInput',
  'onHandled',
  'onEffect',
  'onDurable',
  'onSend',
  'onGossip',
  'onReply',
  'onStart',
  'onCrash',
  'onDefect',
  'onWorld',
] as const satisfies readonly (keyof Observer)[];

/** What happened, in up to three things; written out, for these are called with every input. */
type Hook = (a: never, b: never, c: never) => void;

/** One observer that calls them all, in order; the hooks that nobody has cost nothing. */
export function joinObservers(observers: readonly Observer[]): Required<Observer> {
  const joined: Partial<Record<keyof Observer, Hook>> = {};
  for (const hook of OBSERVED) {
    const all = observers.flatMap((observer) => {
      const method = observer[hook] as Hook | undefined;
      return method === undefined ? [] : [method.bind(observer) as Hook];
    });
    joined[hook] = (a, b, c) => {
      for (const method of all) method(a, b, c);
    };
  }
  return joined as unknown as Required<Observer>;
}
