/**
 * One node of the mesh as a pure machine (README, "The core contract"): an input and the time go in,
 * effects come out. This file only dispatches; what happens is in the parts it calls.
 *
 * Within one input: the input itself, then messages to this node itself, then every job that was
 * touched, until nothing is left. All writes of the input come first in the result, as one barrier:
 * a record is on disk before any message that speaks of it leaves.
 */
import {
  dropInterest,
  onAnnouncement,
  onBidClosed,
  onSpec,
  reconsider,
  tickHolds,
} from './bidder.ts';
import { busyHeld } from './capacity.ts';
import { onCommitAck, onVoted } from './commit.ts';
import {
  onDisconnected,
  onHeard,
  onLag,
  onPing,
  onPingForMe,
  onPong,
  onUnreachable,
  probeAll,
  retryUnreachable,
  tickWatch,
} from './detector.ts';
import * as directory from './directory.ts';
import { confirmLead, onPromise } from './epochs.ts';
import * as executor from './executor.ts';
import { after, asExecutionId, asHlc, asJobId, asMillis, asNodeId, asRequestId } from './ids.ts';
import type { Hlc, JobId, Millis, NodeId } from './ids.ts';
import * as keeper from './keeper.ts';
import { onNotStarted, onRenewed, onReplicated, onStarted } from './lead.ts';
import { recordsOf, stateOf } from './ledger.ts';
import type {
  Effect,
  Input,
  Inspection,
  Machine,
  MachineConfig,
  Restored,
  Sighting,
} from './machine-types.ts';
import { advertise, doubtMember, forgetAlive, greet, ownAdvert, takeAdvert } from './members.ts';
import type { Gossip, Message } from './messages.ts';
import { inviteNewcomer, onBid, onDecline, waitingView } from './place.ts';
import { nothing } from './resources.ts';
import { restore } from './restore.ts';
import { onActivated, onAdmitted, onNotAdmitted, submit, tickSubmission } from './sponsor.ts';
import type { Core, KeptJob } from './state.ts';
import { send } from './state.ts';
import type { Suite } from './suite.ts';
import { Timers } from './timers.ts';

/** Jobs whose data this node made or holds, remembered for bids. */
const localMax = 10_000;

function createCore(config: MachineConfig, suite: Suite): Core {
  return {
    config,
    suite,
    self: config.node,
    now: asMillis(0),
    wall: asHlc(0),
    hlc: asHlc(0),
    startedAt: asMillis(0),
    timers: new Timers(),
    out: [],
    writes: [],
    inbox: [],
    dirty: new Set(),
    profile: null,
    draining: false,
    advertSequence: 0,
    members: new Map(),
    alive: null,
    connected: new Set(),
    heardAt: new Map(),
    watches: new Map(),
    stops: new Map(),
    relayedPings: new Map(),
    nonce: 0,
    kept: new Map(),
    pending: new Map(),
    submissions: new Map(),
    executions: new Map(),
    holds: new Map(),
    wishes: new Map(),
    awaitingSpec: new Map(),
    index: new Map(),
    closed: new Map(),
    lookups: new Map(),
    replicas: new Map(),
    local: new Set(),
    refused: {},
  };
}

/**
 * @param restored everything the node's store holds; consumed with the first input, which brings the time
 */
export function createMachine(config: MachineConfig, suite: Suite, restored: Restored): Machine {
  const core = createCore(config, suite);
  let booted = false;

  function handle(input: Input, now: Millis, wall: Hlc): readonly Effect[] {
    core.wall = wall;
    core.hlc = wall > core.hlc ? wall : core.hlc;
    if (!booted) {
      booted = true;
      boot(core, restored, now);
    }
    keepTime(core, now);
    dispatch(core, input);
    settle(core);
    for (let key = core.timers.take(now); key !== null; key = core.timers.take(now)) {
      ring(core, key);
      settle(core);
    }
    return drain(core);
  }

  return {
    handle,
    nextWake: () => (booted ? core.timers.next() : asMillis(0)),
    inspect: () => inspect(core),
    load: () => ({ jobsKept: core.kept.size, executions: core.executions.size }),
    sightings: () => sightings(core),
  };
}

function boot(core: Core, restored: Restored, now: Millis): void {
  core.now = now;
  core.startedAt = now;
  restore(core, restored);
  core.timers.set('probe', after(now, core.config.limits.probeMs));
  core.timers.set('lead-check', after(now, 1_000));
}

/** Notices when this node did not run for a while: it then accuses nobody, and confirms what it leads. */
function keepTime(core: Core, now: Millis): void {
  const due = core.timers.next();
  core.now = now;
  if (due === null || due >= now) return;
  onLag(core, now - due);
  if (now - due <= core.config.limits.leaderGapMs) return;
  for (const kept of core.kept.values()) {
    if (kept.lead?.mode === 'leading' && kept.ledger.close === null) confirmLead(core, kept, kept.lead);
  }
}

/** Works off what this input caused inside the node. */
function settle(core: Core): void {
  for (;;) {
    const message = core.inbox.shift();
    if (message !== undefined) {
      onMessage(core, core.self, message);
      continue;
    }
    const job: JobId | undefined = core.dirty.values().next().value;
    if (job === undefined) return;
    core.dirty.delete(job);
    const kept = core.kept.get(job);
    if (kept !== undefined) tickJob(core, kept);
  }
}

function tickJob(core: Core, kept: KeptJob): void {
  const closing = kept.ledger.close !== null && kept.closedAt === null;
  keeper.tickKept(core, kept);
  if (!closing || kept.ledger.close === null) return;
  const { job } = kept.ledger;
  dropInterest(core, job);
  executor.endExecutions(core, job);
  directory.stopOvertaken(core, job, kept.ledger.close.record.body.outcome);
}

/** All writes first, as one barrier, then everything else in order. */
function drain(core: Core): readonly Effect[] {
  const effects = core.out.splice(0);
  const writes = core.writes.splice(0);
  return writes.length === 0 ? effects : [{ type: 'persist', writes }, ...effects];
}

function dispatch(core: Core, input: Input): void {
  switch (input.type) {
    case 'wake':
      return;
    case 'message':
      onHeard(core, input.from);
      return onMessage(core, input.from, input.message);
    case 'gossip':
      return onGossip(core, input.from, input.gossip);
    case 'profile':
      core.profile = input.profile;
      advertise(core);
      return reconsider(core);
    case 'peer-connected':
      core.connected.add(input.node);
      forgetAlive(core);
      onHeard(core, input.node);
      return greet(core, input.node);
    case 'peer-disconnected':
      core.connected.delete(input.node);
      doubtMember(core, input.node);
      return onDisconnected(core, input.node);
    case 'unreachable':
      return onUnreachable(core, input.node);
    case 'submit':
      return submit(core, input);
    case 'stop':
      return directory.onQuery(
        core,
        input.request,
        { type: 'job', ref: input.job, namespace: 'default' },
        { stop: input.reason },
      );
    case 'query':
      return directory.onQuery(core, input.request, input.query, 'reply');
    case 'run-event': {
      executor.onRunEvent(core, input.execution, input.event);
      const job = core.executions.get(input.execution)?.stored.order.job;
      if (job !== undefined && core.closed.has(job)) executor.endExecutions(core, job);
      return;
    }
    case 'replicated':
      return onLocalReplica(core, input);
    case 'content':
      if (!input.local) core.local.delete(input.cid);
      else if (core.local.size < localMax) core.local.add(input.cid);
      return;
    case 'drain':
      core.draining = true;
      core.out.push({ type: 'gossip', gossip: { type: 'leaving', node: core.self } });
      return advertise(core);
  }
}

function onLocalReplica(core: Core, input: Extract<Input, { type: 'replicated' }>): void {
  const { execution, cid, done } = input;
  const wanted = core.replicas.get(execution);
  if (wanted === undefined) return;
  core.replicas.delete(execution);
  if (done) core.local.add(cid);
  send(core, wanted.asker, { type: 'replicated', job: wanted.job, execution, cid, done });
}

function onGossip(core: Core, from: NodeId, gossip: Gossip): void {
  switch (gossip.type) {
    case 'announce':
      directory.onGossipAnnounce(core, gossip);
      return onAnnouncement(core, from, gossip.announcement, false);
    case 'advert': {
      const known = core.members.has(gossip.advert.body.node);
      takeAdvert(core, from, gossip.advert);
      if (!known && core.members.has(gossip.advert.body.node)) {
        inviteNewcomer(core, gossip.advert.body.node);
      }
      return;
    }
    case 'closed':
      directory.onGossipClosed(core, from, gossip);
      return dropInterest(core, gossip.summary.job);
    case 'leaving':
      core.members.delete(gossip.node);
      forgetAlive(core);
  }
}

/** Messages about a job this node keeps; asks for the job when it should keep it and does not. */
function withKept(core: Core, from: NodeId, job: JobId, then: (kept: KeptJob) => void): void {
  const kept = keeper.keptFor(core, from, job);
  if (kept !== null) then(kept);
}

function onMessage(core: Core, from: NodeId, message: Message): void {
  switch (message.type) {
    case 'admit':
      return keeper.onAdmit(core, from, message);
    case 'admitted':
      onAdmitted(core, from, message);
      return keeper.onCoVote(core, from, message);
    case 'not-admitted':
      return onNotAdmitted(core, from, message);
    case 'activate':
      return keeper.onActivate(core, from, message);
    case 'job-wanted': {
      const ledger = core.kept.get(message.job)?.ledger;
      if (ledger === undefined) return;
      return send(core, from, { type: 'activate', spec: ledger.spec, admission: ledger.admission });
    }
    case 'invite':
      return onAnnouncement(core, from, message.announcement, true);
    case 'spec-wanted': {
      const spec = core.kept.get(message.job)?.ledger.spec;
      return spec === undefined ? undefined : send(core, from, { type: 'spec', spec });
    }
    case 'spec':
      return onSpec(core, from, message.spec);
    case 'bid': {
      const kept = core.kept.get(message.job);
      if (kept !== undefined) return onBid(core, from, kept, message);
      return send(core, from, { type: 'bid-closed', job: message.job, version: message.version });
    }
    case 'decline': {
      const kept = core.kept.get(message.job);
      return kept === undefined ? undefined : onDecline(core, from, kept, message);
    }
    case 'bid-closed':
      return onBidClosed(core, message);
    case 'prepare':
      return withKept(core, from, message.job, (kept) =>
        keeper.onPrepare(core, from, kept, message.grant),
      );
    case 'propose':
      return withKept(core, from, message.job, (kept) =>
        keeper.onPropose(core, from, kept, message),
      );
    case 'commit':
      return withKept(core, from, message.job, (kept) => keeper.onCommit(core, from, kept, message));
    default:
      return onOtherMessage(core, from, message);
  }
}

type Other = Exclude<
  Message,
  {
    type:
      | 'admit' | 'admitted' | 'not-admitted' | 'activate' | 'job-wanted'
      | 'invite' | 'spec-wanted' | 'spec' | 'bid' | 'decline' | 'bid-closed'
      | 'prepare' | 'propose' | 'commit';
  }
>;

function onOtherMessage(core: Core, from: NodeId, message: Other): void {
  switch (message.type) {
    case 'promise':
    case 'voted':
    case 'outdated':
    case 'commit-ack':
    case 'started':
    case 'not-started':
    case 'replicated':
      return onLeaderMessage(core, from, message);
    case 'assign':
      return executor.onAssign(core, from, message);
    case 'states':
      return keeper.onStates(core, from, message.states);
    case 'states-ack':
      return executor.onStatesAck(core, from, message);
    case 'renew':
      return onRenew(core, from, message);
    case 'renewed':
      return executor.onRenewedReply(core, message.executions);
    case 'leads':
      return executor.onLeads(core, from, message);
    case 'cancel':
      return executor.onCancel(core, from, message);
    case 'closed':
      if (executor.onClosed(core, from, message)) onProvenClose(core, message);
      return;
    case 'replicate':
      core.replicas.set(message.execution, { job: message.job, asker: from });
      core.out.push({
        type: 'replicate',
        execution: message.execution,
        cid: message.cid,
        holders: message.holders,
      });
      return;
    case 'command':
      return keeper.onCommand(core, from, message.command);
    case 'command-ack':
      return directory.onCommandAck(core, from, message);
    case 'lead-check':
      return keeper.onLeadCheck(core, from, message.jobs);
    case 'not-leading':
      return keeper.onNotLeading(core, from, message.jobs);
    case 'advert': {
      const known = core.members.has(message.advert.body.node);
      takeAdvert(core, from, message.advert);
      return known ? undefined : inviteNewcomer(core, message.advert.body.node);
    }
    case 'ping':
      return onPing(core, from, message.nonce);
    case 'pong':
      return onPong(core, from, message.nonce);
    case 'ping-for-me':
      return onPingForMe(core, from, message);
    case 'find':
      return directory.onFind(core, from, message.request, message.query);
    case 'found':
      return directory.onFound(core, from, message);
  }
}

type LeaderMessage = Extract<
  Other,
  {
    type: 'promise' | 'voted' | 'outdated' | 'commit-ack' | 'started' | 'not-started' | 'replicated';
  }
>;

/** Answers to a leader, a candidate or a sponsor. */
function onLeaderMessage(core: Core, from: NodeId, message: LeaderMessage): void {
  if (message.type === 'commit-ack' && message.slots.includes('admission')) {
    onActivated(core, from, message.job);
  }
  const kept = core.kept.get(message.job);
  if (kept === undefined) return;
  switch (message.type) {
    case 'promise':
      return onPromise(core, from, kept, message);
    case 'voted':
      return onVoted(core, from, kept, message);
    case 'outdated':
      return keeper.onOutdated(core, kept, message.promised);
    case 'commit-ack':
      return onCommitAck(from, kept, message);
    case 'started':
      return onStarted(core, kept, message);
    case 'not-started':
      return onNotStarted(core, from, kept, message);
    case 'replicated':
      return onReplicated(core, from, kept, message);
  }
}

function onRenew(core: Core, from: NodeId, message: Extract<Message, { type: 'renew' }>): void {
  const renewed = message.executions
    .filter(({ job, execution }) => {
      const kept = core.kept.get(job);
      const close = kept?.ledger.close ?? core.closed.get(job);
      if (close != null) send(core, from, { type: 'closed', job, close });
      return close == null && kept !== undefined && onRenewed(core, from, kept, execution);
    })
    .map(({ execution }) => execution);
  if (renewed.length > 0) send(core, from, { type: 'renewed', executions: renewed });
}

/** A proven close of a job that runs here, or that this node keeps and had not heard the end of. */
function onProvenClose(core: Core, message: Extract<Message, { type: 'closed' }>): void {
  const { job, close } = message;
  const kept = core.kept.get(job);
  if (kept !== undefined) return keeper.learnClose(core, kept, close);
  core.closed.set(job, close);
  dropInterest(core, job);
  executor.endExecutions(core, job);
}

/** A timer rang. Keys are `<what>` or `<what>:<id>`. */
function ring(core: Core, key: string): void {
  const colon = key.indexOf(':');
  const what = colon < 0 ? key : key.slice(0, colon);
  const id = key.slice(colon + 1);
  switch (what) {
    case 'advert':
      return advertise(core);
    case 'holds':
      return tickHolds(core);
    case 'renew':
      return executor.renewLeases(core);
    case 'probe':
      return probeAll(core);
    case 'lead-check':
      return keeper.checkLeaders(core);
    case 'watch':
      return tickWatch(core, asNodeId(id));
    case 'retry':
      return retryUnreachable(core, asNodeId(id));
    case 'submit':
      return tickSubmission(core, asJobId(id));
    case 'pending':
      return keeper.tickPending(core, asJobId(id));
    case 'exec':
      return executor.tickExecution(core, asExecutionId(id));
    case 'lookup':
      return directory.tickLookup(core, asRequestId(id));
    case 'stop':
      return directory.tickStop(core, asJobId(id));
    case 'job': {
      const kept = core.kept.get(asJobId(id));
      return kept === undefined ? undefined : tickJob(core, kept);
    }
    default:
      throw new Error(`a timer without a handler: ${key}`);
  }
}

function inspect(core: Core): Inspection {
  const { reserved, held } = busyHeld(core);
  return {
    node: core.self,
    store: core.config.store,
    jobs: [...core.kept.values()].map((kept) => ({
      job: kept.ledger.job,
      keeper: true,
      leading: kept.lead !== null && kept.lead.mode === 'leading' ? kept.lead.epoch : null,
      promised: kept.promised,
      state: stateOf(kept.ledger, waitingView(core, kept) !== null),
      records: recordsOf(kept.ledger),
    })),
    executions: [...core.executions.values()].map(({ stored, epoch }) => ({
      job: stored.order.job,
      execution: stored.order.execution,
      partition: stored.order.partition,
      attempt: stored.order.attempt,
      phase: stored.state.body.phase,
      epoch,
    })),
    capacity: core.profile?.capacity ?? nothing,
    reserved,
    held,
    holds: [...core.holds.values()].map(({ job, since, until }) => ({ job, since, until })),
    members: core.members.size + 1,
    refused: { ...core.refused },
  };
}

function sightings(core: Core): readonly Sighting[] {
  const own = ownAdvert(core);
  const self = own === null ? [] : [{ advert: own, connected: true, silentMs: 0 }];
  const others = [...core.members.values()].map(({ advert, heardAt }) => ({
    advert,
    connected: core.connected.has(advert.body.node),
    silentMs: core.now - Math.max(heardAt, core.heardAt.get(advert.body.node) ?? heardAt),
  }));
  return [...self, ...others];
}
