/** Laws of finding, keeping and refusing peers, with real nodes on loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, describe, test } from 'node:test';
import { generateKey } from '@libp2p/pnet';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { asJobId } from '../../../src/core/record/ids.ts';
import type { NodeId } from '../../../src/core/record/ids.ts';
import { first, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

const joined = (node: TestNode, count: number): Promise<void> =>
  until(
    `${count} peers`,
    () => node.host.peers().length >= count,
    () => node.host.status(),
  );

const failureOf = async (work: Promise<unknown>): Promise<ShoalError> => {
  const error = await work.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof ShoalError, `expected a ShoalError, got ${String(error)}`);
  return error;
};

const problemOf = (node: TestNode, peer: string): string | null =>
  node.host.status().find((one) => one.peer === peer)?.problem?.problem ?? null;

describe('joining', () => {
  test('thirty nodes that join one seed in one second all get in, and hear its gossip', async () => {
    // A small full mesh, because all of this runs in one process.
    const discovery = { fullMeshMax: 4, degree: 3 };
    const seed = await nodes.start({ discovery });
    const many = await Promise.all(
      Array.from({ length: 30 }, () => nodes.start({ discovery, bootstrap: [first(seed.host)] })),
    );
    const lonely = (): number => many.filter((node) => node.host.peers().length === 0).length;
    await until('everybody is in', () => lonely() === 0, lonely, 120_000);
    // More peers behind one address than the default scoring bears, which is 14.
    const crowd = (): number => seed.host.gossip.subscribers();
    await until('a crowd at the seed', () => crowd() >= 15, crowd);
    const deaf = (): number => many.filter((node) => node.host.gossip.subscribers() === 0).length;
    await until('all subscriptions', () => deaf() === 0, deaf);
    const [one] = many;
    const got = (): number => many.filter((node) => node.host.gossip.stats().accepted > 0).length;
    // Gossip is a hint and repairs nothing: who misses one message hears one of the next.
    let said = 0;
    const heard = (): boolean => {
      said += 1;
      one?.host.gossip.publish(Buffer.from(`{"type":"leaving","node":"${said}"}`), null);
      return got() === 29;
    };
    await until('29 of them hear the gossip', heard, got);
    await Promise.all([seed, ...many].map((node) => node.host.stop()));
  });

  test('two that met know by each other that their clocks are right', async () => {
    const seed = await nodes.start();
    const other = await nodes.start({ bootstrap: [first(seed.host)] });
    for (const { host } of [seed, other]) {
      await until('the time is told', () => host.clockSkew() !== null, host.status);
      const { aheadMs = assert.fail(), peers } = host.clockSkew() ?? {};
      assert.ok(Math.abs(aheadMs) < 2_500 && peers === 1, `${aheadMs} ms, ${peers} peers`);
    }
    await Promise.all([seed, other].map(({ host }) => host.stop()));
  });

  test('peers that know only one seed become a full mesh', async () => {
    const seed = await nodes.start();
    const others = await Promise.all(
      [1, 2, 3, 4].map(() => nodes.start({ bootstrap: [first(seed.host)] })),
    );
    await Promise.all([seed, ...others].map((node) => joined(node, 4)));
  });

  test('bad bootstrap addresses are named and skipped; nothing but bad ones is an error', async () => {
    const seed = await nodes.start();
    const id = seed.host.nodeId;
    const bad = [
      'garbage',
      '/ip4/127.0.0.1/tcp/4001',
      `/ip4/127.0.0.1/tcp/0/p2p/${id}`,
      `/ip4/127.0.0.1/tcp/70000/p2p/${id}`,
    ];
    const node = await nodes.start({ bootstrap: [...bad, first(seed.host)] });
    assert.deepEqual(
      node.host.rejected.map((failure) => failure.code),
      bad.map(() => 'multiaddr-invalid'),
    );
    await joined(node, 1);
    const error = await failureOf(nodes.start({ bootstrap: bad }));
    assert.equal(error.failure.code, 'config-invalid');
    assert.equal(error.message.split('\n').length, bad.length, error.message);
  });

  test('a node that finds its own address in the list ignores it', async () => {
    const node = await nodes.start();
    const again = await node.restart({ bootstrap: [first(node.host)] });
    assert.deepEqual(
      again.host.rejected.map((failure) => failure.code),
      ['multiaddr-invalid'],
    );
    assert.deepEqual(again.host.status(), []);
    const error = await failureOf(again.host.dial(first(again.host)));
    assert.equal(error.failure.code, 'multiaddr-invalid');
  });

  test('a port that is taken is named', async () => {
    const node = await nodes.start();
    const port = /tcp\/(\d+)/.exec(first(node.host))?.[1];
    const error = await failureOf(nodes.start({ listen: [`/ip4/127.0.0.1/tcp/${port}`] }));
    assert.equal(error.failure.code, 'port-in-use');
  });
});

describe('who may be a peer', () => {
  test('two networks never mix, and the status says so', async () => {
    const here = await nodes.start({ network: 'here' });
    const there = await nodes.start({ network: 'there', bootstrap: [first(here.host)] });
    const reason = (): string | null => problemOf(there, here.host.nodeId);
    await until(
      'the reason',
      () => reason() === 'wrong-network',
      () => there.host.status(),
    );
    assert.deepEqual([here.host.peers(), there.host.peers()], [[], []]);
    await until('hung up', () => there.host.gauges().connections === 0);
  });

  test('the same swarm key joins, another one and none do not', async () => {
    const [key, other] = [new Uint8Array(95), new Uint8Array(95)];
    generateKey(key);
    generateKey(other);
    const seed = await nodes.start({ swarmKey: key });
    const bootstrap = [first(seed.host)];
    const friend = await nodes.start({ swarmKey: key, bootstrap });
    await joined(friend, 1);
    for (const swarmKey of [other, null]) {
      const stranger = await nodes.start({ swarmKey, bootstrap });
      const reason = (): string | null => problemOf(stranger, seed.host.nodeId);
      await until(
        'the reason',
        () => reason() !== null,
        () => stranger.host.status(),
        20_000,
      );
      assert.match(String(reason()), /handshake-failed|timeout/);
      assert.deepEqual(stranger.host.peers(), []);
      await stranger.host.stop();
    }
    assert.deepEqual(seed.host.peers(), [friend.host.nodeId]);
  });

  test('another peer at the address is told as such', async () => {
    const [real, wanted] = [await nodes.start(), await nodes.start()];
    const address = first(real.host).replace(real.host.nodeId, wanted.host.nodeId);
    await wanted.host.stop();
    const node = await nodes.start({ bootstrap: [address] });
    const reason = (): string | null => problemOf(node, wanted.host.nodeId);
    await until(
      'the reason',
      () => reason() !== null,
      () => node.host.status(),
    );
    assert.equal(reason(), 'peer-id-mismatch');
    const error = await failureOf(node.host.dial(address));
    assert.match(error.message, /another peer/);
  });

  test('who is not admitted is neither accepted nor dialled', async () => {
    const banned = await nodes.start();
    const strict = await nodes.start({}, { admit: (peer: NodeId) => peer !== banned.host.nodeId });
    await failureOf(strict.host.dial(first(banned.host)));
    assert.equal(problemOf(strict, banned.host.nodeId), 'not-admitted');
    await failureOf(banned.host.dial(first(strict.host)));
    assert.deepEqual(strict.host.peers(), []);
  });
});

describe('staying together', () => {
  test('a restarted peer re-joins from memory although its seed is gone for good', async () => {
    const seed = await nodes.start();
    const bootstrap = [first(seed.host)];
    const [stays, restarts] = [await nodes.start({ bootstrap }), await nodes.start({ bootstrap })];
    await Promise.all([joined(stays, 2), joined(restarts, 2)]);
    await seed.host.stop();
    const again = await restarts.restart();
    await until(
      'the other peer',
      () => again.host.peers().includes(stays.host.nodeId),
      () => again.host.status(),
    );
  });

  test('a peer that was away is found again by the side that stayed', async () => {
    const seed = await nodes.start();
    const port = /tcp\/(\d+)/.exec(first(seed.host))?.[1];
    const node = await nodes.start({ bootstrap: [first(seed.host)] });
    await joined(node, 1);
    const back = await seed.restart({ listen: [`/ip4/127.0.0.1/tcp/${port}`] });
    await joined(node, 1);
    await joined(back, 1);
  });
});

describe('gossip', () => {
  const job = asJobId(`j-${randomBytes(4).toString('hex')}`);

  test('a reset gossip stream heals: both sides hear each other again', async () => {
    const a = await nodes.start();
    const b = await nodes.start({ bootstrap: [first(a.host)] });
    const subscribed = (): boolean =>
      a.host.gossip.subscribers() === 1 && b.host.gossip.subscribers() === 1;
    await until('subscriptions', subscribed);
    const healed = (): number => a.host.gossip.stats().healed + b.host.gossip.stats().healed;
    // Until the watchdog has had its turn: an identify that happens to come heals the pair as well.
    for (let round = 0; round < 5 && healed() === 0; round += 1) {
      await until('a connection', () => b.host.libp2p.getConnections().length > 0 && subscribed());
      for (const stream of b.host.libp2p.getConnections().flatMap((one) => one.streams)) {
        if (stream.protocol.includes('meshsub')) stream.abort(new Error('reset by the test'));
      }
      await until('deafness', () => !subscribed());
      await until(
        'healing',
        subscribed,
        () => [a.host.gossip.stats(), b.host.gossip.stats()],
        30_000,
      );
      await until('the count', () => healed() > 0, healed, 2_500).catch(() => {});
    }
    assert.ok(healed() > 0, 'the watchdog healed it');
    a.host.gossip.publish(Buffer.from('{"type":"leaving","node":"a"}'), job);
    b.host.gossip.publish(Buffer.from('{"type":"leaving","node":"b"}'), job);
    const heard = (): number[] => [a.host.gossip.stats().accepted, b.host.gossip.stats().accepted];
    await until('both hear', () => heard().every((count) => count > 0), heard);
  });

  test('what no honest peer sends is rejected, the rest is only ignored, and both stay out', async () => {
    const a = await nodes.start();
    const b = await nodes.start({ bootstrap: [first(a.host)] });
    const heard: string[] = [];
    b.host.gossip.listen((gossip) => heard.push(gossip.type));
    await until('subscriptions', () => a.host.gossip.subscribers() === 1);
    for (const text of ['not json', '"ignore"', '{"type":"leaving","node":"x"}']) {
      a.host.gossip.publish(Buffer.from(text), null);
    }
    const { gossip } = b.host;
    await until(
      'all three',
      () => gossip.stats().rejected === 1 && gossip.stats().ignored === 1 && heard.length === 1,
      gossip.stats,
    );
    assert.deepEqual(heard, ['leaving']);
  });

  test('a lone node publishes to nobody without an error', async () => {
    const node = await nodes.start();
    node.host.gossip.publish(Buffer.from('{"type":"leaving","node":"x"}'), job);
    await until(
      'counted',
      () => node.host.gossip.stats().publishedToNobody === 1,
      node.host.gossip.stats,
    );
  });
});
