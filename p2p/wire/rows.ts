/**
 * Rows of the durable store as bytes and back: the same canonical encoding and the same strict
 * shapes as on the wire, with records as their envelopes. A row that does not fit is damaged, or
 * was written by another version; the store sets it aside.
 */
import { HOLDERS_MAX } from '../../src/core/contract/limits.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { Suite } from '../../src/core/record/suite.ts';
import { decodeCanonical, decodeCbor, encodeCbor } from './cbor.ts';
import * as common from './common-shapes.ts';
import { createEnvelopes } from './envelope.ts';
import type { Envelopes, Sha256 } from './envelope.ts';
import { anyOrOpaque, createRecordShapes, order } from './record-shapes.ts';
import { bad, Faults, list, literal, map, nullable, oneOf, optional } from './shape.ts';
import type { Shape } from './shape.ts';

export type Table = StoreWrite['table'];
export type RowOf<T extends Table> = NonNullable<
  Extract<StoreWrite, { readonly table: T }>['value']
>;

export interface TableCodec<Row> {
  /** @throws TypeError for a value that breaks its own type. */
  encode(row: Row): Uint8Array;
  /** null when the bytes are no row of this table and version. Never throws. */
  decode(bytes: Uint8Array): Row | null;
}

export type RowCodec = { readonly [T in Table]: TableCodec<RowOf<T>> };

/**
 * An execution has a task, the spec it is from, an admission, an assignment and a state: five times at
 * most 64 KiB, and at most 64 later configurations of some 2 KB.
 */
const ROW_MAX_BYTES = 524_288;
/** Rows are our own, and may hold a task whose params alone cost all that a record may. */
const ROW_WORK = Number.MAX_SAFE_INTEGER;

export function createRowCodec(options: {
  readonly net: string;
  readonly sha256: Sha256;
}): RowCodec {
  const shapes = createRowShapes(createEnvelopes(options));
  return {
    records: tableCodec(shapes.records),
    promises: tableCodec(shapes.promises),
    accepted: tableCodec(shapes.accepted),
    executions: tableCodec(shapes.executions),
    submissions: tableCodec(shapes.submissions),
    entrusted: tableCodec(shapes.entrusted),
    shelved: tableCodec(shapes.shelved),
    counts: tableCodec(shapes.counts),
  };
}

/** Records of one job: 1,000 partitions have some 20,000 at most; these were in memory before. */
const PACKED_MAX = 1_000_000;

/** Records with their votes as one piece of bytes that refers to nothing else in memory, and back. */
export function createPacker(envelopes: Envelopes): Pick<Suite, 'pack' | 'unpack'> {
  const shape = list(createRowShapes(envelopes).records, PACKED_MAX);
  return {
    // A copy of its own: the encoder's result may be a view on a larger buffer.
    pack: (records) => encodeCbor(shape.write(records)).slice(),
    unpack(packed) {
      const decoded = decodeCbor(packed, Number.POSITIVE_INFINITY);
      const records = decoded.ok ? shape.read(decoded.value, new Faults()) : bad;
      if (records === bad) throw new Error('packed records cannot be read');
      return records;
    },
  };
}

function tableCodec<Row>(shape: Shape<Row>): TableCodec<Row> {
  return {
    encode: (row) => encodeCbor(shape.write(row)),
    decode(bytes) {
      const decoded = decodeCanonical(bytes, ROW_MAX_BYTES, ROW_WORK);
      if (!decoded.ok) return null;
      const row = shape.read(decoded.value, new Faults());
      return row === bad ? null : row;
    },
  };
}

function createRowShapes(envelopes: Envelopes): { readonly [T in Table]: Shape<RowOf<T>> } {
  const records = createRecordShapes(envelopes);
  // A row may also be a record that another version made.
  const record: Shape<RowOf<'records'>['record']> = anyOrOpaque(envelopes);
  return {
    records: map<RowOf<'records'>>({ record, votes: records.votes }),
    promises: common.epoch,
    accepted: map<RowOf<'accepted'>>({ epoch: common.epoch, value: records.value }),
    executions: map<RowOf<'executions'>>({
      order,
      spec: records.spec,
      admission: records.admission,
      configs: records.configs,
      version: optional(records.version),
      assign: nullable(records.assign),
      state: records.state,
      queued: optional(literal(true)),
      unbegun: optional(literal(true)),
      backoff: optional(
        map<NonNullable<RowOf<'executions'>['backoff']>>({
          inRow: common.count,
          until: nullable(common.moment),
        }),
      ),
    }),
    submissions: map<RowOf<'submissions'>>({
      spec: records.spec,
      admission: records.sealedAdmission,
    }),
    entrusted: map<RowOf<'entrusted'>>({
      spec: records.spec,
      admission: records.admission,
      configs: records.configs,
      accept: records.accept,
      others: list(
        map<RowOf<'entrusted'>['others'][number]>({
          node: common.nodeId,
          store: nullable(common.storeId),
        }),
        HOLDERS_MAX,
      ),
      since: common.moment,
      made: common.ordinal,
    }),
    shelved: map<RowOf<'shelved'>>({
      until: common.moment,
      what: oneOf({ records: true, token: true, nothing: true }),
      past: optional(
        map<NonNullable<RowOf<'shelved'>['past']>>({
          owner: common.publicKey,
          bytes: common.bytes,
        }),
      ),
    }),
    counts: map<RowOf<'counts'>>({ count: common.moment }),
  };
}
