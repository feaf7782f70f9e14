/**
 * Generators of every message and gossip, complete by the compiler; records in them are really
 * signed.
 */
import fc from 'fast-check';
import type { Arbitrary } from 'fast-check';
import type { Changes } from '../../../../src/core/record/chain.ts';
import { asRequestId } from '../../../../src/core/record/ids.ts';
import type {
  Announcement,
  LiveLine,
  Answer,
  CertifiedResult,
  CertifiedValue,
  Digest,
  Gossip,
  GossipType,
  JobRecords,
  JobSummary,
  Message,
  MessageType,
  Question,
  SlotValue,
  WaitingView,
} from '../../../../src/core/contract/messages.ts';
import type { Refusal } from '../../../../src/core/record/refusals.ts';
import type { Certified, RecordType, Signed } from '../../../../src/core/record/records.ts';
import { signed } from './fixtures.ts';
import {
  cids,
  constraints,
  counts,
  dictionaries,
  epochs,
  executionIds,
  few,
  jobIds,
  jobTypes,
  moments,
  nodeIds,
  storeIds,
  publicKeys,
  recordIds,
  ordinals,
  record,
  resources,
  sizes,
  slots,
  texts,
} from './record-arbitraries.ts';

type Of<U, K extends string, V> = Extract<U, { readonly [T in K]: V }>;
type Arbitraries<U extends { readonly type: string }> = {
  readonly [T in U['type']]: Arbitrary<Of<U, 'type', T>>;
};

const is = <const T>(value: T): Arbitrary<T> => fc.constant(value);
const votes = fc.array(signed('vote'), { maxLength: 5 });
const certified = <T extends RecordType>(type: T): Arbitrary<Certified<T>> =>
  record<Certified<T>>({ record: signed(type) as Arbitrary<Signed<T>>, votes });

const values: Arbitrary<SlotValue> = fc.oneof(
  signed('assign'),
  signed('accept'),
  signed('close'),
  signed('version'),
  signed('config'),
);
const certifiedResults: Arbitrary<CertifiedResult> = fc.oneof(
  certified('assign'),
  certified('accept'),
  certified('close'),
  certified('version'),
);
const certifiedValues: Arbitrary<CertifiedValue> = fc.oneof(certifiedResults, certified('config'));
const configs = fc.array(certified('config'), { minLength: 1, maxLength: 3 });

const grants = fc.option(certified('grant'));

/** With the changes of a job's keepers, or without, as nearly all are. */
function withChanges<T extends Changes>(
  fields: {
    [K in keyof Omit<T, 'configs'>]: Arbitrary<T[K]>;
  },
): Arbitrary<T> {
  // A field that may be absent is no field of a model, so the compiler does not see that it is whole.
  const model = fields as unknown as { [K in keyof T]: Arbitrary<T[K]> };
  const changed = { ...model, configs } as { [K in keyof T]: Arbitrary<T[K]> };
  return fc.oneof(record(model), record(changed));
}

const jobRecords: Arbitrary<JobRecords> = withChanges<JobRecords>({
  spec: signed('spec'),
  admission: certified('admission'),
  grant: grants,
  commands: few(signed('command')),
  committed: few(certifiedResults),
  states: few(signed('state')),
});

const resourceNames = fc.constantFrom('cpu', 'memory', 'disk', 'gpu');

const refusalTable: { readonly [C in Refusal['code']]: Arbitrary<Of<Refusal, 'code', C>> } = {
  'engine-missing': record({ code: is('engine-missing'), engine: texts, detail: texts }),
  'publisher-missing': record({ code: is('publisher-missing'), publisher: texts }),
  'source-missing': record({ code: is('source-missing'), source: texts }),
  constraint: record<Of<Refusal, 'code', 'constraint'>>({
    code: is('constraint'),
    constraint: constraints,
    actual: fc.option(texts),
  }),
  'too-big': record({
    code: is('too-big'),
    resource: resourceNames,
    wanted: sizes,
    capacity: sizes,
  }),
  busy: record({ code: is('busy'), resource: resourceNames, wanted: sizes, free: sizes }),
  network: record({ code: is('network'), network: texts, detail: texts }),
  'path-not-allowed': record({ code: is('path-not-allowed'), path: texts, writable: fc.boolean() }),
  'env-not-allowed': record({ code: is('env-not-allowed'), variable: texts }),
  'owner-not-allowed': record({ code: is('owner-not-allowed') }),
  'namespace-not-allowed': record({ code: is('namespace-not-allowed'), namespace: texts }),
  'image-not-allowed': record({ code: is('image-not-allowed'), image: texts }),
  unsupported: record({ code: is('unsupported'), feature: texts }),
  draining: record({ code: is('draining') }),
  'store-full': record({ code: is('store-full') }),
  expired: record({ code: is('expired') }),
  'other-store': record({ code: is('other-store'), store: storeIds }),
  'versions-full': record({ code: is('versions-full'), bytes: counts, maxBytes: counts }),
  damaged: record({ code: is('damaged') }),
  over: record({ code: is('over') }),
  'wrong-time': record({ code: is('wrong-time'), notAfter: moments, wall: moments }),
};
const refusal: Arbitrary<Refusal> = fc.oneof(...Object.values(refusalTable));

const summary = {
  job: jobIds,
  version: ordinals,
  name: texts,
  namespace: texts,
  jobType: jobTypes,
  engine: texts,
  state: fc.constantFrom('Pending', 'Queued', 'Running', 'Completed', 'Failed', 'Stopped'),
  count: counts,
  labels: dictionaries,
  createdAt: moments,
  modifiedAt: moments,
} as const;
const summaries: Arbitrary<JobSummary> = fc.oneof(
  record<JobSummary>(summary),
  record<JobSummary>({ ...summary, exitCode: fc.integer({ min: 1, max: 255 }) }),
);

const waiting: Arbitrary<WaitingView> = record<WaitingView>({
  nodesKnown: counts,
  nodesAnswered: counts,
  refusals: few(record({ refusal, nodes: counts })),
  partitionsWaiting: counts,
  keepersReached: counts,
  keepers: counts,
});

const answerTable: Arbitraries<Answer> = {
  job: record<Of<Answer, 'type', 'job'>>({
    type: is('job'),
    records: jobRecords,
    waiting: fc.option(waiting),
    next: fc.option(fc.nat(1_000_000)),
  }),
  ambiguous: record<Of<Answer, 'type', 'ambiguous'>>({ type: is('ambiguous'), jobs: few(jobIds) }),
  elsewhere: record<Of<Answer, 'type', 'elsewhere'>>({
    type: is('elsewhere'),
    job: jobIds,
    nodes: few(nodeIds),
  }),
  none: record({ type: is('none') }),
  jobs: record<Of<Answer, 'type', 'jobs'>>({ type: is('jobs'), jobs: few(summaries) }),
  specs: record<Of<Answer, 'type', 'specs'>>({ type: is('specs'), specs: few(signed('spec')) }),
};

const announced = {
  job: jobIds,
  version: ordinals,
  leader: nodeIds,
  admission: certified('admission'),
  grant: fc.option(certified('grant')),
  round: ordinals,
  need: fc.nat(1_000_000),
  spec: fc.option(signed('spec')),
  notAgain: few(nodeIds),
};
const announcement: Arbitrary<Announcement> = fc.oneof(
  withChanges<Announcement>(announced),
  withChanges<Announcement>({ ...announced, decided: certified('version') }),
);

type M<T extends MessageType> = Of<Message, 'type', T>;
const assigning = {
  type: is('assign'),
  spec: signed('spec'),
  admission: certified('admission'),
  grant: grants,
  assigns: few(certified('assign')),
  holders: few(nodeIds),
};
const about = { job: jobIds, execution: executionIds };
const config = record({ major: ordinals, minor: ordinals });
const tenure = { ...about, config, turn: moments };
const bidding = { job: jobIds, version: ordinals };
const request = fc.uuid().map(asRequestId);
const nonce = moments;
const digest = record<Digest>({
  version: ordinals,
  snapshot: storeIds,
  chunks: fc.array(storeIds, { minLength: 2, maxLength: 5 }),
});
const place = {
  job: jobIds,
  snapshot: storeIds,
  chunk: fc.nat(256),
  from: fc.nat(1_000_000),
};

export const messageArbitraries: Arbitraries<Message> = {
  admit: record<M<'admit'>>({
    type: is('admit'),
    spec: signed('spec'),
    admission: signed('admission'),
  }),
  admitted: record<M<'admitted'>>({ type: is('admitted'), job: jobIds, vote: signed('vote') }),
  'not-admitted': record<M<'not-admitted'>>({ type: is('not-admitted'), job: jobIds, refusal }),
  activate: withChanges<M<'activate'>>({
    type: is('activate'),
    spec: signed('spec'),
    admission: certified('admission'),
  }),
  'job-wanted': record<M<'job-wanted'>>({ type: is('job-wanted'), job: jobIds }),
  over: record<M<'over'>>({ type: is('over'), job: jobIds }),
  invite: record<M<'invite'>>({ type: is('invite'), announcement }),
  live: record<M<'live'>>({
    type: is('live'),
    jobs: few(record<LiveLine>({ job: jobIds, version: ordinals, epoch: epochs })),
  }),
  'live-wanted': record<M<'live-wanted'>>({ type: is('live-wanted'), jobs: few(jobIds) }),
  'live-job': record<M<'live-job'>>({ type: is('live-job'), announcement }),
  'spec-wanted': record<M<'spec-wanted'>>({ type: is('spec-wanted'), ...bidding }),
  spec: record<M<'spec'>>({ type: is('spec'), spec: signed('spec') }),
  bid: record<M<'bid'>>({
    type: is('bid'),
    ...bidding,
    round: ordinals,
    free: resources,
    capacity: resources,
    executions: fc.integer({ min: 1, max: 16 }),
    running: counts,
    locality: fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs),
  }),
  decline: record<M<'decline'>>({
    type: is('decline'),
    ...bidding,
    round: ordinals,
    refusals: few(refusal),
  }),
  'bid-closed': record<M<'bid-closed'>>({ type: is('bid-closed'), ...bidding }),
  prepare: record<M<'prepare'>>({ type: is('prepare'), job: jobIds, grant: signed('grant') }),
  promise: record<M<'promise'>>({
    type: is('promise'),
    job: jobIds,
    epoch: epochs,
    vote: signed('vote'),
    digest,
  }),
  ledger: record<M<'ledger'>>({ type: is('ledger'), job: jobIds, digest }),
  'page-wanted': record<M<'page-wanted'>>({ type: is('page-wanted'), ...place }),
  page: record<M<'page'>>({
    type: is('page'),
    ...place,
    next: fc.option(fc.nat(1_000_000)),
    committed: few(certifiedValues),
    accepted: few(record({ slot: slots, epoch: epochs, value: values })),
    states: few(signed('state')),
    commands: few(signed('command')),
  }),
  outdated: record<M<'outdated'>>({ type: is('outdated'), job: jobIds, promised: epochs }),
  propose: record<M<'propose'>>({
    type: is('propose'),
    job: jobIds,
    epoch: epochs,
    values: few(record({ slot: slots, value: values })),
    states: few(signed('state')),
    commands: few(signed('command')),
  }),
  voted: record<M<'voted'>>({ type: is('voted'), job: jobIds, votes }),
  commit: record<M<'commit'>>({ type: is('commit'), job: jobIds, values: few(certifiedValues) }),
  update: record<M<'update'>>({
    type: is('update'),
    job: jobIds,
    spec: signed('spec'),
    fallback: fc.option(signed('spec')),
  }),
  version: withChanges<M<'version'>>({
    type: is('version'),
    job: jobIds,
    version: certified('version'),
  }),
  change: record<M<'change'>>({ type: is('change'), job: jobIds, next: signed('config') }),
  join: withChanges<M<'join'>>({
    type: is('join'),
    spec: signed('spec'),
    admission: certified('admission'),
    next: signed('config'),
  }),
  branch: withChanges<M<'branch'>>({ type: is('branch'), job: jobIds, turn: counts }),
  'branch-known': withChanges<M<'branch-known'>>({
    type: is('branch-known'),
    job: jobIds,
    turn: counts,
    intact: fc.boolean(),
  }),
  'change-agreed': record<M<'change-agreed'>>({
    type: is('change-agreed'),
    job: jobIds,
    of: recordIds,
  }),
  'commit-ack': record<M<'commit-ack'>>({ type: is('commit-ack'), job: jobIds, slots: few(slots) }),
  activated: record<M<'activated'>>({ type: is('activated'), job: jobIds }),
  'closed-ack': record<M<'closed-ack'>>({
    type: is('closed-ack'),
    job: jobIds,
    version: ordinals,
  }),
  assign: fc.oneof(
    withChanges<M<'assign'>>(assigning),
    withChanges<M<'assign'>>({ ...assigning, version: certified('version') }),
  ),
  started: record<M<'started'>>({
    type: is('started'),
    job: jobIds,
    executions: few(executionIds),
  }),
  'not-started': record<M<'not-started'>>({
    type: is('not-started'),
    ...about,
    refusals: few(refusal),
  }),
  states: record<M<'states'>>({ type: is('states'), states: few(signed('state')) }),
  'states-ack': record<M<'states-ack'>>({
    type: is('states-ack'),
    seen: few(record({ execution: executionIds, sequence: ordinals })),
  }),
  renew: record<M<'renew'>>({ type: is('renew'), executions: few(record(about)) }),
  renewed: record<M<'renewed'>>({ type: is('renewed'), executions: few(executionIds) }),
  'tenure-wanted': record<M<'tenure-wanted'>>({ type: is('tenure-wanted'), ...tenure }),
  tenure: record<M<'tenure'>>({ type: is('tenure'), ...tenure }),
  leads: withChanges<M<'leads'>>({ type: is('leads'), job: jobIds, epoch: epochs, grant: grants }),
  cancel: withChanges<M<'cancel'>>({ type: is('cancel'), ...about, because: certifiedValues }),
  closed: withChanges<M<'closed'>>({ type: is('closed'), job: jobIds, close: certified('close') }),
  replicate: withChanges<M<'replicate'>>({
    type: is('replicate'),
    spec: signed('spec'),
    admission: certified('admission'),
    grant: grants,
    state: signed('state'),
    holders: few(nodeIds),
  }),
  entrust: withChanges<M<'entrust'>>({
    type: is('entrust'),
    spec: signed('spec'),
    admission: certified('admission'),
    accept: certified('accept'),
    holders: few(nodeIds),
  }),
  replicated: record<M<'replicated'>>({
    type: is('replicated'),
    ...about,
    cid: cids,
    outcome: fc.constantFrom('made', 'refused', 'missing'),
  }),
  command: record<M<'command'>>({ type: is('command'), command: signed('command') }),
  'command-refused': record<M<'command-refused'>>({
    type: is('command-refused'),
    job: jobIds,
    command: recordIds,
    refusal,
  }),
  'command-ack': record<M<'command-ack'>>({
    type: is('command-ack'),
    job: jobIds,
    command: recordIds,
  }),
  'status-wanted': record<M<'status-wanted'>>({ type: is('status-wanted'), jobs: few(jobIds) }),
  leading: record<M<'leading'>>({
    type: is('leading'),
    jobs: few(record({ job: jobIds, epoch: epochs })),
  }),
  'not-leading': record<M<'not-leading'>>({ type: is('not-leading'), jobs: few(jobIds) }),
  advert: record<M<'advert'>>({ type: is('advert'), advert: signed('advert') }),
  ping: record<M<'ping'>>({ type: is('ping'), nonce }),
  pong: record<M<'pong'>>({ type: is('pong'), nonce }),
  'ping-for-me': record<M<'ping-for-me'>>({ type: is('ping-for-me'), nonce, target: nodeIds }),
  find: fc.oneof(
    record<M<'find'>>({
      type: is('find'),
      request,
      query: record<Of<Question, 'type', 'job'>>({
        type: is('job'),
        ref: texts,
        namespace: texts,
        from: fc.nat(1_000_000),
        owner: publicKeys,
      }),
    }),
    record<M<'find'>>({
      type: is('find'),
      request,
      query: record<Of<Question, 'type', 'specs'>>({ type: is('specs'), jobs: few(jobIds) }),
    }),
    record<M<'find'>>({
      type: is('find'),
      request,
      query: record<Of<Question, 'type', 'jobs'>>({
        type: is('jobs'),
        namespace: fc.option(texts),
        limit: fc.nat(1_000),
      }),
    }),
  ),
  found: record<M<'found'>>({
    type: is('found'),
    request,
    answer: fc.oneof(...Object.values(answerTable)),
  }),
};

type G<T extends GossipType> = Of<Gossip, 'type', T>;

export const gossipArbitraries: Arbitraries<Gossip> = {
  announce: record<G<'announce'>>({ type: is('announce'), announcement }),
  advert: record<G<'advert'>>({ type: is('advert'), advert: signed('advert') }),
  closed: record<G<'closed'>>({
    type: is('closed'),
    close: certified('close'),
    summary: summaries,
  }),
};
