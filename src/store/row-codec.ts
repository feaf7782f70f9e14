/**
 * What the store needs of an encoding: one row as bytes and back. The adapter is `p2p/wire/rows.ts`;
 * the store itself knows no format. Types only.
 */
import type { StoreWrite } from '../core/machine-types.ts';

export type Table = StoreWrite['table'];
export type RowOf<T extends Table> = NonNullable<Extract<StoreWrite, { readonly table: T }>['value']>;

export interface RowCodec {
  encodeRow<T extends Table>(table: T, value: RowOf<T>): Uint8Array;
  /** null when the bytes are no row of this table. Never throws. */
  decodeRow<T extends Table>(table: T, bytes: Uint8Array): RowOf<T> | null;
}
