/**
 * The cryptography the core is given: pure functions, so that the core stays free of I/O. The real
 * one (`p2p/wire/suite.ts`) is Ed25519 over canonical dag-cbor; the simulator's is a fast stand-in
 * with the same laws.
 */
import type { Hlc, NodeId, PublicKey } from './ids.ts';
import type { Opaque } from './opaque.ts';
import type { StoredRecord } from '../contract/stored.ts';
import type { AnyRecord, Bodies, RecordType, Signed } from './records.ts';

/** Which of a process's two keys signs: the machine's, or the person's. */
export type Signer = 'node' | 'owner';

/** Records packed by a suite; only the same suite can read them. */
export type Packed = Uint8Array & { readonly packed?: never };

export interface Suite {
  /** Signs a body with one of this process's keys. The result is deterministic. */
  seal<T extends RecordType>(type: T, body: Bodies[T], hlc: Hlc, signer: Signer): Signed<T>;
  /** True when the signature covers exactly this record in this mesh. Never throws. */
  verify(record: AnyRecord): boolean;
  /** The same for a record that nobody here understands, and that all its parts are what its bytes say. */
  verifyOpaque(record: Opaque): boolean;
  /** Bytes of the record on the wire: its envelope, signature included. */
  sizeOf(record: AnyRecord): number;
  /** The envelope of a spec, as another record has it in itself. */
  envelopeOf(spec: Signed<'spec'>): Uint8Array;
  /** The same back: well-formed, its signature not checked; null when it is none. The same bytes give the same object. */
  specIn(envelope: Uint8Array): Signed<'spec'> | null;
  /** Records in as little memory as they can have; what comes back is what went in. */
  pack(records: readonly StoredRecord[]): Packed;
  unpack(packed: Packed): readonly StoredRecord[];
  /** sha-256 of the UTF-8 text, 64 hex digits. */
  hash(text: string): string;
  /** The node that a key belongs to. */
  nodeOf(key: PublicKey): NodeId;
  /** The owner key this process holds. */
  readonly owner: PublicKey;
}
