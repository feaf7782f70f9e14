/** The lease of an execution: renewed with its leader, whoever that is by now. */
import {
  chainOf,
  compareConfigs,
  configurationOf,
  currentOf,
  everKept,
  firstOf,
  sameConfig,
} from '../record/chain.ts';
import { compareEpochs } from '../record/ballot.ts';
import { isTerminal } from '../record/ledger.ts';
import { certifiedEpoch } from '../record/certificate.ts';
import { isKeeper, isQuorum, keeperNodes } from '../record/keeper-set.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, JobId, NodeId } from '../record/ids.ts';
import type { Message } from '../contract/messages.ts';
import type { Epoch } from '../record/records.ts';
import { beginQueued } from './queue.ts';
import { goBy, heardOf, isForeign, keepsOther } from './obeying.ts';
import { report } from './reporting.ts';
import { isPausing, resumePause } from './restarting.ts';
import { eachLive } from './state.ts';
import { persist, send } from '../node/outbox.ts';
import type { LocalExecution } from './state.ts';
import { branchOf, checkGrant, grantedEpoch } from '../record/verify.ts';
import { endPassedOver } from './ending.ts';
import type { Node, With } from '../node/state.ts';

/** One message for each node that is told, whatever number of executions it covers. */
export function renewLeases(core: With<'keeping' | 'executing'>): void {
  const told = new Map<NodeId, { job: JobId; execution: ExecutionId }[]>();
  for (const [id, execution] of eachLive(core)) {
    // How far it is was lost on the way, or another leads now who has not heard it.
    if (!execution.acked.has(execution.epoch.leader)) {
      report(core, execution);
      tellAssigned(core, execution);
    }
    for (const node of whomToTell(core, execution)) {
      const list = told.get(node) ?? [];
      list.push({ job: execution.stored.order.job, execution: id });
      told.set(node, list);
    }
  }
  for (const [node, executions] of told) send(core, node, { type: 'renew', executions });
  if (told.size > 0) core.timers.set('renew', after(core.now, core.config.limits.leaseRenewMs));
}

/**
 * The leader; when it has been silent for two renewals, the keepers in turn besides: one of them knows who
 * leads. It may be its answers alone that were lost, so it is told all the same. In the end those that kept the job
 * before, too: all that keep it since it was re-seeded may be gone.
 */
function whomToTell(core: With<'keeping'>, execution: LocalExecution): ReadonlySet<NodeId> {
  const { leaseRenewMs } = core.config.limits;
  const silent = core.now - execution.leaderHeardAt;
  const nodes = new Set([execution.epoch.leader]);
  if (execution.hinted !== null) nodes.add(execution.hinted);
  // This node may still lead, or believe so, when its execution obeys another.
  const lead = core.keeping.kept.get(execution.stored.order.job)?.lead;
  if (lead?.stage === 'leader') nodes.add(core.self);
  if (silent < 2 * leaseRenewMs) return nodes;
  const chain = chainOf(execution.stored);
  const known = isAlone(core, execution) ? chain.configurations : [currentOf(chain)];
  const keepers = [...new Set(known.flatMap((one) => keeperNodes(one)))];
  const keeper = keepers[Math.floor(silent / leaseRenewMs) % keepers.length];
  return keeper === undefined ? nodes : nodes.add(keeper);
}

/** None of those that it obeys has been heard for as long as it takes to re-seed the job. */
const isAlone = (core: Node, { leaderHeardAt }: LocalExecution): boolean =>
  core.now - leaderHeardAt >= core.config.limits.reseedAfterMs;

/** Of whoever keeps the job: another would only keep this node from looking for its leader. */
export function onRenewed(
  core: With<'mesh' | 'placing' | 'executing'>,
  from: NodeId,
  executions: readonly ExecutionId[],
): void {
  let wasDoubted = false;
  for (const id of executions) {
    const execution = core.executing.executions.get(id);
    if (execution === undefined) continue;
    const { stored, epoch } = execution;
    if (from !== epoch.leader && !everKept(chainOf(stored), from)) continue;
    execution.leaderHeardAt = core.now;
    if (execution.doubtedUntil === null) continue;
    wasDoubted = true;
    execution.doubtedUntil = null;
    if (isPausing(execution)) resumePause(core, execution);
  }
  if (wasDoubted) beginQueued(core);
}

export function onLeads(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  message: Extract<Message, { type: 'leads' }>,
): void {
  const { job, epoch, grant } = message;
  for (const [id, execution] of core.executing.executions) {
    if (execution.stored.order.job !== job) continue;
    followBack(core, from, execution, message);
    const chain = heardOf(core, execution, message.configs);
    if (isPassedOver(execution)) endPassedOver(core, execution);
    if (grant !== null && checkGrant(core.suite, chain, grant) !== 'good') continue;
    const proven = grantedEpoch(chain, grant);
    const known = compareEpochs(proven, execution.epoch);
    if (known > 0) adopt(core, id, proven);
    if (known > 0) tellAssigned(core, execution);
    // It waits for a word of whoever leads it.
    if (known > 0 && execution.doubtedUntil !== null && proven.leader !== from)
      askLeader(core, execution, proven);
    const hint = known >= 0 && compareEpochs(epoch, proven) === 0 ? null : epoch;
    if (hint !== null) follow(core, from, execution, hint);
    else execution.hinted = null;
    // Who names another does not lead, though he did once; nor does who led those that keep the job no more.
    const isPast = !sameConfig(proven.config, currentOf(chain).config);
    if (known >= 0 && proven.leader === from && hint === null && !isPast) {
      execution.leaderHeardAt = core.now;
      // Whom this node told how far it is may have been started again since, and knows of the end alone.
      const { assign, state } = execution.stored;
      const isKept = assign !== null && isTerminal(state.body.phase);
      const isUnknown = !isKept && execution.acked.delete(from);
      if (known > 0 || isUnknown) report(core, execution);
    }
  }
}

/**
 * A keeper of those that this node obeys tells of others, though the job was re-seeded with these: it has yielded to
 * those before. When a quorum has, this node does, too; and when it hears none of these any more, and who leads others
 * proves that it does.
 */
function followBack(
  core: With<'keeping'>,
  from: NodeId,
  execution: LocalExecution,
  { configs = [], grant }: Extract<Message, { type: 'leads' }>,
): void {
  const { stored, left } = execution;
  const current = currentOf(chainOf(stored));
  const isLeft = isAlone(core, execution);
  if (current.config.major === 0 || !(isLeft || isKeeper(current, from))) return;
  const first = firstOf(stored.admission.record.body);
  const told = branchOf(core.suite, first, configs);
  if (told === null || compareConfigs(currentOf(told).config, current.config) >= 0) return;
  const proven = grant !== null && checkGrant(core.suite, told, grant) === 'good' ? grant : null;
  const epoch = grantedEpoch(told, proven);
  if (isKeeper(current, from)) left.add(from);
  const mayGo = isLeft && !keepsOther(core, told);
  if (!isQuorum(current, left) && !(mayGo && epoch.leader === from)) {
    if (mayGo && everKept(told, from)) askLeader(core, execution, epoch);
    return;
  }
  goBy(core, execution, told, configs);
  execution.epoch = epoch;
  execution.hinted = null;
  saveEpoch(core, told.job, execution.epoch);
}

/** Those that a job was re-seeded with may not know what the keepers before them decided last, nor from the first word of it. */
function tellAssigned(core: Node, { stored: { assign }, epoch }: LocalExecution): void {
  if (assign === null || epoch.config.major === certifiedEpoch(assign).config.major) return;
  const { job } = assign.record.body;
  send(core, epoch.leader, { type: 'commit', job, values: [assign] });
}

/** It was assigned by keepers that are not on the way to those that the node obeys. */
export function isPassedOver({ stored }: LocalExecution): boolean {
  const { assign } = stored;
  return (
    assign !== null && configurationOf(chainOf(stored), certifiedEpoch(assign).config) === null
  );
}

/**
 * Without a proof nothing is obeyed, nor below an epoch that this node promised and that never came to lead; but
 * the one who may lead must not take this execution for lost.
 */
function follow(core: Node, from: NodeId, local: LocalExecution, { leader }: Epoch): void {
  const { stored, hinted } = local;
  const keepers = currentOf(chainOf(stored));
  if (!isKeeper(keepers, from) || !isKeeper(keepers, leader) || leader === core.self) return;
  local.hinted = leader;
  if (leader === from || leader === hinted) return;
  askLeader(core, local, { leader });
}

/** Whoever is said to lead tells so himself, with the proof. */
function askLeader(
  core: Node,
  { stored }: LocalExecution,
  { leader }: Pick<Epoch, 'leader'>,
): void {
  const { job, execution } = stored.order;
  send(core, leader, { type: 'renew', executions: [{ job, execution }] });
}

export function adopt(core: With<'keeping' | 'executing'>, id: ExecutionId, epoch: Epoch): void {
  const execution = core.executing.executions.get(id);
  if (execution === undefined) return;
  execution.leaderHeardAt = core.now;
  if (compareEpochs(epoch, execution.epoch) <= 0) return;
  execution.epoch = epoch;
  execution.hinted = null;
  saveEpoch(core, execution.stored.order.job, epoch);
}

/** What an executor obeys must not sink by a restart: who keeps the job, too, promises no less. */
export function saveEpoch(core: With<'keeping'>, job: JobId, epoch: Epoch): void {
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) {
    // What runs here obeys another branch: that promises nothing.
    if (compareEpochs(epoch, kept.promised) <= 0 || isForeign(kept, epoch.config)) return;
    kept.promised = epoch;
  }
  // The row of a job on the shelf says what its keeper promised, and that may be more.
  if (kept === undefined && core.keeping.shelf.has(job)) return;
  persist(core, { table: 'promises', job, key: job, value: epoch });
}
