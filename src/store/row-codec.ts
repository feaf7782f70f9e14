/**
 * What the store needs of an encoding: one row as bytes and back. The adapter is
 * `p2p/wire/rows.ts`; the store itself knows no format. Types only.
 */
import type { StoreWrite } from '../core/contract/stored.ts';

export type Table = StoreWrite['table'];
export type RowOf<T extends Table> = NonNullable<
  Extract<StoreWrite, { readonly table: T }>['value']
>;

export interface TableCodec<Row> {
  encode(row: Row): Uint8Array;
  /** null when the bytes are no row of this table. Never throws. */
  decode(bytes: Uint8Array): Row | null;
}

export type RowCodec = { readonly [T in Table]: TableCodec<RowOf<T>> };
