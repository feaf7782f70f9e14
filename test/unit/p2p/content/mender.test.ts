/** Damaged blocks wait to be fetched again, but not without end. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import type { Fetcher } from '../../../../p2p/content/fetch.ts';
import { createMender } from '../../../../p2p/content/mender.ts';
import { quiet, until } from '../../../contract/p2p/nodes.ts';

function cidOf(number: number): CID {
  const digest = new Uint8Array(32);
  new DataView(digest.buffer).setUint32(0, number);
  return CID.createV1(0x55, create(0x12, digest));
}

test('of a disk that rots a thousand blocks wait, each once; the others when somebody asks for them', async () => {
  const asked: string[] = [];
  let finish: () => void = () => {};
  const first = new Promise<void>((resolve) => (finish = resolve));
  const ensure = async (cid: CID): Promise<void> => {
    asked.push(cid.toString());
    await first;
  };
  const mender = createMender({ fetcher: { ensure } as unknown as Fetcher, log: quiet });
  for (let turn = 0; turn < 2; turn += 1)
    for (let number = 0; number < 5_000; number += 1) mender.mend(cidOf(number));
  assert.equal(asked.length, 1, 'one after the other');
  finish();
  await until('all that wait are fetched', () => asked.length >= 1_000);
  mender.mend(cidOf(7_000));
  await until('there is room again', () => asked.at(-1) === cidOf(7_000).toString());
  assert.deepEqual([asked.length, new Set(asked).size], [1_001, 1_001]);
  mender.stop();
});
