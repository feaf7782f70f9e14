/**
 * Before a change of keepers is proposed, those who would vote for it are asked: the keepers whether they miss
 * those that go, the newcomers whether they would keep the job. Who agreed votes for it when it is proposed, also by
 * the next leader: it may hang otherwise, as those that go are back and a keeper is gone that may have voted.
 */
import { takeObeyed } from '../executing/obeying.ts';
import { tellLedger } from '../consensus/transfer.ts';
import type { Message } from '../contract/messages.ts';
import { bringerOf } from '../mesh/welcome.ts';
import { shut } from '../node/door.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import {
  chainOf,
  changes,
  continues,
  currentOf,
  everKept,
  follows,
  isNamedRight,
} from '../record/chain.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { hasVote, isKeeper } from '../record/keeper-set.ts';
import { ledgerOf } from '../record/ledger.ts';
import type { Configuration, Signed } from '../record/records.ts';
import { checkActivation } from '../record/verify.ts';
import { isProven } from '../record/versions.ts';
import { activate, hasRoom, keep, takeVersion } from './admitting.ts';
import { endOf } from './books.ts';
import { takeBranch } from './branches.ts';
import { beyond, hasLeft, hasSay, wouldVote } from './changing.ts';
import { goneBecause } from './gone.ts';
import { tellChanges, tellForfeit } from './guests.ts';
import { LEAD_CHECK_MS } from './oversight.ts';
import { voteToReseed, wouldReseed } from './orphans.ts';
import { isOver } from './shelf.ts';
import type { KeptJob } from './state.ts';

/** The leader asks a keeper whether it would vote for others. */
export function onChange(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  kept: KeptJob,
  { next }: Extract<Message, { type: 'change' }>,
): void {
  const { ledger } = kept;
  if (ledger.close !== null) return tellLedger(core, from, kept);
  const current = currentOf(ledger);
  const { body } = next;
  // A leader may have taken it over from the one before it.
  if (body.job !== ledger.job || !everKept(ledger, core.suite.nodeOf(next.by)))
    return refuse(core, from, 'wrong-signer', false);
  if (!isKeeper(current, from)) {
    if (everKept(ledger, from)) tellChanges(core, from, kept);
    return refuse(core, from, 'not-keeper', false);
  }
  if (hasLeft(kept)) return tellForfeit(core, from, ledger.job);
  if (body.reseeds !== undefined) return onReseed(core, from, kept, next);
  if (!follows(current, body) || !hasSay(core, current, body)) return;
  if (kept.agreedTo !== next.id && !wouldVote(core, kept, body))
    return askGoers(core, kept, current, body);
  if (!core.suite.verify(next)) return refuse(core, from, 'bad-signature', true);
  kept.agreedTo = next.id;
  send(core, from, { type: 'change-agreed', job: ledger.job, of: next.id });
}

/** A keeper that is left asks for a vote to re-seed the job. */
function onReseed(core: With<'mesh'>, from: NodeId, kept: KeptJob, next: Signed<'config'>): void {
  const { job } = kept.ledger;
  if (!continues(currentOf(kept.ledger), next.body) || !hasSay(core, next.body)) return;
  if (core.suite.nodeOf(next.by) !== from || !isNamedRight(core.suite, next.body))
    return refuse(core, from, 'contradiction', true);
  if (!wouldReseed(core, kept, next)) return;
  if (!core.suite.verify(next)) return refuse(core, from, 'bad-signature', true);
  send(core, from, { type: 'voted', job, votes: [voteToReseed(core, kept, next)] });
}

/** One that lost what it promised of this job says so when it is asked about it. */
function askGoers(core: With<'mesh'>, kept: KeptJob, current: Configuration, next: Configuration) {
  for (const keeper of beyond(current.keepers, next.keepers))
    if (keeper.node !== core.self && goneBecause(core, kept, keeper) === null)
      send(core, keeper.node, { type: 'status-wanted', jobs: [kept.ledger.job] });
}

/** The leader asks a node that does not keep the job whether it would. */
export function onJoin(
  core: With<'mesh' | 'keeping' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'join' }>,
): void {
  const { spec, next } = message;
  const { job } = spec.body;
  if (isOver(core, job, spec.body.version)) {
    const end = endOf(core, job);
    send(core, from, end === null ? { type: 'over', job } : { type: 'closed', job, ...end });
    return;
  }
  if (core.keeping.forfeits.has(job)) return tellForfeit(core, from, job);
  const verdict = checkActivation(core.suite, spec, message, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
  if (!isProven(core.suite, message)) return refuse(core, from, 'bad-certificate', false);
  const chain = chainOf(message);
  const current = currentOf(chain);
  const mayCome = follows(current, next.body) || continues(current, next.body);
  if (next.body.job !== job || !isKeeper(current, from) || !mayCome)
    return refuse(core, from, 'contradiction', false);
  if (!hasVote({ ...next.body, former: [] }, core.self, core.config.store))
    return refuse(core, from, 'not-keeper', false);
  const known = core.keeping.kept.get(job);
  if (known !== undefined && known.ledger.admission.record.id !== message.admission.record.id)
    return refuse(core, from, 'contradiction', false);
  if (known === undefined && (shut(core) !== null || !hasRoom(core, from, spec)))
    return refuse(core, from, 'over-limit', false);
  // It would promise nothing here, which is for now only: it goes back when a quorum of those has.
  if (known === undefined && obeysHigher(core, current, job))
    return refuse(core, from, 'outdated-epoch', false);
  const kept = known ?? invite(core, from, message);
  if (kept === null) return;
  takeBranch(core, from, kept, message.configs ?? [], message.version);
  takeVersion(core, from, kept, message);
  kept.guestAt = core.now;
  onChange(core, from, kept, { type: 'change', job, next });
}

/** What runs here obeys the keepers of a higher branch, and could not obey these. */
const obeysHigher = (core: With<'executing'>, { config }: Configuration, job: JobId): boolean =>
  [...core.executing.executions.values()].some(
    ({ stored, epoch }) => stored.order.job === job && epoch.config.major > config.major,
  );

function invite(
  core: With<'mesh' | 'keeping' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'join' }>,
): KeptJob | null {
  const { spec, admission, configs } = message;
  const { job } = spec.body;
  // It was chosen with the admission, and was never told that the job goes on.
  if (core.keeping.pending.has(job)) {
    activate(core, from, spec, message);
    return core.keeping.kept.get(job) ?? null;
  }
  const none = { commands: [], committed: [], states: [], grant: null };
  const ledger = ledgerOf({ spec, admission, ...changes(configs ?? []), ...none });
  const kept = keep(core, ledger);
  kept.broughtBy = bringerOf(core, from);
  kept.unsaved = true;
  takeObeyed(core, kept);
  core.timers.set('leaders', after(core.now, LEAD_CHECK_MS));
  return kept;
}
