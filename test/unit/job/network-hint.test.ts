/** Guesses whether a program wants the network that its job does not ask for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lacksNetwork } from '../../../src/job/network-hint.ts';
import { parseJobValue } from '../../../src/job/parse.ts';

function warningsOf(Parameters: readonly string[], Network?: object): readonly string[] {
  const Engine = { Type: 'docker', Params: { Image: 'busybox', Parameters } };
  const parsed = parseJobValue({ Type: 'batch', Tasks: [{ Name: 'main', Engine, Network }] });
  assert.ok(parsed.ok);
  return parsed.warnings.map(({ path, message }) => `${path}: ${message}`);
}

test('what seems to want the network is warned of, with what to write, unless it asks for one or for none', () => {
  for (const words of [
    ['wget', '-O-', 'http://example.com'],
    ['sh', '-c', 'pip install numpy && python x.py'],
    ['sh', '-c', 'curl example.com'],
  ]) {
    const [warning, ...more] = warningsOf(words);
    assert.match(warning ?? '', /Default means no network.*Network: \{Type: Bridge\}/);
    assert.deepEqual(more, []);
    for (const Type of ['None', 'Bridge', 'Host'])
      assert.deepEqual(warningsOf(words, { Type }), []);
  }
});

test('what does not is not', () => {
  for (const words of [
    ['echo', 'hello'],
    ['sh', '-c', 'curling; ./wgetter; install -m 755 a b'],
  ])
    assert.deepEqual(warningsOf(words), []);
});

test('what programs say that find no network is known, and only where there is none', () => {
  const closed = { Type: 'Default', Domains: [], Ports: [] } as const;
  const lines = [
    "wget: bad address 'example.com'",
    'curl: (6) Could not resolve host: example.com',
    'connect: Network is unreachable',
    'Error: getaddrinfo EAI_AGAIN packages.example.org',
    '[Errno -3] Temporary failure in name resolution',
  ];
  for (const line of lines) {
    assert.match(lacksNetwork(closed, line) ?? '', /network type is Default/, line);
    assert.equal(lacksNetwork({ ...closed, Type: 'Bridge' }, line), null);
  }
  assert.equal(lacksNetwork(closed, 'no such file or directory'), null);
});
