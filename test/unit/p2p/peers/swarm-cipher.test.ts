/** Laws of the cipher in front of a private mesh: whatever passes, its memory stays as it was. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { MultiaddrConnection } from '@libp2p/interface';
import { multiaddrConnectionPair } from '@libp2p/utils';
import { swarmKeyProtector } from '../../../../p2p/peers/swarm-cipher.ts';

const MIB = 1 << 20;
const CLOSED = new Error('closed');
const key = Buffer.from(`/key/swarm/psk/1.0.0/\n/base16/\n${randomBytes(32).toString('hex')}\n`);
const protector = swarmKeyProtector(key)();

/** Two ends of a connection, and what has arrived at the second one. */
async function connected() {
  const pair = multiaddrConnectionPair();
  const boxes = await Promise.all(pair.map((end) => protector.protect(end)));
  const [here, there] = boxes as [MultiaddrConnection, MultiaddrConnection];
  const seen = { bytes: Buffer.alloc(0) };
  there.addEventListener('message', ({ data }) => {
    seen.bytes = Buffer.concat([seen.bytes, data.subarray()]);
  });
  const arrived = async (bytes: number): Promise<Buffer> => {
    while (seen.bytes.byteLength < bytes) await new Promise((resolve) => setTimeout(resolve, 1));
    const all = seen.bytes;
    seen.bytes = Buffer.alloc(0);
    return all;
  };
  return { here, there, arrived };
}

describe('the cipher of a private mesh', { timeout: 60_000 }, () => {
  it('carries large and small writes in turn, on several connections, as often as one likes', async () => {
    const ends = await Promise.all([connected(), connected()]);
    for (let round = 0; round < 200; round += 1) {
      for (const { here, arrived } of ends) {
        const data = randomBytes(round % 50 === 0 ? 3 * MIB : 1 + (round % 200));
        here.send(data);
        assert.ok((await arrived(data.byteLength)).equals(data), `round ${round}`);
      }
    }
  });

  it('has room for connections although thousands were closed before', async () => {
    for (let count = 0; count < 2_800; count += 200) {
      const ends = await Promise.all(Array.from({ length: 200 }, connected));
      for (const end of ends.flatMap(({ here, there }) => [here, there])) end.abort(CLOSED);
    }
    const { here, arrived } = await connected();
    here.send(Buffer.from('still here'));
    assert.equal((await arrived(10)).toString(), 'still here');
  });
});
