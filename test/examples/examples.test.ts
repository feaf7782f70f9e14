/**
 * What the README and the examples tell people to type, typed: the quickstart from start to end, and
 * the commands of `examples/README.md` against a running peer.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createMesh } from '../mesh/harness.ts';
import { processesWith } from '../mesh/processes.ts';
import { dockerMissing } from '../docker/support.ts';

const root = join(import.meta.dirname, '../..');
const mesh = await createMesh();

interface Ran {
  readonly code: number;
  readonly output: string;
}

function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<Ran> {
  const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}

test('the quickstart prints the result, ends with 0 and leaves nothing behind', async () => {
  const home = await mkdtemp(join(tmpdir(), 'shoal-examples-'));
  try {
    const { code, output } = await run(join(root, 'scripts/quickstart'), [], {
      ...process.env,
      HOME: home,
      TMPDIR: home,
    });
    assert.equal(code, 0, output);
    assert.match(output, /^10 the$/m, output);
    assert.match(output, /How to go on/, output);
    const left = (await readdir(home, { recursive: true })).filter((name) =>
      name.includes('shoal'),
    );
    assert.deepEqual(left, [], 'no file of it is left, not even a key');
    assert.deepEqual(await processesWith(home), [], 'no process is left');
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});

test('the README names the CIDs that its commands print', async () => {
  const peer = await mesh.add();
  const readme = await readFile(join(root, 'README.md'), 'utf8');
  for (const name of ['word-count.wasm', 'moby-dick.txt']) {
    const cid = (
      await mesh.ok(peer, ['cid', 'add', join(root, 'examples/word-count', name)])
    ).trim();
    assert.ok(readme.includes(cid), `${name} is ${cid}`);
  }
});

test('the Docker example gives every partition its share', {
  skip: await dockerMissing(),
}, async () => {
  const peer = mesh.peers[0] ?? (await mesh.add());
  const book = join(root, 'examples/word-count/moby-dick.txt');
  const text = (await mesh.ok(peer, ['cid', 'add', book])).trim();
  const spec = join(root, 'examples/docker-partitions.yaml');
  await mesh.ok(peer, [
    'job',
    'run',
    spec,
    '-V',
    `text=${text}`,
    '-V',
    'image=shoal-test/busybox:local',
  ]);
  const directory = mesh.path('parts');
  await mesh.ok(peer, ['job', 'get', 'docker-partitions', '--output-dir', directory]);
  const parts = await Promise.all(
    [0, 1, 2].map((index) => readFile(join(directory, `outputs/part-${index}.txt`), 'utf8')),
  );
  const words = parts.map((part) => Number(/(\d+) words/.exec(part)?.[1]));
  const all = (await readFile(book, 'utf8')).split(/\s+/).filter(Boolean);
  assert.equal(
    words.reduce((sum, count) => sum + count),
    all.length,
    parts.join(''),
  );
});

test('the service runs until it is stopped, and its output can be read meanwhile', {
  skip: await dockerMissing(),
}, async () => {
  const peer = mesh.peers[0] ?? (await mesh.add());
  const spec = join(root, 'examples/service.yaml');
  const image = 'image=shoal-test/busybox:local';
  await mesh.ok(peer, ['job', 'run', spec, '-V', image]);
  await mesh.until('its output is there', async () =>
    (await mesh.ok(peer, ['job', 'logs', 'clock'])).includes('run 0'),
  );
  await mesh.ok(peer, ['job', 'stop', 'clock']);
  assert.match(await mesh.ok(peer, ['job', 'describe', 'clock']), /^State +Stopped$/m);
});
