/**
 * Which configurations this node goes by. A job that was re-seeded may have two *branches* of them, as those that seemed
 * to be gone were only cut off. The higher one counts, but where a quorum of the lower one's keepers never missed each
 * other: a keeper of those stays, and whoever goes by the higher asks them, in rounds, and yields when a quorum says so.
 */
import { tellFew, TOLD_AT_ONCE } from '../consensus/missing.ts';
import { learn } from '../consensus/proposer.ts';
import type { Message } from '../contract/messages.ts';
import { allow, pointsFor } from '../mesh/allowance.ts';
import { isNear } from '../mesh/reach.ts';
import { note, persist, refuse, send, touch, wallMs } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { firstEpoch } from '../record/ballot.ts';
import { makeAnew } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import { certifiedEpoch } from '../record/certificate.ts';
import {
  changes,
  compareConfigs,
  configurationOf,
  currentOf,
  earlierKeepers,
  everKept,
  firstOf,
  provenBy,
  sameConfig,
} from '../record/chain.ts';
import type { Chain, Changes } from '../record/chain.ts';
import { asMillis } from '../record/ids.ts';
import type { Millis, NodeId } from '../record/ids.ts';
import { isKeeper, isQuorum, keeperNodes } from '../record/keeper-set.ts';
import type { Certified } from '../record/records.ts';
import { branchOf, checkCommitted, extended, fitsKeepers } from '../record/verify.ts';
import { checkWanted, specsOf } from '../record/versions.ts';
import { rowsOf } from './books.ts';
import { hasSay, isGuest } from './changing.ts';
import { handWishes, tellEnd, tellWishes } from './crossing.ts';
import { keepersChanged, tellForfeit } from './guests.ts';
import { isIntact, noteElsewhere } from './orphans.ts';
import { nextTurn, onChecked, stays, waits } from './staying.ts';
import type { Check } from './staying.ts';
import { takeWanted } from './versions.ts';
import type { KeptJob } from './state.ts';

/** Between two rounds: those of two branches that meet are to be of one mind within a minute. */
const ROUND_MS = 20_000;
/** What others say of the branch that this node goes by. */
export interface Round {
  /** The number of the last question; an answer to one before says nothing. */
  turn: number;
  askedAt: Millis;
  /** Nodes that go by it, too. */
  readonly same: Set<NodeId>;
  /** A lower one that a keeper of it says to go on. */
  rival: { readonly chain: Chain; readonly configs: readonly Certified<'config'>[] } | null;
  /** Keepers of that one that said so in this round. */
  readonly intact: Set<NodeId>;
  /** When it last asked at once, as it heard of another one. */
  hastenedAt: Millis;
  /** When it last asked those that were said to keep the job in a higher one. */
  checkedAt: Millis;
  /** What it asks those that keep the job here, as it is told of another one. */
  check: Check | null;
}

/** @param turn of the last one before, so that no answer to that is taken for one to this */
export const createRound = (now: Millis, turn = 0): Round => ({
  turn,
  askedAt: now,
  same: new Set(),
  rival: null,
  intact: new Set(),
  hastenedAt: asMillis(Number.NEGATIVE_INFINITY),
  checkedAt: asMillis(Number.NEGATIVE_INFINITY),
  check: null,
});

/**
 * Takes over what is proven of who keeps the job since.
 * @param from who tells of it; this node itself where it goes by that already, as an executor
 * @param latest what was decided there, by who tells of it; for whom the job is over it goes on with a later version only
 */
export function takeBranch(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  configs: NonNullable<Changes['configs']>,
  latest?: Certified<'version'> | Certified<'close'>,
): void {
  const { ledger } = kept;
  const fresh = configs
    .filter(({ record }) => configurationOf(ledger, record.body.config) === null)
    .sort((a, b) => compareConfigs(a.record.body.config, b.record.body.config));
  if (fresh.length === 0) return;
  const told = extended(core.suite, ledger, fresh);
  if (told === null) return refuse(core, from, 'bad-certificate', false);
  const [own, other] = [currentOf(ledger).config, currentOf(told).config];
  // Those there may go on with what is over here.
  if (compareConfigs(other, own) < 0 && other.major !== own.major) tellOver(core, from, ledger);
  if (compareConfigs(other, own) <= 0) return;
  if (hasLeft(core, kept, told)) return refuse(core, from, 'outdated-epoch', false);
  const isOther = other.major !== own.major;
  const isOver = isOther && isOverFor(core, ledger, told, latest);
  // However this node takes it: whoever keeps the job there is to hear of that.
  if (isOver) tellOver(core, from, ledger);
  if (isOther && isKeeper(currentOf(ledger), from)) noteElsewhere(core, kept, from);
  if (isOther && stays(core, kept)) return refuse(core, from, 'outdated-epoch', false);
  if (isOther && waits(core, from, kept, told, latest))
    return takeOwn(core, from, kept, fresh, latest);
  if (isOver) return;
  const isLonger = provenBy(told, ledger.configs).length === ledger.configs.length;
  if (isOther) kept.intactSince = null;
  if (!isLonger) return turnTo(core, kept, provenBy(told, [...ledger.configs, ...fresh]));
  goOnTo(core, kept, fresh);
  if (isOther) handWishes(core, ledger);
  if (everKept(ledger, core.self)) bind(core, kept);
}

/**
 * It is over here, and may go on there. Who kept it here asks for what the end rests on; who did not has nobody to ask
 * when all who did are gone.
 */
function tellOver(core: With<'mesh'>, to: NodeId, ledger: Ledger): void {
  const { job, close, committed } = ledger;
  if (close === null) return;
  tellEnd(core, to, ledger);
  if (everKept(ledger, to)) return;
  const values = [...committed.values()].filter(({ record }) => record.type !== 'close');
  values.push(close);
  for (let at = 0; at < values.length; at += TOLD_AT_ONCE) tellFew(core, to, job, values.slice(at));
}

/** How the branch that this node goes by went on. */
function takeOwn(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  fresh: readonly Certified<'config'>[],
  latest: Certified<'version'> | Certified<'close'> | undefined,
): void {
  const { major } = currentOf(kept.ledger).config;
  const own = fresh.filter(({ record }) => record.body.config.major === major);
  takeBranch(core, from, kept, own, latest);
}

/** It had a say there, yielded, and has forgotten since what was decided: with its votes that could be decided again. */
function hasLeft(core: Node, { ledger, promised }: KeptJob, told: Chain): boolean {
  const { major } = promised.config;
  if (major <= currentOf(ledger).config.major) return false;
  // Those who re-seeded the job after that count none of its votes there.
  if (currentOf(told).config.major !== major) return false;
  return told.configurations.some((one) => one.config.major === major && hasSay(core, one));
}

/** It is over here, and not proven to have gone on there with a version after that. */
function isOverFor(
  core: Node,
  { close }: Ledger,
  told: Chain,
  latest: Certified<'version'> | Certified<'close'> | undefined,
): boolean {
  if (close === null) return false;
  const isLater = latest !== undefined && latest.record.body.version > close.record.body.version;
  return !isLater || checkCommitted(core.suite, told, latest) !== 'good';
}

/** These follow those that the node goes by: when the job was re-seeded, nobody has said yet that he goes by them. */
export function goOnTo(core: Node, kept: KeptJob, configs: readonly Certified<'config'>[]): void {
  const { major } = currentOf(kept.ledger).config;
  for (const config of configs) learn(core, kept, config);
  if (currentOf(kept.ledger).config.major !== major) askAnew(core, kept);
}

/** It goes by another branch: what others said of the one before says nothing of this. */
function askAnew(core: Node, kept: KeptJob): void {
  kept.round = createRound(core.now, nextTurn(kept.round));
  kept.elsewhere.clear();
}

/**
 * To go by a higher branch is as good as a promise there: what it learns in it may take the place of what it had accepted
 * or learned in the lower one, so it must not vote in that one again.
 */
function bind(core: Node, kept: KeptJob): void {
  const { ledger, promised } = kept;
  const current = currentOf(ledger);
  if (current.config.major <= promised.config.major) return;
  const { job } = ledger;
  kept.promised = firstEpoch(current);
  persist(core, { table: 'promises', job, key: job, value: kept.promised });
}

/**
 * The job is over in some branch. @returns false when this keeper does not follow: it is a higher one, and those that
 * this one keeps the job with were there all the time
 */
export function followEnd(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  close: Certified<'close'>,
  configs: NonNullable<Changes['configs']>,
): boolean {
  const { ledger } = kept;
  const { config } = certifiedEpoch(close);
  if (ledger.close !== null) return true;
  if (configurationOf(ledger, config) !== null) return true;
  takeBranch(core, from, kept, configs, close);
  if (configurationOf(ledger, config) !== null) return true;
  if (compareConfigs(config, currentOf(ledger).config) > 0) return false;
  const told = branchOf(core.suite, ledger, configs);
  if (told === null) return false;
  turnTo(core, kept, provenBy(told, [...ledger.configs, ...configs]));
  return true;
}

/** From now on this node goes by these configurations, and what belongs to others is forgotten. */
function turnTo(core: Node, kept: KeptJob, configs: readonly Certified<'config'>[]): void {
  const { ledger } = kept;
  const { job, version } = ledger;
  const known = rowsOf(ledger);
  const hasKept = everKept(ledger, core.self);
  makeAnew(ledger, configs, core.suite.specIn);
  const here = rowsOf(ledger);
  for (const key of known)
    if (!here.has(key)) persist(core, { table: 'records', job, key, value: null });
  const { spec, grant, committed } = ledger;
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  for (const [key, { record, votes }] of committed)
    if (record.type === 'config' && !known.has(key))
      persist(core, { table: 'records', job, key, value: { record, votes } });
  if (grant === null) persist(core, { table: 'records', job, key: 'grant', value: null });
  kept.held = null;
  kept.fetching = null;
  kept.outdated.clear();
  askAnew(core, kept);
  if (hasKept) bind(core, kept);
  note(core, 'job.turned', { job, config: configText(currentOf(ledger).config) });
  keepersChanged(core, kept);
  if (version !== null && ledger.version?.record.id !== version.record.id)
    wantAgain(core, kept, version);
  if (ledger.close === null) handWishes(core, ledger);
  touch(core, job);
}

/** After an end nothing should have been decided: who went by others that re-seeded the job since forgets those. */
export function goBackToEnd(core: Node, kept: KeptJob, close: Certified<'close'>): void {
  const { configs } = kept.ledger;
  const { major } = certifiedEpoch(close).config;
  const before = configs.filter(({ record }) => record.body.config.major <= major);
  if (before.length < configs.length) turnTo(core, kept, before);
}

/** A version was decided in the other branch alone. Its owner wants it all the same: here it is decided anew. */
function wantAgain(core: Node, kept: KeptJob, { record }: Certified<'version'>): void {
  const { suite, self } = core;
  const { job, spec } = kept.ledger;
  const wanted = specsOf(suite, spec, record.body);
  if (wanted === null || checkWanted(suite, spec, wanted, wallMs(core)) !== 'good') return;
  if (!fitsKeepers(kept.ledger, wanted.spec.body)) return;
  if (!isGuest(core, kept)) takeWanted(core, kept, wanted);
  for (const node of keeperNodes(currentOf(kept.ledger)))
    if (node !== self) send(core, node, { type: 'update', job, ...wanted });
}

const configText = ({ major, minor }: { major: number; minor: number }): string =>
  `${major}.${minor}`;

// — rounds

/** Asks those that kept the job before it was re-seeded by what they go. Called every few seconds. */
export function askBranches(core: With<'mesh' | 'keeping'>): void {
  for (const kept of core.keeping.kept.values()) {
    const { ledger, round } = kept;
    if (ledger.close !== null || currentOf(ledger).config.major === 0) continue;
    if (core.now - round.askedAt < ROUND_MS) continue;
    // Nobody has spoken for it since: another one may.
    if (round.intact.size === 0) round.rival = null;
    askRound(core, kept);
  }
}

function askRound(core: With<'mesh'>, kept: KeptJob): void {
  const { ledger, round } = kept;
  const { job, configs } = ledger;
  round.turn = nextTurn(round);
  round.askedAt = core.now;
  round.intact.clear();
  const nodes = earlierKeepers(ledger);
  for (const node of round.same) nodes.delete(node);
  if (round.rival !== null)
    for (const node of keeperNodes(currentOf(round.rival.chain))) nodes.add(node);
  nodes.delete(core.self);
  const { turn } = round;
  for (const node of nodes) {
    if (!isNear(core, node)) continue;
    send(core, node, { type: 'branch', job, turn, ...changes(configs) });
    tellWishes(core, node, ledger);
  }
}

/** Somebody asks by which configurations this node goes, and says by which it does. */
export function onBranch(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { job, turn, configs = [] }: Extract<Message, { type: 'branch' }>,
): void {
  const { ledger } = kept;
  if (!allow(core, from, pointsFor(ledger.configs.length + configs.length))) return;
  const told = branchOf(core.suite, firstOf(ledger.admission.record.body), configs);
  if (told === null) return refuse(core, from, 'bad-certificate', false);
  if (!everKept(told, from)) return refuse(core, from, 'not-keeper', false);
  if (ledger.close !== null) return tellOver(core, from, ledger);
  takeBranch(core, from, kept, configs);
  const intact = isIntact(core, kept);
  send(core, from, { type: 'branch-known', job, turn, intact, ...changes(ledger.configs) });
  tellWishes(core, from, ledger);
}

export function onBranchKnown(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  message: Extract<Message, { type: 'branch-known' }>,
): void {
  const { ledger, round } = kept;
  const { turn, intact, configs = [] } = message;
  const isCheck = turn === round.check?.turn;
  if ((turn !== round.turn && !isCheck) || ledger.close !== null) return;
  if (!allow(core, from, pointsFor(configs.length))) return;
  const own = currentOf(ledger).config;
  const told = branchOf(core.suite, firstOf(ledger.admission.record.body), configs);
  if (told === null) return refuse(core, from, 'bad-certificate', false);
  if (isCheck) return onChecked(core, from, kept, message, told);
  if (configurationOf(told, own) !== null && everKept(ledger, from)) round.same.add(from);
  const { config } = currentOf(told);
  if (compareConfigs(config, own) > 0) return takeBranch(core, from, kept, configs);
  if (!intact || sameConfig(config, own) || !isKeeper(currentOf(told), from)) return;
  if (isBetter(told, round.rival?.chain ?? null)) {
    round.rival = { chain: told, configs };
    round.intact.clear();
    // All of its keepers are asked, and soon; but not by each that tells of yet another one.
    if (core.now - round.hastenedAt < ROUND_MS) return;
    round.hastenedAt = core.now;
    return askRound(core, kept);
  }
  const { rival } = round;
  // It may not know the latest change of those that go on.
  if (rival === null || configurationOf(rival.chain, config) === null) return;
  round.intact.add(from);
  const last = currentOf(rival.chain);
  if (!isQuorum(last, round.intact)) return;
  kept.yieldedAt = core.now;
  note(core, 'job.yielded', { job: ledger.job, config: configText(last.config) });
  turnTo(core, kept, provenBy(rival.chain, rival.configs));
  // What it promised since binds it: those that keep the job are to do without its votes.
  if (!hasSay(core, last) || compareConfigs(kept.promised.config, last.config) <= 0) return;
  for (const node of keeperNodes(last)) if (node !== core.self) tellForfeit(core, node, ledger.job);
}

/**
 * Of several that are said to go on the one of the keepers before counts, whom nobody made up alone, and of one the
 * latest that is known: else those who are asked in turn for two would never be enough for either.
 */
function isBetter(told: Chain, known: Chain | null): boolean {
  if (known === null) return true;
  const [a, b] = [currentOf(told).config, currentOf(known).config];
  return a.major < b.major || (a.major === b.major && a.minor > b.minor);
}
