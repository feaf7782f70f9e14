/**
 * What the store promises when its process, its disk or its directory is treated badly. Real
 * processes.
 */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { lockDataDir } from '../../../src/store/lock.ts';
import { openStore } from '../../../src/store/store.ts';
import {
  codec,
  jobNumber,
  opened,
  promiseWrite,
  recordWrite,
  temporary,
} from '../../unit/store/fixtures.ts';

const WRITER = new URL('../../unit/store/writer.ts', import.meta.url).pathname;
const DEADLINE_MS = 30_000;

/** Starts the writer; it is killed after the test. */
function start(context: TestContext, dir: string, mode: string): ChildProcess {
  const child = spawn(process.execPath, ['--expose-gc', WRITER, dir, mode], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

/** Collects lines until `enough`, then kills the process and collects what it still had said. */
async function linesUntilKilled(
  child: ChildProcess,
  enough: (lines: readonly string[]) => boolean,
): Promise<string[]> {
  const lines: string[] = [];
  const timer = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
  assert.ok(child.stdout);
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line);
    if (enough(lines)) child.kill('SIGKILL');
  }
  clearTimeout(timer);
  return lines;
}

test('kill -9 in the middle of writing loses nothing that was acknowledged', async (context) => {
  const dir = temporary(context);
  let id: string | undefined;
  for (const commits of [1, 40, 97]) {
    const lines = await linesUntilKilled(
      start(context, dir, 'write'),
      ({ length }) => length >= commits,
    );
    assert.ok(lines.length >= commits, `the writer ended after ${lines.length} commits`);
    const [last, storeId] = (lines.at(-1) ?? '').split(' ');
    const highest = Number(last);
    const store = opened(context, dir);
    assert.deepEqual(store.problems, []);
    id ??= storeId;
    assert.deepEqual([store.id, storeId], [id, id], 'a crash costs no identity');
    const restored = store.restore();
    const known = new Set(restored.records.map(({ job }) => job));
    for (let number = 0; number <= highest; number += 1) {
      assert.ok(known.has(jobNumber(number)), `record ${number} of ${highest} is missing`);
    }
    const promised = new Map(restored.promises.map(({ job, value }) => [job, value.number]));
    assert.ok(
      (promised.get(jobNumber(highest % 5)) ?? -1) >= highest,
      'the last promise is missing',
    );
    store.close();
  }
});

test('a directory has one peer; the lock ends with its process, however that ends', async (context) => {
  const dir = temporary(context);
  const holder = start(context, dir, 'hold');
  assert.ok(holder.stdout);
  for await (const line of createInterface({ input: holder.stdout })) if (line === 'held') break;
  assert.throws(
    () => lockDataDir(dir),
    (error) => {
      assert.ok(error instanceof ShoalError);
      assert.deepEqual(error.failure, {
        ...{ code: 'data-dir-locked', path: dir, pid: holder.pid, bootstrap: '' },
      });
      return true;
    },
  );
  const exited = new Promise((resolve) => holder.once('exit', resolve));
  holder.kill('SIGKILL');
  await exited;
  assert.ok(existsSync(join(dir, 'peer.pid')), 'the dead process left its id behind');
  const lock = lockDataDir(dir);
  assert.equal(readFileSync(join(dir, 'peer.pid'), 'utf8'), `${process.pid}\n`);
  assert.throws(() => lockDataDir(dir), { name: 'ShoalError' }, 'not even twice in one process');
  lock.release();
  lock.release();
  assert.equal(existsSync(join(dir, 'peer.pid')), false);
  lockDataDir(dir).release();
});

/** Mounts a small file system of its own; it is unmounted after the test. */
function smallDisk(context: TestContext, size: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-disk-'));
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir]);
  context.after(() => {
    spawnSync('umount', ['-l', dir]);
    rmdirSync(dir);
  });
  assert.equal(mounted.status, 0, String(mounted.stderr));
  return dir;
}

const mayMount = process.getuid?.() === 0 && spawnSync('mount', ['--version']).status === 0;
const onlyRoot = mayMount ? false : 'needs root, to mount a small file system';

function failureOf(work: () => void): ShoalError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ShoalError, String(error));
    return error;
  }
  assert.fail('it did not fail');
}

test('a full disk is told, costs nothing acknowledged, and ends when there is space again', {
  skip: onlyRoot,
}, (context) => {
  const dir = smallDisk(context, '2m');
  const store = opened(context, dir);
  const ballast = join(dir, 'ballast');
  writeFileSync(ballast, new Uint8Array(1_000_000));
  let written = 0;
  const failure = failureOf(() => {
    for (; written < 10_000; written += 1)
      store.apply([recordWrite(written), promiseWrite(written % 3, written)]);
  });
  assert.ok(
    failure.failure.code === 'store-unusable' && /the disk is full/.test(failure.message),
    failure.message,
  );
  assert.ok(written > 10, `the disk was full after ${written} commits`);
  failureOf(() => {
    for (; written < 10_000; written += 1) store.apply([recordWrite(written)]);
  });
  assert.equal(store.restore().records.length, written, 'what is there can still be read');
  rmSync(ballast);
  store.apply([recordWrite(written), promiseWrite(0, written)]);
  store.close();
  const again = opened(context, dir);
  assert.deepEqual([again.problems, again.id], [[], store.id]);
  assert.equal(again.restore().records.length, written + 1);
  again.close();
});

test('a store that cannot be created for want of space is told', { skip: onlyRoot }, (context) => {
  const dir = smallDisk(context, '64k');
  writeFileSync(join(dir, 'ballast'), new Uint8Array(61_440));
  const failure = failureOf(() => openStore(join(dir, 'data'), { codec, random: randomBytes }));
  assert.equal(failure.failure.code, 'store-unusable');
});

test('after an I/O error the store is lost: it says so, and comes back with a new id', {
  skip: onlyRoot,
}, (context) => {
  const dir = smallDisk(context, '2m');
  const store = opened(context, dir);
  store.apply([recordWrite(1), promiseWrite(1, 1)]);
  // A file size limit makes every write that would grow a file fail, as a broken disk does.
  const prlimit = (bytes: string) => {
    const done = spawnSync('prlimit', ['--pid', String(process.pid), `--fsize=${bytes}:unlimited`]);
    assert.equal(done.status, 0, String(done.stderr));
  };
  const failures = withIgnoredSignal(() => {
    prlimit(String(statSync(join(dir, 'store.db-wal')).size));
    try {
      return [0, 1].map(() => failureOf(() => store.apply([promiseWrite(1, 2)])));
    } finally {
      prlimit('unlimited');
    }
  });
  for (const failure of failures) assert.match(failure.message, /the disk reports an error/);
  failureOf(() => store.apply([promiseWrite(1, 3)]));
  store.close();
  const again = opened(context, dir);
  assert.deepEqual(
    again.problems.map(({ code }) => code),
    ['disk-failed'],
  );
  assert.notEqual(again.id, store.id);
  assert.deepEqual([again.restore().promises.length, again.restore().records.length], [0, 1]);
  again.close();
});

/** The limit sends SIGXFSZ, whose default is death. */
function withIgnoredSignal<T>(work: () => T): T {
  const ignore = (): void => {};
  process.on('SIGXFSZ' as NodeJS.Signals, ignore);
  try {
    return work();
  } finally {
    process.off('SIGXFSZ' as NodeJS.Signals, ignore);
  }
}
