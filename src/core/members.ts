/**
 * Who is in the mesh: the last advert of each node, and this node's own. A hint for choosing keepers
 * and for sortition; no decision that must be safe rests on it.
 */
import { after, asMillis } from './ids.ts';
import type { Millis, NodeId } from './ids.ts';
import { shut } from './door.ts';
import { busyHeld, freeNow } from './capacity.ts';
import { checkAdvert } from './verify.ts';
import type { Signed } from './records.ts';
import type { KeeperCandidate } from './keepers.ts';
import { hostOf } from './keepers.ts';
import type { Core, Member } from './state.ts';
import { refuse, seal, send } from './state.ts';

/** More members than this are not remembered: the oldest heard goes. */
const membersMax = 20_000;
/** A member unheard for this many advert intervals is not counted. */
const missedAdverts = 4;

/** Every node adverts once in this time, so that the mesh carries at most 20 adverts a second. */
const advertInterval = (core: Core): number =>
  Math.max(core.config.limits.advertMinMs, (core.members.size + 1) * 50);

const alive = (core: Core, member: Member): boolean =>
  member.advert.body.keeps &&
  (core.connected.has(member.advert.body.node) ||
    core.now - member.heardAt < missedAdverts * advertInterval(core));

/** How stale the list of living members may be; it is asked for with every announcement. */
const aliveStaleMs = 500;

/** Members believed alive, this node not included. */
export function aliveMembers(core: Core): readonly Member[] {
  const { alive: cached } = core;
  const fresh = cached !== null && core.now - cached.at < aliveStaleMs;
  // A change among a handful of nodes must show at once; among thousands it may take a moment.
  if (fresh && (cached.of === core.members.size || core.members.size > 64)) return cached.members;
  const members = [...core.members.values()].filter((member) => {
    const watch = core.watches.get(member.advert.body.node);
    return alive(core, member) && watch?.dead !== true;
  });
  core.alive = { at: core.now, of: core.members.size, members };
  return members;
}

/** Its connection closed: it counts again when it is heard, with its next advert at the latest. */
export function doubtMember(core: Core, node: NodeId): void {
  const member = core.members.get(node);
  if (member !== undefined)
    member.heardAt = asMillis(core.now - missedAdverts * advertInterval(core));
  core.alive = null;
}

/** Somebody came, went or died: the next question is answered anew. */
export function forgetAlive(core: Core): void {
  if (core.members.size <= 64) core.alive = null;
}

/** This node and all others believed alive. */
export const memberCount = (core: Core): number => aliveMembers(core).length + 1;

export function takeAdvert(core: Core, from: NodeId, advert: Signed<'advert'>): void {
  const { node, sequence } = advert.body;
  if (node === core.self) return;
  const known = core.members.get(node);
  const restarted = known !== undefined && known.advert.body.store !== advert.body.store;
  if (known !== undefined && !restarted && known.advert.body.sequence >= sequence) return;
  const verdict = checkAdvert(core.suite, advert);
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (!advert.body.keeps) {
    // It leaves, or its disk is full. Its sequence is remembered with it until it is forgotten, so that no older advert counts.
    forgetAlive(core);
  }
  if (known === undefined) {
    if (core.members.size >= membersMax) dropOldest(core);
    core.members.set(node, { advert, since: core.now, heardAt: core.now });
    return;
  }
  known.advert = advert;
  known.heardAt = core.now;
}

function dropOldest(core: Core): void {
  let oldest: Member | null = null;
  for (const member of core.members.values()) {
    if (oldest === null || member.heardAt < oldest.heardAt) oldest = member;
  }
  if (oldest !== null) core.members.delete(oldest.advert.body.node);
}

export function ownAdvert(core: Core): Signed<'advert'> | null {
  const { profile } = core;
  if (profile === null) return null;
  core.advertSequence = Math.max(core.advertSequence + 1, Math.floor(core.hlc));
  return seal(core, 'advert', {
    node: core.self,
    store: core.config.store,
    sequence: core.advertSequence,
    addresses: profile.addresses,
    labels: profile.labels,
    // Who takes nothing new offers nothing and keeps nothing: by that the others know it.
    engines:
      shut(core) !== null
        ? []
        : Object.entries(profile.engines)
            .filter(([, engine]) => engine.available)
            .map(([name]) => name),
    publishers: profile.publishers,
    sources: profile.sources,
    capacity: profile.capacity,
    free: freeNow(core),
    running: busyHeld(core).running,
    keeps: shut(core) === null,
    software: profile.software,
  });
}

/** Tells everybody what this node offers; called by timer and when the offer changes. */
export function advertise(core: Core): void {
  const advert = ownAdvert(core);
  if (advert !== null) core.out.push({ type: 'gossip', gossip: { type: 'advert', advert } });
  core.timers.set('advert', after(core.now, advertInterval(core)));
}

/** A new neighbour learns of us directly: gossip does not repair what it missed. */
export function greet(core: Core, node: NodeId): void {
  const advert = ownAdvert(core);
  if (advert !== null) send(core, node, { type: 'advert', advert });
}

/** Nodes that may keep a job: alive, healthy store, this one included. */
export function keeperCandidates(core: Core): readonly KeeperCandidate[] {
  const self: KeeperCandidate = {
    node: core.self,
    store: core.config.store,
    since: 0 as Millis,
    host: hostOf(core.profile?.addresses ?? []),
  };
  const others = aliveMembers(core)
    .filter((member) => member.advert.body.keeps)
    .map(({ advert, since }) => ({
      node: advert.body.node,
      store: advert.body.store,
      since,
      host: hostOf(advert.body.addresses),
    }));
  return shut(core) === null ? [self, ...others] : others;
}
