/** The peer that all others joined through dies for ever: they have learned of each other and need it no more. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import type { Peer } from './peer.ts';
import { agree, createScene, seconds } from './scene.ts';
import { noop } from './specs.ts';

const { mesh } = await createScene(6);

describe('five peers, the first of which is gone for good', () => {
  let others: readonly Peer[];
  let id: string;
  before(async () => {
    const [seed, ...rest] = await mesh.grow(5);
    others = rest;
    id = await mesh.submit(seed ?? assert.fail('no peer'), noop({ Milliseconds: 20_000 }));
    await mesh.inPhase(seed ?? assert.fail('no peer'), id, 'running');
    await seed?.kill();
  });

  test('all others are killed and started again, find each other, and go on with its job', async (context) => {
    for (const peer of others) await peer.kill();
    const began = performance.now();
    await Promise.all(others.map((peer) => peer.start()));
    await mesh.joined(others);
    context.diagnostic(`connected ${seconds(performance.now() - began)} after the start`);
    await mesh.reaches(others[0] ?? assert.fail('no peer'), id, 'Completed', 90_000);
  });

  test('a new peer joins through one of them, learns of what was, and works', async (context) => {
    const [one, another] = others;
    assert.ok(one !== undefined && another !== undefined);
    const began = performance.now();
    const newcomer = await mesh.add({ through: [another] });
    await mesh.joined([...others, newcomer]);
    context.diagnostic(`joined ${seconds(performance.now() - began)} after the start`);
    await agree(mesh, [...others, newcomer], [id], ([view = '']) => view.startsWith('Completed'));
    const job = await mesh.submit(newcomer, noop({}));
    await mesh.reaches(one, job, 'Completed');
  });
});
