/**
 * What a keeper demands before it votes for others in the place of some: it must itself have missed those that
 * go for long enough, or have their own word for it, and know those that come. So no leader throws out healthy
 * keepers. A node that is to come, or has gone, is a *guest* of the job: it knows the job and has no say in it.
 */
import { send } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { reached } from '../mesh/reach.ts';
import { CONFIGS_MAX, currentOf, follows } from '../record/chain.ts';
import { hasVote, isKeeper } from '../record/keeper-set.ts';
import type { Configuration, Keeper } from '../record/records.ts';
import { goneBecause } from './gone.ts';
import type { KeptJob } from './state.ts';

/** Between two changes when half of the chain is used up, and when three quarters are: a job lives for two months. */
const SELDOM_MS = 3_600_000;
const SELDOMEST_MS = 24 * 3_600_000;

/** Those of `keepers` that are not among `others`; the same node with another store is another keeper. */
export const beyond = (keepers: readonly Keeper[], others: readonly Keeper[]): readonly Keeper[] =>
  keepers.filter(
    ({ node, store }) => !others.some((other) => other.node === node && other.store === store),
  );

/**
 * It promised something in a higher branch of the job than the one that it goes by now. Of what it had promised in this
 * one it may have lost some, and what it promised there binds it: it votes no more.
 */
export const hasLeft = ({ ledger, promised }: KeptJob): boolean =>
  promised.config.major > currentOf(ledger).config.major;

/** It knows the job and has no say in it. */
export const isGuest = ({ self }: Node, kept: KeptJob): boolean =>
  !isKeeper(currentOf(kept.ledger), self) || hasLeft(kept);

/** How long keepers stay at least before others take their place: nobody uses up a chain in minutes. */
function pauseMs(core: With<'mesh'>, { config }: Configuration): number {
  if (config.minor < CONFIGS_MAX / 2) return core.config.limits.keeperReplaceAfterMs;
  return config.minor < (3 * CONFIGS_MAX) / 4 ? SELDOM_MS : SELDOMEST_MS;
}

/** The keepers changed a moment ago. */
export const isTooSoon = (core: With<'mesh'>, { ledger, changedAt }: KeptJob): boolean =>
  changedAt !== null &&
  // An even number is not left to stand.
  currentOf(ledger).keepers.length % 2 === 1 &&
  core.now - changedAt < pauseMs(core, currentOf(ledger));

/** Whether this node would vote for that configuration after the one at hand. */
export function wouldVote(core: With<'mesh'>, kept: KeptJob, next: Configuration): boolean {
  const before = currentOf(kept.ledger);
  if (!wouldLose(core, kept, next)) return false;
  if (before.former.length > 0 || isGuest(core, kept)) return true;
  return beyond(next.keepers, before.keepers).every((comer) => mayCome(core, comer));
}

/**
 * Whether it votes for one that was proposed though who should come is not there any more, or not what it was: when
 * that one takes the place of a keeper that is gone here, too. It may have been decided, and would hang for ever; after
 * it the next one takes its place.
 */
export function bearsWith(core: With<'mesh'>, kept: KeptJob, next: Configuration): boolean {
  const { keepers } = currentOf(kept.ledger);
  if (beyond(next.keepers, keepers).length > beyond(keepers, next.keepers).length) return false;
  return wouldLose(core, kept, next);
}

/** It may follow, and whoever it leaves out is gone. */
function wouldLose(core: With<'mesh'>, kept: KeptJob, next: Configuration): boolean {
  const before = currentOf(kept.ledger);
  if (!follows(before, next)) return false;
  // What was begun is brought to its end: the same keepers, without those before them.
  if (before.former.length > 0) return true;
  // Whether others shall go is for those to say who keep the job.
  if (isGuest(core, kept)) return true;
  const comers = beyond(next.keepers, before.keepers);
  const goers = beyond(before.keepers, next.keepers);
  if (!isSensible(before, next, comers.length, goers.length) || isTooSoon(core, kept)) return false;
  const gone = goers.map((keeper) => goneBecause(core, kept, keeper));
  // Nobody comes for it: only when it will never be what it was.
  if (next.former.length === 0 && gone.some((why) => why === 'away' || why === 'leaving'))
    return false;
  return gone.every((why) => why !== null);
}

/**
 * The changes there are: one for one, two that come, two that go when nobody can come; and two by which a node
 * comes back with another store, for which alone the number of keepers is even for a while. Of those, too, one is
 * replaced by one.
 */
function isSensible(before: Configuration, next: Configuration, come: number, go: number): boolean {
  const isOdd = next.keepers.length % 2 === 1;
  if (next.former.length > 0) return come + go === 2 && (isOdd || come === go);
  return isOdd ? before.keepers.length % 2 === 0 && come === 1 : go === 1;
}

/** It has said itself that it keeps jobs, with this store, and can be reached. */
function mayCome(core: With<'mesh'>, { node, store }: Keeper): boolean {
  if (node === core.self) return store === core.config.store;
  const member = core.mesh.members.get(node);
  if (member === undefined || !member.advert.body.keeps || member.advert.body.store !== store)
    return false;
  if (core.mesh.watches.get(node)?.dead === true) return false;
  if (reached(core, node)) return true;
  // With its answer it is, when the leader asks again.
  core.mesh.nonce += 1;
  send(core, node, { type: 'ping', nonce: core.mesh.nonce });
  return false;
}

/** This very store has a vote in the one or the other. */
export const hasSay = (core: Node, ...configurations: readonly Configuration[]): boolean =>
  configurations.some((one) => hasVote(one, core.self, core.config.store));
