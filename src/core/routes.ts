/** Which part of the core takes an input, a gossip or a message. The tables are complete by the compiler. */
import { groundOf } from './record/past.ts';
import { onOver, recall, takeRecalled } from './keeping/shelf.ts';
import { resolve } from './asking/names.ts';
import type { Gossip, Message, MessageType, Query } from './contract/messages.ts';
import { jobOfMessage } from './node/about.ts';
import { allow } from './mesh/allowance.ts';
import { keptFor, onPrepare, onPropose } from './consensus/acceptor.ts';
import {
  keeperIsBack,
  onActivate,
  onAdmit,
  onCoVote,
  onVersionLearned,
} from './keeping/admitting.ts';
import { onAnnouncement, onSpec, onVersionShown } from './placing/announcements.ts';
import { changes } from './record/chain.ts';
import { onBidClosed, reconsider, onCloseHeard } from './placing/bidder.ts';
import { onForfeit } from './keeping/guests.ts';
import { onChange, onJoin } from './keeping/joining.ts';
import { joinAgain, onChangeAgreed } from './leading/succession.ts';
import { onAcknowledged, onVoted } from './consensus/proposer.ts';
import { onBranch, onBranchKnown } from './keeping/branches.ts';
import { endTold, tellBranchEnds } from './keeping/crossing.ts';
import { onReseedVoted } from './leading/reseeding.ts';
import { loseContent, onHolder, storeChanged, takerIsBack } from './executing/entrusted.ts';
import { onEntrust, onLocalReplica, onReplicate } from './executing/copier.ts';
import { markBack } from './node/containment.ts';
import {
  onDisconnected,
  onHeard,
  onPing,
  onPingForMe,
  onPong,
  onUnreachable,
} from './mesh/detector.ts';
import { onFind, onGossipAnnounce, onGossipClosed } from './asking/directory.ts';
import { closeSlot } from './record/slot.ts';
import { onLedger, onPageWanted } from './consensus/transfer.ts';
import { askWhoIsBack } from './consensus/missing.ts';
import { onTenure } from './executing/tenure.ts';
import { onTenureWanted } from './keeping/tenure.ts';
import { moveEndless, onCancel, onClosed, onVersionHeard } from './executing/ending.ts';
import { onPage, onPromise, standSooner } from './consensus/candidacy.ts';
import { considerLive } from './executing/matching.ts';
import { onAssign } from './executing/executor.ts';
import type { JobId, NodeId } from './record/ids.ts';
import { endIfOver, onProvenClose } from './jobs.ts';
import {
  keeps,
  onCommand,
  onCommit,
  onStatusWanted,
  onLeading,
  onNotLeading,
  onOutdated,
  onStates,
  tellClosed,
} from './keeping/keeper.ts';
import { handOver } from './keeping/hand-over.ts';
import { nodeIsBack, onReplicated } from './leading/copies.ts';
import { onNotStarted, takeRenewal, onStarted } from './leading/lead.ts';
import { onLeads, onRenewed } from './executing/lease.ts';
import { onFound, onQuery } from './asking/lookup.ts';
import type { Input } from './contract/input.ts';
import { advertise, doubtMember, forgetAlive, greet, takeAdvert } from './mesh/members.ts';
import { onLive, onLiveJob, onLiveWanted, tellLive } from './placing/handing-on.ts';
import { endsLive } from './placing/live.ts';
import { inviteNewcomer, onBid, onDecline } from './placing/place.ts';
import { reached } from './mesh/reach.ts';
import type { Signed } from './record/records.ts';
import { restore } from './restore.ts';
import { onStatesAck } from './executing/reporting.ts';
import { onRunEvent } from './executing/run-events.ts';
import { onActivated, onAdmitted, onNotAdmitted, submit } from './keeping/sponsor.ts';
import { refuse, send } from './node/outbox.ts';
import { remember } from './node/remember.ts';
import { rememberLocal } from './placing/state.ts';
import type { Core } from './node/state.ts';
import type { KeptJob } from './keeping/state.ts';
import {
  onCommandAck,
  onCommandRefused,
  onStopOutdated,
  onStopTooLate,
  stopElsewhere,
} from './asking/stop.ts';
import {
  onUpdateAck,
  onUpdateRefused,
  onUpdateTooLate,
  onVersionTold,
  updateElsewhere,
} from './asking/update.ts';
import { noteSentAway } from './mesh/welcome.ts';
import { onUpdate, tellUntold } from './keeping/versions.ts';

/** Of an allowance: a spec may be 64 KiB. */
const SPEC_POINTS = 5;

/** Nodes whose host is remembered; more than are ever connected. */
const HOSTS_MAX = 4_096;

export function dispatch(core: Core, input: Input): void {
  core.relayed = input.type === 'gossip';
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
      considerLive(core);
      return reconsider(core);
    case 'peer-host':
      remember(core.mesh.hosts, input.node, input.host, HOSTS_MAX);
      return;
    case 'peer-connected':
      core.mesh.connected.add(input.node);
      forgetAlive(core);
      onHeard(core, input.node);
      isBack(core, input.node);
      tellLive(core, input.node);
      return greet(core, input.node);
    case 'peer-disconnected':
      core.mesh.connected.delete(input.node);
      doubtMember(core, input.node);
      if (input.sentAway === true) noteSentAway(core, input.node);
      return onDisconnected(core, input.node);
    case 'unreachable':
      return onUnreachable(core, input.node);
    case 'submit':
      return submit(core, input);
    case 'stop': {
      const query = { type: 'job', ref: input.job, namespace: 'default', from: 0 } as const;
      if (recallMeant(core, query, input)) return;
      return onQuery(core, input.request, query, { stop: input.reason });
    }
    case 'update': {
      const query = { type: 'job', ref: input.job, namespace: 'default', from: 0 } as const;
      if (recallMeant(core, query, input)) return;
      return onQuery(core, input.request, query, { update: input });
    }
    case 'query':
      if (input.query.type === 'job' && recallMeant(core, input.query, input)) return;
      return onQuery(core, input.request, input.query, 'reply', input.withinMs);
    case 'run-event': {
      onRunEvent(core, input.execution, input.event);
      return endIfOver(core, input.execution);
    }
    case 'replicated':
      return onLocalReplica(core, input);
    case 'content':
      if (!input.local) {
        core.placing.local.delete(input.cid);
        loseContent(core, input.cid);
      } else rememberLocal(core, input.cid);
      return;
    case 'reload':
      return onReload(core, input);
    case 'disk':
      if (core.storeFull === input.full) return;
      core.storeFull = input.full;
      tellAll(core);
      considerLive(core);
      return reconsider(core);
    case 'drain':
      if (core.draining === input.on) return;
      core.draining = input.on;
      tellAll(core);
      if (input.on) {
        handOver(core);
        moveEndless(core);
      }
      considerLive(core);
      return reconsider(core);
  }
}

/** A node connected: what waits for it, with pauses that may have grown long, is seen to now. */
function isBack(core: Core, node: NodeId): void {
  nodeIsBack(core, node);
  keeperIsBack(core, node);
  askWhoIsBack(core, node);
  standSooner(core, node);
  takerIsBack(core, node);
  tellUntold(core, node);
  tellBranchEnds(core, node);
}

/** The job that somebody here asks for is read back first when it is on the shelf. */
function recallMeant(core: Core, query: Extract<Query, { type: 'job' }>, input: Input): boolean {
  const [job, ...others] = resolve(core, { ...query, owner: core.suite.owner })?.jobs ?? [];
  return job !== undefined && others.length === 0 && recall(core, job, input, null);
}

/** The disk said what it has of a job: what waited for it is handled now. */
function onReload(core: Core, { job, rows }: Extract<Input, { type: 'reload' }>): void {
  if (rows !== null) {
    markBack(core, job);
    restore(core, rows);
  }
  for (const waiting of takeRecalled(core, job)) dispatch(core, waiting);
}

/** The neighbours hear it directly, too: gossip may be too slow for one who leaves. */
function tellAll(core: Core): void {
  advertise(core);
  for (const node of core.mesh.connected) greet(core, node);
}

function onGossip(core: Core, from: NodeId, gossip: Gossip): void {
  switch (gossip.type) {
    case 'announce':
      onGossipAnnounce(core, from, gossip);
      return onAnnouncement(core, from, gossip.announcement, false);
    case 'advert':
      return onAdvert(core, from, gossip.advert, false);
    case 'closed':
      onGossipClosed(core, gossip);
      if (!endsLive(core, gossip.close)) return onCloseHeard(core, gossip.close);
      return onProvenClose(core, { job: gossip.close.record.body.job, close: gossip.close });
  }
}

/** Messages that name one job. */
type AboutJob = Extract<Message, { readonly job: JobId }>;

type Handler<T extends MessageType> = (
  core: Core,
  from: NodeId,
  message: Extract<Message, { readonly type: T }>,
) => void;

/** A message about a job this node should keep; asks for the job when it does not have it. */
function asKept<T extends AboutJob['type']>(
  then: (core: Core, from: NodeId, kept: KeptJob, message: Extract<Message, { type: T }>) => void,
): Handler<T> {
  return (core, from, message) => {
    const kept = keptFor(core, from, (message as AboutJob).job);
    if (kept !== null) then(core, from, kept, message);
  };
}

/** An answer about a job this node keeps; of one that is not here, or is over, nobody waits for it. */
function ifKept<T extends AboutJob['type']>(
  then: (core: Core, from: NodeId, kept: KeptJob, message: Extract<Message, { type: T }>) => void,
): Handler<T> {
  return (core, from, message) => {
    const kept = core.keeping.kept.get((message as AboutJob).job);
    if (kept !== undefined) then(core, from, kept, message);
  };
}

const handlers: { readonly [T in MessageType]: Handler<T> } = {
  admit: onAdmit,
  admitted(core, from, message) {
    onAdmitted(core, from, message);
    onCoVote(core, from, message);
  },
  'not-admitted'(core, from, message) {
    onNotAdmitted(core, from, message);
    onForfeit(core, from, message);
  },
  activate: onActivate,
  activated: (core, from, { job }) => onActivated(core, from, job),
  'job-wanted'(core, from, { job }) {
    const kept = core.keeping.kept.get(job);
    if (kept === undefined) return;
    if (!keeps(kept, from)) {
      if (!joinAgain(core, from, kept)) refuse(core, from, 'not-keeper', false);
      return;
    }
    send(core, from, { type: 'activate', ...groundOf(kept.ledger) });
  },
  over(core, from, { job }) {
    onUpdateTooLate(core, from, job);
    const kept = core.keeping.kept.get(job);
    if (kept !== undefined) onOver(core, from, kept);
  },
  invite: (core, from, { announcement }) => onAnnouncement(core, from, announcement, true),
  live: onLive,
  'live-wanted': onLiveWanted,
  'live-job': onLiveJob,
  'spec-wanted'(core, from, { job, version }) {
    const ledger = core.keeping.kept.get(job)?.ledger;
    if (ledger?.spec.body.version !== version || !allow(core, from, SPEC_POINTS)) return;
    const { spec, version: decided, configs } = ledger;
    if (decided === null) send(core, from, { type: 'spec', spec });
    else send(core, from, { type: 'version', job, version: decided, ...changes(configs) });
  },
  spec: (core, from, { spec }) => onSpec(core, from, spec),
  bid(core, from, message) {
    const kept = core.keeping.kept.get(message.job);
    if (kept !== undefined) return onBid(core, from, kept, message);
    send(core, from, { type: 'bid-closed', job: message.job, version: message.version });
  },
  decline: ifKept(onDecline),
  'bid-closed': onBidClosed,
  prepare: asKept((core, from, kept, { grant }) => onPrepare(core, from, kept, grant)),
  promise: ifKept(onPromise),
  ledger: ifKept(onLedger),
  'page-wanted': ifKept(onPageWanted),
  page: ifKept(onPage),
  outdated: ifKept(onOutdated),
  propose: asKept(onPropose),
  voted: ifKept((core, from, kept, message) => {
    onReseedVoted(core, from, kept, message);
    onVoted(core, from, kept, message);
  }),
  commit: asKept(onCommit),
  change: asKept(onChange),
  join: onJoin,
  'change-agreed': ifKept(onChangeAgreed),
  branch: asKept(onBranch),
  'branch-known': ifKept(onBranchKnown),
  'commit-ack': ifKept((core, from, kept, { slots }) => onAcknowledged(core, from, kept, slots)),
  assign: onAssign,
  started: ifKept(onStarted),
  'not-started': ifKept(onNotStarted),
  states: (core, from, { states }) => onStates(core, from, states),
  'states-ack': onStatesAck,
  renew: onRenew,
  renewed: (core, from, { executions }) => onRenewed(core, from, executions),
  leads(core, from, message) {
    onLeads(core, from, message);
    stopElsewhere(core, message);
    updateElsewhere(core, message);
  },
  'tenure-wanted': ifKept(onTenureWanted),
  tenure: onTenure,
  cancel: onCancel,
  'closed-ack'(core, from, { job, version }) {
    endTold(core, from, job);
    const kept = core.keeping.kept.get(job);
    if (kept !== undefined) onAcknowledged(core, from, kept, [closeSlot(version)]);
  },
  closed(core, from, message) {
    endTold(core, from, message.job);
    onStopTooLate(core, message);
    if (onClosed(core, from, message)) onProvenClose(core, message);
  },
  replicate: onReplicate,
  replicated(core, from, message) {
    onHolder(core, from, message);
    const kept = core.keeping.kept.get(message.job);
    if (kept !== undefined) onReplicated(core, from, kept, message);
  },
  entrust: onEntrust,
  update: asKept(onUpdate),
  version(core, from, message) {
    onVersionTold(core, from, message);
    onStopOutdated(core, from, message);
    onVersionHeard(core, from, message);
    onVersionShown(core, from, message);
    const kept = core.keeping.kept.get(message.job);
    if (kept !== undefined) onVersionLearned(core, from, kept, message);
  },
  command: (core, from, { command }) => onCommand(core, from, command),
  'command-ack'(core, from, message) {
    onCommandAck(core, from, message);
    endTold(core, from, message.job);
    onUpdateAck(core, from, message);
  },
  'command-refused'(core, from, message) {
    onCommandRefused(core, from, message);
    onUpdateRefused(core, from, message);
  },
  'status-wanted': (core, from, { jobs }) => onStatusWanted(core, from, jobs),
  leading: (core, from, { jobs }) => onLeading(core, from, jobs),
  'not-leading': (core, from, { jobs }) => onNotLeading(core, from, jobs),
  advert: (core, from, { advert }) => onAdvert(core, from, advert, true),
  ping: (core, from, { nonce }) => onPing(core, from, nonce),
  pong: (core, from, { nonce }) => onPong(core, from, nonce),
  'ping-for-me': onPingForMe,
  find: (core, from, { request, query }) => onFind(core, from, request, query),
  found: onFound,
};

/** What needs the records of a job, though it is over. Anything else about such a job has lost its purpose. */
const WANTS_RECORDS: ReadonlySet<MessageType> = new Set([
  'admit',
  'activate',
  'assign',
  'job-wanted',
  'prepare',
  'page-wanted',
  'propose',
  'commit',
  'join',
  'change',
  'branch',
  'command',
  'update',
  'version',
]);

export function onMessage(core: Core, from: NodeId, message: Message): void {
  const job = WANTS_RECORDS.has(message.type) ? jobOfMessage(message) : null;
  if (job !== null && recall(core, job, { type: 'message', from, message }, from)) return;
  // The table pairs each type with its own handler; the compiler cannot follow that through the look-up.
  (handlers[message.type] as Handler<MessageType>)(core, from, message);
}

function onRenew(core: Core, from: NodeId, message: Extract<Message, { type: 'renew' }>): void {
  const told = new Set<JobId>();
  // Apart: of a job whose leader was named once every execution is heard all the same.
  const ended = new Set<JobId>();
  const renewed = message.executions
    .filter(({ job, execution }) => {
      core.atHand = job;
      const kept = core.keeping.kept.get(job);
      if (tellClosed(core, from, job, ended)) return false;
      if (kept === undefined) {
        const again = { type: 'renew', executions: [{ job, execution }] } as const;
        recall(core, job, { type: 'message', from, message: again }, from);
        return false;
      }
      return takeRenewal(core, from, kept, execution, told);
    })
    .map(({ execution }) => execution);
  if (renewed.length > 0) send(core, from, { type: 'renewed', executions: renewed });
}

/** Somebody told of itself, or was told of; a newcomer is asked at once for what waits for nodes. */
function onAdvert(core: Core, from: NodeId, advert: Signed<'advert'>, direct: boolean): void {
  const { node } = advert.body;
  const known = core.mesh.members.get(node);
  const before = known?.advert.body.store;
  takeAdvert(core, from, advert, direct);
  const member = known ?? core.mesh.members.get(node);
  if (before !== undefined && member?.advert.body.store !== before) storeChanged(core);
  if (member === undefined || member.invited || !reached(core, node)) return;
  member.invited = true;
  inviteNewcomer(core, node);
}
