/**
 * Keepers that stay away are replaced, and a small set grows with the mesh: the leader asks those who would vote
 * for it, and proposes the change when enough of them agree. So nothing is proposed that hangs, as a slot has one
 * value in an epoch. One change at a time: joint first, then the same keepers alone.
 */
import { groundOf } from '../record/past.ts';
import { isSettled } from '../consensus/settled.ts';
import { jobTimer, propose } from '../consensus/proposer.ts';
import { keeperCandidates } from '../mesh/members.ts';
import { isNear } from '../mesh/reach.ts';
import { noteAnswered, noteSilent } from '../mesh/welcome.ts';
import { note, seal, send, touch } from '../node/outbox.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import { isChosen } from '../record/certificate.ts';
import { changes, CONFIGS_MAX, currentOf, electorate, voters } from '../record/chain.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { isKeeper, keeperNodes } from '../record/keeper-set.ts';
import type { Configuration, Keeper } from '../record/records.ts';
import { closeSlot } from '../record/slot.ts';
import type { Message } from '../contract/messages.ts';
import { beyond, isTooSoon, wouldVote } from '../keeping/changing.ts';
import { chooseKeepers, keeperCount } from '../keeping/choose-keepers.ts';
import type { KeeperCandidate } from '../keeping/choose-keepers.ts';
import { goneBecause } from '../keeping/gone.ts';
import { eachKept } from '../keeping/books.ts';
import type { KeptJob } from '../keeping/state.ts';
import { leaderIn } from './state.ts';
import type { Leader, Succession } from './state.ts';

/** Who was asked so long ago and does not agree is not waited for. */
const ASKING_MS = 30_000;
/** Keepers ask every ten seconds who leads. */
const IDLE_MS = 60_000;
/** So long all that are there are waited for. */
const AGREEING_MS = 5_000;
/** A newcomer is given so long to fetch what was committed before it is a keeper like the others. */
const CATCH_UP_MS = 60_000;

/** Looks at the jobs that this node leads for keepers that are gone, or could be more. Called every few seconds. */
export function lookForChanges(core: With<'mesh' | 'keeping'>): void {
  let candidates: readonly KeeperCandidate[] | null = null;
  askIdle(core);
  for (const kept of eachKept(core)) {
    const lead = leaderIn(kept.lead);
    if (lead === null || lead.change !== null || isChanging(lead)) continue;
    candidates ??= keeperCandidates(core);
    const next = nextOf(core, kept, lead, candidates);
    if (next === null) continue;
    lead.change = begun(core, kept, next);
    touch(core, kept.ledger.job);
  }
}

/** A keeper that never asks who leads may have lost the job, which it says when it is asked itself. */
function askIdle(core: With<'mesh' | 'keeping'>): void {
  const asked = new Map<NodeId, JobId[]>();
  for (const kept of eachKept(core)) {
    const lead = leaderIn(kept.lead);
    if (lead === null) continue;
    for (const node of keeperNodes(currentOf(kept.ledger))) {
      const at = lead.askedBy.get(node) ?? lead.since;
      if (node === core.self || core.now - at < IDLE_MS || !isNear(core, node)) continue;
      lead.askedBy.set(node, core.now);
      asked.set(node, [...(asked.get(node) ?? []), kept.ledger.job]);
    }
  }
  for (const [node, jobs] of asked) send(core, node, { type: 'status-wanted', jobs });
}

/** Whatever is due for the change that the leader has in mind; called whenever something about the job changes. */
export function tickSuccession(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Leader): void {
  const { ledger } = kept;
  // Most of what happens to a job has nothing to do with its keepers.
  if (lead.change === null && currentOf(ledger).former.length === 0) return;
  if (lead.commits.proposals.has(closeSlot(ledger.spec.body.version))) return;
  if (isChanging(lead)) return;
  if (lead.change !== null && isOutdated(core, kept, lead.change)) lead.change = null;
  if (lead.change === null) {
    const end = nextOf(core, kept, lead, []);
    if (end === null) return;
    lead.change = begun(core, kept, end);
  }
  const { change } = lead;
  if (isAgreed(core, kept, lead, change) && isSettled(core, kept, lead)) {
    lead.change = null;
    const commands = [...ledger.commands.values()];
    return propose(core, kept, lead, [change.next], { states: [], commands });
  }
  if (isDue(core, change.resend)) ask(core, kept, lead, change);
  core.timers.set(jobTimer(kept), change.resend.at);
}

const isChanging = ({ commits }: Leader): boolean =>
  [...commits.proposals.values()].some(({ value }) => value.type === 'config');

/** Time has passed, or it would not be voted for here any more. */
function isOutdated(
  core: With<'mesh'>,
  kept: KeptJob,
  { next, since, agreed }: Succession,
): boolean {
  if (!wouldVote(core, kept, next.body)) return true;
  const comers = beyond(next.body.keepers, currentOf(kept.ledger).keepers);
  if (comers.some(({ store }) => kept.forfeited.has(store))) return true;
  if (core.now - since < ASKING_MS) return false;
  // Another one is chosen the next time.
  for (const { node } of comers) if (!agreed.has(node)) noteSilent(core, node, since);
  return true;
}

function begun(core: Node, kept: KeptJob, configuration: Configuration): Succession {
  const { job } = kept.ledger;
  note(core, 'job.keepers-asked', { job, keepers: configuration.keepers.length });
  const next = seal(core, 'config', { job, ...configuration });
  kept.agreedTo = next.id;
  return {
    next,
    agreed: new Set(),
    since: core.now,
    resend: toSay(core),
  };
}

/** A quorum agrees; and all that are there, or they had their time: the more agree, the surer it is decided. */
function isAgreed(
  core: Node,
  { ledger }: KeptJob,
  { epoch }: Leader,
  { next, agreed, since }: Succession,
): boolean {
  const there = new Set([core.self, ...agreed]);
  if (!isChosen(ledger, next, epoch, there)) return false;
  // Who has no room for the job would be missed by nobody, as it lives.
  const comers = beyond(next.body.keepers, currentOf(ledger).keepers);
  if (!comers.every(({ node }) => there.has(node))) return false;
  if (core.now - since >= AGREEING_MS) return true;
  return next.body.keepers.every(({ node }) => there.has(node));
}

function ask(core: Node, { ledger }: KeptJob, { epoch }: Leader, change: Succession): void {
  const { next, agreed } = change;
  const current = currentOf(ledger);
  for (const node of voters(electorate(ledger, next, epoch))) {
    if (node === core.self || agreed.has(node)) continue;
    if (isKeeper(current, node)) send(core, node, { type: 'change', job: ledger.job, next });
    else send(core, node, { type: 'join', ...groundOf(ledger), next });
  }
  said(core, change.resend);
}

/** A node is to vote for a configuration that names it, and does not know the job. */
export function joinAgain(core: Node, to: NodeId, { ledger, lead }: KeptJob): boolean {
  const proposals = lead?.stage === 'leader' ? lead.commits.proposals.values() : [];
  for (const { value: next } of proposals) {
    if (next.type !== 'config' || !isKeeper(next.body, to)) continue;
    send(core, to, { type: 'join', ...groundOf(ledger), next });
    return true;
  }
  return false;
}

export function onChangeAgreed(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  { of }: Extract<Message, { type: 'change-agreed' }>,
): void {
  const change = leaderIn(kept.lead)?.change ?? null;
  if (change === null || change.next.id !== of || change.agreed.has(from)) return;
  if (!isKeeper(currentOf(kept.ledger), from) && !isKeeper(change.next.body, from)) return;
  change.agreed.add(from);
  noteAnswered(core, from);
  touch(core, kept.ledger.job);
}

// — what comes next

/** The configuration that should follow the one at hand; null while all is well. */
function nextOf(
  core: With<'mesh'>,
  kept: KeptJob,
  lead: Leader,
  candidates: readonly KeeperCandidate[],
): Configuration | null {
  const current = currentOf(kept.ledger);
  const { major, minor } = current.config;
  const config = { major, minor: minor + 1 };
  if (current.former.length > 0)
    return mayEnd(core, kept, lead) ? { config, keepers: current.keepers, former: [] } : null;
  // Joint, and then alone; an even number is made odd by one.
  const steps = current.keepers.length % 2 === 1 ? 2 : 1;
  if (minor + steps > CONFIGS_MAX || isTooSoon(core, kept)) return null;
  const next = changed(core, kept, current.keepers, candidates);
  return next === null ? null : { config, ...next };
}

type Sets = Pick<Configuration, 'keepers' | 'former'>;

function changed(
  core: With<'mesh'>,
  kept: KeptJob,
  keepers: readonly Keeper[],
  candidates: readonly KeeperCandidate[],
): Sets | null {
  const { keepersMax, keeperReplaceAfterMs } = core.config.limits;
  const gone = keepers.flatMap((keeper) => {
    const why = keeper.node === core.self ? null : goneBecause(core, kept, keeper);
    return why === null ? [] : [{ keeper, why }];
  });
  // So it is with nearly every job: nobody is missing, and there is no room for more.
  const isFull = keepers.length % 2 === 1 && keepers.length >= keeperCount(keepersMax, keepersMax);
  if (gone.length === 0 && isFull) return null;
  const others = candidates.filter(
    ({ node, store }) =>
      !kept.forfeited.has(store) && keepers.every((keeper) => keeper.node !== node),
  );
  const without = (...goers: readonly Keeper[]): readonly Keeper[] =>
    keepers.filter((keeper) => !goers.includes(keeper));
  const [first, second] = gone;
  // Those that will never be what they were before those that may come back.
  const worst = gone.find(({ why }) => why === 'other-store' || why === 'forfeited') ?? first;
  if (worst !== undefined) {
    const rest = without(worst.keeper);
    const [best] = bestOf(core, kept, others, rest, 1);
    if (best !== undefined) return { keepers: [...rest, best], former: keepers };
    if (first !== undefined && second !== undefined && keepers.length >= 5)
      return { keepers: without(first.keeper, second.keeper), former: keepers };
    // Only itself could take its place, with the store that it has now.
    const back = candidates.some(({ node }) => node === worst.keeper.node);
    return worst.why === 'other-store' && back && keepers.length >= 3
      ? { keepers: rest, former: [] }
      : null;
  }
  if (keepers.length % 2 === 0) {
    const [best] = bestOf(core, kept, others, keepers, 1);
    return best === undefined ? null : { keepers: [...keepers, best], former: [] };
  }
  const settled = others.filter(
    ({ since, silent }) => !silent && core.now - since >= keeperReplaceAfterMs,
  );
  if (keeperCount(keepers.length + settled.length, keepersMax) <= keepers.length) return null;
  return { keepers: [...keepers, ...bestOf(core, kept, settled, keepers, 2)], former: keepers };
}

/** The best of those that could come, on other hosts than the rest where there is a choice. */
export function bestOf(
  core: With<'mesh'>,
  kept: KeptJob,
  others: readonly KeeperCandidate[],
  rest: readonly Keeper[],
  count: number,
): readonly Keeper[] {
  const hosts = new Set(rest.map(({ node }) => core.mesh.hosts.get(node) ?? ''));
  const apart = others.filter(({ host, silent }) => !silent && (host === '' || !hosts.has(host)));
  const among = apart.length > 0 ? apart : others;
  if (among.length === 0 || count === 0) return [];
  const [best] = chooseKeepers(kept.ledger.job, among, 1, core.now, core.suite);
  if (best === undefined) return [];
  if (count === 1) return [best];
  const left = others.filter(({ node }) => node !== best.node);
  return [best, ...bestOf(core, kept, left, [...rest, best], count - 1)];
}

/** Those that came have all that was committed, or had time enough to fetch it. */
function mayEnd(core: Node, { ledger }: KeptJob, { commits, since }: Leader): boolean {
  const current = currentOf(ledger);
  if (core.now - since >= CATCH_UP_MS) return true;
  return beyond(current.keepers, current.former).every(
    ({ node }) => node === core.self || (commits.unacked.get(node)?.size ?? 0) === 0,
  );
}

// — those that run the job

/** They hear from a leader they know; whom else to ask they learn here. */
export function tellExecutors(core: Node, { ledger }: KeptJob, { epoch }: Leader): void {
  const { job, grant, partitions } = ledger;
  const nodes = new Set<NodeId>();
  for (const { accept, attempts } of partitions.values())
    if (accept === null)
      for (const { assign } of attempts.values()) nodes.add(assign.record.body.node);
  const changed = changes(ledger.configs);
  for (const node of nodes) send(core, node, { type: 'leads', job, epoch, ...changed, grant });
}
