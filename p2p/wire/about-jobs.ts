/**
 * Shapes of what nodes tell each other about jobs without signing it: refusals, summaries,
 * questions and answers. Part of `message-shapes.ts`, which has the messages themselves.
 */
import { LIST_MAX, SPECS_MAX } from '../../src/core/contract/limits.ts';
import type { JobId, RequestId } from '../../src/core/record/ids.ts';
import type {
  Answer,
  JobState,
  JobSummary,
  Question,
  WaitingView,
} from '../../src/core/contract/messages.ts';
import type { Refusal } from '../../src/core/record/refusals.ts';
import * as common from './common-shapes.ts';
import { constraint } from './job-shape.ts';
import type { RecordShapes } from './record-shapes.ts';
import {
  bad,
  flag,
  integer,
  isMap,
  list,
  literal,
  map,
  nullable,
  oneOf,
  optional,
  text,
  union,
} from './shape.ts';
import type { Shape, Variants } from './shape.ts';

const { count, jobId, moment, name, nodes, ordinal, storeId } = common;

/**
 * Refusals repeat what a spec says, so a text may be as long as there: one that does not pass is a
 * refusal that nobody hears of.
 */
const said = text(65_536);
/** Of a resource, in its own unit. */
const size = common.bytes;
const resourceName = oneOf({ cpu: true, memory: true, disk: true, gpu: true });

type OneRefusal<C extends Refusal['code']> = Extract<Refusal, { readonly code: C }>;

const REFUSALS: Variants<Refusal, 'code'> = {
  'engine-missing': map<OneRefusal<'engine-missing'>>({
    code: literal('engine-missing'),
    engine: said,
    detail: said,
  }),
  'publisher-missing': map<OneRefusal<'publisher-missing'>>({
    code: literal('publisher-missing'),
    publisher: said,
  }),
  'source-missing': map<OneRefusal<'source-missing'>>({
    code: literal('source-missing'),
    source: said,
  }),
  constraint: map<OneRefusal<'constraint'>>({
    code: literal('constraint'),
    constraint,
    actual: nullable(said),
  }),
  'too-big': map<OneRefusal<'too-big'>>({
    code: literal('too-big'),
    resource: resourceName,
    wanted: size,
    capacity: size,
  }),
  busy: map<OneRefusal<'busy'>>({
    code: literal('busy'),
    resource: resourceName,
    wanted: size,
    free: size,
  }),
  network: map<OneRefusal<'network'>>({ code: literal('network'), network: said, detail: said }),
  'path-not-allowed': map<OneRefusal<'path-not-allowed'>>({
    code: literal('path-not-allowed'),
    path: said,
    writable: flag,
  }),
  'env-not-allowed': map<OneRefusal<'env-not-allowed'>>({
    code: literal('env-not-allowed'),
    variable: said,
  }),
  'owner-not-allowed': map<OneRefusal<'owner-not-allowed'>>({ code: literal('owner-not-allowed') }),
  'namespace-not-allowed': map<OneRefusal<'namespace-not-allowed'>>({
    code: literal('namespace-not-allowed'),
    namespace: said,
  }),
  'image-not-allowed': map<OneRefusal<'image-not-allowed'>>({
    code: literal('image-not-allowed'),
    image: said,
  }),
  unsupported: map<OneRefusal<'unsupported'>>({ code: literal('unsupported'), feature: said }),
  draining: map<OneRefusal<'draining'>>({ code: literal('draining') }),
  'store-full': map<OneRefusal<'store-full'>>({ code: literal('store-full') }),
  expired: map<OneRefusal<'expired'>>({ code: literal('expired') }),
  'other-store': map<OneRefusal<'other-store'>>({
    code: literal('other-store'),
    store: storeId,
  }),
  'versions-full': map<OneRefusal<'versions-full'>>({
    code: literal('versions-full'),
    bytes: count,
    maxBytes: count,
  }),
  damaged: map<OneRefusal<'damaged'>>({ code: literal('damaged') }),
  over: map<OneRefusal<'over'>>({ code: literal('over') }),
  'wrong-time': map<OneRefusal<'wrong-time'>>({
    code: literal('wrong-time'),
    notAfter: moment,
    wall: moment,
  }),
};
const knownRefusal = union<Refusal, 'code'>('code', REFUSALS);

/** A reason of a later version is one all the same: what is unsupported here goes by its name. */
export const refusal: Shape<Refusal> = {
  plain: true,
  read(value, faults) {
    const { code } = isMap(value) ? value : { code: null };
    const isKnown = typeof code === 'string' && Object.hasOwn(REFUSALS, code);
    if (isKnown || !faults.open || common.code.read(code, faults) === bad)
      return knownRefusal.read(value, faults);
    return { code: 'unsupported', feature: String(code) };
  },
  write: (value) => knownRefusal.write(value),
};
export const refusals: Shape<readonly Refusal[]> = list(refusal, 64);

const jobState: Shape<JobState> = oneOf({
  Pending: true,
  Queued: true,
  Running: true,
  Completed: true,
  Failed: true,
  Stopped: true,
});

export const jobSummary: Shape<JobSummary> = map<JobSummary>({
  job: jobId,
  version: ordinal,
  name,
  namespace: name,
  jobType: text(64),
  engine: text(64),
  state: jobState,
  count,
  labels: common.labels,
  createdAt: common.moment,
  modifiedAt: common.moment,
  exitCode: optional(common.exitCode),
});

const waiting: Shape<WaitingView> = map<WaitingView>({
  nodesKnown: count,
  nodesAnswered: count,
  refusals: list(map<WaitingView['refusals'][number]>({ refusal, nodes: count }), 64),
  partitionsWaiting: count,
  keepersReached: count,
  keepers: count,
});

export const request: Shape<RequestId> = text(128, 1);

type OneQuestion<T extends Question['type']> = Extract<Question, { readonly type: T }>;

export const question: Shape<Question> = union<Question, 'type'>('type', {
  job: map<OneQuestion<'job'>>({
    type: literal('job'),
    ref: name,
    namespace: name,
    from: common.partitions,
    version: optional(ordinal),
    owner: common.publicKey,
  }),
  jobs: map<OneQuestion<'jobs'>>({
    type: literal('jobs'),
    namespace: nullable(name),
    limit: integer(0, 1_000_000),
  }),
  specs: map<OneQuestion<'specs'>>({
    type: literal('specs'),
    jobs: list<JobId>(jobId, SPECS_MAX),
  }),
});

type OneAnswer<T extends Answer['type']> = Extract<Answer, { readonly type: T }>;

export const answer = (records: RecordShapes): Shape<Answer> =>
  union<Answer, 'type'>('type', {
    job: map<OneAnswer<'job'>>({
      type: literal('job'),
      records: records.jobRecords,
      waiting: nullable(waiting),
      next: nullable(common.partitions),
      current: optional(ordinal),
    }),
    ambiguous: map<OneAnswer<'ambiguous'>>({
      type: literal('ambiguous'),
      jobs: list<JobId>(jobId, 1_000),
    }),
    elsewhere: map<OneAnswer<'elsewhere'>>({ type: literal('elsewhere'), job: jobId, nodes }),
    none: map<OneAnswer<'none'>>({ type: literal('none') }),
    jobs: map<OneAnswer<'jobs'>>({ type: literal('jobs'), jobs: list(jobSummary, LIST_MAX) }),
    specs: map<OneAnswer<'specs'>>({
      type: literal('specs'),
      specs: list(records.spec, SPECS_MAX),
    }),
  });
