/** Clients of a peer's API that mean it ill, or are other users of its machine: honest ones go on. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { lstat, readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop, wasm } from './specs.ts';

const mesh = await createMesh();

/** Longer than an answer takes on a loaded machine, shorter than any timeout of the server. */
const ANSWER_MS = 2_000;
const MEMORY_BYTES = 150_000_000;

const sockets: Socket[] = [];
mesh.defer(async () => {
  for (const socket of sockets) socket.destroy();
});

/** Connections that begin with `text` and say no more. */
async function flood(port: number, count: number, text: string): Promise<void> {
  for (let opened = 0; opened < count; opened += 50) {
    const some = Array.from({ length: 50 }, () => {
      const socket = connect(port, '127.0.0.1');
      sockets.push(socket);
      socket.on('error', () => {});
      return new Promise<void>((resolve) => {
        socket.once('connect', () => socket.write(text, () => resolve()));
        socket.once('close', () => resolve());
      });
    });
    await Promise.all(some);
  }
}

async function residentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

/** A connection of its own: one kept from before may be closed in the moment in which it is used again. */
const statusOf = (port: number): Promise<number | undefined> =>
  new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port, path: '/api/v1/orchestrator/jobs', agent: false };
    get(options, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    }).once('error', reject);
  });

async function answersSoon(peer: Peer): Promise<void> {
  const from = performance.now();
  assert.equal(await statusOf(peer.apiPort), 200);
  const ms = performance.now() - from;
  assert.ok(ms < ANSWER_MS, `the answer took ${Math.round(ms)} ms`);
}

describe('a peer whose API is attacked', () => {
  let peer: Peer;
  const socketOf = (of: Peer): Record<string, string> => ({
    SHOAL_API_SOCKET: join(of.dataDir, 'api.sock'),
  });
  before(async () => {
    [peer = assert.fail('no peer')] = await mesh.grow(3);
  });

  test('answers beside 600 clients that never finish a head, and as many that never finish a body', async () => {
    const before = await residentBytes(peer.pid);
    const body =
      'PUT /api/v1/orchestrator/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n{';
    for (const text of ['GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: ', body]) {
      await flood(peer.apiPort, 600, text);
      await answersSoon(peer);
    }
    const id = await mesh.submit(peer, noop({}));
    await mesh.reaches(peer, id, 'Completed');
    assert.ok((await residentBytes(peer.pid)) - before < MEMORY_BYTES);
  });

  test('refuses 300,000 keys at once, and stays as it was', async () => {
    const before = await residentBytes(peer.pid);
    const keys = Array.from({ length: 300_000 }, (_, index) => `"k${index}":"1"`).join(',');
    for (let sent = 0; sent < 5; sent += 1) {
      const answer = fetch(`http://127.0.0.1:${peer.apiPort}/api/v1/orchestrator/jobs`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: `{"Job":{"Labels":{${keys}}}}`,
      });
      await answersSoon(peer);
      assert.equal((await answer).status, 400);
    }
    assert.ok((await residentBytes(peer.pid)) - before < MEMORY_BYTES);
    const spec = `Labels:\n${keys.replaceAll('"', '').replaceAll(',', '\n').replaceAll(':', ': ').replace(/^/gm, '  ')}`;
    const validated = await mesh.cli(null, ['job', 'validate'], spec);
    assert.equal(validated.code, 2);
    assert.match(validated.stderr, /more than 32768 values/);
  });

  test('is reached through its socket, by commands, logs and transfers alike', async () => {
    const { mode } = await lstat(join(peer.dataDir, 'api.sock'));
    assert.equal(mode & 0o777, 0o600);
    const spec = JSON.stringify(await wasm(peer, 'args.wasm', { Parameters: ['said'] }));
    const ran = await mesh.cli(null, ['job', 'run', '--id-only'], spec, socketOf(peer));
    assert.equal(ran.code, 0, ran.stderr);
    const logs = await mesh.cli(null, ['job', 'logs', ran.stdout.trim()], '', socketOf(peer));
    assert.match(logs.stdout, /said/, logs.stderr);
    const added = await mesh.cli(null, ['cid', 'add', '-'], 'some bytes', socketOf(peer));
    assert.match(added.stdout, /^baf/);
  });

  test('that asks for keys lets a key do what its scope says, and its own user everything', async () => {
    const [look, send] = [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')];
    const file = mesh.path('keys');
    await writeFile(file, `read ${look}\nsubmit ${send}\n`, { mode: 0o600 });
    const keyed = await mesh.add({ flags: ['--api-keys', file] });
    const list = ['job', 'list'];
    const run = ['job', 'run', '--no-wait'];
    const spec = JSON.stringify(noop({}));
    assert.equal((await mesh.cli(keyed, list)).code, 3);
    assert.equal((await mesh.cli(keyed, list, '', { SHOAL_API_KEY: look })).code, 0);
    const refused = await mesh.cli(keyed, run, spec, { SHOAL_API_KEY: look });
    assert.equal(refused.code, 3);
    assert.match(refused.stderr, /may submit/);
    const taken = await mesh.cli(keyed, run, spec, { BACALHAU_API_KEY: send });
    assert.equal(taken.code, 0, taken.stderr);
    assert.equal((await mesh.cli(null, list, '', socketOf(keyed))).code, 0);
    // A peer that was killed leaves its socket behind.
    await keyed.kill();
    const dead = await mesh.cli(null, list, '', socketOf(keyed));
    assert.equal(dead.code, 4);
    await keyed.start();
    assert.equal((await mesh.cli(null, list, '', socketOf(keyed))).code, 0);
  });
});
