/**
 * A job whose keepers are too few for good is re-seeded by one of those that are left: it asks them, and others that
 * are there, for their votes to keep the job from now on, and stands for leader among them when it has a majority of
 * these. Each that is asked looks for itself whether those before are gone (`keeping/orphans.ts`), so nobody takes a
 * job away from keepers that others hear. The votes are the only round: a name of its own makes what comes to nothing
 * stand in nobody's way (`reseedId`).
 */
import { standForLeader } from '../consensus/candidacy.ts';
import { jobTimer } from '../consensus/proposer.ts';
import type { Message } from '../contract/messages.ts';
import { RESEED } from '../contract/features.ts';
import { eachKept } from '../keeping/books.ts';
import { goOnTo } from '../keeping/branches.ts';
import { keeperCount } from '../keeping/choose-keepers.ts';
import type { KeeperCandidate } from '../keeping/choose-keepers.ts';
import { tellChanges } from '../keeping/guests.ts';
import {
  BOUND_MS,
  isMissed,
  isOrphaned,
  mayBeReseeded,
  noteTouch,
  voteToReseed,
} from '../keeping/orphans.ts';
import type { KeptJob, Reseeding } from '../keeping/state.ts';
import { keeperCandidates } from '../mesh/members.ts';
import { isNear } from '../mesh/reach.ts';
import { noteAnswered, noteSilent } from '../mesh/welcome.ts';
import { shut } from '../node/door.ts';
import { note, refuse, seal, send } from '../node/outbox.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import { firstEpoch } from '../record/ballot.ts';
import { isChosen, validVote } from '../record/certificate.ts';
import { CONFIGS_MAX, continues, currentOf, reseedId, sameConfig } from '../record/chain.ts';
import { isKeeper, keeperNodes, members } from '../record/keeper-set.ts';
import { groundOf } from '../record/past.ts';
import type { Configuration, Keeper } from '../record/records.ts';
import { slotOf } from '../record/slot.ts';
import { bestOf } from './succession.ts';

/** Each that is left begins so much later than the one before it: most of the time the first has done it by then. */
const RANK_STEP_MS = 10_000;

/** Looks for jobs that nobody can decide anything for any more. Called every few seconds. */
export function lookForOrphans(core: With<'mesh' | 'keeping'>): void {
  for (const kept of eachKept(core)) {
    noteTouch(core, kept);
    if (shut(core) !== null || !mayBeReseeded(kept) || !isOrphaned(core, kept)) {
      kept.orphanedAt = null;
      continue;
    }
    kept.orphanedAt ??= core.now;
    const left = members(currentOf(kept.ledger)).filter((keeper) => isLeft(core, kept, keeper));
    const rank = left.findIndex(({ node }) => node === core.self);
    if (kept.reseeding !== null || rank < 0) continue;
    const since = Math.max(kept.orphanedAt, kept.boundAt + BOUND_MS);
    // Those that went back to others tell that at once: who did not yet has the time to do the same.
    const waitMs = kept.forfeited.size > 0 ? core.config.limits.reseedAfterMs : 0;
    if (core.now - since < waitMs + rank * RANK_STEP_MS) continue;
    const next = nextOf(core, kept, left);
    if (next !== null) begin(core, kept, next);
  }
}

/** It keeps the job still, and can be asked for its vote. */
const isLeft = (core: With<'mesh'>, kept: KeptJob, keeper: Keeper): boolean =>
  isNear(core, keeper.node) && !isMissed(core, kept, keeper);

/**
 * All that are left, since what one of them has accepted may have been decided; and the best of the others, as many as
 * make an odd number. null when there is nobody else: then this node may be the one that is cut off.
 */
function nextOf(core: With<'mesh'>, kept: KeptJob, left: readonly Keeper[]): Configuration | null {
  const { job } = kept.ledger;
  const before = currentOf(kept.ledger);
  if (before.config.minor >= CONFIGS_MAX) return null;
  const { keepersMax } = core.config.limits;
  const first = left.filter(({ node }) => node === core.self);
  const staying = [...first, ...left.filter(({ node }) => node !== core.self)].slice(0, keepersMax);
  const around = keeperCandidates(core).filter(({ node }) =>
    staying.every((keeper) => keeper.node !== node),
  );
  if (staying.length + around.length < 2) return null;
  const others = around.filter(
    (candidate) => !kept.forfeited.has(candidate.store) && mayAsk(core, candidate),
  );
  const most = keeperCount(staying.length + others.length, keepersMax);
  const comers = bestOf(core, kept, others, staying, Math.max(0, most - staying.length));
  const keepers = [...staying, ...comers];
  const config = reseedId(core.suite, job, before.config, keepers);
  const next = { config, keepers, former: [], reseeds: before.config };
  return continues(before, next) ? next : null;
}

/** An earlier version would not know what it is asked. */
const mayAsk = (core: With<'mesh'>, { node, silent }: KeeperCandidate): boolean =>
  !silent && core.mesh.members.get(node)?.advert.body.features.includes(RESEED) === true;

function begin(core: With<'mesh'>, kept: KeptJob, configuration: Configuration): void {
  const { job } = kept.ledger;
  note(core, 'job.reseeding', { job, keepers: configuration.keepers.length });
  const next = seal(core, 'config', { job, ...configuration });
  const own = voteToReseed(core, kept, next);
  const votes = new Map([[core.self, own]]);
  kept.reseeding = { next, votes, since: core.now, resend: toSay(core) };
  tickReseeding(core, kept);
}

/** Whatever is due for it; called whenever something about the job changes. */
export function tickReseeding(core: With<'mesh'>, kept: KeptJob): void {
  const { reseeding, ledger } = kept;
  if (reseeding === null) return;
  const { next, votes, since, resend } = reseeding;
  // Who was asked does not vote: it is tried anew, with others.
  const isLate = core.now - since >= BOUND_MS;
  // Some of those before are back, or another node did it.
  const isPast = ledger.close !== null || !continues(currentOf(ledger), next.body);
  if (isPast || isLate || !isOrphaned(core, kept)) {
    kept.reseeding = null;
    for (const { node } of isLate && !isPast ? next.body.keepers : [])
      if (!votes.has(node)) noteSilent(core, node, since);
    return;
  }
  if (isChosen(ledger, next, firstEpoch(next.body), new Set(votes.keys())))
    return conclude(core, kept, reseeding);
  if (isDue(core, resend)) ask(core, kept, reseeding);
  core.timers.set(jobTimer(kept), resend.at);
}

function ask(core: Node, { ledger }: KeptJob, { next, votes, resend }: Reseeding): void {
  const before = currentOf(ledger);
  for (const { node } of next.body.keepers) {
    if (votes.has(node)) continue;
    if (isKeeper(before, node)) send(core, node, { type: 'change', job: ledger.job, next });
    else send(core, node, { type: 'join', ...groundOf(ledger), next });
  }
  said(core, resend);
}

/** One of those that were asked votes for it. */
export function onReseedVoted(
  core: With<'mesh'>,
  from: Parameters<typeof noteAnswered>[1],
  kept: KeptJob,
  message: Extract<Message, { type: 'voted' }>,
): void {
  const { reseeding, ledger } = kept;
  if (reseeding === null) return;
  const { next, votes } = reseeding;
  const vote = message.votes.find(({ body }) => body.of === next.id);
  if (vote === undefined || core.suite.nodeOf(vote.by) !== from || votes.has(from)) return;
  if (!validVote(vote, ledger, next, slotOf(next), core.suite))
    return refuse(core, from, 'bad-signature', false);
  votes.set(from, vote);
  noteAnswered(core, from);
  tickReseeding(core, kept);
}

/** The job has other keepers: they, and those before as far as they are there, are told before they are asked to follow. */
function conclude(core: With<'mesh'>, kept: KeptJob, { next, votes }: Reseeding): void {
  const told = new Set([...next.body.keepers.map(({ node }) => node)]);
  for (const node of keeperNodes(currentOf(kept.ledger))) told.add(node);
  told.delete(core.self);
  kept.reseeding = null;
  goOnTo(core, kept, [{ record: next, votes: [...votes.values()] }]);
  if (!sameConfig(currentOf(kept.ledger).config, next.body.config)) return;
  for (const node of told) tellChanges(core, node, kept);
  kept.lead = null;
  standForLeader(core, kept);
}
