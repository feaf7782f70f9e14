/** A result lies on two peers for as long as it is kept: whoever loses it is replaced. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();
const COPY_MS = 60_000;
const publishing = { task: { Publisher: { Type: 'ipfs', Params: {} } } };

/** A job that has ended, the content of its result, and the two peers that hold it. */
async function ended(peer: Peer): Promise<{ id: string; cid: string; holders: readonly Peer[] }> {
  const id = await mesh.submit(peer, noop({}, publishing));
  await mesh.reaches(peer, id, 'Completed');
  const [result] = await mesh.results(peer, id);
  assert.ok(result);
  const holders = result.Params.Holders.map((node) => mesh.peerOf(node));
  assert.equal(holders.length, 2);
  return { id, cid: result.Params.CID, holders };
}

/** Whether a peer that reaches nobody has the whole result. */
async function has(peer: Peer, cid: string): Promise<boolean> {
  const list = await fetch(`http://127.0.0.1:${peer.apiPort}/api/v1/shoal/content/${cid}/list`);
  return list.ok && (await list.text()).includes('"end"');
}

/** Who holds the result of this job in place of another, as `peer` says. */
const replaced = (peer: Peer, id: string): readonly string[] =>
  peer.events('result.copied').flatMap(({ job, node }) => (job === id ? [String(node)] : []));

describe('a second copy of a result is made anew', () => {
  let peers: readonly Peer[];
  before(async () => {
    const file = join(mesh.directory, 'settings.yaml');
    await writeFile(file, 'results:\n  holderLostMs: 10000\n');
    peers = await mesh.grow(4, { flags: ['--config', file] });
  });

  test('when one of its holders has lost its disk', async () => {
    const [first] = peers;
    assert.ok(first);
    const { id, cid, holders } = await ended(first);
    const [lost, kept] = holders;
    assert.ok(lost && kept);
    const key = join(mesh.directory, 'node.key');
    await copyFile(join(lost.dataDir, 'node.key'), key);
    await lost.kill();
    await rm(lost.dataDir, { recursive: true });
    // The same peer, that knows nothing any more.
    await mkdir(lost.dataDir, { recursive: true, mode: 0o700 });
    await copyFile(key, join(lost.dataDir, 'node.key'));
    await lost.start();
    const node = await mesh.until('another copy', () => replaced(kept, id).at(-1), COPY_MS);
    const holder = mesh.peerOf(node);
    const others = peers.filter((peer) => peer !== holder);
    for (const peer of others) await peer.stop();
    assert.ok(await has(holder, cid), 'it has it all by itself');
    for (const peer of others) await peer.start();
    await mesh.joined(peers);
  });

  test('when one of its holders stays away', async () => {
    const [first] = peers;
    assert.ok(first);
    const { id, cid, holders } = await ended(first);
    const [gone, kept] = holders;
    assert.ok(gone && kept);
    await gone.stop();
    const node = await mesh.until('another copy', () => replaced(kept, id)[0], COPY_MS);
    const holder = mesh.peerOf(node);
    assert.notEqual(holder, gone);
    for (const peer of peers) if (peer !== holder && peer.running) await peer.stop();
    assert.ok(await has(holder, cid), 'it has it all by itself');
    for (const peer of peers) if (!peer.running) await peer.start();
    await mesh.joined(peers);
  });

  test('by the holder itself when only its blocks are gone', async () => {
    const [first] = peers;
    assert.ok(first);
    const { cid, holders } = await ended(first);
    const [emptied] = holders;
    assert.ok(emptied);
    await emptied.stop();
    await rm(join(emptied.dataDir, 'blocks'), { recursive: true });
    await emptied.start();
    await mesh.until(
      'it has mended it',
      () => emptied.events('result.mended').some((line) => line['cid'] === cid),
      COPY_MS,
    );
    for (const peer of peers) if (peer !== emptied) await peer.stop();
    assert.ok(await has(emptied, cid));
  });
});
