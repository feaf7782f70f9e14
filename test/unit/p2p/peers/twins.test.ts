/** Who speaks under whose key: what is remembered, what is said, and that a liar costs a line. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createTwins } from '../../../../p2p/peers/twins.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';

const peer = (name: string | number) => asNodeId(`peer-${name}`);

function world(context: TestContext) {
  const w = { now: 1_000, lines: 0 };
  context.mock.method(performance, 'now', () => w.now);
  const quiet = { debug: () => {}, info: () => {}, warn: () => {} };
  const twins = createTwins('own', { ...quiet, error: () => void (w.lines += 1) });
  return { w, twins };
}

test('another process counts only when it spoke after this one began', (context) => {
  const { w, twins } = world(context);
  w.now += 10_000;
  twins.told(peer(1), [{ process: 'own', agoMs: 0 }]);
  twins.told(peer(1), [{ process: 'earlier', agoMs: 9_000 }]);
  assert.deepEqual([twins.witnesses(), w.lines], [[], 0]);
  twins.told(peer(1), [{ process: 'other', agoMs: 5_000 }]);
  assert.deepEqual([twins.witnesses(), w.lines], [[peer(1)], 1]);
});

test('it is said again after some minutes, however many tell it however often', (context) => {
  const { w, twins } = world(context);
  w.now += 10_000;
  for (let at = 0; at < 5_000; at += 1) twins.told(peer(at), [{ process: 'other', agoMs: 0 }]);
  assert.deepEqual([twins.witnesses().length, w.lines], [1_000, 1]);
  w.now += 300_000;
  twins.told(peer(1), [{ process: 'other', agoMs: 0 }]);
  assert.equal(w.lines, 2);
  w.now += 600_000;
  assert.deepEqual(twins.witnesses(), [], 'and is over when nobody tells it any more');
});

test('of one key the last four voices are remembered, for ten minutes', (context) => {
  const { w, twins } = world(context);
  for (let at = 0; at < 100; at += 1) {
    w.now += 1;
    twins.heard(peer(1), `process-${at}`);
  }
  const names = (): string[] => twins.voicesOf(peer(1)).map(({ process }) => process);
  assert.deepEqual(names(), ['process-96', 'process-97', 'process-98', 'process-99']);
  w.now += 600_000;
  assert.deepEqual(names(), []);
  for (let at = 0; at < 2_000; at += 1) twins.heard(peer(at), 'one');
  assert.deepEqual(twins.voicesOf(peer(5)), [], 'of a thousand peers');
  assert.equal(twins.voicesOf(peer(1_999)).length, 1);
});
