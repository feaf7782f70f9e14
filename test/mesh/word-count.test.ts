import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { root } from './program.ts';

const example = (name: string): string => join(root, 'examples', name);

const mesh = await createMesh();

describe('three peers and one job', () => {
  let peers: readonly Peer[];
  let id: string;
  before(async () => {
    peers = await mesh.grow(3);
  });
  const at = (index: number): Peer => peers[index] ?? assert.fail(`no peer ${index}`);

  test('a job given to one peer runs on the mesh, and `job run` stays until it is done', async () => {
    const module = (
      await mesh.ok(at(0), ['cid', 'add', example('word-count/word-count.wasm')])
    ).trim();
    const text = (await mesh.ok(at(0), ['cid', 'add', example('word-count/moby-dick.txt')])).trim();
    const vars = ['-V', `module=${module}`, '-V', `text=${text}`];
    const printed = await mesh.ok(at(0), ['job', 'run', example('word-count.yaml'), ...vars]);
    assert.match(printed, /is Completed/);
    id = /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);
  });

  test('its result is fetched through a peer that it was not given to', async () => {
    const target = mesh.path('result');
    await mesh.ok(at(2), ['job', 'get', id, '--output-dir', target]);
    const names = await readdir(target, { recursive: true });
    const counts =
      names.find((name) => name.startsWith('outputs/')) ?? assert.fail(names.join(' '));
    const lines = (await readFile(join(target, counts), 'utf8')).trim();
    assert.match(lines, /\bthe\b/, 'the most frequent word of the text is among the ten');
  });

  test('the content itself is fetched by its CID', async () => {
    const [result] = await mesh.results(at(1), id);
    const cid = result?.Params.CID ?? assert.fail('no result');
    const target = mesh.path('content');
    await mesh.ok(at(2), ['cid', 'get', cid, target]);
    assert.deepEqual(
      (await readdir(target)).includes('outputs'),
      true,
      (await readdir(target)).join(' '),
    );
  });

  test('every peer lists, describes, tells the history and prints the logs of the job', async () => {
    for (const peer of peers) {
      const list = await mesh.ok(peer, ['job', 'list', '--output', 'json']);
      assert.ok(list.includes(id), `${peer.name} lists ${list}`);
      assert.match(await mesh.ok(peer, ['job', 'describe', id]), /State +=? *Completed/, peer.name);
      assert.match(await mesh.ok(peer, ['job', 'history', id]), /completed/i, peer.name);
      assert.match(await mesh.ok(peer, ['job', 'executions', id]), /Completed/, peer.name);
      const logs = await mesh.cli(peer, ['job', 'logs', id]);
      assert.equal(logs.code, 0, `${peer.name}: ${logs.stderr}`);
    }
  });

  test('the result outlives the node that made it: a second one holds it', async () => {
    const [result] = await mesh.results(at(0), id);
    assert.ok(result !== undefined);
    assert.equal(new Set(result.Params.Holders).size, 2, 'pinned on two nodes');
    await mesh.peerOf(result.Params.NodeID).stop();
    const asked = peers.find(
      (peer) => peer.running && !result.Params.Holders.includes(peer.nodeId),
    );
    const target = mesh.path('survivor');
    await mesh.ok(asked ?? assert.fail('nobody is left'), [
      'job',
      'get',
      id,
      '--output-dir',
      target,
    ]);
    assert.ok((await readdir(target)).includes('outputs'));
  });
});
