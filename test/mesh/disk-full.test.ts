/** A full disk costs a peer new work and nothing else: not its life, not what it acknowledged. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { fill, onlyRoot, onSmallDisk } from './small-disk.ts';
import { input, noop } from './specs.ts';

const mesh = await createMesh();
const ROOMY_MB = 64;
/** Two percent of it is the margin. */
const LITTLE = 700_000;

interface NodeTold {
  readonly Info: { readonly NodeID: string };
  readonly Shoal: { readonly Keeps: boolean };
}

/** Whether `asked` believes that `peer` takes work. */
async function takesWork(asked: Peer, peer: Peer): Promise<boolean | undefined> {
  const { Nodes } = await asked.get<{ Nodes: readonly NodeTold[] }>('/orchestrator/nodes');
  return Nodes.find(({ Info }) => Info.NodeID === peer.nodeId)?.Shoal.Keeps;
}

const here = (name: string): object => ({
  Constraints: [{ Key: 'disk', Operator: '=', Values: [name] }],
});

test('below the margin a peer takes no work, says so everywhere, serves, and comes back by itself', {
  skip: onlyRoot,
}, async (context) => {
  const [first] = await mesh.grow(2);
  assert.ok(first !== undefined);
  const small = await mesh.add({
    flags: ['--label', 'disk=small'],
    prepare: (peer) => onSmallDisk(context, peer, ROOMY_MB),
  });
  await mesh.joined();
  const cid = await small.addContent('only here\n');
  const empty = fill(small, LITTLE);
  for (const asked of [small, first]) {
    await mesh.until(`${asked.name} knows`, async () => (await takesWork(asked, small)) === false);
  }
  assert.match(await mesh.ok(first, ['node', 'list']), /CONNECTED \(takes nothing\)/);
  assert.match(await mesh.ok(small, ['node', 'describe', small.nodeId]), /Keeps: false/);
  const { stdout } = await mesh.cli(small, ['doctor']);
  assert.match(stdout, /full: 1 MB free .* takes nothing new below 1 MB/);
  assert.equal(small.events('disk.full').length, 1);
  await assert.rejects(mesh.submit(small, noop({})), { code: 'store-full' });
  await assert.rejects(small.addContent('one more\n'), { code: 'store-full' });
  const elsewhere = await mesh.submit(first, noop({}, { job: { Count: 4 } }));
  const { Executions } = await mesh.reaches(first, elsewhere, 'Completed');
  assert.equal(
    Executions?.Items.find((one) => one.NodeID === small.nodeId),
    undefined,
  );
  assert.equal(
    await mesh.ok(first, ['cid', 'get', cid, mesh.path('got')]).then(() => 'served'),
    'served',
  );

  const waiting = await mesh.submit(first, noop({}, { job: here('small') }));
  empty();
  await mesh.until('it takes work again', () => takesWork(first, small));
  await mesh.reaches(first, waiting, 'Completed', 60_000);
  assert.equal(small.events('disk.has-room').length, 1);
  const own = await mesh.submit(small, noop({}));
  await mesh.reaches(small, own, 'Completed');
});

test('with no byte left a peer lives, answers, starts again, and goes on once there is room', {
  skip: onlyRoot,
}, async (context) => {
  const [first] = mesh.peers;
  assert.ok(first !== undefined);
  const full = await mesh.add({
    flags: ['--label', 'disk=full'],
    prepare: (peer) => onSmallDisk(context, peer, ROOMY_MB),
  });
  await mesh.joined(mesh.peers.filter((peer) => peer.running));
  const id = await mesh.submit(first, noop({ Milliseconds: 3_000 }, { job: here('full') }));
  await mesh.inPhase(first, id, 'running');
  const empty = fill(full, 0);
  await mesh.until('it cannot write', () => full.events('disk.full').length === 1);
  // Its API reads what it knows, and its program ends while nothing can be written.
  assert.equal(await takesWork(full, full), false);
  await mesh.until('the others hear of it', async () => !(await takesWork(first, full)));
  await assert.rejects(mesh.submit(full, noop({})), { code: 'store-full' });
  await full.kill();
  await full.start();
  assert.equal(await takesWork(full, full), false, 'it starts, and takes nothing');
  empty();
  // A program that ends meanwhile cannot keep its result: that is an attempt, and no lost job.
  await mesh.reaches(first, id, 'Completed', 60_000);
  await mesh.until('it takes work again', () => takesWork(first, full));
  assert.deepEqual(
    readdirSync(full.dataDir).filter((name) => /crash|damaged/.test(name)),
    [],
  );
});

test('what jobs fetched and are done with makes room for the next ones', {
  skip: onlyRoot,
}, async (context) => {
  const [first] = mesh.peers;
  assert.ok(first !== undefined);
  const cached = await mesh.add({
    flags: ['--label', 'disk=cached'],
    prepare: (peer) => onSmallDisk(context, peer, ROOMY_MB),
  });
  await mesh.joined(mesh.peers.filter((peer) => peer.running));
  // Twelve times ten megabytes pass through a disk of sixty-four.
  for (let turn = 0; turn < 12; turn += 1) {
    const cid = await first.addContent(randomBytes(10_000_000));
    // While the disk is full the job waits for its only node.
    const task = { InputSources: [input(cid, '/in')], Timeouts: { QueueTimeout: 60 } };
    const id = await mesh.submit(first, noop({}, { job: here('cached'), task }));
    await mesh.reaches(first, id, 'Completed', 60_000);
  }
  assert.ok(cached.events('content.made-room').length > 0);
});
