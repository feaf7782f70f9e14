/**
 * Shapes shared by records and messages: ids, epochs, slots, resources. The limits here keep one
 * field from filling a frame, and every number where the core can still count on from it: one more,
 * or the sum of all that a node runs, is exact and can be signed. What a value means is checked by
 * the core.
 */
import type {
  ExecutionFailure,
  FailureClass,
  OutputHead,
  ResultRef,
  Usage,
} from '../../src/core/record/execution.ts';
import type {
  ExecutionId,
  JobId,
  NodeId,
  PublicKey,
  RecordId,
  StoreId,
} from '../../src/core/record/ids.ts';
import { NODE_ID } from '../../src/core/record/ids.ts';
import type { ConfigId, Epoch, Keeper, Slot } from '../../src/core/record/records.ts';
import { EPOCH_NUMBER_MAX } from '../../src/core/record/ballot.ts';
import { FEATURE_LENGTH_MAX, FEATURES_MAX } from '../../src/core/contract/features.ts';
import type { Resources } from '../../src/job/model.ts';
import { BYTES_MAX, CPU_MAX, GPUS_MAX } from '../../src/job/resources.ts';
import { dictionary, flag, integer, list, map, nullable, oneOf, pattern, text } from './shape.ts';
import type { Shape } from './shape.ts';

const UUID8 = '[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
/** Decimal without leading zeros; the record in the slot has the range of each. */
const ORDINAL = '(?:0|[1-9][0-9]{0,9})';

export const jobId: Shape<JobId> = pattern(new RegExp(`^j-${UUID8}$`));
export const executionId: Shape<ExecutionId> = pattern(new RegExp(`^e-${UUID8}$`));
export const nodeId: Shape<NodeId> = pattern(new RegExp(`^${NODE_ID}$`));
export const publicKey: Shape<PublicKey> = pattern(/^[0-9a-f]{64}$/);
export const recordId: Shape<RecordId> = pattern(/^[0-9a-f]{64}$/);
export const storeId: Shape<StoreId> = pattern(/^[0-9a-f]{32}$/);
export const nonce: Shape<string> = pattern(/^[0-9a-f]{32}$/);
/** A name and up to four numbers. A later version may have other slots: nobody here looks for a value in one. */
export const slot: Shape<Slot> = pattern(new RegExp(`^[a-z][a-z-]{0,31}(?:/${ORDINAL}){0,4}$`));
/** CIDv0 or CIDv1 in any base: letters, digits and the base64 signs. The core never parses it. */
export const cid: Shape<string> = pattern(/^[A-Za-z0-9+/=_-]{10,256}$/);

/** Nodes, jobs, executions: more than any mesh has. */
export const count: Shape<number> = integer(0, 0x7fff_ffff);
/** Versions, rounds, sequences of a job. */
export const ordinal: Shape<number> = integer(0, 0x7fff_ffff);
/** Partitions and attempts: what a slot can name. */
export const index: Shape<number> = integer(0, 999_999);
/** Partitions of a job. */
export const partitions: Shape<number> = integer(0, 1_000_000);
/** A moment or a span in milliseconds, or what rises with the clock: until the year 10889. */
export const moment: Shape<number> = integer(0, 2 ** 48);
/** Four pebibytes; a thousand of them add up exactly, near enough for a choice. */
export const bytes: Shape<number> = integer(0, BYTES_MAX);
/** Kebab-case and stable. */
export const code: Shape<string> = pattern(/^[a-z][a-z0-9-]{0,63}$/);
/** A sentence for a person; writers keep to 1,000 characters, readers allow for later versions. */
export const sentence: Shape<string> = text(4_000);
/** A name a user or operator chose. */
export const name: Shape<string> = text(1_024);
export const labels: Shape<Readonly<Record<string, string>>> = dictionary(text(4_096), 256, 256);
export const nodes: Shape<readonly NodeId[]> = list(nodeId, 64);
export const features: Shape<readonly string[]> = list(text(FEATURE_LENGTH_MAX, 1), FEATURES_MAX);

export const configId: Shape<ConfigId> = map<ConfigId>({ major: ordinal, minor: ordinal });

export const epoch: Shape<Epoch> = map<Epoch>({
  config: configId,
  number: integer(0, EPOCH_NUMBER_MAX),
  leader: nodeId,
});
export const keeper: Shape<Keeper> = map<Keeper>({ node: nodeId, store: storeId });

export const resources: Shape<Resources> = map<Resources>({
  cpuMillis: integer(0, CPU_MAX * 1_000),
  memoryBytes: bytes,
  diskBytes: bytes,
  gpus: integer(0, GPUS_MAX),
});

/** Windows gives unsigned ones, signals of some runtimes negative ones. */
export const exitCode: Shape<number> = integer(-0x8000_0000, 0xffff_ffff);

export const result: Shape<ResultRef | null> = nullable(map<ResultRef>({ cid, bytes }));

export const failureClass: Shape<FailureClass> = oneOf({
  spec: true,
  node: true,
  transient: true,
  limit: true,
});

export const executionFailure: Shape<ExecutionFailure> = map<ExecutionFailure>({
  code,
  class: failureClass,
  message: sentence,
});

/** 2,048 bytes are at most 2,048 UTF-16 units. */
export const outputHead: Shape<OutputHead> = map<OutputHead>({
  stdout: text(2_048),
  stdoutTruncated: flag,
  stderr: text(2_048),
  stderrTruncated: flag,
});

export const usage: Shape<Usage> = map<Usage>({
  cpuMs: nullable(moment),
  peakMemoryBytes: nullable(bytes),
  wallMs: moment,
});
