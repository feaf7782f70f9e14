/** Laws of what is remembered of peers that others tell us about. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Libp2p } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import { createDiscovery } from '../../../../p2p/peers/discovery.ts';
import type { DiscoveryDeps } from '../../../../p2p/peers/discovery.ts';
import { createPresence } from '../../../../p2p/peers/presence.ts';
import type { PresenceListener } from '../../../../p2p/peers/presence.ts';
import { peerIdOf } from '../../../../p2p/wire/peer-id.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';
import { quiet, until } from '../../../contract/p2p/nodes.ts';

const absent = (): never => assert.fail('nobody is dialled');

function world(
  coolingMs: DiscoveryDeps['coolingMs'] = () => 0,
  libp2p: DiscoveryDeps['libp2p'] = absent,
  presence: DiscoveryDeps['presence'] = createPresence('/shoal/test/msg/1'),
) {
  return createDiscovery({
    libp2p,
    hello: absent,
    presence,
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

test('a thousand addresses that nobody answers at keep no known peer waiting', async (t) => {
  const dialled: string[] = [];
  const libp2p = {
    peerStore: { all: () => Promise.resolve([]) },
    addEventListener: () => {},
    getConnections: () => [],
    // As an address that swallows every packet.
    dial: ([to]: readonly { toString(): string }[]) => {
      dialled.push(String(to));
      return new Promise(() => {});
    },
  } as unknown as Libp2p;
  const discovery = world(
    () => 0,
    () => libp2p,
  );
  t.after(() => discovery.stop());
  await discovery.start([]);
  const key = (number: number): Uint8Array => {
    const bytes = new Uint8Array(32);
    new DataView(bytes.buffer).setUint32(0, number);
    return bytes;
  };
  for (let peer = 1; peer < 1_000; peer += 1) {
    discovery.learn([{ peer: peerIdOf(key(peer)), address }], 'exchange');
  }
  await until('as many dials as there may be', () => dialled.length === 8);
  const friend = peerIdOf(key(5_000));
  discovery.learn([{ peer: friend, address }], 'bootstrap');
  await until('the friend is dialled', () => dialled.some((one) => one.endsWith(friend)));
  assert.equal(dialled.length, 9);
});

test('of members that come and go a thousand are remembered, here and on disk, and those that are there', async () => {
  const ids = Array.from({ length: 1_500 }, (_, number) => {
    const key = new Uint8Array(32);
    new DataView(key.buffer).setUint32(0, number + 1);
    return peerIdOf(key);
  });
  const stays = ids[0] ?? assert.fail();
  const listeners: PresenceListener[] = [];
  const there = new Set([stays]);
  const presence: DiscoveryDeps['presence'] = {
    ...createPresence('/shoal/test/msg/1'),
    has: (peer) => there.has(peer),
    listen: (listener) => void listeners.push(listener),
  };
  const tagged = new Set<string>();
  const merge = async (id: { toString(): string }, { tags }: { tags: Record<string, unknown> }) => {
    if (Object.values(tags)[0] === undefined) tagged.delete(String(id));
    else tagged.add(String(id));
    return { id, addresses: [{ multiaddr: address }] };
  };
  const libp2p = { peerStore: { merge }, getConnections: () => [] } as unknown as Libp2p;
  const discovery = world(
    () => 0,
    () => libp2p,
    presence,
  );
  for (const peer of ids) for (const listener of listeners) listener.onConnected(peer);
  const last = ids.at(-1) ?? assert.fail();
  await until('all came', () => tagged.has(last) && tagged.size <= 1_000);
  const known = discovery.status().map(({ peer }) => peer);
  assert.ok(known.length <= 1_000, `${known.length} are remembered`);
  for (const peer of [stays, last]) assert.ok(known.includes(peer) && tagged.has(peer));
});

test('a connection whose other end never said what it speaks is closed and dialled again', async (t) => {
  const peer = peerIdOf(new Uint8Array(32).fill(7));
  const seen = { dials: 0, closed: 0 };
  let open: { abort: () => void }[] = [];
  const libp2p = {
    peerStore: {
      all: () => Promise.resolve([]),
      get: () => Promise.resolve({ protocols: [] }),
    },
    addEventListener: () => {},
    getConnections: () => open,
    dial: () => {
      seen.dials += 1;
      const abort = (): void => {
        seen.closed += 1;
        open = [];
      };
      open = [{ abort }];
      return Promise.resolve();
    },
  } as unknown as Libp2p;
  const discovery = world(
    () => 0,
    () => libp2p,
  );
  t.after(() => discovery.stop());
  await discovery.start([{ peer, address }]);
  await until('it is dialled again', () => seen.dials === 2);
  assert.equal(seen.closed, 1);
});

test('who was known before and not met in this run is missed, whoever was only told of is not', () => {
  const listeners: PresenceListener[] = [];
  const met = asNodeId('met');
  const presence: DiscoveryDeps['presence'] = {
    ...createPresence('/shoal/test/msg/1'),
    has: (peer) => peer === met,
    listen: (listener) => void listeners.push(listener),
  };
  const merge = async (id: unknown) => ({ id, addresses: [] });
  const libp2p = { peerStore: { merge }, getConnections: () => [] } as unknown as Libp2p;
  const discovery = world(
    () => 0,
    () => libp2p,
    presence,
  );
  const of = (peer: string) => [{ peer: asNodeId(peer), address }];
  discovery.learn(of('told'), 'exchange');
  discovery.learn(of('seed'), 'bootstrap');
  discovery.learn(of('before'), 'remembered');
  discovery.learn(of('near'), 'mdns');
  assert.deepEqual(discovery.missed(), ['seed', 'before']);
});

test('a node is joining while somebody it knows has not been tried, and while it asks a new member', async (t) => {
  const peer = peerIdOf(new Uint8Array(32).fill(8));
  const listeners: PresenceListener[] = [];
  const there = new Set<string>();
  const presence: DiscoveryDeps['presence'] = {
    ...createPresence('/shoal/test/msg/1'),
    has: (one) => there.has(one),
    listen: (listener) => void listeners.push(listener),
  };
  const answer = Promise.withResolvers<boolean>();
  const libp2p = {
    peerStore: { all: async () => [], merge: async (id: unknown) => ({ id, addresses: [] }) },
    addEventListener: () => {},
    getConnections: () => [{ direction: 'outbound' }],
  } as unknown as Libp2p;
  const discovery = createDiscovery({
    libp2p: () => libp2p,
    hello: () => ({ greet: () => answer.promise }) as never,
    presence,
    self: asNodeId('self'),
    limits: { fullMeshMax: 50, degree: 16 },
    coolingMs: () => 0,
    log: quiet,
  });
  t.after(() => discovery.stop());
  assert.equal(discovery.joining(), false);
  discovery.learn([{ peer, address }], 'bootstrap');
  assert.equal(discovery.joining(), true, 'untried');
  there.add(peer);
  for (const listener of listeners) listener.onConnected(peer);
  assert.equal(discovery.joining(), true, 'asked whom it knows');
  answer.resolve(true);
  await until('it has said so', () => !discovery.joining());
});
