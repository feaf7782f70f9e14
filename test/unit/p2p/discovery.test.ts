/** Laws of what is remembered of peers that others tell us about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multiaddr } from '@multiformats/multiaddr';
import { createDiscovery } from '../../../p2p/discovery.ts';
import type { DiscoveryDeps } from '../../../p2p/discovery.ts';
import { createPresence } from '../../../p2p/presence.ts';
import { asNodeId } from '../../../src/core/ids.ts';
import { quiet } from '../../contract/p2p/nodes.ts';

function world(coolingMs: DiscoveryDeps['coolingMs'] = () => 0) {
  const absent = (): never => assert.fail('nobody is dialled');
  return createDiscovery({
    libp2p: absent,
    hello: absent,
    presence: createPresence('/shoal/test/msg/1'),
    self: asNodeId('self'),
    limits: { fullMeshMax: 50, degree: 16 },
    coolingMs,
    log: quiet,
  });
}

const address = multiaddr('/ip4/192.0.2.1/tcp/1');

test('of the peers that others tell us about a thousand are remembered, with eight addresses each', () => {
  const discovery = world();
  for (let peer = 0; peer < 5_000; peer += 1) {
    discovery.learn([{ peer: asNodeId(`p${peer}`), address }], 'exchange');
  }
  const many = Array.from({ length: 100 }, (_, port) => ({
    peer: asNodeId('p1'),
    address: multiaddr(`/ip4/192.0.2.1/tcp/${port + 1}`),
  }));
  discovery.learn(many, 'exchange');
  const status = discovery.status();
  assert.equal(status.length, 1_000);
  assert.equal(status.find((one) => one.peer === 'p1')?.addresses.length, 8);
});

test('a peer that cools is listed with the reason and the time', () => {
  const cooling = asNodeId('p1');
  const discovery = world((peer) => (peer === cooling ? 12_300 : 0));
  for (const peer of [cooling, asNodeId('p2')]) discovery.learn([{ peer, address }], 'exchange');
  const [one, other] = discovery.status();
  assert.equal(one?.problem?.problem, 'cooling');
  assert.match(one?.problem?.why ?? '', /13 s more/);
  assert.ok((one?.nextInMs ?? 0) >= 12_300);
  assert.equal(other?.problem, null);
});
