/**
 * The second copy of a result, made before it is accepted: one node after the other is asked for it,
 * again and again until it answers, is dead or has had its time.
 */
import { rootsOf } from '../record/chain.ts';
import { jobTimer } from '../consensus/proposer.ts';
import type { Message } from '../contract/messages.ts';
import { reachedMembers } from '../mesh/members.ts';
import { isNear } from '../mesh/reach.ts';
import { shut } from '../node/door.ts';
import { eachKept } from '../keeping/books.ts';
import type { KeptJob } from '../keeping/state.ts';
import { send, touch } from '../node/outbox.ts';
import { anew, isDue, said, toSay } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import { entrust } from './entrusting.ts';
import { leaderIn } from './state.ts';
import type { Closing, Leader, Replication } from './state.ts';
import { ownGrant } from '../placing/place.ts';
import { after } from '../record/ids.ts';
import type { NodeId } from '../record/ids.ts';
import { placeOf } from '../record/ledger.ts';
import type { Signed } from '../record/records.ts';
import { nextTaker } from './holders.ts';
import type { Around } from './holders.ts';
import { resultsOn } from './workload.ts';

/** A holder that is only started again has its results back by then. */
const MISSING_PAUSE_MS = 5_000;
/** Holders that are silent are told for so long. */
const ENTRUSTING_MS = 60_000;

export const around = (core: With<'mesh'>): Around => ({
  near: (node) => isNear(core, node),
  takers: () => [
    ...(shut(core) === null ? [core.self] : []),
    ...reachedMembers(core).map((member) => member.advert.body.node),
  ],
});

/** Sees to the second copy of a result; called as long as it is wanted. */
export function askForCopy(
  core: With<'mesh'>,
  kept: KeptJob,
  { replications }: Leader,
  state: Signed<'state'>,
): void {
  const { execution, result, node: executor } = state.body;
  if (result === null) return;
  const { replicateTimeoutMs } = core.config.limits;
  const copy = replications.get(execution) ?? newCopy(core, result.cid);
  replications.set(execution, copy);
  if (copy.asked !== null && copy.deadline <= core.now) {
    giveUp(core, copy, copy.asked);
    copy.late += 1;
  }
  const next = nextTaker(executor, copy, around(core));
  if (next !== copy.asked) {
    // It is dead: whoever is next need not wait for its deadline.
    if (copy.asked !== null) giveUp(core, copy, copy.asked);
    copy.asked = next;
    copy.deadline = after(copy.resend.at, replicateTimeoutMs);
  }
  if (copy.asked === null) return touch(core, kept.ledger.job);
  if (isDue(core, copy.resend)) {
    const { spec } = kept.ledger;
    const holders = [executor, ...copy.made].filter((node) => isNear(core, node));
    const grant = ownGrant(core, kept);
    send(core, copy.asked, {
      type: 'replicate',
      spec,
      ...rootsOf(kept.ledger),
      grant,
      state,
      holders,
    });
    said(core, copy.resend);
  }
  core.timers.set(jobTimer(kept), copy.resend.at < copy.deadline ? copy.resend.at : copy.deadline);
}

export const newCopy = (core: Node, cid: string): Replication => ({
  cid,
  asked: null,
  deadline: core.now,
  resend: toSay(core),
  made: new Set(),
  failed: new Set(),
  late: 0,
  missing: [],
});

function giveUp(core: Node, copy: Replication, node: NodeId): void {
  copy.failed.add(node);
  release(core, copy, node);
}

/** It is not asked any more; the next one may be at once. */
function release(core: Node, copy: Replication, node: NodeId): void {
  if (copy.asked !== node) return;
  copy.asked = null;
  anew(core, copy.resend);
}

/** Whoever was asked may have made it after its time, too. */
export function onReplicated(
  core: Node,
  from: NodeId,
  kept: KeptJob,
  { execution, cid, outcome }: Extract<Message, { type: 'replicated' }>,
): void {
  const { lead } = kept;
  if (lead === null || lead.stage === 'candidate') return;
  // Who does not have it any more cannot look after it.
  if (lead.entrusting.get(execution)?.nodes.delete(from) === true) touch(core, kept.ledger.job);
  const copy = lead.stage === 'leader' ? lead.replications.get(execution) : undefined;
  if (copy === undefined || copy.cid !== cid) return;
  if (copy.asked !== from && !copy.failed.has(from)) return;
  if (outcome === 'refused') giveUp(core, copy, from);
  else release(core, copy, from);
  if (outcome === 'made') {
    copy.made.add(from);
    copy.failed.delete(from);
  } else if (outcome === 'missing') {
    copy.missing.push(from);
    copy.resend.at = after(core.now, MISSING_PAUSE_MS);
  }
  touch(core, kept.ledger.job);
}

/** What was accepted is given into the care of its holders. */
export function beginEntrusting(core: Node, { ledger }: KeptJob, lead: Leader): void {
  for (const execution of lead.replications.keys()) {
    const state = ledger.states.get(execution);
    const accept = state && ledger.partitions.get(placeOf(ledger, state.body).partition)?.accept;
    if (accept == null) continue;
    lead.replications.delete(execution);
    if (accept.record.body.execution !== execution) continue;
    const nodes = new Set(accept.record.body.holders);
    const until = after(core.now, ENTRUSTING_MS);
    lead.entrusting.set(execution, { accept, nodes, until, resend: toSay(core) });
  }
}

/**
 * Holders see to the copies of what they were given: they are told until they answer, for a while.
 * @returns whether somebody has still to be told
 */
export function tellHolders(core: Node, kept: KeptJob, { entrusting }: Leader | Closing): boolean {
  for (const [execution, { accept, nodes, until, resend }] of entrusting) {
    if (nodes.size === 0 || core.now >= until) {
      entrusting.delete(execution);
      continue;
    }
    if (isDue(core, resend)) {
      for (const node of nodes) entrust(core, kept, node, accept);
      said(core, resend);
    }
    core.timers.set(jobTimer(kept), resend.at < until ? resend.at : until);
  }
  return entrusting.size > 0;
}

/** Nodes that make a copy for this leader, or have made one that is not accepted yet. */
export function* copiersOf(lead: Leader): Generator<NodeId, void, undefined> {
  for (const { asked, made } of lead.replications.values()) {
    if (asked !== null) yield asked;
    yield* made;
  }
}

/** A node of the job is dead or back: what lies on it counts no more, or again. */
export function concernsCopies(kept: KeptJob, node: NodeId): boolean {
  const lead = leaderIn(kept.lead);
  if (lead === null || kept.ledger.close !== null) return false;
  if (resultsOn(kept, node).length > 0) return true;
  for (const copier of copiersOf(lead)) if (copier === node) return true;
  return false;
}

/** A node is there again, with what it made: its results, and what others did not find there. */
export function nodeIsBack(core: With<'keeping'>, node: NodeId): void {
  for (const kept of eachKept(core)) {
    const lead = leaderIn(kept.lead);
    if (lead === null || !concernsCopies(kept, node)) continue;
    for (const execution of resultsOn(kept, node))
      lead.replications.get(execution)?.missing.splice(0);
    touch(core, kept.ledger.job);
  }
}
