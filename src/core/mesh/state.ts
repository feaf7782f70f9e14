/** What a node knows of the others: who they are, who is alive, what they may still ask for. */
import type { Allowance } from './allowance.ts';
import { createBacklog } from './backlog.ts';
import type { Backlog } from './backlog.ts';
import type { Welcome } from './welcome.ts';
import { createWelcome } from './welcome.ts';
import type { Profile } from '../contract/profile.ts';
import { asMillis } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import type { Signed } from '../record/records.ts';

/** Another node as this one sees it. */
export interface Member {
  advert: Signed<'advert'>;
  /** When this node first and last heard from it. */
  readonly since: Millis;
  heardAt: Millis;
  /** Since when it says that it takes nothing new; null while it does. */
  shutSince: Millis | null;
  /** It was asked for what waited when it came. */
  invited: boolean;
}

/** A peer being watched by pings. */
export interface Watch {
  /** When it last showed that it lives, or came to be watched. */
  since: Millis;
  nonce: number;
  sentAt: Millis | null;
  /** Missed in a row. */
  misses: number;
  /** Who was asked to probe it, too, and which of them got an answer. */
  asked: readonly NodeId[];
  readonly vouched: Set<NodeId>;
  suspectSince: Millis | null;
  /** It could not be reached since; `again`: and is tried a second time. */
  unreachable: 'no' | 'once' | 'again';
  dead: boolean;
  /** When it was last asked although it is dead. */
  triedAt: Millis;
}

/** What a node knows of the others. */
export interface Mesh {
  advertSequence: number;
  /** What this node said last of itself, and when it says so again at the latest. */
  advertised: { readonly advert: Signed<'advert'>; readonly profile: Profile | null } | null;
  advertAt: Millis;
  /** The disk says that adverts up to this sequence may have been sent. */
  advertsReserved: number;
  readonly members: Map<NodeId, Member>;
  /** The members believed alive, as last computed. */
  alive: {
    readonly at: Millis;
    readonly of: number;
    readonly members: readonly Member[];
    /** Those among them that this node has reached itself; null until somebody asks. */
    reached: readonly Member[] | null;
  } | null;
  readonly connected: Set<NodeId>;
  /** When a node last said something to this one itself. */
  readonly heardAt: Map<NodeId, Millis>;
  /** The host of a node as its connection shows it. */
  readonly hosts: Map<NodeId, string>;
  readonly watches: Map<NodeId, Watch>;
  readonly relayedPings: Map<
    number,
    { readonly from: NodeId; readonly target: NodeId; readonly nonce: number; readonly at: Millis }
  >;
  nonce: number;
  /** What of theirs lies here unheard. */
  readonly backlog: Backlog;
  /** What is remembered of those who asked something of this node. */
  readonly welcome: Welcome;
  /** What each node may still ask for. */
  readonly allowances: Map<NodeId, Allowance>;
}

export const createMesh = (): Mesh => ({
  advertSequence: 0,
  advertised: null,
  advertAt: asMillis(0),
  advertsReserved: 0,
  members: new Map(),
  alive: null,
  connected: new Set(),
  heardAt: new Map(),
  hosts: new Map(),
  watches: new Map(),
  relayedPings: new Map(),
  nonce: 0,
  backlog: createBacklog(),
  welcome: createWelcome(),
  allowances: new Map(),
});
