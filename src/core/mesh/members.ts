/**
 * Who is in the mesh: the last advert of each node, and this node's own. A hint for choosing keepers
 * and for sortition; no decision that must be safe rests on it.
 */
import { FEATURES } from '../contract/features.ts';
import { after, asJobId, asMillis } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import { shut } from '../node/door.ts';
import { busyHeld, freeNow } from '../placing/capacity.ts';
import { same } from '../placing/resources.ts';
import type { Restored } from '../contract/stored.ts';
import { checkAdvert } from '../record/verify.ts';
import type { AdvertBody, Signed } from '../record/records.ts';
import type { KeeperCandidate } from '../keeping/choose-keepers.ts';
import { hostOf } from '../keeping/choose-keepers.ts';
import { reached } from './reach.ts';
import type { Member, Mesh } from './state.ts';
import { persist, refuse, seal, send } from '../node/outbox.ts';
import { isSilent, welcomeAdvert } from './welcome.ts';
import type { With } from '../node/state.ts';

/**
 * As many members are remembered for each connection: an advert costs whoever makes it up nothing, so
 * what is heard of them is bounded by what was reached. Those reached are the last to go.
 */
const PER_CONNECTION = 128;
const MEMBERS_MIN = 2_048;
/** When there are too many, one in so many goes. */
const SHARE = 64;
/** A member unheard for so many times the longest pause between two adverts is not counted. */
const MISSED_ADVERTS = 3;
/** Row of the table `counts`. It is written once for as many sequences: about once an hour, as they follow the clock. */
const ADVERTS = 'adverts';
const NO_JOB = asJobId('');
const RESERVED = 3_600_000;

/** A node adverts at most once in this time, so that the mesh carries at most 20 adverts a second. */
const advertInterval = (core: With<'mesh'>): number =>
  Math.max(
    core.config.limits.advertMinMs,
    (Math.min(core.mesh.members.size, membersMax(core)) + 1) * 50,
  );

/** And at least once in this time, although nothing changed. */
const advertPause = (core: With<'mesh'>): number =>
  Math.max(core.config.limits.advertMaxMs, advertInterval(core));

const membersMax = (core: With<'mesh'>): number =>
  Math.max(MEMBERS_MIN, PER_CONNECTION * (core.mesh.connected.size + 1));

const alive = (core: With<'mesh'>, member: Member): boolean =>
  member.advert.body.keeps &&
  (core.mesh.connected.has(member.advert.body.node) ||
    core.now - member.heardAt < MISSED_ADVERTS * advertPause(core));

/** How stale the list of living members may be; it is asked for with every announcement. */
const ALIVE_STALE_MS = 500;
/** Among so many a change must show at once; among thousands it may take a moment. */
const FEW = 64;
/** How stale their count may be, for each of them: so counting costs the same share of the time, however many there are. */
const COUNT_STALE_MS = 5;

/** Members believed alive, this node not included: most of them hearsay, good for counting. */
export const aliveMembers = (core: With<'mesh'>): readonly Member[] => lookAround(core).members;

/** Members believed alive that this node has reached itself: those whom anything may be asked of. */
export function reachedMembers(core: With<'mesh'>): readonly Member[] {
  const alive = lookAround(core);
  alive.reached ??= alive.members.filter(({ advert }) => reached(core, advert.body.node));
  return alive.reached;
}

function lookAround(core: With<'mesh'>): NonNullable<Mesh['alive']> {
  const { alive: cached } = core.mesh;
  const fresh = cached !== null && core.now - cached.at < ALIVE_STALE_MS;
  if (fresh && (cached.of === core.mesh.members.size || core.mesh.members.size > FEW))
    return cached;
  const members = [...core.mesh.members.values()].filter((member) => {
    const watch = core.mesh.watches.get(member.advert.body.node);
    return alive(core, member) && watch?.dead !== true;
  });
  core.mesh.alive = { at: core.now, of: core.mesh.members.size, members, reached: null };
  return core.mesh.alive;
}

/** Its connection closed: it counts again when it is heard, with its next advert at the latest. */
export function doubtMember(core: With<'mesh'>, node: NodeId): void {
  const member = core.mesh.members.get(node);
  if (member !== undefined)
    member.heardAt = asMillis(core.now - MISSED_ADVERTS * advertPause(core));
  core.mesh.alive = null;
}

/** Somebody came, went or died: the next question is answered anew. */
export function forgetAlive(core: With<'mesh'>): void {
  if (core.mesh.members.size <= FEW) core.mesh.alive = null;
}

/**
 * This node and all others believed alive, as far as its connections make it credible. It is asked for with every
 * announcement that anybody makes, so it may be the staler the more there are: a node's work for jobs of others must
 * not grow with the mesh, and a count of thousands is as good as it was some seconds ago.
 */
export function memberCount(core: With<'mesh'>): number {
  const { members, alive: cached } = core.mesh;
  const isGood = cached !== null && core.now - cached.at < members.size * COUNT_STALE_MS;
  const known = isGood && members.size > FEW ? cached : lookAround(core);
  return 1 + Math.min(known.members.length, PER_CONNECTION * (core.mesh.connected.size + 1));
}

/**
 * The newest advert of a node counts: its sequence rises over restarts and new stores, so nobody can
 * bring back what it said once.
 * @param direct told by `from` itself, not by gossip: what a node says of itself now is always newest
 */
export function takeAdvert(
  core: With<'mesh'>,
  from: NodeId,
  advert: Signed<'advert'>,
  direct: boolean,
): void {
  const { node, sequence } = advert.body;
  if (node === core.self) return;
  const known = core.mesh.members.get(node);
  const own = direct && from === node;
  if (known?.advert.id === advert.id) {
    if (own) known.heardAt = core.now;
    return;
  }
  if (known !== undefined && !own && known.advert.body.sequence >= sequence) return;
  if (!welcomeAdvert(core, from)) return refuse(core, from, 'over-limit', false);
  const verdict = checkAdvert(core.suite, advert);
  // Who repeats gossip has not looked into it.
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault && direct);
  if (!advert.body.keeps) {
    // It leaves, or its disk is full. Its sequence is remembered with it until it is forgotten, so that no older advert counts.
    forgetAlive(core);
  }
  if (known === undefined) {
    if (core.mesh.members.size >= membersMax(core)) dropOldest(core, membersMax(core) / SHARE);
    const [since, shutSince] = [core.now, advert.body.keeps ? null : core.now];
    core.mesh.members.set(node, { advert, since, heardAt: since, shutSince, invited: false });
    return;
  }
  known.advert = advert;
  known.heardAt = core.now;
  known.shutSince = advert.body.keeps ? null : (known.shutSince ?? core.now);
  if (core.mesh.members.size > FEW) {
    core.mesh.members.delete(node);
    core.mesh.members.set(node, known);
  }
}

/**
 * Several at a time, as those that are reached are looked at in vain. Where there are many members, who was heard of
 * last stands last: in a mesh of thousands nearly every advert is of a node that this one has forgotten.
 */
function dropOldest(core: With<'mesh'>, count: number): void {
  let left = count;
  for (const node of core.mesh.members.keys()) {
    if (left <= 0) return;
    if (reached(core, node)) continue;
    core.mesh.members.delete(node);
    left -= 1;
  }
}

/** What this node offers; null before it has a profile. Changes nothing. */
export function ownOffer(core: With<'mesh' | 'placing' | 'executing'>): AdvertBody | null {
  const { profile } = core;
  if (profile === null) return null;
  return {
    node: core.self,
    store: core.config.store,
    sequence: core.mesh.advertSequence,
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
    features: FEATURES,
  };
}

/** What is offered now, signed; the last one again while nothing changed. */
function ownAdvert(core: With<'mesh' | 'placing' | 'executing'>): Signed<'advert'> | null {
  const { advertised } = core.mesh;
  if (advertised !== null && !changed(core, advertised)) return advertised.advert;
  countAdvert(core);
  const offer = ownOffer(core);
  if (offer === null) return null;
  const advert = seal(core, 'advert', offer);
  core.mesh.advertised = { advert, profile: core.profile };
  return advert;
}

/** Whether `ownOffer` would say something else now. */
function changed(
  core: With<'mesh' | 'placing' | 'executing'>,
  { advert, profile }: NonNullable<Mesh['advertised']>,
): boolean {
  const { free, running, keeps } = advert.body;
  return (
    profile !== core.profile ||
    keeps !== (shut(core) === null) ||
    running !== busyHeld(core).running ||
    !same(free, freeNow(core))
  );
}

function countAdvert(core: With<'mesh'>): void {
  const { mesh } = core;
  // The clock helps over a new store, which knows of no earlier advert.
  mesh.advertSequence = Math.max(mesh.advertSequence + 1, Math.floor(core.hlc));
  if (mesh.advertSequence <= mesh.advertsReserved) return;
  mesh.advertsReserved = mesh.advertSequence + RESERVED;
  const value = { count: mesh.advertsReserved };
  persist(core, { table: 'counts', job: NO_JOB, key: ADVERTS, value });
}

/** Sequences go on where the last process stopped, though the clock was set back since. */
export function restoreAdverts(core: With<'mesh'>, counts: Restored['counts']): void {
  const row = counts.find(({ job, key }) => job === NO_JOB && key === ADVERTS);
  if (row === undefined) return;
  core.mesh.advertSequence = row.value.count;
  core.mesh.advertsReserved = row.value.count;
}

/** Tells everybody what this node offers; called when the offer changes, and when it may have. */
export function advertise(core: With<'mesh' | 'placing' | 'executing'>): void {
  // A new one even if it says the same: who knows the last one would take this one for a repetition.
  core.mesh.advertised = null;
  const advert = ownAdvert(core);
  if (advert !== null) core.out.push({ type: 'gossip', gossip: { type: 'advert', advert } });
  core.mesh.advertAt = after(core.now, advertPause(core));
  core.timers.set('advert', after(core.now, advertInterval(core)));
}

/** Called by timer: an idle mesh repeats itself seldom, which is what an idle peer costs. */
export function advertiseChanges(core: With<'mesh' | 'placing' | 'executing'>): void {
  const { advertised } = core.mesh;
  const due = core.now >= core.mesh.advertAt || advertised === null || changed(core, advertised);
  if (due) return advertise(core);
  core.timers.set('advert', after(core.now, advertInterval(core)));
}

/** A new neighbour learns of us directly: gossip does not repair what it missed. */
export function greet(core: With<'mesh' | 'placing' | 'executing'>, node: NodeId): void {
  const advert = ownAdvert(core);
  if (advert !== null) send(core, node, { type: 'advert', advert });
}

/** Nodes that may keep a job: reached, alive, healthy store, this one included. */
export function keeperCandidates(core: With<'mesh'>): readonly KeeperCandidate[] {
  const self: KeeperCandidate = {
    node: core.self,
    store: core.config.store,
    since: 0 as Millis,
    host: hostOf(core.profile?.addresses ?? []),
    silent: false,
  };
  const others = reachedMembers(core)
    .filter((member) => member.advert.body.keeps)
    .map(({ advert, since }) => ({
      node: advert.body.node,
      store: advert.body.store,
      since,
      host: core.mesh.hosts.get(advert.body.node) ?? '',
      silent: isSilent(core, advert.body.node),
    }));
  return shut(core) === null ? [self, ...others] : others;
}
