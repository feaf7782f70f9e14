/** What cannot be written is promised to nobody, is written as soon as there is room, and then goes on. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { asJobId } from '../../../src/core/record/ids.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Machine } from '../../../src/core/contract/machine.ts';
import type { Restored, StoreWrite } from '../../../src/core/contract/stored.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createBreaking } from '../../../src/node/breaking.ts';
import { createDriver } from '../../../src/node/driver.ts';
import { createOwed } from '../../../src/node/owed.ts';
import { idOf } from '../core/fixtures.ts';
import { orderOf } from '../storage/support.ts';

const job = asJobId('j-1');
const row = (key: string): StoreWrite => ({ table: 'records', job, key, value: null });
const to = idOf(1);
const pong: Effect = { type: 'send', to, message: { type: 'pong', nonce: 1 } };
const ack: Effect = { type: 'send', to, message: { type: 'commit-ack', job, slots: [] } };
const run: Effect = { type: 'run', order: orderOf('e-1', {}), resume: false };

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
const unbroken = {
  onDefect: (_: string, error: unknown) => assert.fail(String(error)),
  onFatal: (error: unknown) => assert.fail(String(error)),
  log: createLog('silent', process.stderr),
};

interface World {
  room: boolean;
  readonly tries: (readonly StoreWrite[])[];
  readonly disk: string[];
  readonly done: string[];
  readonly full: boolean[];
  readonly push: (effects: readonly Effect[]) => Promise<void>;
  readonly driver: ReturnType<typeof createDriver>;
}

/** A machine that does what the test says. */
function world(): World {
  let next: readonly Effect[] = [];
  const machine = {
    handle: (input: Input) => (input.type === 'reload' ? [pong] : next),
    nextWake: () => null,
  } as unknown as Machine;
  const w: World = {
    room: true,
    tries: [],
    disk: [],
    done: [],
    full: [],
    driver: createDriver(machine, {
      persist(writes) {
        w.tries.push(writes);
        if (w.room) w.disk.push(...writes.map(({ key }) => key));
        return w.room;
      },
      owed: createOwed('store.db'),
      onFull: (full) => w.full.push(full),
      perform: (effect) =>
        void w.done.push(effect.type === 'send' ? effect.message.type : effect.type),
      reload: (which) => {
        w.done.push(`reload ${which} with ${w.disk.join('')}`);
        return nothing;
      },
      ...unbroken,
    }),
    async push(effects) {
      next = effects;
      const before = w.driver.gauges().handled;
      w.driver.push({ type: 'wake' } satisfies Input);
      while (w.driver.gauges().handled === before) await delay(1);
    },
  };
  return w;
}

describe('a driver whose disk is full', () => {
  it('lets out only what promises nothing, until all is written', async () => {
    const w = world();
    w.room = false;
    await w.push([{ type: 'persist', writes: [row('a')] }, ack, pong, run]);
    assert.deepEqual([w.done, w.full], [['pong'], [true]]);
    await w.push([ack, pong]);
    assert.deepEqual(w.done, ['pong', 'pong'], 'what follows waits, too');
    await w.push([{ type: 'persist', writes: [row('b'), row('a')] }, run]);
    w.room = true;
    while (w.full.length < 2) await delay(10);
    assert.deepEqual(w.disk, ['b', 'a'], 'each row once, the last value last');
    assert.deepEqual(
      w.done,
      ['pong', 'pong', 'run', 'run'],
      'programs begin once they are on disk',
    );
    await w.push([{ type: 'persist', writes: [row('c')] }, ack]);
    assert.deepEqual(w.done.at(-1), 'commit-ack');
    w.driver.stop();
  });

  it('reads a job anew only when the disk says all that happened to it', async () => {
    const w = world();
    w.room = false;
    await w.push([
      { type: 'persist', writes: [row('a')] },
      { type: 'reload', job },
    ]);
    assert.deepEqual(w.done, []);
    w.room = true;
    while (w.done.length < 2) await delay(10);
    assert.deepEqual(w.done, ['reload j-1 with a', 'pong']);
    w.driver.stop();
  });

  it('tells who asked for something that was not written, instead of acknowledging it', async () => {
    const w = world();
    w.room = false;
    const machine = { nextWake: () => null } as unknown as Machine;
    const driver = createDriver(
      {
        ...machine,
        handle: (input) => {
          assert.ok(input.type === 'stop');
          const { request } = input;
          const told = { signed: 1, needed: 1, notAfter: 0, refused: null };
          const reply = { type: 'stopping', job, ...told } as const;
          return [
            { type: 'persist', writes: [row('stop')] },
            { type: 'reply', request, reply },
          ];
        },
      },
      {
        persist: () => false,
        owed: createOwed('store.db'),
        onFull: () => {},
        perform: () => {},
        reload: () => nothing,
        ...unbroken,
      },
    );
    const reply = await driver.request((request) => ({ type: 'stop', request, job, reason: '' }));
    assert.deepEqual(reply, { type: 'failed', problem: { code: 'store-full' } });
    driver.stop();
  });

  it('keeps a bounded number of rows waiting', () => {
    const owed = createOwed('/data/store.db');
    const rows = (from: number): StoreWrite[] =>
      Array.from({ length: 10_000 }, (_, at) => row(String(from + at)));
    owed.add(rows(0), []);
    owed.add(rows(0), []);
    assert.equal(owed.writes().length, 10_000);
    assert.throws(
      () => owed.add(rows(1), []),
      (error) => error instanceof ShoalError && error.failure.code === 'store-unusable',
    );
  });
});

describe('the end of a peer', () => {
  const broken = (what: string) => (): never => {
    throw new Error(what);
  };

  it('comes with its error, whatever else fails', async () => {
    for (const error of [
      new Error('a defect'),
      new ShoalError({ code: 'store-unusable', path: 'store.db', why: 'it is gone' }),
    ]) {
      const ended = Promise.withResolvers<Error>();
      const lines: string[] = [];
      const end = createBreaking({
        dataDir: '/proc/no/such/directory',
        log: createLog('warn', { write: (line) => lines.push(line) }),
        farewell: broken('no network'),
        stopRuns: () => Promise.reject(new Error('no Docker')),
        end: ended.resolve,
      });
      end(error, ['{}']);
      end(new Error('another'));
      assert.equal(await ended.promise, error);
      assert.equal(lines.filter((line) => line.includes('node.broken')).length, 1);
    }
  });

  it('gives its work away when its store is lost, and leaves it to be found again after a defect', async () => {
    const said: string[] = [];
    const ending = async (error: Error): Promise<void> => {
      const ended = Promise.withResolvers<Error>();
      createBreaking({
        dataDir: '/proc/no/such/directory',
        log: createLog('silent', process.stderr),
        farewell: () => void said.push('farewell'),
        stopRuns: async () => void said.push('stopped'),
        end: ended.resolve,
      })(error);
      await ended.promise;
    };
    await ending(new Error('a defect'));
    assert.deepEqual(said, []);
    await ending(new ShoalError({ code: 'store-unusable', path: 'store.db', why: 'it is gone' }));
    assert.deepEqual(said, ['farewell', 'stopped']);
  });
});
