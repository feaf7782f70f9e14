/** A connection whose packets vanish, against real sockets: it looks healthy to both ends. */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { after, test } from 'node:test';
import type { Host } from '../../../p2p/host.ts';
import { first, testNodes, until } from './nodes.ts';

const nodes = testNodes();
after(nodes.stopAll);

/** Passes bytes on between whoever comes and a port, until it is told to lose what it carries. */
async function lossy(port: number) {
  const sockets = new Set<Socket>();
  const lost = new Set<Socket>();
  const pass = (from: Socket, to: Socket): void => {
    sockets.add(from);
    from.on('error', () => {});
    from.on('data', (piece) => void (lost.has(from) || to.write(piece)));
    // The other end is not told: the packet that would say so is lost, too.
    from.on('close', () => void (lost.has(from) || to.destroy()));
  };
  const server = createServer((from) => {
    const to = connect(port, '127.0.0.1');
    pass(from, to);
    pass(to, from);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    /** Connections there are now carry nothing any more; new ones do. */
    lose() {
      for (const socket of sockets) lost.add(socket);
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const heldBy = (host: Host): readonly string[] => host.libp2p.getConnections().map((one) => one.id);

test('a connection that carries nothing is closed at both ends and dialled anew', async (t) => {
  const far = await nodes.start();
  const wire = await lossy(Number(/\/tcp\/(\d+)/.exec(first(far.host))?.[1]));
  t.after(wire.close);
  const near = await nodes.start({
    bootstrap: [`/ip4/127.0.0.1/tcp/${wire.port}/p2p/${far.host.nodeId}`],
  });
  // Deaf ones would be hung up on for that.
  await until('they are members and hear each other', () =>
    [near, far].every(({ host }) => host.gossip.subscribers() === 1 && host.peers().length === 1),
  );
  const old = [...heldBy(near.host), ...heldBy(far.host)];
  wire.lose();
  await until(
    'both have let go and are connected anew',
    () =>
      [near, far].every(({ host }) => {
        const now = heldBy(host);
        return host.peers().length === 1 && now.length > 0 && !now.some((id) => old.includes(id));
      }),
    () => [near, far].map(({ host }) => [host.gauges().silentConnections, ...host.status()]),
    40_000,
  );
  for (const { host } of [near, far]) assert.ok(host.gauges().silentConnections >= 1);
});
