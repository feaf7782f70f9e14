/**
 * The durable store: what a node has promised, recorded and runs. One SQLite file in WAL mode with
 * `synchronous = FULL`, so that what `apply` has returned from survives a crash and a power cut.
 * What is found damaged at the start is set aside and reported (`open-checked.ts`). Knows no
 * formats; its codec does.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { JobId, StoreId } from '../core/record/ids.ts';
import type { Restored, StoreWrite } from '../core/contract/stored.ts';
import { openGeneration } from './generation.ts';
import type { Generation } from './generation.ts';
import { writeIdentity } from './identity.ts';
import { createKeyValues } from './key-values.ts';
import type { KeyValues } from './key-values.ts';
import { openChecked } from './open-checked.ts';
import type { Checked, StoreProblem } from './open-checked.ts';
import type { RowCodec, TableCodec } from './row-codec.ts';
import { createRowWriter } from './row-writer.ts';
import type { RowWrite } from './row-writer.ts';
import { scan } from './scan.ts';
import { closeSqlite, inTransaction, sqliteFault, storeUnusable } from './sqlite.ts';
import { failpoint } from '../lib/failpoint.ts';

export interface StoreDeps {
  readonly codec: RowCodec;
  /** That many random bytes. */
  readonly random: (length: number) => Uint8Array;
}

export interface Store {
  /** Identity of this store; another one than before when promises may have been forgotten. */
  readonly id: StoreId;
  /** Found when it was opened; empty when all is well. */
  readonly problems: readonly StoreProblem[];
  /**
   * All of it or nothing, on disk when it returns.
   * @throws ShoalError `store-unusable`: nothing was written. When the disk was full the next call
   * may succeed; after an I/O error every later one throws.
   */
  apply(writes: readonly StoreWrite[]): void;
  /** Everything that is on disk. */
  restore(): Restored;
  /**
   * Everything that is on disk about one job. @throws Error when a row of it is damaged or cannot be
   * read: half of a job is worse than none.
   */
  restoreJob(job: JobId): Restored;
  readonly kv: KeyValues;
  /** Idempotent. */
  close(): void;
}

/** True for an error of `apply` that passes when there is room on the disk again. */
export const isFull = (error: unknown): boolean =>
  error instanceof ShoalError && sqliteFault(error.cause) === 'full';

/**
 * Opens or creates the store in `dir`. The caller holds the lock of the directory. @throws
 * ShoalError `store-unusable`.
 */
export function openStore(dir: string, deps: StoreDeps): Store {
  const path = join(dir, 'store.db');
  let generation: Generation | null = null;
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    generation = openGeneration(join(dir, 'store.generation'));
    const checked = openChecked({ path, generation, ...deps });
    failpoint('store.opened');
    return createStore({ path, generation, codec: deps.codec, ...checked });
  } catch (error) {
    generation?.close();
    throw error instanceof ShoalError ? error : storeUnusable(path, error);
  }
}

interface Parts extends Checked {
  readonly path: string;
  readonly generation: Generation;
  readonly codec: RowCodec;
}

function createStore(parts: Parts): Store {
  const { path, database, generation, codec, problems } = parts;
  // Read once already for the check; given away at the first chance, since the machine holds it
  // then.
  let restored: Restored | null = parts.restored;
  let identity = parts.identity;
  let failed: ShoalError | null = null;
  const write = writeIdentity(database);
  const writeRow = createRowWriter(database);

  /** Runs work in one transaction; an error that speaks against the disk ends the store's life. */
  function commit<T>(work: () => T): T {
    if (failed !== null) throw failed;
    try {
      return inTransaction(database, work);
    } catch (error) {
      const fault = sqliteFault(error);
      const unusable = storeUnusable(path, error);
      if (fault === 'io' || fault === 'damaged') {
        // After a failed write the page cache may hold what the disk does not: nothing here can be
        // trusted.
        failed = unusable;
        generation.markLost();
      }
      throw unusable;
    }
  }

  return {
    id: identity.store,
    problems,
    kv: createKeyValues(database, (work) => {
      failpoint('kv.before');
      const result = commit(work);
      failpoint('kv.after');
      return result;
    }),
    restore() {
      const everything = restored ?? scan(database, codec).restored;
      restored = null;
      return everything;
    },
    restoreJob(job) {
      const { restored: rows, damaged } = scan(database, codec, job);
      const [row] = damaged;
      if (row === undefined) return rows;
      throw new Error(`the row ${row.table} ${row.key} of job ${job} is damaged`);
    },
    apply(writes) {
      if (writes.length === 0) return;
      restored = null;
      const rows = writes.map((one) => rowOf(codec, one));
      const next = commit(() => {
        const promised = identity.promised.slice();
        for (const row of rows) writeRow(row, promised);
        failpoint('store.rows-written');
        const changed = { ...identity, generation: identity.generation + 1, promised };
        write(changed);
        return changed;
      });
      failpoint('store.committed');
      identity = next;
      count(generation, next.generation);
      failpoint('store.counted');
    },
    close() {
      if (!database.isOpen) return;
      try {
        closeSqlite(database);
        generation.sync();
      } catch (error) {
        // Nothing acknowledged depends on an orderly end, and who has failed has said so already.
        if (failed === null && sqliteFault(error) !== 'full') throw storeUnusable(path, error);
      } finally {
        generation.close();
      }
    },
  };
}

/** The commit counts; a counter that lags behind only makes an old backup harder to notice. */
function count(generation: Generation, value: number): void {
  try {
    generation.set(value);
  } catch {
    // Written again with the next commit.
  }
}

function rowOf(codec: RowCodec, write: StoreWrite): RowWrite {
  const { table, job, key, value } = write;
  // A write's value is a row of its table; the compiler does not follow that through the index.
  const rows = codec[table] as TableCodec<StoreWrite['value']>;
  return { table, job, key, bytes: value === null ? null : rows.encode(value) };
}
