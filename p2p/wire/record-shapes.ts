/**
 * Records inside messages and rows: they travel as their envelope's bytes, so that what is signed
 * is never taken apart and put together again on the way. Reading one checks its form, not its
 * signature.
 */
import type { ExecutionOrder } from '../../src/core/record/execution.ts';
import type {
  AcceptedValue,
  CertifiedResult,
  CertifiedValue,
  JobRecords,
  SlotValue,
} from '../../src/core/contract/messages.ts';
import type { AnyRecord, Certified, RecordType, Signed } from '../../src/core/record/records.ts';
import { KEEPERS_MAX } from '../../src/core/contract/limits.ts';
import { CONFIGS_MAX } from '../../src/core/record/chain.ts';
import type { Opaque } from '../../src/core/record/opaque.ts';
import * as common from './common-shapes.ts';
import type { Envelopes } from './envelope.ts';
import { jobType, task } from './job-shape.ts';
import { bad, list, map, nullable, optional } from './shape.ts';
import type { Shape } from './shape.ts';

/** What the frame limit leaves; bounds the work of checking, not the size. */
export const MANY = 10_000;
/** Signers of a job are some tens at most, also when its keepers changed often. */
const MORE_MAX = 1_024;

export type RecordShapes = ReturnType<typeof createRecordShapes>;

/** The shapes of everything made of records, for one mesh. */
export function createRecordShapes(envelopes: Envelopes) {
  const spec = record(envelopes, 'spec');
  const vote = record(envelopes, 'vote');
  const admission = certified(record(envelopes, 'admission'), vote);
  const grant = certified(record(envelopes, 'grant'), vote);
  const value = anyOf<SlotValue>(envelopes, {
    assign: true,
    accept: true,
    close: true,
    version: true,
    config: true,
  });
  const certifiedValue = certified(value, vote) as Shape<CertifiedValue>;
  const result = anyOf<CertifiedResult['record']>(envelopes, {
    assign: true,
    accept: true,
    close: true,
    version: true,
  });
  const configs = optional(list(certified(record(envelopes, 'config'), vote), CONFIGS_MAX));
  const states = list(record(envelopes, 'state'), MANY);
  const commands = list(record(envelopes, 'command'), MANY);
  return {
    spec,
    vote,
    votes: list(vote, MANY),
    advert: record(envelopes, 'advert'),
    command: record(envelopes, 'command'),
    state: record(envelopes, 'state'),
    sealedAdmission: record(envelopes, 'admission'),
    sealedGrant: record(envelopes, 'grant'),
    sealedConfig: record(envelopes, 'config'),
    admission,
    configs,
    grant: nullable(grant),
    assign: certified(record(envelopes, 'assign'), vote),
    accept: certified(record(envelopes, 'accept'), vote),
    close: certified(record(envelopes, 'close'), vote),
    version: certified(record(envelopes, 'version'), vote),
    value,
    certifiedValue,
    states,
    commands,
    accepted: map<AcceptedValue>({ slot: common.slot, epoch: common.epoch, value }),
    more: optional(strangers(envelopes)),
    jobRecords: map<JobRecords>({
      spec,
      admission,
      configs,
      grant: nullable(grant),
      commands,
      committed: list(certified(result, vote) as Shape<CertifiedResult>, MANY),
      states,
      more: optional(strangers(envelopes)),
    }),
  };
}

/** The shape of what an executor carries out; it has no records in it. */
export const order: Shape<ExecutionOrder> = map<ExecutionOrder>({
  execution: common.executionId,
  job: common.jobId,
  jobType,
  jobName: common.name,
  namespace: common.name,
  version: common.ordinal,
  partition: common.index,
  partitionCount: common.partitions,
  attempt: common.index,
  restarts: common.count,
  epoch: common.count,
  task,
  holders: common.nodes,
  timeoutMs: common.moment,
});

/** A record of exactly one type. */
function record<T extends RecordType>(envelopes: Envelopes, type: T): Shape<Signed<T>> {
  const only = { [type]: true } as Readonly<Record<RecordType, true>>;
  return anyOf<AnyRecord>(envelopes, only) as unknown as Shape<Signed<T>>;
}

/**
 * Records that are not understood here. One that is has no business among them, and is left out: it travels
 * where it belongs.
 */
function strangers(envelopes: Envelopes): Shape<readonly Opaque[]> {
  return {
    plain: false,
    read(value, faults) {
      if (!Array.isArray(value) || value.length > MORE_MAX) return bad;
      const records: Opaque[] = [];
      for (const [index, bytes] of value.entries()) {
        if (!(bytes instanceof Uint8Array)) return faults.at(index);
        const decoded = envelopes.decodeOpaque(bytes);
        if (!decoded.ok) return faults.because(decoded.code, `${index}.${decoded.place}`);
        if (!envelopes.decode(bytes).ok) records.push(decoded.opaque);
      }
      return records;
    },
    write: (value) => value.map(({ bytes }) => bytes),
  };
}

/** A record of one of several types, or one that is not understood here. */
export function anyOrOpaque(envelopes: Envelopes): Shape<AnyRecord | Opaque> {
  return {
    plain: false,
    read(value, faults) {
      if (!(value instanceof Uint8Array)) return bad;
      const decoded = envelopes.decode(value);
      if (decoded.ok) return decoded.record;
      const opaque = envelopes.decodeOpaque(value);
      return opaque.ok ? opaque.opaque : faults.because(decoded.code, decoded.place);
    },
    write: (value) => (value.type === 'opaque' ? value.bytes : envelopes.encode(value)),
  };
}

/** A record of one of several types. */
function anyOf<R extends AnyRecord>(
  envelopes: Envelopes,
  types: Readonly<Record<R['type'], true>>,
): Shape<R> {
  return {
    plain: false,
    read(value, faults) {
      if (!(value instanceof Uint8Array)) return bad;
      const decoded = envelopes.decode(value);
      if (!decoded.ok) return faults.because(decoded.code, decoded.place);
      return Object.hasOwn(types, decoded.record.type) ? (decoded.record as R) : bad;
    },
    write: (value) => envelopes.encode(value),
  };
}

/** A record with its keepers' votes; whether they suffice is for the core to say. */
function certified<R>(
  shape: Shape<R>,
  vote: Shape<Signed<'vote'>>,
): Shape<{ readonly record: R; readonly votes: Certified<RecordType>['votes'] }> {
  return map<{ readonly record: R; readonly votes: Certified<RecordType>['votes'] }>({
    record: shape,
    // A later configuration is voted for by those before it, too.
    votes: list(vote, 2 * KEEPERS_MAX),
  });
}
