/**
 * Shapes shared by records and messages: ids, epochs, slots, resources. The limits here keep one
 * field from filling a frame; what a value means is checked by the core.
 */
import type { ExecutionFailure, OutputHead, ResultRef, Usage } from '../../src/core/execution.ts';
import type {
  ExecutionId,
  JobId,
  NodeId,
  PublicKey,
  RecordId,
  StoreId,
} from '../../src/core/ids.ts';
import type { Epoch, Keeper, Slot } from '../../src/core/records.ts';
import type { Resources } from '../../src/job/model.ts';
import { dictionary, flag, integer, list, map, nullable, oneOf, pattern, text } from './shape.ts';
import type { Shape } from './shape.ts';

const UUID8 = '[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
/** The text form of an Ed25519 key's peer id always begins like this and has 52 characters. */
const PEER_ID = '12D3KooW[1-9A-HJ-NP-Za-km-z]{44}';
/** Decimal without leading zeros, below a million. */
const INDEX = '(?:0|[1-9][0-9]{0,5})';

export const jobId: Shape<JobId> = pattern(new RegExp(`^j-${UUID8}$`));
export const executionId: Shape<ExecutionId> = pattern(new RegExp(`^e-${UUID8}$`));
export const nodeId: Shape<NodeId> = pattern(new RegExp(`^${PEER_ID}$`));
export const publicKey: Shape<PublicKey> = pattern(/^[0-9a-f]{64}$/);
export const recordId: Shape<RecordId> = pattern(/^[0-9a-f]{64}$/);
export const storeId: Shape<StoreId> = pattern(/^[0-9a-f]{32}$/);
export const nonce: Shape<string> = pattern(/^[0-9a-f]{32}$/);
export const slot: Shape<Slot> = pattern(
  new RegExp(`^(?:admission|grant|close|accept/${INDEX}|assign/${INDEX}/${INDEX})$`),
);
/** CIDv0 or CIDv1 in any base: letters, digits and the base64 signs. The core never parses it. */
export const cid: Shape<string> = pattern(/^[A-Za-z0-9+/=_-]{10,256}$/);

export const count: Shape<number> = integer(0, Number.MAX_SAFE_INTEGER);
/** Versions, attempts, partitions, rounds, sequences of a job. */
export const ordinal: Shape<number> = integer(0, 0xffff_ffff);
/** Kebab-case and stable. */
export const code: Shape<string> = pattern(/^[a-z][a-z0-9-]{0,63}$/);
/** A sentence for a person; writers keep to 1,000 characters, readers allow for later versions. */
export const sentence: Shape<string> = text(4_000);
/** A name a user or operator chose. */
export const name: Shape<string> = text(1_024);
export const labels: Shape<Readonly<Record<string, string>>> = dictionary(text(4_096), 256, 256);
export const nodes: Shape<readonly NodeId[]> = list(nodeId, 64);

export const epoch: Shape<Epoch> = map<Epoch>({ config: ordinal, number: count, leader: nodeId });
export const keeper: Shape<Keeper> = map<Keeper>({ node: nodeId, store: storeId });

export const resources: Shape<Resources> = map<Resources>({
  cpuMillis: count,
  memoryBytes: count,
  diskBytes: count,
  gpus: count,
});

export const result: Shape<ResultRef | null> = nullable(map<ResultRef>({ cid, bytes: count }));

export const executionFailure: Shape<ExecutionFailure> = map<ExecutionFailure>({
  code,
  class: oneOf({ spec: true, node: true, transient: true, limit: true }),
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
  cpuMs: nullable(count),
  peakMemoryBytes: nullable(count),
  wallMs: count,
});
