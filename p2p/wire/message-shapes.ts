/**
 * The shape of every message and every gossip: two tables, complete by the compiler. Field for
 * field as in `src/core/contract/messages.ts`; the tables say only what can be carried, the core decides
 * what it means.
 */
import {
  BID_EXECUTIONS_MAX,
  HOLDERS_MAX,
  JOBS_NAMED_MAX,
  LIVE_MAX,
  LIVE_WANTED_MAX,
} from '../../src/core/contract/limits.ts';
import { CHUNKS_MAX } from '../../src/core/consensus/snapshot.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import type { Epoch } from '../../src/core/record/records.ts';
import type {
  Announcement,
  CopyOutcome,
  Digest,
  Gossip,
  GossipType,
  LiveLine,
  Message,
  MessageType,
} from '../../src/core/contract/messages.ts';
import { answer, jobSummary, question, refusal, refusals, request } from './about-jobs.ts';
import * as common from './common-shapes.ts';
import type { Envelopes } from './envelope.ts';
import { createRecordShapes, MANY } from './record-shapes.ts';
import type { RecordShapes } from './record-shapes.ts';
import { flag, fraction, integer, list, literal, map, nullable, oneOf, optional } from './shape.ts';
import type { Shape } from './shape.ts';

const { cid, count, epoch, executionId, jobId, nodeId, nodes, ordinal, resources } = common;

const outcome: Shape<CopyOutcome> = oneOf({ made: true, refused: true, missing: true });

type OneMessage<T extends MessageType> = Extract<Message, { readonly type: T }>;
type OneGossip<T extends GossipType> = Extract<Gossip, { readonly type: T }>;
export type MessageShapes = { readonly [T in MessageType]: Shape<OneMessage<T>> };
export type GossipShapes = { readonly [T in GossipType]: Shape<OneGossip<T>> };

const announcementOf = (records: RecordShapes): Shape<Announcement> =>
  map<Announcement>({
    job: jobId,
    version: ordinal,
    leader: nodeId,
    admission: records.admission,
    configs: records.configs,
    grant: records.grant,
    round: ordinal,
    need: common.partitions,
    spec: nullable(records.spec),
    decided: optional(records.version),
    notAgain: nodes,
  });

function admissionShapes(records: RecordShapes) {
  const { spec, sealedAdmission, vote, admission, configs } = records;
  return {
    admit: map<OneMessage<'admit'>>({ type: literal('admit'), spec, admission: sealedAdmission }),
    admitted: map<OneMessage<'admitted'>>({ type: literal('admitted'), job: jobId, vote }),
    'not-admitted': map<OneMessage<'not-admitted'>>({
      type: literal('not-admitted'),
      job: jobId,
      refusal,
    }),
    activate: map<OneMessage<'activate'>>({
      type: literal('activate'),
      spec,
      admission,
      configs,
      version: optional(records.version),
    }),
    activated: map<OneMessage<'activated'>>({ type: literal('activated'), job: jobId }),
    'job-wanted': map<OneMessage<'job-wanted'>>({ type: literal('job-wanted'), job: jobId }),
    over: map<OneMessage<'over'>>({ type: literal('over'), job: jobId }),
  };
}

function biddingShapes(records: RecordShapes) {
  const announcement = announcementOf(records);
  const about = { job: jobId, version: ordinal };
  return {
    invite: map<OneMessage<'invite'>>({ type: literal('invite'), announcement }),
    live: map<OneMessage<'live'>>({
      type: literal('live'),
      jobs: list(map<LiveLine>({ ...about, epoch }), LIVE_MAX),
    }),
    'live-wanted': map<OneMessage<'live-wanted'>>({
      type: literal('live-wanted'),
      jobs: list(jobId, LIVE_WANTED_MAX),
    }),
    'live-job': map<OneMessage<'live-job'>>({ type: literal('live-job'), announcement }),
    'spec-wanted': map<OneMessage<'spec-wanted'>>({ type: literal('spec-wanted'), ...about }),
    spec: map<OneMessage<'spec'>>({ type: literal('spec'), spec: records.spec }),
    bid: map<OneMessage<'bid'>>({
      type: literal('bid'),
      ...about,
      round: ordinal,
      free: resources,
      capacity: resources,
      executions: integer(1, BID_EXECUTIONS_MAX),
      running: count,
      locality: fraction(0, 1),
    }),
    decline: map<OneMessage<'decline'>>({
      type: literal('decline'),
      ...about,
      round: ordinal,
      refusals,
    }),
    'bid-closed': map<OneMessage<'bid-closed'>>({ type: literal('bid-closed'), ...about }),
  };
}

function slotShapes(records: RecordShapes) {
  const { value, certifiedValue, states, commands, votes, vote, sealedGrant } = records;
  type Proposed = OneMessage<'propose'>['values'][number];
  const chunks = list(common.nonce, CHUNKS_MAX + 1, 2);
  const digest = map<Digest>({ version: ordinal, snapshot: common.nonce, chunks });
  const place = {
    job: jobId,
    snapshot: common.nonce,
    chunk: integer(0, CHUNKS_MAX),
    from: common.partitions,
  };
  return {
    prepare: map<OneMessage<'prepare'>>({
      type: literal('prepare'),
      job: jobId,
      grant: sealedGrant,
    }),
    promise: map<OneMessage<'promise'>>({
      type: literal('promise'),
      job: jobId,
      epoch,
      vote,
      digest,
    }),
    ledger: map<OneMessage<'ledger'>>({ type: literal('ledger'), job: jobId, digest }),
    'page-wanted': map<OneMessage<'page-wanted'>>({ type: literal('page-wanted'), ...place }),
    page: map<OneMessage<'page'>>({
      type: literal('page'),
      ...place,
      next: nullable(common.partitions),
      committed: list(certifiedValue, MANY),
      accepted: list(records.accepted, MANY),
      states,
      commands,
      more: records.more,
    }),
    outdated: map<OneMessage<'outdated'>>({
      type: literal('outdated'),
      job: jobId,
      promised: epoch,
    }),
    propose: map<OneMessage<'propose'>>({
      type: literal('propose'),
      job: jobId,
      epoch,
      values: list(map<Proposed>({ slot: common.slot, value }), MANY),
      states,
      commands,
    }),
    voted: map<OneMessage<'voted'>>({ type: literal('voted'), job: jobId, votes }),
    commit: map<OneMessage<'commit'>>({
      type: literal('commit'),
      job: jobId,
      values: list(certifiedValue, MANY),
      more: records.more,
    }),
    'commit-ack': map<OneMessage<'commit-ack'>>({
      type: literal('commit-ack'),
      job: jobId,
      slots: list(common.slot, MANY),
    }),
  };
}

function versionShapes({ spec, version, configs }: RecordShapes) {
  return {
    update: map<OneMessage<'update'>>({
      type: literal('update'),
      job: jobId,
      spec,
      fallback: nullable(spec),
    }),
    version: map<OneMessage<'version'>>({ type: literal('version'), job: jobId, version, configs }),
  };
}

function changeShapes({ spec, admission, configs, version, sealedConfig: next }: RecordShapes) {
  return {
    change: map<OneMessage<'change'>>({ type: literal('change'), job: jobId, next }),
    join: map<OneMessage<'join'>>({
      type: literal('join'),
      spec,
      admission,
      configs,
      version: optional(version),
      next,
    }),
    'change-agreed': map<OneMessage<'change-agreed'>>({
      type: literal('change-agreed'),
      job: jobId,
      of: common.recordId,
    }),
    branch: map<OneMessage<'branch'>>({
      type: literal('branch'),
      job: jobId,
      turn: common.count,
      configs,
    }),
    'branch-known': map<OneMessage<'branch-known'>>({
      type: literal('branch-known'),
      job: jobId,
      turn: common.count,
      intact: flag,
      configs,
    }),
  };
}

function executionShapes(records: RecordShapes) {
  const { spec, admission, configs, version, grant, assign, states, certifiedValue, close } =
    records;
  const executions = list(executionId, MANY);
  type Renewed = OneMessage<'renew'>['executions'][number];
  type Seen = OneMessage<'states-ack'>['seen'][number];
  const about = { job: jobId, execution: executionId };
  const tenure = { ...about, config: common.configId, turn: common.moment };
  return {
    assign: map<OneMessage<'assign'>>({
      type: literal('assign'),
      spec,
      admission,
      configs,
      version: optional(version),
      grant,
      assigns: list(assign, MANY),
      holders: nodes,
    }),
    started: map<OneMessage<'started'>>({ type: literal('started'), job: jobId, executions }),
    'not-started': map<OneMessage<'not-started'>>({
      type: literal('not-started'),
      ...about,
      refusals,
    }),
    states: map<OneMessage<'states'>>({ type: literal('states'), states }),
    'states-ack': map<OneMessage<'states-ack'>>({
      type: literal('states-ack'),
      seen: list(map<Seen>({ execution: executionId, sequence: ordinal }), MANY),
    }),
    renew: map<OneMessage<'renew'>>({
      type: literal('renew'),
      executions: list(map<Renewed>({ job: jobId, execution: executionId }), MANY),
    }),
    renewed: map<OneMessage<'renewed'>>({ type: literal('renewed'), executions }),
    'tenure-wanted': map<OneMessage<'tenure-wanted'>>({
      type: literal('tenure-wanted'),
      ...tenure,
    }),
    tenure: map<OneMessage<'tenure'>>({ type: literal('tenure'), ...tenure }),
    leads: map<OneMessage<'leads'>>({
      type: literal('leads'),
      job: jobId,
      epoch,
      configs,
      grant,
    }),
    cancel: map<OneMessage<'cancel'>>({
      type: literal('cancel'),
      ...about,
      because: certifiedValue,
      configs,
    }),
    closed: map<OneMessage<'closed'>>({ type: literal('closed'), job: jobId, close, configs }),
    'closed-ack': map<OneMessage<'closed-ack'>>({
      type: literal('closed-ack'),
      job: jobId,
      version: ordinal,
    }),
    replicate: map<OneMessage<'replicate'>>({
      type: literal('replicate'),
      spec,
      admission,
      configs,
      grant,
      state: records.state,
      holders: list(nodeId, HOLDERS_MAX),
    }),
    entrust: map<OneMessage<'entrust'>>({
      type: literal('entrust'),
      spec,
      admission,
      configs,
      accept: records.accept,
      holders: list(nodeId, HOLDERS_MAX),
    }),
    replicated: map<OneMessage<'replicated'>>({
      type: literal('replicated'),
      ...about,
      cid,
      outcome,
    }),
  };
}

function otherShapes(records: RecordShapes) {
  const nonce = common.moment;
  const jobs = list<JobId>(jobId, JOBS_NAMED_MAX);
  return {
    command: map<OneMessage<'command'>>({ type: literal('command'), command: records.command }),
    'command-refused': map<OneMessage<'command-refused'>>({
      type: literal('command-refused'),
      job: jobId,
      command: common.recordId,
      refusal,
    }),
    'command-ack': map<OneMessage<'command-ack'>>({
      type: literal('command-ack'),
      job: jobId,
      command: common.recordId,
    }),
    'status-wanted': map<OneMessage<'status-wanted'>>({ type: literal('status-wanted'), jobs }),
    leading: map<OneMessage<'leading'>>({
      type: literal('leading'),
      jobs: list(
        map<{ readonly job: JobId; readonly epoch: Epoch }>({ job: jobId, epoch }),
        JOBS_NAMED_MAX,
      ),
    }),
    'not-leading': map<OneMessage<'not-leading'>>({ type: literal('not-leading'), jobs }),
    advert: map<OneMessage<'advert'>>({ type: literal('advert'), advert: records.advert }),
    ping: map<OneMessage<'ping'>>({ type: literal('ping'), nonce }),
    pong: map<OneMessage<'pong'>>({ type: literal('pong'), nonce }),
    'ping-for-me': map<OneMessage<'ping-for-me'>>({
      type: literal('ping-for-me'),
      nonce,
      target: nodeId,
    }),
    find: map<OneMessage<'find'>>({ type: literal('find'), request, query: question }),
    found: map<OneMessage<'found'>>({ type: literal('found'), request, answer: answer(records) }),
  };
}

export function createMessageShapes(envelopes: Envelopes): MessageShapes {
  const records = createRecordShapes(envelopes);
  return {
    ...admissionShapes(records),
    ...biddingShapes(records),
    ...slotShapes(records),
    ...changeShapes(records),
    ...versionShapes(records),
    ...executionShapes(records),
    ...otherShapes(records),
  };
}

export function createGossipShapes(envelopes: Envelopes): GossipShapes {
  const records = createRecordShapes(envelopes);
  return {
    announce: map<OneGossip<'announce'>>({
      type: literal('announce'),
      announcement: announcementOf(records),
    }),
    advert: map<OneGossip<'advert'>>({ type: literal('advert'), advert: records.advert }),
    closed: map<OneGossip<'closed'>>({
      type: literal('closed'),
      close: records.close,
      summary: jobSummary,
    }),
  };
}
