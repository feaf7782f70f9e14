/** Laws of where a node may be made to dial, and of what it says about addresses that do not answer. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { after, test } from 'node:test';
import { generateKey } from '@libp2p/pnet';
import { multiaddr } from '@multiformats/multiaddr';
import { first, testNodes, until } from './nodes.ts';
import type { TestNode } from './nodes.ts';

const nodes = testNodes();
after(() => nodes.stopAll());

const ID = '12D3KooWK7TYPMuJHHjmLCeXx3D4jmaqNS8Df9xdmJhWfEALWFuX';

/** Something that accepts connections, and counts them. */
async function service(onSocket: (socket: Socket) => void) {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { port, address: `/ip4/127.0.0.1/tcp/${port}/p2p/${ID}`, sockets };
}

const problemOf = (node: TestNode) => node.host.status()[0]?.problem ?? null;

async function problemWith(address: string, swarmKey: Uint8Array | null): Promise<string> {
  const node = await nodes.start({ bootstrap: [address], swarmKey });
  await until(
    'the reason',
    () => problemOf(node) !== null,
    () => node.host.status(),
    40_000,
  );
  const { problem, why } = problemOf(node) ?? assert.fail();
  return `${problem}: ${why}`;
}

test('an address that accepts and says nothing is told from one that closes the handshake', async () => {
  const key = new Uint8Array(95);
  generateKey(key);
  const silent = await service(() => {});
  const closing = await service((socket) => socket.end());
  const other = await service((socket) => socket.write(randomBytes(200)));
  const [open, closed, fenced, noise] = await Promise.all([
    problemWith(silent.address, null),
    problemWith(closing.address, null),
    problemWith(silent.address, key),
    problemWith(other.address, null),
  ]);
  assert.match(open, /^timeout: it takes the connection and says nothing/);
  assert.match(fenced, /^timeout: /);
  assert.match(closed, /^handshake-failed: /);
  assert.match(noise, /^handshake-failed: /);
});

test('loopback that others name is not dialled by a node that is seen from outside', async () => {
  const target = await service(() => {});
  const hidden = await nodes.start({ announce: ['/ip4/198.51.100.7/tcp/4001'] });
  const before = target.sockets.length;
  const forms = ['/ip4/127.0.0.1', '/ip6/::ffff:7f00:1', '/dns4/LOCALHOST', '/dns4/localhost.'];
  for (const form of forms) {
    const address = multiaddr(`${form}/tcp/${target.port}/p2p/${ID}`);
    await assert.rejects(hidden.host.libp2p.dial(address), /denied/, form);
  }
  assert.equal(target.sockets.length, before);
});

test('loopback that the operator names is dialled, and what it leads to becomes a member', async () => {
  const seed = await nodes.start();
  const bootstrap = [first(seed.host)];
  const node = await nodes.start({ announce: ['/ip4/198.51.100.7/tcp/4001'], bootstrap });
  await until('the pair', () => node.host.peers().length === 1, node.host.status);
  const other = await nodes.start({ announce: ['/ip4/198.51.100.8/tcp/4001'] });
  assert.equal(await other.host.dial(first(seed.host)), seed.host.nodeId);
});
