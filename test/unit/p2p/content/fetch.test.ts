/** What a fetch takes from one holder and leaves to the next, on a disk that takes its time. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { createFetcher } from '../../../../p2p/content/fetch.ts';
import type { FetchDeps } from '../../../../p2p/content/fetch.ts';
import type { Received } from '../../../../p2p/protocols/blocks.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';
import { RAW } from '../../../../src/job/cid.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

const leaf = (text: string): { cid: CID; bytes: Uint8Array } => {
  const bytes = Buffer.from(text);
  const digest = create(0x12, createHash('sha256').update(bytes).digest());
  return { cid: CID.createV1(RAW, digest), bytes };
};
const one = leaf('one');
const two = leaf('two');
const FAILING = 'failing';
const HONEST = 'honest';

/** A disk whose writes end when the test says so, and two holders of which the first ends badly. */
function slowDisk(endBadly: () => never) {
  const here = new Set<string>();
  const writes: (() => void)[] = [];
  const asked: { peer: string; wants: readonly string[] }[] = [];
  async function* held(peer: string, wants: readonly CID[]): AsyncGenerator<Received> {
    for (const { cid, bytes } of [one, two]) {
      if (wants.some((want) => want.equals(cid))) yield { cid, bytes };
      if (peer === FAILING) endBadly();
    }
  }
  const deps = {
    self: asNodeId('self'),
    blocks: {
      has: async (cid: CID) => here.has(cid.toString()),
      read: async () => null,
      write: async (cid: CID) => {
        await new Promise<void>((resolve) => writes.push(resolve));
        here.add(cid.toString());
      },
    },
    protocol: {
      open: async (peer: string) => ({
        fetch(wants: readonly CID[]) {
          asked.push({ peer, wants: wants.map((cid) => cid.toString()) });
          return held(peer, wants);
        },
        close: () => {},
      }),
    },
    log: quiet,
    fault: () => {},
  } as unknown as FetchDeps;
  const settle = async (): Promise<void> => {
    for (let count = 0; count < 20; count += 1) await turn();
  };
  return { fetcher: createFetcher(deps), here, writes, asked, settle };
}

describe('what is still being written when its holder fails', () => {
  it('is not asked for again', async () => {
    const world = slowDisk(() => {
      throw new Error('the stream broke');
    });
    const signal = new AbortController().signal;
    const options = { holders: [FAILING, HONEST], maxBytes: 100, signal };
    const ended = world.fetcher.ensure(one.cid, [one.cid, two.cid], false, options);
    await world.settle();
    assert.equal(world.writes.length, 1, 'the write of what came first');
    while (world.here.size < 2) {
      world.writes.shift()?.();
      await world.settle();
    }
    await ended;
    assert.deepEqual(world.asked, [
      { peer: FAILING, wants: [one.cid.toString(), two.cid.toString()] },
      { peer: HONEST, wants: [two.cid.toString()] },
    ]);
  });

  it('is written before a fetch that is not wanted any more ends', async () => {
    const stop = new AbortController();
    const world = slowDisk(() => {
      stop.abort();
      throw new Error('not wanted');
    });
    const options = { holders: [FAILING, HONEST], maxBytes: 100, signal: stop.signal };
    let ended = false;
    const ensured = world.fetcher.ensure(one.cid, [one.cid, two.cid], false, options);
    const failed = assert.rejects(ensured).finally(() => (ended = true));
    await world.settle();
    assert.equal(ended, false, 'while something is written');
    world.writes.shift()?.();
    await failed;
    assert.deepEqual([...world.here], [one.cid.toString()]);
  });
});
