/** The end of a leadership: the close is committed, and keepers, executors and holders have to hear of it. */
import { changes, currentOf } from '../record/chain.ts';
import { isKeeper, keeperNodes } from '../record/keeper-set.ts';
import { flushCommits, jobTimer, resendOpen } from '../consensus/proposer.ts';
import { createCommits } from '../consensus/state.ts';
import type { KeptJob } from '../keeping/state.ts';
import { send } from '../node/outbox.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import type { Node, With } from '../node/state.ts';
import { rememberUntold } from '../keeping/versions.ts';
import { closeRound } from '../placing/place.ts';
import { after } from '../record/ids.ts';
import type { NodeId } from '../record/ids.ts';
import { isTerminal, summaryOf } from '../record/ledger.ts';
import type { Certified } from '../record/records.ts';
import { beginEntrusting, tellHolders } from './copies.ts';
import type { Candidate, Closing, Leader } from './state.ts';

/** Commits and the news of the close are repeated to silent nodes for this long; later they ask. */
const CLOSING_MS = 60_000;

export function beginClosing(
  core: Node,
  kept: KeptJob,
  lead: Candidate | Leader,
  close: Certified<'close'>,
): Closing {
  if (lead.stage === 'leader') {
    beginEntrusting(core, kept, lead);
    closeRound(core, kept, lead);
    lead.commits.proposals.clear();
  }
  const summary = summaryOf(kept.ledger, false);
  core.out.push({ type: 'gossip', gossip: { type: 'closed', close, summary } });
  const nodes = new Set<NodeId>();
  for (const { attempts } of kept.ledger.partitions.values()) {
    for (const { assign } of attempts.values()) nodes.add(assign.record.body.node);
  }
  for (const [version, { assigned, states }] of kept.ledger.others)
    for (const [execution, { node }] of version < close.record.body.version ? assigned : [])
      if (!isTerminal(states.get(execution)?.body.phase ?? 'received')) nodes.add(node);
  // Who kept the job once has it open, and asks seldom how it stands.
  for (const configuration of kept.ledger.configurations)
    for (const node of keeperNodes(configuration))
      if (!isKeeper(currentOf(kept.ledger), node)) nodes.add(node);
  return {
    stage: 'closing',
    epoch: lead.epoch,
    commits: lead.stage === 'leader' ? lead.commits : createCommits(core),
    entrusting: lead.stage === 'leader' ? lead.entrusting : new Map(),
    nodes,
    until: after(core.now, CLOSING_MS),
    resend: toSay(core),
  };
}

/** Tells those who have not answered; lets go when all have, or the time is up. */
export function tickClosing(
  core: With<'keeping'>,
  kept: KeptJob,
  lead: Closing,
  close: Certified<'close'>,
): void {
  const { nodes, resend, until } = lead;
  const untold = tellHolders(core, kept, lead);
  flushCommits(core, kept, lead, false);
  const commitsOpen = resendOpen(core, kept, lead);
  if (core.now >= until || (!commitsOpen && !untold && nodes.size === 0)) {
    // Who has not heard by now asks when it is back: with a lease, a state or a question of its own.
    kept.lead = null;
    const deaf = [...lead.commits.unacked].filter(([, slots]) => slots.size > 0);
    rememberUntold(
      core,
      kept,
      deaf.map(([node]) => node),
    );
    return;
  }
  core.timers.set(jobTimer(kept), until);
  if (nodes.size === 0) return;
  if (isDue(core, resend)) {
    const changed = changes(kept.ledger.configs);
    for (const node of nodes)
      send(core, node, { type: 'closed', job: kept.ledger.job, close, ...changed });
    said(core, resend);
  }
  core.timers.set(jobTimer(kept), resend.at);
}
