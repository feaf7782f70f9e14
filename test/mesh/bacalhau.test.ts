/** Real peers, asked as Bacalhau's clients ask: over HTTP and websockets alone, in their order and shapes. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { before, describe, test } from 'node:test';
import type { LogFrame } from '../../src/api/types.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** What its client sees that follows a job: the lines until the peer closes the stream, errors thrown. */
function follow(peer: Peer, id: string): Promise<string> {
  const socket = new WebSocket(
    `ws://127.0.0.1:${peer.apiPort}/api/v1/orchestrator/jobs/${id}/logs?follow=true`,
  );
  let text = '';
  return new Promise((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => {
      const { error, value } = JSON.parse(String(data)) as LogFrame;
      if (error === undefined) text += value.Line;
      else reject(new Error(error));
    });
    socket.addEventListener('error', () => reject(new Error('the stream broke')));
    socket.addEventListener('close', () => resolve(text));
  });
}

describe('three peers', () => {
  let peers: readonly Peer[];
  let first: Peer;
  before(async () => {
    peers = await mesh.grow(3);
    [first = assert.fail()] = peers;
  });

  test('a job is Pending when it was just submitted, and its logs can be followed at once from any peer', async () => {
    for (const peer of peers) {
      const id = await mesh.submit(first, noop({ Milliseconds: 300 }));
      const { Job } = await mesh.job(peer, id);
      assert.ok(['Pending', 'Running'].includes(Job.State.StateType), Job.State.StateType);
      assert.match(await follow(peer, id), /^noop e-/);
    }
  });

  test('whoever followed the logs of a job is told by every answer that it runs', async () => {
    for (let round = 0; round < 5; round += 1) {
      const id = await mesh.submit(first, noop({ Milliseconds: 5 }));
      for (const peer of peers) {
        await mesh.job(peer, id);
        await follow(peer, id);
        const { Job } = await mesh.job(peer, id);
        assert.ok(['Running', 'Completed'].includes(Job.State.StateType), Job.State.StateType);
      }
    }
  });

  test('a result of the publisher local is downloaded from every peer, as a plain archive', async () => {
    const id = await mesh.submit(first, noop({}, { task: { Publisher: { Type: 'local' } } }));
    await mesh.reaches(first, id, 'Completed');
    for (const peer of peers) {
      const [result] = await mesh.results(peer, id);
      assert.equal(result?.Type, 'urlDownload');
      const answer = await fetch(result.Params.URL ?? assert.fail('a URL'));
      assert.equal(answer.status, 200);
      const archive = gunzipSync(await answer.arrayBuffer());
      assert.match(archive.toString('latin1'), /stdout\0[^]*noop e-/);
    }
  });

  test('a module of 180 KB that its client put into the spec runs, and the spec is small', async () => {
    const module = Buffer.alloc(180_000, randomBytes(45_000));
    const URL = `data:application/octet-stream;base64,${module.toString('base64')}`;
    const InputSources = [{ Source: { Type: 'inline', Params: { URL } }, Target: '/main.wasm' }];
    const id = await mesh.submit(first, noop({}, { task: { InputSources } }));
    await mesh.reaches(first, id, 'Completed');
    const { Job } = await mesh.job(first, id);
    assert.equal(Job.Tasks[0]?.InputSources[0]?.Source.Type, 'ipfs');
  });

  test('a job that nobody can run is Pending at first and then Queued', async () => {
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 60, TotalTimeout: 0 };
    const id = await mesh.submit(
      first,
      noop({}, { task: { Resources: { CPU: '800' }, Timeouts } }),
    );
    assert.equal((await mesh.job(first, id)).Job.State.StateType, 'Pending');
    await mesh.reaches(first, id, 'Queued');
    await mesh.ok(first, ['job', 'stop', id]);
  });
});
