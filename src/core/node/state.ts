/**
 * The state of one node. Each part of the core owns its own and says in its signatures whose it uses beside
 * that: `With<'mesh' | 'keeping'>` is a node of which only these two parts can be touched.
 */
import type { Asking } from '../asking/state.ts';
import type { Effect, RefuseCode } from '../contract/effect.ts';
import type { MachineConfig } from '../contract/machine.ts';
import type { Message } from '../contract/messages.ts';
import type { Profile } from '../contract/profile.ts';
import type { StoreWrite } from '../contract/stored.ts';
import type { Executing } from '../executing/state.ts';
import type { Keeping } from '../keeping/state.ts';
import type { Mesh } from '../mesh/state.ts';
import type { Trouble } from './containment.ts';
import type { Timers } from './timers.ts';
import type { Placing } from '../placing/state.ts';
import type { Hlc, JobId, Millis, NodeId } from '../record/ids.ts';
import type { Suite } from '../record/suite.ts';

/** What every part may use: who this node is, what time it is, and what the input at hand causes. */
export interface Node {
  readonly config: MachineConfig;
  readonly suite: Suite;
  readonly self: NodeId;
  now: Millis;
  /** This node's own wall clock. */
  wall: Hlc;
  hlc: Hlc;
  /** When this process began to run. */
  startedAt: Millis;
  readonly timers: Timers;
  readonly out: Effect[];
  readonly writes: StoreWrite[];
  /** Messages to this node itself, handled within the same input. */
  readonly inbox: Message[];
  /** Kept jobs that something happened to: looked at again before the input is done. */
  readonly dirty: Set<JobId>;
  profile: Profile | null;
  draining: boolean;
  /** There is no room on the disk for anything new. */
  storeFull: boolean;
  /** Jobs that could not be handled; bounded. */
  readonly troubles: Map<JobId, Trouble>;
  /** The job being looked at: whose fault it is when that fails. */
  atHand: JobId | null;
  readonly refused: Partial<Record<RefuseCode, number>>;
  /** The input at hand came by gossip: its sender only passed it on. */
  relayed: boolean;
}

/** The parts of a node that own state. */
export interface Parts {
  readonly mesh: Mesh;
  readonly asking: Asking;
  readonly keeping: Keeping;
  readonly placing: Placing;
  readonly executing: Executing;
}

export type With<P extends keyof Parts> = Node & Pick<Parts, P>;

/** The whole of it: for the door alone, which hands each input to the part that it concerns. */
export type Core = With<keyof Parts>;
