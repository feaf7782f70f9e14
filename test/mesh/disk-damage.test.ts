/** What can be learned or made again never keeps a peer from starting, nor ends one that runs. */
import assert from 'node:assert/strict';
import {
  mkdirSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
const PAGE = 4_096;

/** Over what is there, without a new file. */
function overwrite(path: string, from: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  try {
    writeSync(file, bytes, 0, bytes.length, from);
  } finally {
    closeSync(file);
  }
}

const noise = (length: number): Uint8Array => new Uint8Array(length).fill(0xa5);
const lastPage = (path: string): number => statSync(path).size - PAGE;

type Harm = (path: (name: string) => string) => void;

/** Something else in the place of a file or directory. */
const replace = (path: string, by: 'file' | 'directory'): void => {
  rmSync(path, { recursive: true, force: true });
  if (by === 'file') writeFileSync(path, 'in the way');
  else mkdirSync(join(path, 'below'), { recursive: true });
};

const harms: readonly (readonly [string, Harm])[] = [
  [
    'a zeroed page in peers.db, a file as spool, a directory as pid file',
    (at) => {
      overwrite(at('peers.db'), PAGE, new Uint8Array(PAGE));
      replace(at('spool'), 'file');
      replace(at('peer.pid'), 'directory');
    },
  ],
  [
    'a header of noise in peers.db, a file as block store',
    (at) => {
      overwrite(at('peers.db'), 0, noise(100));
      replace(at('blocks'), 'file');
    },
  ],
  [
    'a directory as peers.db, a file as directory of executions',
    (at) => {
      replace(at('peers.db'), 'directory');
      replace(at('executions'), 'file');
    },
  ],
  [
    'peers.db cut short, a lock and a log of noise',
    (at) => {
      truncateSync(at('peers.db'), lastPage(at('peers.db')) + 100);
      writeFileSync(at('peer.lock'), noise(9_000));
      writeFileSync(at('peers.db-wal'), noise(9_000));
    },
  ],
];

describe('a peer with damaged data that it can do without', () => {
  let first: Peer;
  let peer: Peer;
  before(async () => {
    const [one, two] = await mesh.grow(2);
    first = one ?? assert.fail('no peer');
    peer = two ?? assert.fail('no peer');
  });

  const works = async (): Promise<void> => {
    await mesh.joined();
    await mesh.reaches(peer, await mesh.submit(peer, noop({})), 'Completed');
    const cid = await first.addContent(`fetched ${Math.random()}\n`);
    await mesh.ok(peer, ['cid', 'get', cid, mesh.path('got')]);
  };
  const at = (name: string): string => join(peer.dataDir, name);

  for (const [what, harm] of harms) {
    test(`${what}: it starts, says what it set aside, and works`, async () => {
      await peer.stop();
      harm(at);
      await peer.start();
      await works();
      const said = [...peer.events('peers.problem'), ...peer.events('data.set-aside')];
      assert.ok(said.length > 0, peer.tail());
      assert.ok(readdirSync(peer.dataDir).some((name) => name.includes('.damaged-')));
    });
  }

  test('peers.db damaged under it: it goes on', async () => {
    const { size } = statSync(at('peers.db'));
    overwrite(at('peers.db'), 0, noise(size));
    overwrite(at('peers.db-wal'), 0, noise(statSync(at('peers.db-wal')).size));
    await works();
    await peer.stop();
    await peer.start();
    await works();
    assert.deepEqual(peer.events('node.broken'), []);
  });
});

describe('a peer whose store has a row of an open job less, or damaged', () => {
  // With a third one all three keep every job.
  before(async () => void (await mesh.add()));

  for (const [what, sql, code, sameStore] of [
    ['less', `DELETE FROM records WHERE key = 'admission'`, 'promises-damaged', false],
    ['damaged', `UPDATE records SET bytes = x'00' WHERE key = 'admission'`, 'job-forfeited', true],
  ] as const) {
    test(`${what}: it says so at the next start, and goes on; the others finish the job`, async () => {
      const [first, peer] = mesh.peers;
      assert.ok(first !== undefined && peer !== undefined);
      await mesh.joined();
      const job = await mesh.submit(first, noop({ Milliseconds: 8_000 }));
      await mesh.reaches(first, job, 'Running');
      await peer.stop();
      const database = new DatabaseSync(join(peer.dataDir, 'store.db'));
      const storeId = () => database.prepare('SELECT store FROM meta').get()?.['store'];
      const before = storeId();
      assert.ok(Number(database.prepare(sql).run().changes) > 0, 'it keeps an open job');
      database.close();
      await peer.start();
      const said = peer.events('store.problem').map((event) => event['code']);
      assert.ok(said.includes(code), said.join(' '));
      const after = new DatabaseSync(join(peer.dataDir, 'store.db'), { readOnly: true });
      assert.equal(after.prepare('SELECT store FROM meta').get()?.['store'] === before, sameStore);
      after.close();
      await mesh.reaches(first, job, 'Completed');
      await mesh.reaches(peer, await mesh.submit(peer, noop({})), 'Completed');
    });
  }
});
