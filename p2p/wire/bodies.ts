/**
 * The shape of every record's body: one table, complete by the compiler. All bodies are plain, so a
 * body in memory is exactly what is encoded.
 */
import { KEEPERS_MAX } from '../../src/core/contract/limits.ts';
import type { ExecutionFailure } from '../../src/core/record/execution.ts';
import {
  LEFT_OUT_MAX,
  LEFT_OUT_WHY_MAX,
  PASSED_MAX,
  PAUSE_WHY_MAX,
  PAUSES_MAX,
} from '../../src/core/record/course.ts';
import type {
  AcceptBody,
  AdmissionBody,
  AdvertBody,
  AssignBody,
  Bodies,
  CloseBody,
  CommandBody,
  ConfigBody,
  GrantBody,
  Pause,
  RecordType,
  SpecBody,
  Follows,
  StateBody,
  VersionBody,
  VoteBody,
} from '../../src/core/record/records.ts';
import * as common from './common-shapes.ts';
import { job } from './job-shape.ts';
import {
  atLeast,
  byKind,
  flag,
  list,
  literal,
  map,
  nullable,
  octets,
  oneOf,
  optional,
  text,
} from './shape.ts';
import type { Shape } from './shape.ts';

const { epoch, executionId, exitCode, index, jobId, moment, nodeId, ordinal, recordId } = common;

/** What the envelope of a version has room for. */
const SPEC_MAX_BYTES = 65_536;
const names: Shape<readonly string[]> = list(text(64, 1), 64);

const spec = map<SpecBody>({
  job: jobId,
  owner: common.publicKey,
  version: ordinal,
  nonce: common.nonce,
  sponsor: nodeId,
  spec: job,
  notAfter: moment,
  follows: optional(
    map<Follows>({
      of: recordId,
      how: oneOf({ update: true, rerun: true, rollback: true }),
      reason: common.sentence,
    }),
  ),
});

const admission = map<AdmissionBody>({
  job: jobId,
  version: ordinal,
  spec: recordId,
  keepers: list(common.keeper, KEEPERS_MAX, 1),
  sponsor: nodeId,
});

const config = map<ConfigBody>({
  job: jobId,
  config: common.configId,
  keepers: list(common.keeper, KEEPERS_MAX, 1),
  former: list(common.keeper, KEEPERS_MAX),
  reseeds: optional(common.configId),
});

const vote = map<VoteBody>({
  job: jobId,
  of: recordId,
  slot: common.slot,
  epoch,
  store: common.storeId,
});

const commandFields = {
  job: jobId,
  sequence: ordinal,
  command: common.code,
  reason: common.sentence,
  notAfter: moment,
};
/** A kind that is known here has exactly its fields; another one what its own version gave it beside these. */
const command = byKind<CommandBody>(
  'command',
  {
    stop: map<CommandBody>({
      ...commandFields,
      command: literal('stop'),
      version: optional(ordinal),
    }),
  },
  atLeast<CommandBody>({ ...commandFields, version: optional(ordinal) }),
);

const grant = map<GrantBody>({ job: jobId, epoch });

const assign = map<AssignBody>({
  job: jobId,
  version: ordinal,
  partition: index,
  attempt: index,
  replaces: nullable(
    oneOf({ failed: true, lost: true, missed: true, overdue: true, surplus: true }),
  ),
  adopts: nullable(index),
  execution: executionId,
  node: nodeId,
  epoch,
});

const state = map<StateBody>({
  job: jobId,
  version: ordinal,
  partition: index,
  attempt: index,
  execution: executionId,
  node: nodeId,
  sequence: ordinal,
  phase: oneOf({
    received: true,
    preparing: true,
    starting: true,
    running: true,
    publishing: true,
    completed: true,
    failed: true,
    cancelled: true,
    lost: true,
  }),
  restarts: common.count,
  retryMs: nullable(moment),
  exitCode: nullable(exitCode),
  result: common.result,
  failure: nullable(common.executionFailure),
  output: nullable(common.outputHead),
  usage: nullable(common.usage),
  reached: optional(list(nullable(moment), PASSED_MAX)),
  pauses: optional(
    list(
      map<Pause>({
        at: moment,
        restarts: common.count,
        retryMs: moment,
        exitCode: nullable(exitCode),
        failure: nullable(
          map<ExecutionFailure>({
            code: common.code,
            class: common.failureClass,
            message: text(PAUSE_WHY_MAX),
          }),
        ),
        resumedMs: nullable(moment),
      }),
      PAUSES_MAX,
    ),
  ),
  leftOut: optional(list(text(LEFT_OUT_WHY_MAX), LEFT_OUT_MAX)),
});

const accept = map<AcceptBody>({
  job: jobId,
  version: ordinal,
  partition: index,
  attempt: index,
  execution: executionId,
  node: nodeId,
  exitCode,
  result: common.result,
  holders: common.nodes,
});

const close = map<CloseBody>({
  job: jobId,
  version: ordinal,
  outcome: oneOf({ completed: true, failed: true, stopped: true }),
  code: common.code,
  message: common.sentence,
  evidence: list(recordId, 256),
  enrolled: optional(common.partitions),
  exitCode: optional(common.exitCode),
});

const version = map<VersionBody>({
  job: jobId,
  version: ordinal,
  spec: octets(SPEC_MAX_BYTES),
  fallback: nullable(octets(SPEC_MAX_BYTES)),
  message: common.sentence,
});

const advert = map<AdvertBody>({
  node: nodeId,
  store: common.storeId,
  sequence: moment,
  addresses: list(text(512, 1), 64),
  labels: common.labels,
  engines: names,
  publishers: names,
  sources: names,
  capacity: common.resources,
  free: common.resources,
  running: common.count,
  keeps: flag,
  software: text(128),
  features: common.features,
});

export const bodies: { readonly [T in RecordType]: Shape<Bodies[T]> } = {
  spec,
  admission,
  config,
  vote,
  command,
  grant,
  assign,
  state,
  accept,
  close,
  version,
  advert,
};

export const isRecordType = (type: unknown): type is RecordType =>
  typeof type === 'string' && Object.hasOwn(bodies, type);
