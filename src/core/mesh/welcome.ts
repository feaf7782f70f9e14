/**
 * The one place that says how much work for others this node lets in: who asks, for which job, what
 * it costs. Every answer rests on bounded counts that fade (`tally.ts`), so that nobody's behaviour is
 * remembered for ever and nobody's inventions fill the memory. What is asked for was verified before:
 * here it is only weighed.
 *
 * **Holds.** A bid sets resources aside on the word of a leader alone, so what may be held depends on
 * how well this node knows the leader and the owner of the job. Of the capacity, jobs of leaders or
 * owners of whom nothing ever ran here share a half, those whose leader this node has never heard itself
 * a quarter; where holds became executions it may be all. Whoever lets holds run out has the less of his
 * share the more he wasted: the one of the two who is less known. Nobody's executions are limited by
 * this: a hold becomes one within a second.
 *
 * **Executions of this node's own decision** are weighed like holds as long as they run, since nobody chose
 * them: what finds no room waits, and so much waits at most. They take nothing of the share of holds.
 *
 * **Admissions** that nobody has activated yet are bounded by who brought them, from which host, for
 * which owner, and in all.
 *
 * **Executors** that failed twice within two minutes get one execution at a time from this leader.
 *
 * **Copies** of results are bounded by who asks, and in bytes by owner and in all.
 *
 * **Adverts** are believed at a bounded rate from each neighbour, and **keepers** that do not answer are
 * chosen last.
 */
import type { Resources } from '../../job/model.ts';
import { freeNow } from '../placing/capacity.ts';
import { shut } from '../node/door.ts';
import type { Millis, NodeId, PublicKey } from '../record/ids.ts';
import { remember } from '../node/remember.ts';
import { reached } from './reach.ts';
import { isTerminal } from '../record/ledger.ts';
import {
  least,
  minus,
  most,
  NOTHING,
  plus,
  scaled,
  shareOf,
  takenBy,
} from '../placing/resources.ts';
import { takesRoom } from '../executing/state.ts';
import type { Hold } from '../placing/state.ts';
import { eachKept } from '../keeping/books.ts';
import { Tally } from './tally.ts';
import type { With } from '../node/state.ts';

/** Whoever is counted: more of them than this are not remembered apart. */
const KEYS_MAX = 4_096;
/** Who was there and did not answer may be there only to be chosen as keeper; or its answers were lost. */
const SILENT_MS = 120_000;
/** Holds at a time, for one leader and for all: a job that asks for next to nothing takes a row, too. */
const HOLDS_PER_LEADER_MAX = 256;
const HOLDS_MAX = 1_024;
/** What leaders may have held that never ran anything here, and those among them never heard directly. */
const NEWCOMERS_SHARE = 1 / 2;
const STRANGERS_SHARE = 1 / 4;
/** While the work of several owners waits, no one of them has more than this held. */
const OWNERS_SHARE = 1 / 2;
/** A hold given back within this was bid in vain, which is nobody's fault. */
const IN_VAIN_MS = 2_000;
/** A whole node held for nothing counts this much; each 1 halves the share. */
const WHOLE_NODE = 4;
/** Up to this much waste, one execution may be held even if it is larger than the share. */
const WASTE_FORGIVEN = 2;

/** Admissions waiting for their activation: in all, for one owner or from one host, from one peer. */
const PENDING_MAX = 2_048;
const PENDING_PER_OWNER_MAX = 1_024;
const PENDING_PER_PEER_MAX = 256;
/** New adverts from one neighbour in this time: some 27 a second, where the whole mesh makes 20. */
const ADVERTS_MAX = 400;
const ADVERTS_MS = 15_000;

export interface Welcome {
  /** Holds that came to nothing, by leader; those of all leaders never heard are counted together. */
  readonly wasted: Tally<NodeId | PublicKey | 'strangers'>;
  /** Holds that became executions, by leader and by owner. */
  readonly used: Tally<NodeId | PublicKey>;
  /** Adverts that cost a look, by who brought them. Most of what arrives are adverts, so these are just counted. */
  readonly adverts: Map<NodeId, { since: Millis; count: number }>;
  /** Executions that a node got from this leader and failed, lost or never took up. */
  readonly failures: Tally<NodeId>;
  /** Bytes of results copied, by owner and in all. */
  readonly copied: Tally<PublicKey | 'all'>;
  /** Keepers that did not answer, and whether they were there: others said nothing at all since they were asked. */
  readonly unanswered: Map<NodeId, { readonly at: Millis; readonly wasThere: boolean }>;
}

export const createWelcome = (): Welcome => ({
  wasted: new Tally(60_000, KEYS_MAX),
  used: new Tally(3_600_000, KEYS_MAX),
  adverts: new Map(),
  unanswered: new Map(),
  copied: new Tally(24 * 3_600_000, KEYS_MAX),
  failures: new Tally(120_000, KEYS_MAX),
});

/** For whom resources would be held. */
export interface Asker {
  readonly owner: PublicKey;
  readonly leader: NodeId;
}

/** What an asker has of this node. */
type Claim = Asker & Pick<Hold, 'resources'>;

type Standing = 'proven' | 'newcomer' | 'stranger';

/**
 * Leader and owner are known apart from each other: anybody may make himself the owner of a job that an
 * honest node then leads in vain, and anybody may lead a job whose spec he saw.
 */
function standingOf(core: With<'mesh'>, { leader, owner }: Asker): Standing {
  if (leader !== core.self && !reached(core, leader)) return 'stranger';
  return isKnownLeader(core, leader) && isKnownOwner(core, owner) ? 'proven' : 'newcomer';
}

const isKnownLeader = (core: With<'mesh'>, leader: NodeId): boolean =>
  leader === core.self || (reached(core, leader) && ran(core, leader));

const isKnownOwner = (core: With<'mesh'>, owner: PublicKey): boolean =>
  owner === core.suite.owner || ran(core, owner);

/** Something that this leader led, or this owner wanted, has run here not long ago. */
const ran = (core: With<'mesh'>, who: NodeId | PublicKey): boolean =>
  core.mesh.welcome.used.of(who, core.now) > 0.5;

const accountOf = (leader: NodeId, standing: Standing): NodeId | 'strangers' =>
  standing === 'stranger' ? 'strangers' : leader;

/** What some askers have together. */
interface Share {
  count: number;
  held: Resources;
}

/** What is free, and who has how much of the rest: gathered once, however many ask. */
export interface Claims {
  free: Resources;
  readonly all: Share;
  /** Of all but those of whom something ran here; and of those never heard directly among them. */
  readonly newcomers: Share;
  readonly strangers: Share;
  readonly byLeader: Map<NodeId, Share>;
  readonly byOwner: Map<PublicKey, Share>;
  /** Owners whose work is held or waits for room; undefined: of a job whose spec is on its way. */
  readonly owners: Set<PublicKey | undefined>;
}

const nobody = (): Share => ({ count: 0, held: NOTHING });

/** Holds alone: what is to be placed does not wait for what runs by this node's own decision, which may be for ever. */
function holdsOn(core: With<'mesh' | 'placing' | 'executing'>): Claims {
  const claims: Claims = {
    free: freeNow(core),
    all: nobody(),
    newcomers: nobody(),
    strangers: nobody(),
    byLeader: new Map(),
    byOwner: new Map(),
    owners: new Set(),
  };
  for (const hold of core.placing.holds.values()) count(core, claims, hold);
  for (const { stored } of core.executing.own.values())
    if (stored.queued === true) claims.owners.add(stored.spec.body.owner);
  for (const { spec } of core.placing.wishes.values()) claims.owners.add(spec?.body.owner);
  return claims;
}

/** Holds, and what runs by this node's own decision: nobody chose that, so it is weighed as long as it runs. */
export function claimsOn(core: With<'mesh' | 'placing' | 'executing'>): Claims {
  const claims = holdsOn(core);
  const overheads = core.profile?.overheads ?? {};
  for (const execution of core.executing.own.values()) {
    const { stored, epoch } = execution;
    if (!takesRoom(execution) || isTerminal(stored.state.body.phase)) continue;
    const resources = takenBy(stored.order.task, overheads);
    const { owner } = stored.spec.body;
    count(core, claims, { owner, leader: epoch.leader, resources });
  }
  return claims;
}

function count(core: With<'mesh'>, claims: Claims, claim: Claim): void {
  const { leader, owner, resources } = claim;
  const standing = standingOf(core, claim);
  const of = <K>(map: Map<K, Share>, key: K): Share => {
    const known = map.get(key) ?? nobody();
    map.set(key, known);
    return known;
  };
  const shares = [claims.all, of(claims.byLeader, leader), of(claims.byOwner, owner)];
  if (standing !== 'proven') shares.push(claims.newcomers);
  if (standing === 'stranger') shares.push(claims.strangers);
  for (const share of shares) {
    share.count += 1;
    share.held = plus(share.held, resources);
  }
  claims.owners.add(owner);
}

/** Something of what was free is taken. */
export function claim(core: With<'mesh'>, claims: Claims, taken: Claim): void {
  claims.free = minus(claims.free, taken.resources);
  count(core, claims, taken);
}

/**
 * How much may be held for this asker now: never more than is free.
 * @param one what one execution takes
 */
export function roomFor(
  core: With<'mesh' | 'placing' | 'executing'>,
  asker: Asker,
  one: Resources,
  claims = holdsOn(core),
): Resources {
  const capacity = core.profile?.capacity ?? NOTHING;
  const standing = standingOf(core, asker);
  const ofLeader = claims.byLeader.get(asker.leader) ?? nobody();
  if (claims.all.count >= HOLDS_MAX || ofLeader.count >= HOLDS_PER_LEADER_MAX) return NOTHING;
  const { wasted } = core.mesh.welcome;
  const waste = Math.max(
    wasted.of(accountOf(asker.leader, standing), core.now),
    wasted.of(asker.owner, core.now),
  );
  const room = (share: number, { count: some, held }: Share): Resources => {
    if (share >= 1) return capacity;
    const left = minus(scaled(capacity, share), held);
    // A job that needs more than the share of a node must be able to run all the same.
    return some === 0 && waste < WASTE_FORGIVEN ? most(left, one) : left;
  };
  const rooms = [claims.free, room(waste < 0.5 ? 1 : 2 ** -waste, ofLeader)];
  if (standing !== 'proven') rooms.push(room(NEWCOMERS_SHARE, claims.newcomers));
  if (standing === 'stranger') rooms.push(room(STRANGERS_SHARE, claims.strangers));
  if (othersWait(claims, asker.owner))
    rooms.push(room(OWNERS_SHARE, claims.byOwner.get(asker.owner) ?? nobody()));
  return rooms.reduce(least);
}

/** Somebody else's work is held or waits for room. */
const othersWait = ({ owners }: Claims, owner: PublicKey): boolean =>
  owners.size > (owners.has(owner) ? 1 : 0);

/** A hold became an execution: its leader is one to be believed. */
export function holdUsed(core: With<'mesh'>, { leader, owner }: Hold): void {
  core.mesh.welcome.used.add(leader, 1, core.now);
  core.mesh.welcome.used.add(owner, 1, core.now);
  core.mesh.welcome.wasted.add(leader, -1, core.now);
}

/** What this node took up by its own decision came to a good end. */
export function workTaken(core: With<'mesh'>, { leader, owner }: Asker): void {
  core.mesh.welcome.used.add(leader, 1, core.now);
  core.mesh.welcome.used.add(owner, 1, core.now);
}

/** Executions taken up by this node's own decision, ended ones until their job is closed included; and those that wait. */
const OWN_MAX = 4_096;
const QUEUED_MAX = 1_024;
const QUEUED_PER_LEADER_MAX = 256;
/** What all leaders and owners may have of both of whom nothing ever ran here: anybody may call a job admitted. */
const OWN_NEWCOMERS_SHARE = 1 / 2;

/** Of leader or owner nothing has run here lately. */
export const isNewcomer = (core: With<'mesh'>, asker: Asker): boolean =>
  standingOf(core, asker) !== 'proven';

/**
 * Somebody calls on this node to take a job up.
 * @returns whether there is a place for it, to run or to wait; `full`: not among those that ended, either
 */
export function welcomeOwn(
  core: With<'mesh' | 'executing'>,
  asker: Asker,
  queued: boolean,
): 'good' | 'full' | 'busy' {
  const isNew = (one: Asker): boolean => isNewcomer(core, one);
  const count = { all: 0, newcomers: 0, queued: 0, ofLeader: 0, queuedNewcomers: 0 };
  for (const { stored, epoch } of core.executing.own.values()) {
    const waits = stored.queued === true;
    const newcomer = isNew({ owner: stored.spec.body.owner, leader: epoch.leader });
    count.all += 1;
    if (newcomer) count.newcomers += 1;
    if (waits) count.queued += 1;
    if (waits && newcomer) count.queuedNewcomers += 1;
    if (waits && epoch.leader === asker.leader) count.ofLeader += 1;
  }
  const newcomer = isNew(asker);
  const isFull = newcomer && count.newcomers >= OWN_MAX * OWN_NEWCOMERS_SHARE;
  if (isFull || count.all >= OWN_MAX) return 'full';
  if (!queued) return 'good';
  if (count.queued >= QUEUED_MAX || count.ofLeader >= QUEUED_PER_LEADER_MAX) return 'busy';
  const isBusy = newcomer && count.queuedNewcomers >= QUEUED_MAX * OWN_NEWCOMERS_SHARE;
  return isBusy ? 'busy' : 'good';
}

/** A hold ended otherwise: what it kept from others is remembered, of those who are less known. */
export function holdUnused(core: With<'mesh'>, hold: Hold): void {
  const { leader, owner } = hold;
  if (core.now - hold.firstAt < IN_VAIN_MS) return;
  const capacity = core.profile?.capacity ?? NOTHING;
  const cost = WHOLE_NODE * shareOf(hold.resources, capacity);
  const known = { leader: isKnownLeader(core, leader), owner: isKnownOwner(core, owner) };
  if (leader !== core.self && (known.owner || !known.leader))
    core.mesh.welcome.wasted.add(accountOf(leader, standingOf(core, hold)), cost, core.now);
  // Only who speaks for himself can waste an owner's good name; gossip repeats anybody's words.
  if (hold.direct && owner !== core.suite.owner && (known.leader || !known.owner))
    core.mesh.welcome.wasted.add(owner, cost, core.now);
}

/** A neighbour brings an advert that is new here: it must be verified, and may be made up. */
export function welcomeAdvert(core: With<'mesh'>, from: NodeId): boolean {
  const { adverts } = core.mesh.welcome;
  const counted = adverts.get(from);
  if (counted === undefined) {
    remember(adverts, from, { since: core.now, count: 1 }, KEYS_MAX);
    return true;
  }
  if (core.now - counted.since >= ADVERTS_MS) {
    counted.since = core.now;
    counted.count = 0;
  }
  if (counted.count >= ADVERTS_MAX) return false;
  counted.count += 1;
  return true;
}

/** A keeper did not answer in time what it was asked then; one that answers is forgiven. */
export function noteSilent(core: With<'mesh'>, keeper: NodeId, askedAt: Millis): void {
  const { unanswered } = core.mesh.welcome;
  const wasThere = (core.mesh.heardAt.get(keeper) ?? -Infinity) > askedAt;
  unanswered.delete(keeper);
  remember(unanswered, keeper, { at: core.now, wasThere }, KEYS_MAX);
}

/** This node hung up on it: it will answer nothing that it is asked, though others still tell of it. */
export function noteSentAway(core: With<'mesh'>, node: NodeId): void {
  const { unanswered } = core.mesh.welcome;
  unanswered.delete(node);
  remember(unanswered, node, { at: core.now, wasThere: true }, KEYS_MAX);
}

export const noteAnswered = (core: With<'mesh'>, keeper: NodeId): boolean =>
  core.mesh.welcome.unanswered.delete(keeper);

/** It did not answer, not long ago; one that was not there until it is heard. */
export function isSilent(core: With<'mesh'>, keeper: NodeId): boolean {
  const known = core.mesh.welcome.unanswered.get(keeper);
  if (known === undefined || core.now - known.at >= SILENT_MS) return false;
  return known.wasThere || (core.mesh.heardAt.get(keeper) ?? -Infinity) <= known.at;
}

/**
 * Somebody asks this node to keep a job. `later`: too many wait for their activation already, which lasts
 * milliseconds when all is well. `full`: neither one owner nor one host may fill the books of a keeper.
 */
export function welcomeAdmission(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  owner: PublicKey,
): 'good' | 'later' | 'full' {
  const { jobsMax } = core.config.limits;
  const live = core.keeping.kept.size - core.keeping.warm.size;
  if (live >= jobsMax / 2 && ofOne(core, owner, bringerOf(core, from)) >= jobsMax / 2)
    return 'full';
  if (core.keeping.pending.size >= PENDING_MAX) return 'later';
  if (from === core.self) return 'good';
  const host = core.mesh.hosts.get(from) ?? '';
  const count = { peer: 0, owner: 0, host: 0 };
  for (const pending of core.keeping.pending.values()) {
    if (pending.from === from) count.peer += 1;
    if (pending.spec.body.owner === owner) count.owner += 1;
    if (host !== '' && core.mesh.hosts.get(pending.from) === host) count.host += 1;
  }
  const many =
    count.peer >= PENDING_PER_PEER_MAX ||
    count.owner >= PENDING_PER_OWNER_MAX ||
    count.host >= PENDING_PER_OWNER_MAX;
  return many ? 'later' : 'good';
}

/** Who answers for what this node brings: its host, as owners and nodes are made up in a moment. */
export const bringerOf = (core: With<'mesh'>, from: NodeId): string =>
  core.mesh.hosts.get(from) || from;

/** Live jobs of one owner or by one bringer, whichever are more. Shelved jobs are closed; one that goes on is live again. */
function ofOne(core: With<'mesh' | 'keeping'>, owner: PublicKey, bringer: string): number {
  const count = { owner: 0, bringer: 0 };
  for (const { ledger, broughtBy } of eachKept(core)) {
    if (ledger.close !== null) continue;
    if (ledger.spec.body.owner === owner) count.owner += 1;
    // After a restart it is forgotten who brought a job; its sponsor did, or answers for it.
    const by = broughtBy === '' ? bringerOf(core, ledger.spec.body.sponsor) : broughtBy;
    if (by === bringer) count.bringer += 1;
  }
  return Math.max(count.owner, count.bringer);
}

/** More of the last failures than this: the node must show that it can. */
const FAILURES_FORGIVEN = 1.5;
const FAILURES_MAX = 8;

/** A node failed (1) or would not begin (less) what it was given; a result makes up for one failure. */
export function noteWork(core: With<'mesh'>, node: NodeId, failed: number): void {
  if (core.mesh.welcome.failures.of(node, core.now) + failed > FAILURES_MAX) return;
  core.mesh.welcome.failures.add(node, failed, core.now);
}

/** It failed twice lately: until it did better, or a while went by, it gets one execution at a time. */
export const onProbation = (core: With<'mesh'>, node: NodeId): boolean =>
  core.mesh.welcome.failures.of(node, core.now) > FAILURES_FORGIVEN;

/** Copies under way: in all, and for one leader. */
const COPIES_MAX = 64;
const COPIES_PER_PEER_MAX = 16;
/** Bytes of copies for one owner, and for all but the own one; half of them is forgotten in a day. */
const COPIED_PER_OWNER_MAX = 16 * 1_000_000_000;
const COPIED_MAX = 32 * 1_000_000_000;

/** A leader asks for a second copy of a result of this size. @returns whether it is made */
export function welcomeCopy(
  core: With<'mesh' | 'executing'>,
  from: NodeId,
  owner: PublicKey,
  bytes: number,
): boolean {
  const askers = [...core.executing.replicas.values()];
  const ofPeer = askers.filter(({ asker }) => asker === from).length;
  if (shut(core) !== null || askers.length >= COPIES_MAX || ofPeer >= COPIES_PER_PEER_MAX)
    return false;
  if (owner === core.suite.owner) return true;
  const { copied } = core.mesh.welcome;
  if (copied.of('all', core.now) + bytes > COPIED_MAX) return false;
  if (!copied.take(owner, bytes, COPIED_PER_OWNER_MAX, core.now)) return false;
  copied.add('all', bytes, core.now);
  return true;
}
