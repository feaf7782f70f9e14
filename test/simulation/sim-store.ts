/**
 * What one node has on disk. Only synced rows are in here: the buffer of writes on their way lives
 * in the node (`sim-node.ts`) and dies with it.
 */
import type { JobId, StoreId } from '../../src/core/record/ids.ts';
import type { Restored, StoreWrite } from '../../src/core/contract/stored.ts';

export type Table = StoreWrite['table'];
type Row<T extends Table> = Extract<StoreWrite, { table: T }>;

export interface SimStore {
  readonly id: StoreId;
  /** Contents that are complete here. */
  readonly blocks: Set<string>;
  apply(writes: readonly StoreWrite[]): void;
  get<T extends Table>(table: T, job: JobId, key: string): NonNullable<Row<T>['value']> | null;
  rows<T extends Table>(table: T): readonly Row<T>[];
  restore(): Restored;
  /** The same disk without the rows of these tables: only for planted bugs. */
  drop(tables: readonly Table[]): void;
}

export function createSimStore(id: StoreId): SimStore {
  const tables: Record<Table, Map<string, StoreWrite>> = {
    records: new Map(),
    promises: new Map(),
    accepted: new Map(),
    executions: new Map(),
    submissions: new Map(),
    entrusted: new Map(),
  };

  const rows = <T extends Table>(table: T): readonly Row<T>[] =>
    // In key order, as a database returns them.
    [...tables[table].entries()]
      .sort(([left], [right]) => (left < right ? -1 : 1))
      .map(([, row]) => row as Row<T>);

  return {
    id,
    blocks: new Set(),
    rows,
    apply: (writes) => {
      for (const write of writes) {
        const key = `${write.job}|${write.key}`;
        if (write.value === null) tables[write.table].delete(key);
        else tables[write.table].set(key, write);
      }
    },
    get: <T extends Table>(table: T, job: JobId, key: string) => {
      const row = tables[table].get(`${job}|${key}`) as Row<T> | undefined;
      return (row?.value ?? null) as NonNullable<Row<T>['value']> | null;
    },
    restore: () => ({
      records: rows('records').flatMap(({ job, key, value }) =>
        value ? [{ job, key, value }] : [],
      ),
      promises: rows('promises').flatMap(({ job, value }) => (value ? [{ job, value }] : [])),
      accepted: rows('accepted').flatMap(({ job, key, value }) =>
        value ? [{ job, key, value }] : [],
      ),
      executions: rows('executions').flatMap(({ value }) => (value ? [value] : [])),
      submissions: rows('submissions').flatMap(({ value }) => (value ? [value] : [])),
      entrusted: rows('entrusted').flatMap(({ value }) => (value ? [value] : [])),
    }),
    drop: (names) => {
      for (const name of names) tables[name].clear();
    },
  };
}
