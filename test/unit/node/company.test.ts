/** What the terminal of a peer says of its company. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCompany } from '../../../src/node/company.ts';

const A = '12D3KooWaaaaaaaaAAAAAAAA';
const B = '12D3KooWbbbbbbbbBBBBBBBB';

function start({ wanted = true } = {}) {
  const lines: string[] = [];
  let connected = 0;
  let late: () => void = () => {};
  const company = createCompany({
    wanted,
    connected: () => connected,
    problems: () => [{ peer: A, why: 'nothing listens at this address and port' }],
    tell: (line) => lines.push(line),
    after: (_, call) => {
      late = call;
      return () => (late = () => {});
    },
  });
  return {
    lines,
    company,
    came: (node: string) => {
      connected += 1;
      company.came(node);
    },
    went: (node: string) => {
      connected -= 1;
      company.went(node);
    },
    passes: () => late(),
  };
}

test('tells once that it joined, and again after it was alone', () => {
  const { came, went, passes, lines } = start();
  came(A);
  came(B);
  passes();
  went(A);
  assert.deepEqual(lines, ['joined     the mesh through n-AAAAAAAA']);
  went(B);
  came(B);
  assert.deepEqual(lines.slice(1), [
    'alone      n-BBBBBBBB was the last peer connected; others are looked for',
    'joined     the mesh through n-BBBBBBBB',
  ]);
});

test('tells that no bootstrap peer is reached, and why', () => {
  const { passes, lines } = start();
  passes();
  assert.deepEqual(lines, [
    'alone      no bootstrap peer is reached (n-AAAAAAAA: nothing listens at this address and port); it is tried again until one is',
  ]);
});

test('says nothing of being alone to whoever named nobody, nor after it has stopped', () => {
  const first = start({ wanted: false });
  first.passes();
  const stopped = start();
  stopped.company.stop();
  stopped.passes();
  assert.deepEqual([first.lines, stopped.lines], [[], []]);
});
