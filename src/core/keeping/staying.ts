/**
 * That so many keepers of a job are gone that others go on with it is the word of one who kept it, who may lie; and
 * whoever was started again just now has heard nobody for long enough to know better. So before a node goes over to
 * those others it asks the keepers that it goes by. It stays when those of them that are intact are a quorum with it,
 * goes when so many are not that no quorum can be, and when it had no answer for as long as it takes to re-seed a job.
 */
import type { Message } from '../contract/messages.ts';
import { isNear } from '../mesh/reach.ts';
import { send } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { changes, configurationOf, currentOf, sameConfig } from '../record/chain.ts';
import type { Chain } from '../record/chain.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import { isKeeper, isQuorum, keeperNodes, members } from '../record/keeper-set.ts';
import type { Certified, Configuration, Keeper } from '../record/records.ts';
import { configSlot } from '../record/slot.ts';
import { isReseedable } from '../record/verify.ts';
import type { Round } from './branches.ts';
import { hasSay, isGuest } from './changing.ts';
import { isAspirant } from './guests.ts';
import { BOUND_MS, isElsewhere, isIntact, isMissed } from './orphans.ts';
import type { KeptJob } from './state.ts';

/** Between two questions; as often as those that go by another branch tell of it. */
const ASK_MS = 20_000;
/** Who did not hear of the other branch for so long begins to ask from the start. */
const FORGOTTEN_MS = 3 * ASK_MS;

/** What those that this node goes by say of whether they are intact. */
export interface Check {
  /** The number of the question; rounds have others. */
  readonly turn: number;
  readonly askedAt: Millis;
  /** Since when nothing came of it. */
  readonly since: Millis;
  /** Who told of the other branch. */
  readonly from: NodeId;
  readonly intact: Set<NodeId>;
  readonly others: Set<NodeId>;
}

/** Who has yielded is not turned back for so long by others that will, in a round of their own: each would turn the other. */
const YIELDED_MS = 60_000;

/** Whether it goes by no higher branch. */
export const stays = (core: With<'mesh'>, kept: KeptJob): boolean =>
  isIntact(core, kept) ||
  core.now - kept.yieldedAt < YIELDED_MS ||
  !isReseedable(kept.ledger.spec.body);

/** No question of a job has the number of another. */
export const nextTurn = ({ turn, check }: Round): number => Math.max(turn, check?.turn ?? 0) + 1;

/** It asks those that are said to keep the job there, or those that keep it here, before it goes over. */
export function waits(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  told: Chain,
  latest: Certified<'version'> | Certified<'close'> | undefined,
): boolean {
  if (from === core.self) return false;
  // An end counts whoever tells of it: nobody has to go on with the job then.
  const isEnd = latest?.record.type === 'close';
  if (isEnd || !isHearsay(core, from, kept, told)) return !mayLeave(core, from, kept, told);
  askKeepers(core, kept, told);
  return true;
}

/**
 * Whoever has a say loses it as he goes to a branch in which he has none. So he goes on the word of a keeper of that one
 * only: all of those may be gone, or have yielded, and then nobody would be left in either.
 */
const isHearsay = (core: Node, from: NodeId, kept: KeptJob, told: Chain): boolean =>
  kept.ledger.close === null &&
  !isGuest(core, kept) &&
  !hasSay(core, currentOf(told)) &&
  !isKeeper(currentOf(told), from);

/** Those that are said to keep the job in a higher branch are asked whether they do. */
function askKeepers(core: With<'mesh'>, { ledger, round }: KeptJob, told: Chain): void {
  if (core.now - round.checkedAt < ASK_MS) return;
  round.checkedAt = core.now;
  const { job, configs } = ledger;
  for (const node of keeperNodes(currentOf(told)))
    if (isNear(core, node))
      send(core, node, { type: 'branch', job, turn: round.turn, ...changes(configs) });
}

/** Whether this node goes over to the branch that it is told of; when it does not know yet it asks. */
function mayLeave(core: With<'mesh'>, from: NodeId, kept: KeptJob, told: Chain): boolean {
  const claimed = claimedIn(kept, told);
  // Nothing rests on what this node has, or it is over here.
  if (claimed === null || isAspirant(core, kept) || kept.ledger.close !== null) return true;
  // It has looked itself, just now.
  const { config } = claimed;
  if (kept.accepted.has(configSlot(config)) && core.now - kept.boundAt < 2 * BOUND_MS) return true;
  const { check } = kept.round;
  const verdict = check === null ? 'unknown' : verdictOf(core, kept, check);
  const isOld = check !== null && core.now - check.askedAt >= FORGOTTEN_MS;
  if (verdict === 'leave' && !isOld) return true;
  if (check === null || core.now - check.askedAt >= ASK_MS)
    ask(core, kept, from, verdict === 'unknown' && !isOld ? (check?.since ?? core.now) : core.now);
  return false;
}

/** The last configuration of the other branch which says that those before it are gone, and is not on the way here. */
const claimedIn = ({ ledger }: KeptJob, told: Chain): Configuration | null =>
  told.configurations.findLast(
    ({ config, reseeds }) => reseeds !== undefined && configurationOf(ledger, config) === null,
  ) ?? null;

function ask(core: Node, { ledger, round }: KeptJob, from: NodeId, since: Millis): void {
  const { job, configs } = ledger;
  const turn = nextTurn(round);
  round.check = {
    turn,
    askedAt: core.now,
    since,
    from,
    intact: new Set(),
    others: new Set(),
  };
  for (const { node } of members(currentOf(ledger)))
    if (node !== core.self) send(core, node, { type: 'branch', job, turn, ...changes(configs) });
}

/** @param told by which configurations the one who answers goes */
export function onChecked(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { intact }: Extract<Message, { type: 'branch-known' }>,
  told: Chain,
): void {
  const { ledger, round } = kept;
  const { check } = round;
  const current = currentOf(ledger);
  if (check === null || !isKeeper(current, from)) return;
  const before = verdictOf(core, kept, check);
  const isOne = intact && sameConfig(currentOf(told).config, current.config);
  (isOne ? check.intact : check.others).add(from);
  if (before === 'leave' || verdictOf(core, kept, check) !== 'leave') return;
  // It is to be shown the other branch once more.
  const { job, configs } = ledger;
  send(core, check.from, { type: 'branch', job, turn: round.turn, ...changes(configs) });
}

function verdictOf(core: With<'mesh'>, kept: KeptJob, check: Check): 'stay' | 'leave' | 'unknown' {
  const current = currentOf(kept.ledger);
  const { intact, others, since } = check;
  const isOwn = ({ node }: Keeper): boolean =>
    node === core.self && !isGuest(core, kept) && hasSay(core, current);
  const mayBe = members(current).filter((keeper) => {
    const { node } = keeper;
    if (node === core.self) return isOwn(keeper);
    return !others.has(node) && !isElsewhere(core, kept, node, 0) && !isMissed(core, kept, keeper);
  });
  const are = mayBe.filter((keeper) => isOwn(keeper) || intact.has(keeper.node));
  if (areQuorum(current, are)) return 'stay';
  const isLate = core.now - since >= core.config.limits.reseedAfterMs;
  return isLate || !areQuorum(current, mayBe) ? 'leave' : 'unknown';
}

const areQuorum = (configuration: Configuration, keepers: readonly Keeper[]): boolean =>
  isQuorum(
    configuration,
    keepers.map(({ node }) => node),
  );
