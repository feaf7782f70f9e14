/** What a node holds and wishes for while others look for nodes, and what a leader knows of a bid. */
import type { Member } from '../mesh/state.ts';
import type { Node, With } from '../node/state.ts';
import type { Refusal } from '../record/refusals.ts';
import type { Announcement } from '../contract/messages.ts';
import type { JobId, Millis, NodeId, PublicKey } from '../record/ids.ts';
import type { Epoch, Signed } from '../record/records.ts';
import type { Resources } from '../../job/model.ts';

/** A bid as the leader keeps it. */
export interface Bid {
  readonly node: NodeId;
  readonly free: Resources;
  readonly capacity: Resources;
  executions: number;
  readonly running: number;
  readonly locality: number;
  readonly at: Millis;
}

/** Why a node does not take the job, as it said last. */
export interface Declined {
  readonly refusals: readonly Refusal[];
  /** Rounds announced when it said so. */
  readonly round: number;
}

export interface Hold {
  readonly job: JobId;
  readonly version: number;
  readonly owner: PublicKey;
  readonly resources: Resources;
  readonly since: Millis;
  /** When the first of several holds in a row for the same job and leader began. */
  readonly firstAt: Millis;
  readonly until: Millis;
  readonly leader: NodeId;
  /** The leader itself asked for it; gossip may have been repeated by anybody. */
  readonly direct: boolean;
  /** Its leader wants more executions than are held: bid for again once this hold is used. */
  readonly more: Announcement | null;
}

/** A bidder's holds and wishes. */
export interface Placing {
  readonly holds: Map<JobId, Hold>;
  /** Jobs this node would take if it had room. */
  readonly wishes: Map<JobId, Announcement>;
  /** Announcements whose spec is on its way. */
  readonly awaitingSpec: Map<JobId, Announcement & { readonly called: boolean }>;
  readonly local: Set<string>;
  /** Jobs that run on every node for as long as they go on, as they were announced and proven; oldest first. */
  readonly live: Map<JobId, LiveJob>;
  /** Of which a neighbour said that it knows more, and was asked. */
  readonly liveWanted: Map<JobId, NodeId>;
}

export interface LiveJob {
  readonly announcement: Announcement;
  readonly spec: Signed<'spec'>;
  /** The highest that was proven. */
  readonly epoch: Epoch;
}

export const createPlacing = (): Placing => ({
  holds: new Map(),
  wishes: new Map(),
  awaitingSpec: new Map(),
  local: new Set(),
  live: new Map(),
  liveWanted: new Map(),
});

/** DAGs known to lie on this node, remembered for bids. */
const LOCAL_MAX = 10_000;

export function rememberLocal(core: With<'placing'>, cid: string): void {
  if (core.placing.local.size < LOCAL_MAX) core.placing.local.add(cid);
}

/** A leader's search for nodes: the rounds of bidding, and what came of them. */
export interface Seeking {
  /** Rounds of bidding announced so far. */
  round: number;
  /** When the current round was announced; null while nobody is wanted. */
  announcedAt: Millis | null;
  nextRoundAt: Millis;
  /** The members that had not answered the current round were asked directly. */
  invited: boolean;
  /** When an offer was last taken, or sent back as its node had enough to do for then. */
  offeredAt: Millis | null;
  /** Since when an execution has been wanting a node. */
  waitingSince: Millis | null;
  /** Executions wanting a node when last looked at. */
  open: number;
  readonly bids: Map<NodeId, Bid>;
  readonly declines: Map<NodeId, Declined>;
  /** One that could run it and has not answered, when that was last asked. */
  awaited: Member | null;
}

export const createSeeking = (core: Node): Seeking => ({
  round: 0,
  announcedAt: null,
  nextRoundAt: core.now,
  invited: false,
  offeredAt: null,
  waitingSince: null,
  open: 0,
  bids: new Map(),
  declines: new Map(),
  awaited: null,
});
