/**
 * Failure detection between nodes that share a job: one probe per pair, SWIM
 * style — a miss asks three others, then suspicion, then death — with Lifeguard's local health: a
 * node whose own loop lagged accuses nobody. Any message from a node is a sign of life.
 */
import { currentOf } from '../record/chain.ts';
import { keeperNodes, majority } from '../record/keeper-set.ts';
import { after } from '../record/ids.ts';
import type { NodeId } from '../record/ids.ts';
import { leaderGone, leaderOf } from '../keeping/keeper.ts';
import { judgeAllAnew } from '../keeping/oversight.ts';
import { loseNode } from '../leading/silence.ts';
import { leaderIn } from '../leading/state.ts';
import { isBehind, LAG_MS } from './backlog.ts';
import { forgetAlive, reachedMembers } from './members.ts';
import type { Message } from '../contract/messages.ts';
import type { Watch } from './state.ts';
import { eachKept } from '../keeping/books.ts';
import { note, send } from '../node/outbox.ts';
import { remember } from '../node/remember.ts';
import { concernsCopies, copiersOf, nodeIsBack } from '../leading/copies.ts';
import { liveOn } from '../leading/workload.ts';
import type { Node, With } from '../node/state.ts';

/** A refused connection is strong evidence, but a restarting process deserves a second try. */
const UNREACHABLE_RETRY_MS = 700;
const HELPERS = 3;
/** A keeper that does not lead is replaced after a minute: there is time to find out that it is away. */
const KEEPER_PROBE_MS = 10_000;
/** Nodes whose last sign of life is remembered; whoever makes up ids pushes out the oldest. */
const HEARD_MAX = 20_000;
/** Dead nodes that nothing depends on any more: they are remembered so that they are not counted as alive. */
const DEAD_MAX = 10_000;
/** Probes for others under way; one that is forgotten is repeated by whoever asked for it. */
const RELAYED_MAX = 1_024;
const RELAYED_MS = 10_000;
/** For this long after its own start a node does not conclude that executors are gone: they may be starting too. */
const SETTLE_MS = 10_000;

const newWatch = (core: Node): Watch => ({
  since: core.now,
  nonce: 0,
  sentAt: null,
  misses: 0,
  asked: [],
  vouched: new Set(),
  suspectSince: null,
  unreachable: 'no',
  dead: false,
  triedAt: core.now,
});

/**
 * The nodes whose death would make this node act: at once (true) for leaders of its jobs and executors of jobs it
 * leads; for other keepers of its jobs when they stay away.
 */
function targets(core: With<'keeping'>): ReadonlyMap<NodeId, boolean> {
  const nodes = new Map<NodeId, boolean>();
  const urgent = new Set<NodeId>();
  for (const kept of eachKept(core)) {
    const leader = leaderOf(kept);
    if (leader === null) continue;
    urgent.add(leader);
    for (const node of keeperNodes(currentOf(kept.ledger))) nodes.set(node, false);
    const lead = leaderIn(kept.lead);
    if (lead === null) continue;
    for (const partition of kept.ledger.partitions.values()) {
      if (partition.accept !== null) continue;
      for (const { assign } of partition.attempts.values()) urgent.add(assign.record.body.node);
    }
    for (const node of copiersOf(lead)) urgent.add(node);
  }
  for (const node of urgent) nodes.set(node, true);
  nodes.delete(core.self);
  return nodes;
}

/** Probes everybody of interest; called every `probeMs`. */
export function probeAll(core: With<'mesh' | 'keeping'>): void {
  const wanted = targets(core);
  for (const node of core.mesh.watches.keys()) {
    const watch = core.mesh.watches.get(node);
    if (wanted.has(node)) continue;
    if (watch?.dead !== true || core.mesh.watches.size > DEAD_MAX) core.mesh.watches.delete(node);
  }
  const { probeMs, keeperReplaceAfterMs } = core.config.limits;
  const calmMs = Math.min(KEEPER_PROBE_MS, keeperReplaceAfterMs / 2);
  for (const [node, urgent] of wanted) {
    const watch = core.mesh.watches.get(node) ?? newWatch(core);
    core.mesh.watches.set(node, watch);
    const silent = core.now - (core.mesh.heardAt.get(node) ?? -Infinity);
    if (watch.dead) tryAgain(core, node, watch, calmMs);
    else if (watch.sentAt === null && silent >= (urgent ? probeMs : calmMs))
      probe(core, node, watch);
  }
  core.timers.set('probe', after(core.now, core.config.limits.probeMs));
}

/** Who is back need not be connected to this node. */
function tryAgain(core: With<'mesh'>, node: NodeId, watch: Watch, pauseMs: number): void {
  if (core.now - watch.triedAt < pauseMs) return;
  watch.triedAt = core.now;
  core.mesh.nonce += 1;
  send(core, node, { type: 'ping', nonce: core.mesh.nonce });
}

function probe(core: With<'mesh'>, node: NodeId, watch: Watch): void {
  core.mesh.nonce += 1;
  watch.nonce = core.mesh.nonce;
  watch.sentAt = core.now;
  send(core, node, { type: 'ping', nonce: watch.nonce });
  core.timers.set(`watch:${node}`, after(core.now, core.config.limits.probeTimeoutMs));
}

/** A probe may have gone unanswered: ask others, suspect, declare dead. */
export function tickWatch(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  const watch = core.mesh.watches.get(node);
  if (watch === undefined || watch.dead) return;
  // The answer may lie here: it is asked anew, with the next round of probes.
  if (isBehind(core)) return void core.mesh.watches.set(node, newWatch(core));
  const { probeTimeoutMs, suspectMs } = core.config.limits;
  if (watch.suspectSince !== null && core.now - watch.suspectSince >= suspectMs) {
    return declareDead(core, node, watch);
  }
  if (watch.sentAt === null) return;
  if (core.now - watch.sentAt < probeTimeoutMs) {
    return core.timers.set(`watch:${node}`, after(watch.sentAt, probeTimeoutMs));
  }
  watch.misses += 1;
  if (watch.misses > 1 && watch.suspectSince === null) {
    watch.suspectSince = core.now;
    note(core, 'peer.suspect', { node });
  }
  probe(core, node, watch);
  // After the probe, whose number it is that comes back.
  askOthers(core, node, watch);
}

function askOthers(core: With<'mesh'>, node: NodeId, watch: Watch): void {
  const all = reachedMembers(core)
    .map((member) => member.advert.body.node)
    .filter((other) => other !== node);
  // Others each time: a few that lie would speak for the dead again and again.
  const first = all.length === 0 ? 0 : watch.nonce % all.length;
  const others = [...all.slice(first), ...all.slice(0, first)].slice(0, HELPERS);
  watch.asked = others;
  watch.vouched.clear();
  for (const other of others)
    send(core, other, { type: 'ping-for-me', nonce: watch.nonce, target: node });
}

function declareDead(core: With<'mesh' | 'keeping'>, node: NodeId, watch: Watch): void {
  watch.dead = true;
  forgetAlive(core);
  watch.sentAt = null;
  watch.suspectSince = null;
  note(core, 'peer.dead', { node });
  for (const kept of eachKept(core)) {
    if (leaderOf(kept) === node) leaderGone(core, kept);
    const settled = core.now - core.startedAt >= SETTLE_MS;
    if (settled && (liveOn(kept, node).length > 0 || concernsCopies(kept, node)))
      loseNode(core, kept, node);
  }
}

/** Any message is a sign of life; whether its sender leads what it should is asked for itself. */
export function onHeard(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  if (core.mesh.heardAt.size < HEARD_MAX || core.mesh.heardAt.has(node))
    core.mesh.heardAt.set(node, core.now);
  else remember(core.mesh.heardAt, node, core.now, HEARD_MAX);
  takeForAlive(core, node);
}

function takeForAlive(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  const watch = core.mesh.watches.get(node);
  if (watch === undefined) return;
  core.mesh.watches.set(node, newWatch(core));
  if (!watch.dead) return;
  forgetAlive(core);
  nodeIsBack(core, node);
  for (const kept of eachKept(core)) {
    if (leaderOf(kept) === node && kept.lead === null) kept.candidateAt = null;
  }
}

export function onPing(core: Node, from: NodeId, nonce: number): void {
  send(core, from, { type: 'pong', nonce });
}

/** A probe for somebody else, who will take any answer of ours as a sign that the target lives. */
export function onPingForMe(
  core: With<'mesh'>,
  from: NodeId,
  message: Extract<Message, { type: 'ping-for-me' }>,
): void {
  if (message.target === core.self) return send(core, from, { type: 'pong', nonce: message.nonce });
  for (const [nonce, relayed] of core.mesh.relayedPings) {
    if (core.now - relayed.at < RELAYED_MS) break;
    core.mesh.relayedPings.delete(nonce);
  }
  // Nobody is made to dial whom this node has never heard of.
  if (!core.mesh.members.has(message.target) && !core.mesh.connected.has(message.target)) return;
  core.mesh.nonce += 1;
  const { target } = message;
  const relayed = { from, target, nonce: message.nonce, at: core.now };
  remember(core.mesh.relayedPings, core.mesh.nonce, relayed, RELAYED_MAX);
  send(core, target, { type: 'ping', nonce: core.mesh.nonce });
}

export function onPong(core: With<'mesh' | 'keeping'>, from: NodeId, nonce: number): void {
  const relayed = core.mesh.relayedPings.get(nonce);
  if (relayed?.target === from) {
    core.mesh.relayedPings.delete(nonce);
    return send(core, relayed.from, { type: 'pong', nonce: relayed.nonce });
  }
  // A pong that somebody relayed: the node it is about is alive, though we cannot reach it ourselves. One
  // member alone could say that of the dead for ever, so most of those who were asked must say it.
  for (const [node, watch] of core.mesh.watches) {
    if (watch.nonce !== nonce || watch.sentAt === null || !watch.asked.includes(from)) continue;
    watch.vouched.add(from);
    if (watch.vouched.size >= majority(watch.asked.length)) takeForAlive(core, node);
  }
}

/** Hints of the transport: look at once instead of at the next probe. */
export function onDisconnected(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  const watch =
    core.mesh.watches.get(node) ?? (targets(core).has(node) ? newWatch(core) : undefined);
  if (watch === undefined || watch.dead) return;
  core.mesh.watches.set(node, watch);
  probe(core, node, watch);
}

export function onUnreachable(core: With<'mesh' | 'keeping'>, node: NodeId): void {
  const watch = core.mesh.watches.get(node);
  if (watch === undefined || watch.dead) return;
  if (watch.unreachable === 'again') return declareDead(core, node, watch);
  // That a dial failed is heard of seconds later, and of several at once: before the second try they count as one.
  if (watch.unreachable === 'once') return;
  watch.unreachable = 'once';
  watch.sentAt = core.now;
  core.timers.set(`retry:${node}`, after(core.now, UNREACHABLE_RETRY_MS));
}

export function retryUnreachable(core: With<'mesh'>, node: NodeId): void {
  const watch = core.mesh.watches.get(node);
  if (watch === undefined || watch.dead || watch.unreachable === 'no') return;
  watch.unreachable = 'again';
  probe(core, node, watch);
}

/** This node itself was late: every suspicion it holds is void. */
export function onLag(core: With<'mesh' | 'keeping'>, lateMs: number): void {
  if (lateMs < LAG_MS) return;
  note(core, 'loop.lagged', { ms: Math.round(lateMs) });
  judgeAllAnew(core);
  for (const [node, watch] of core.mesh.watches) {
    if (!watch.dead) core.mesh.watches.set(node, newWatch(core));
    // It may have been back meanwhile, and have gone again.
    else watch.since = core.now;
  }
}
