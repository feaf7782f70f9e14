/**
 * A job is *orphaned* when so many of its keepers are gone that those that are left decide nothing any more. No record
 * proves that: whoever votes to re-seed such a job has missed them itself, as with a single keeper (`gone.ts`).
 */
import { persist, seal, send } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { heardWithin } from '../mesh/reach.ts';
import { firstEpoch } from '../record/ballot.ts';
import { currentOf } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import { isQuorum, members } from '../record/keeper-set.ts';
import type { Keeper, Signed } from '../record/records.ts';
import { slotOf } from '../record/slot.ts';
import { isReseedable } from '../record/verify.ts';
import { hasSay, isGuest } from './changing.ts';
import { goneBecause } from './gone.ts';
import { saveGuest } from './guests.ts';
import { isThere } from './oversight.ts';
import type { KeptJob } from './state.ts';

/** A node that does not keep the job has asked those that do whether they are there, and waits so long for a word of them. */
const ANSWER_MS = 3_000;
/** Who asks long after that has them asked anew. */
const ANSWERED_MS = 60_000;
/** Who voted for one set of keepers votes for no other so soon, as both might go on beside each other; so long one is tried. */
export const BOUND_MS = 30_000;

/** It is not over, as far as this node knows, and may be re-seeded. */
export const mayBeReseeded = ({ ledger, endedAt }: KeptJob): boolean =>
  ledger.close === null && endedAt === null && isReseedable(ledger.spec.body);

/** So long a keeper counts as gone that goes by another branch: it says so in each of its rounds. */
const ELSEWHERE_MS = 60_000;

/** A keeper of these goes by another branch. */
export function noteElsewhere(core: Node, { elsewhere }: KeptJob, node: NodeId): void {
  const { now } = core;
  const known = elsewhere.get(node);
  const isNew = known === undefined || now - known.at >= ELSEWHERE_MS;
  elsewhere.set(node, { since: isNew ? now : known.since, at: now });
}

/** It does, and has for so long. */
export function isElsewhere(
  core: Node,
  { elsewhere }: KeptJob,
  node: NodeId,
  forMs: number,
): boolean {
  const known = elsewhere.get(node);
  if (known === undefined || core.now - known.at >= ELSEWHERE_MS) return false;
  return core.now - known.since >= forMs;
}

/**
 * This keeper has missed that one for long enough, or it is not what it was. Who goes by another branch votes for nothing
 * in this one, though all that keep the job there may be gone.
 */
export function isMissed(core: With<'mesh'>, kept: KeptJob, keeper: Keeper): boolean {
  if (isElsewhere(core, kept, keeper.node, core.config.limits.reseedAfterMs)) return true;
  const why = goneBecause(core, kept, keeper, core.config.limits.reseedAfterMs);
  return why !== null && why !== 'leaving';
}

/** Whether those of its keepers that are there, by what this keeper sees, are too few to decide anything. */
export function isOrphaned(core: With<'mesh'>, kept: KeptJob): boolean {
  const current = currentOf(kept.ledger);
  const there = members(current).filter((keeper) => !isMissed(core, kept, keeper));
  return !isQuorum(
    current,
    there.map(({ node }) => node),
  );
}

/** Those of its keepers for which this holds can decide something together, and this one is among them. */
function areEnough(
  core: With<'mesh'>,
  kept: KeptJob,
  counts: (keeper: Keeper) => boolean,
): boolean {
  const current = currentOf(kept.ledger);
  if (isGuest(core, kept) || !hasSay(core, current)) return false;
  const there = members(current).filter(
    (keeper) => !isElsewhere(core, kept, keeper.node, 0) && counts(keeper),
  );
  return isQuorum(
    current,
    there.map(({ node }) => node),
  );
}

/** This keeper hears so many of the others that they can decide something together. */
const isInTouch = (core: With<'mesh'>, kept: KeptJob): boolean =>
  areEnough(core, kept, (keeper) => isThere(core, kept, keeper));

/** Not so many have gone over to others, or have lost what they promised, that nothing will be decided any more. */
const mayBeEnough = (core: With<'mesh'>, kept: KeptJob): boolean =>
  areEnough(core, kept, (keeper) => !isMissed(core, kept, keeper));

/** Called every few seconds, so that a break is seen: one shorter than what re-seeds a job is none. */
export function noteTouch(core: With<'mesh'>, kept: KeptJob): void {
  if (core.now - kept.touchedAt >= core.config.limits.reseedAfterMs) kept.intactSince = null;
  if (!isInTouch(core, kept)) return;
  kept.touchedAt = core.now;
  kept.intactSince ??= core.now;
}

/**
 * Nobody has a reason to re-seed the job: this keeper of it has been in touch with enough others, and never missed them
 * for as long as that takes. One that is started again does not end that for the rest, but those that go by another
 * branch do when they are so many.
 */
export const isIntact = (core: With<'mesh'>, kept: KeptJob): boolean =>
  kept.intactSince !== null &&
  core.now - kept.intactSince >= core.config.limits.reseedAfterMs &&
  core.now - kept.touchedAt < core.config.limits.reseedAfterMs &&
  mayBeEnough(core, kept);

/** The same for a node that is to keep the job and watches nobody: it asks them. */
function hearsNone(core: With<'mesh'>, kept: KeptJob): boolean {
  const { reseedAfterMs } = core.config.limits;
  const current = currentOf(kept.ledger);
  const askedAt = kept.keepersAskedAt;
  if (askedAt === null || core.now - askedAt >= ANSWERED_MS) {
    kept.keepersAskedAt = core.now;
    for (const { node } of members(current)) {
      core.mesh.nonce += 1;
      if (node !== core.self) send(core, node, { type: 'ping', nonce: core.mesh.nonce });
    }
    return false;
  }
  if (core.now - askedAt < ANSWER_MS || core.now - core.startedAt < reseedAfterMs) return false;
  const there = members(current).filter(({ node, store }) => {
    const known = core.mesh.members.get(node)?.advert.body.store ?? store;
    return known === store && heardWithin(core, node, reseedAfterMs);
  });
  return !isQuorum(
    current,
    there.map(({ node }) => node),
  );
}

/** Whether this node votes for that configuration to go on with the job. */
export function wouldReseed(core: With<'mesh'>, kept: KeptJob, next: Signed<'config'>): boolean {
  if (!mayBeReseeded(kept)) return false;
  if (kept.agreedTo === next.id) return true;
  if (core.now - kept.boundAt < BOUND_MS) return false;
  return isGuest(core, kept) ? hearsNone(core, kept) : isOrphaned(core, kept);
}

/** It says that this store keeps the job from now on if enough others do, so all that takes is on its disk. */
export function voteToReseed(core: Node, kept: KeptJob, next: Signed<'config'>): Signed<'vote'> {
  const { job } = kept.ledger;
  const [slot, epoch] = [slotOf(next), firstEpoch(next.body)];
  kept.agreedTo = next.id;
  kept.boundAt = core.now;
  saveGuest(core, kept);
  kept.accepted.set(slot, { slot, epoch, value: next });
  persist(core, { table: 'accepted', job, key: slot, value: { epoch, value: next } });
  return seal(core, 'vote', { job, of: next.id, slot, epoch, store: core.config.store });
}
