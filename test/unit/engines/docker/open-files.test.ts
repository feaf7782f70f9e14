/** Which open files without a name are found, in processes that are made up and in real ones. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { closeSync, fstatSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { deletedBytes, noHabits } from '../../../../src/engines/docker/open-files.ts';

const MB = 1_000_000;
const { signal } = new AbortController();

interface Processes extends AsyncDisposable {
  readonly proc: string;
  /** A thread of process 1 and what its open files are. */
  thread(id: number, files: Readonly<Record<number, string>>): Promise<void>;
  /** A file of a megabyte without a name. @returns a path to it */
  deleted(): string;
  count(looksMax?: number): Promise<number>;
}

/** A directory like `/proc` in which process 1 has the threads that it is given. */
async function processes(): Promise<Processes> {
  const proc = await mkdtemp(join(tmpdir(), 'shoal-proc-'));
  const open: number[] = [];
  const devices = new Set<number>();
  const habits = noHabits();
  return {
    proc,
    async thread(id, files) {
      const at = join(proc, '1/task', String(id));
      await mkdir(join(at, 'fd'), { recursive: true });
      await mkdir(join(proc, String(id)), { recursive: true });
      await writeFile(join(at, 'children'), '');
      for (const [name, file] of Object.entries(files)) await symlink(file, join(at, 'fd', name));
    },
    deleted() {
      const path = join(proc, `deleted-${open.length}`);
      const descriptor = openSync(path, 'w');
      writeSync(descriptor, Buffer.alloc(MB, 1));
      unlinkSync(path);
      open.push(descriptor);
      devices.add(fstatSync(descriptor).dev);
      return `/proc/self/fd/${descriptor}`;
    },
    count: (looksMax = 1_000) =>
      deletedBytes(
        { proc, init: 1, devices, habits, enough: 1_000 * MB, looks: { left: looksMax } },
        signal,
      ),
    async [Symbol.asyncDispose]() {
      for (const descriptor of open) closeSync(descriptor);
      await rm(proc, { recursive: true });
    },
  };
}

test('a thread that has other files behind the same numbers hides none of them', async () => {
  await using p = await processes();
  const plain = { 3: '/dev/null', 4: '/dev/null' };
  await p.thread(1, plain);
  await p.thread(2, plain);
  assert.equal(await p.count(), 0);
  await p.thread(3, { 3: p.deleted(), 4: p.deleted() });
  assert.ok((await p.count()) >= 2 * MB);
});

test('files that are mapped are found when the first thread has ended', async () => {
  await using p = await processes();
  await p.thread(1, {});
  await p.thread(2, {});
  await writeFile(join(p.proc, '1/maps'), '');
  await writeFile(join(p.proc, '2/maps'), '0000a000-0000b000 rw-s 00000000 08:01 7 /x (deleted)\n');
  await mkdir(join(p.proc, '2/map_files'));
  await symlink(p.deleted(), join(p.proc, '2/map_files/a000-b000'));
  assert.ok((await p.count()) >= MB);
});

test('more open files than may be looked at are without end', async () => {
  await using p = await processes();
  const files = Array.from({ length: 50 }, (_, at) => [at, '/dev/null'] as const);
  await p.thread(1, Object.fromEntries(files));
  assert.equal(await p.count(50), 0);
  assert.equal(await p.count(49), Number.POSITIVE_INFINITY);
});

test('files that stay in a socket are told from those that pass through it', async () => {
  const child = fork('-e', ['setInterval(() => {}, 1e6)'], { execArgv: [] });
  const server = createServer();
  try {
    assert.ok(child.pid);
    const { pid: init } = child;
    child.kill('SIGSTOP');
    const habits = noHabits();
    const look = (): Promise<number> =>
      deletedBytes(
        { proc: '/proc', init, devices: new Set(), habits, enough: MB, looks: { left: 1_000 } },
        signal,
      );
    for (let at = 0; at < 20; at += 1) assert.equal(await look(), 0);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    child.send('take it', server);
    for (let at = 0; at < 9; at += 1) assert.equal(await look(), 0);
    await assert.rejects(look(), /in a socket/);
  } finally {
    child.kill('SIGKILL');
    server.close();
  }
});
