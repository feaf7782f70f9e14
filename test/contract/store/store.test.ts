/** The port of the store, against the simulator's and the one on disk: same writes, same rows. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { asStoreId } from '../../../src/core/record/ids.ts';
import type { Restored, StoreWrite } from '../../../src/core/contract/stored.ts';
import { openStore } from '../../../src/store/store.ts';
import { createSimStore } from '../../simulation/sim-store.ts';
import { acceptedWrite, codec, promiseWrite, recordWrite } from '../../unit/store/fixtures.ts';

interface Subject {
  apply(writes: readonly StoreWrite[]): void;
  /** What a process finds that starts after this one ended. */
  restart(): Restored;
  end(): void;
}

const inMemory = (): Subject => {
  const store = createSimStore(asStoreId('0'.repeat(32)));
  return { apply: (writes) => store.apply(writes), restart: () => store.restore(), end: () => {} };
};

const onDisk = (): Subject => {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-contract-'));
  const open = () => openStore(dir, { codec, random: randomBytes });
  let store = open();
  return {
    apply: (writes) => store.apply(writes),
    restart() {
      const { id } = store;
      store.close();
      store = open();
      assert.deepEqual([store.problems, store.id], [[], id]);
      return store.restore();
    },
    end() {
      store.close();
      rmSync(dir, { recursive: true });
    },
  };
};

const small = fc.nat(3);
const puts: fc.Arbitrary<StoreWrite> = fc.oneof(
  small.map(recordWrite),
  fc.tuple(small, fc.nat(100)).map(([job, ballot]) => promiseWrite(job, ballot)),
  fc.tuple(small, small).map(([job, partition]) => acceptedWrite(job, partition)),
);
const writes = fc
  .tuple(puts, fc.boolean())
  .map(([put, keep]) => (keep ? put : ({ ...put, value: null } as StoreWrite)));
const histories = fc.array(fc.array(writes, { maxLength: 6 }), { maxLength: 8 });

/** Records by their id, everything else as it is, in the order of rows. */
function comparable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(comparable);
  if ('sig' in value && 'id' in value) return value.id;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, comparable(member)]),
  );
}

/** The laws that need no comparison, for one store at a time. */
for (const [name, create] of [
  ['in memory', inMemory],
  ['on disk', onDisk],
] as const) {
  test(`${name}: nothing written is nothing restored`, () => {
    const subject = create();
    subject.apply([]);
    const nothing: Restored = {
      records: [],
      promises: [],
      accepted: [],
      executions: [],
      submissions: [],
      entrusted: [],
      shelved: [],
      counts: [],
      forfeits: [],
    };
    assert.deepEqual(subject.restart(), nothing);
    subject.end();
  });

  test(`${name}: the last write of a key wins, also within one call`, () => {
    const subject = create();
    subject.apply([
      promiseWrite(1, 1),
      promiseWrite(1, 3),
      promiseWrite(2, 1),
      { ...promiseWrite(2, 1), value: null } as StoreWrite,
    ]);
    assert.deepEqual(
      subject.restart().promises.map(({ value }) => value.number),
      [3],
    );
    subject.end();
  });
}

test('both restore the same after the same writes, in the same order, whenever they are restarted', () => {
  fc.assert(
    fc.property(histories, fc.nat(8), (history, restartAfter) => {
      const subjects = [inMemory(), onDisk()];
      for (const [at, batch] of history.entries()) {
        for (const subject of subjects) {
          subject.apply(batch);
          if (at === restartAfter) subject.restart();
        }
      }
      const [expected, actual] = subjects.map((subject) => comparable(subject.restart()));
      for (const subject of subjects) subject.end();
      assert.deepEqual(actual, expected);
    }),
    { numRuns: 30 },
  );
});
