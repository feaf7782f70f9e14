/**
 * What one node has on disk. Only synced rows are in here: the buffer of writes on their way lives
 * in the node (`sim-node.ts`) and dies with it.
 */
import type { JobId, StoreId } from '../../src/core/record/ids.ts';
import type { Restored, StoreWrite } from '../../src/core/contract/stored.ts';

export type Table = StoreWrite['table'];
type Row<T extends Table> = Extract<StoreWrite, { table: T }>;
/** Rows by their key. */
type Rows = Map<string, StoreWrite>;

/** More versions than any job of a simulation has. */
const VERSIONS_MAX = 20;

export interface SimStore {
  readonly id: StoreId;
  /** Contents that are complete here. */
  readonly blocks: Set<string>;
  apply(writes: readonly StoreWrite[]): void;
  get<T extends Table>(table: T, job: JobId, key: string): NonNullable<Row<T>['value']> | null;
  rows<T extends Table>(table: T): readonly Row<T>[];
  /** Jobs that have rows in it, in the order of the first ones. */
  jobs(table: Table): Iterable<JobId>;
  /** What a start reads: of jobs that are over only that they are, and what lists show. */
  restore(): Restored;
  /** Everything about one job. */
  restoreJob(job: JobId): Restored;
  /** How often something was written about the job: as long as it is the same, so are its rows. */
  writesOf(job: JobId): number;
  /** Jobs of which a row was damaged. */
  readonly forfeits: Set<JobId>;
  /** One row less; with what rests on it (see `src/store/open-checked.ts`). */
  lose(row: StoreWrite): void;
  /** As it is now, to be put back later. */
  copy(): SimStore;
  /** How the store goes on that may have forgotten something: what it had promised binds nobody. */
  renewed(id: StoreId, blocks: ReadonlySet<string>): SimStore;
  /** The same disk without the rows of these tables: only for planted bugs. */
  drop(tables: readonly Table[]): void;
}

const inOrder = <T>(map: ReadonlyMap<string, T>): readonly T[] =>
  // In key order, as a database returns them.
  [...map].sort(([left], [right]) => (left < right ? -1 : 1)).map(([, value]) => value);

/** Damage to one of these costs the store its say in the job, the loss of one its id. */
export const BINDING: readonly Table[] = ['records', 'promises', 'accepted', 'submissions'];

export function createSimStore(id: StoreId): SimStore {
  const tables: Record<Table, Map<JobId, Rows>> = {
    records: new Map(),
    promises: new Map(),
    accepted: new Map(),
    executions: new Map(),
    submissions: new Map(),
    entrusted: new Map(),
    shelved: new Map(),
    counts: new Map(),
  };

  const forfeits = new Set<JobId>();
  const written = new Map<JobId, number>();

  const rows = <T extends Table>(table: T): readonly Row<T>[] =>
    inOrder(tables[table]).flatMap((job) => inOrder(job) as readonly Row<T>[]);

  const rowsOf = <T extends Table>(table: T, job: JobId): readonly Row<T>[] =>
    inOrder(tables[table].get(job) ?? new Map()) as readonly Row<T>[];

  const get = <T extends Table>(table: T, job: JobId, key: string) => {
    const row = tables[table].get(job)?.get(key) as Row<T> | undefined;
    return (row?.value ?? null) as NonNullable<Row<T>['value']> | null;
  };

  function put(write: StoreWrite): void {
    const { table, job, key, value } = write;
    written.set(job, (written.get(job) ?? 0) + 1);
    const kept = tables[table].get(job);
    if (value === null) {
      if (key !== '*') kept?.delete(key);
      if (key === '*' || kept?.size === 0) tables[table].delete(job);
    } else tables[table].set(job, (kept ?? new Map()).set(key, write));
  }

  /** Of the highest version that has such a row. */
  function latest(job: JobId, name: 'close' | 'version'): Row<'records'>['value'] {
    for (let version = VERSIONS_MAX; version > 0; version -= 1) {
      const row = get('records', job, `${name}/${version}`);
      if (row !== null) return row;
    }
    return null;
  }

  function read(of: <T extends Table>(table: T) => readonly Row<T>[]): Restored {
    return {
      records: of('records').flatMap(({ job, key, value }) => (value ? [{ job, key, value }] : [])),
      promises: of('promises').flatMap(({ job, value }) => (value ? [{ job, value }] : [])),
      accepted: of('accepted').flatMap(({ job, key, value }) =>
        value ? [{ job, key, value }] : [],
      ),
      executions: of('executions').flatMap(({ value }) => (value ? [value] : [])),
      submissions: of('submissions').flatMap(({ value }) => (value ? [value] : [])),
      entrusted: of('entrusted').flatMap(({ value }) => (value ? [value] : [])),
      forfeits: [...forfeits],
      counts: of('counts').flatMap(({ job, key, value }) => (value ? [{ job, key, value }] : [])),
      shelved: of('shelved').flatMap(({ job, value }) => {
        const spec = get('records', job, 'spec');
        const [close, version] = [latest(job, 'close'), latest(job, 'version')];
        const card = spec && close ? { spec, close, ...(version ? { version } : {}) } : null;
        return value ? [{ job, value, card }] : [];
      }),
    };
  }

  function copyOf(newId: StoreId, blocks: ReadonlySet<string>): SimStore {
    const store = createSimStore(newId);
    for (const table of Object.keys(tables) as Table[]) store.apply(rows(table));
    for (const cid of blocks) store.blocks.add(cid);
    for (const job of forfeits) store.forfeits.add(job);
    return store;
  }

  return {
    id,
    blocks: new Set(),
    forfeits,
    rows,
    jobs: (table) => tables[table].keys(),
    get,
    apply: (writes) => writes.forEach(put),
    restore: () =>
      read((table) =>
        table === 'records' || table === 'submissions'
          ? rows(table).filter(({ job }) => !tables.shelved.has(job))
          : rows(table),
      ),
    writesOf: (job) => written.get(job) ?? 0,
    restoreJob: (job) => read((table) => rowsOf(table, job)),
    lose: ({ table, job, key }) => put({ table, job, key, value: null } as StoreWrite),
    copy: () => copyOf(id, new Set()),
    renewed: (newId, blocks) => {
      const store = copyOf(newId, blocks);
      store.drop(['promises', 'accepted']);
      store.forfeits.clear();
      return store;
    },
    drop: (names) => {
      for (const name of names) tables[name].clear();
    },
  };
}
