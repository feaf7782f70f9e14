/** Which blocks a fetch takes from a holder, and how many. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import * as dagPb from '@ipld/dag-pb';
import { UnixFS } from 'ipfs-unixfs';
import { CID } from 'multiformats/cid';
import { create } from 'multiformats/hashes/digest';
import { count, createJudge } from '../../../../p2p/content/wanted.ts';
import { DAG_PB, RAW } from '../../../../src/job/cid.ts';

const hashOf = (bytes: Uint8Array) => create(0x12, createHash('sha256').update(bytes).digest());
const leaf = (bytes: Uint8Array) => ({ cid: CID.createV1(RAW, hashOf(bytes)), bytes });
/** A file of these parts that claims to have `claimed` bytes. */
function fileOf(parts: readonly { cid: CID; bytes: Uint8Array }[], claimed: number) {
  const data = new UnixFS({ type: 'file', blockSizes: [BigInt(claimed)] }).marshal();
  const Links = parts.map(({ cid, bytes }) => ({ Name: '', Hash: cid, Tsize: bytes.byteLength }));
  const bytes = dagPb.encode(dagPb.prepare({ Data: data, Links }));
  return { cid: CID.createV1(DAG_PB, hashOf(bytes)), bytes };
}

const one = leaf(Buffer.from('one'));
const two = leaf(Buffer.from('two'));
const both = fileOf([one], one.bytes.byteLength);

describe('of what a holder sends', () => {
  it('is taken what was asked for, once', () => {
    const judge = createJudge([one.cid], true);
    assert.equal(judge(one.cid, one.bytes), null);
    assert.match(judge(one.cid, one.bytes) ?? '', /not asked for/);
  });

  it('is taken what hangs below it, when everything below was asked for', () => {
    const judge = createJudge([both.cid], true);
    assert.match(judge(one.cid, one.bytes) ?? '', /not asked for/, 'before its parent came');
    assert.equal(judge(both.cid, both.bytes), null);
    assert.equal(judge(one.cid, one.bytes), null);
    assert.match(judge(two.cid, two.bytes) ?? '', /not asked for/);
    const flat = createJudge([both.cid], false);
    assert.equal(flat(both.cid, both.bytes), null);
    assert.match(flat(one.cid, one.bytes) ?? '', /not asked for/);
  });

  it('is refused what is not what its name says, and nothing below it is expected', () => {
    const judge = createJudge([one.cid, both.cid], true);
    assert.match(judge(one.cid, two.bytes) ?? '', /do not match/);
    assert.match(judge(both.cid, two.bytes) ?? '', /do not match/);
    assert.match(judge(two.cid, two.bytes) ?? '', /not asked for/);
  });
});

describe('the bytes of a tree', () => {
  it('are too many once its root is a file that claims more than was agreed', () => {
    const big = fileOf([one], 5_000);
    const tally = { received: 0, blocks: 0, total: 0 };
    assert.equal(count(tally, { root: big.cid, maxBytes: 4_999 }, big.cid, big.bytes), 5_000);
    assert.equal(count(tally, { root: big.cid, maxBytes: 5_000 }, big.cid, big.bytes), null);
    assert.equal(tally.total, 5_000);
  });

  it('are too many once more came than was agreed, headers aside', () => {
    const agreed = { root: both.cid, maxBytes: 100 << 20 };
    const tally = { received: 0, blocks: 0, total: 0 };
    const block = leaf(new Uint8Array(1 << 20));
    for (let came = 1; came <= 174; came += 1)
      assert.equal(count(tally, agreed, block.cid, block.bytes), null, `${came} MiB`);
    assert.equal(count(tally, agreed, block.cid, block.bytes), 175 << 20);
  });
});
