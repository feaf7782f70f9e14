/**
 * The names of things: branded strings and numbers, so a job id can never be passed for a node id.
 * The casts live here and nowhere else.
 */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** The text form of an Ed25519 key's peer id always begins like this and has 52 characters. A pattern. */
export const NODE_ID = '12D3KooW[1-9A-HJ-NP-Za-km-z]{44}';

/** A libp2p peer id in its text form (`12D3Koo…`). */
export type NodeId = Brand<string, 'NodeId'>;
/** Ed25519 public key, 64 hex digits. A node's id is derived from its key; an owner is its key. */
export type PublicKey = Brand<string, 'PublicKey'>;
/** Identity of one durable store: 32 hex digits, new whenever promises may have been forgotten. */
export type StoreId = Brand<string, 'StoreId'>;
/** `j-` and a version 8 uuid. */
export type JobId = Brand<string, 'JobId'>;
/** `e-` and a version 8 uuid. */
export type ExecutionId = Brand<string, 'ExecutionId'>;
/** sha-256 of a record's envelope, 64 hex digits. */
export type RecordId = Brand<string, 'RecordId'>;
/** Correlates a local request with its reply; never leaves the node. */
export type RequestId = Brand<string, 'RequestId'>;
/** Milliseconds on the node's monotonic clock. Only differences mean anything, and only on this node. */
export type Millis = Brand<number, 'Millis'>;
/**
 * Hybrid logical clock: wall-clock milliseconds since 1970 with a counter in the fraction of
 * a millisecond (1/1000). Orders what is shown; decides nothing but expiry.
 */
export type Hlc = Brand<number, 'Hlc'>;

const JOB_ID = /^j-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const isJobId = (text: string): boolean => JOB_ID.test(text);

export const asNodeId = (text: string): NodeId => text as NodeId;
export const asPublicKey = (hex: string): PublicKey => hex as PublicKey;
export const asStoreId = (hex: string): StoreId => hex as StoreId;
export const asJobId = (text: string): JobId => text as JobId;
export const asExecutionId = (text: string): ExecutionId => text as ExecutionId;
export const asRecordId = (hex: string): RecordId => hex as RecordId;
export const asRequestId = (text: string): RequestId => text as RequestId;
export const asMillis = (value: number): Millis => value as Millis;
export const asHlc = (value: number): Hlc => value as Hlc;

/** The moment `ms` milliseconds after `at`. */
export const after = (at: Millis, ms: number): Millis => (at + ms) as Millis;

/** A version 8 uuid made of the first 128 bits of a hash. `hex`: at least 32 hex digits. */
export function uuidOf(hex: string): string {
  const variant = ((Number.parseInt(hex[16] ?? '0', 16) & 0x3) | 0x8).toString(16);
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `8${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join('-');
}

/** `j-1a2b3c4d`: the prefix and the first 8 hex digits. */
export const shortId = (id: string): string => id.slice(0, 10);
