/** What a frame of a peer comes to, and what a peer that breaks still says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Refused } from '../../../p2p/wire/cbor.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import { asNodeId } from '../../../src/core/record/ids.ts';
import { judgeFrame, lastWords } from '../../../src/node/heard.ts';

const from = asNodeId('peer');
const refused = (code: Refused['code'], bytes: number) => {
  const heard = judgeFrame(from, bytes, { ok: false, code, place: '' });
  assert.ok(heard.type === 'refused');
  return heard;
};

describe('a frame', () => {
  it('that is a message is an input with its sender', () => {
    const message = { type: 'ping', nonce: 1 } as const;
    assert.deepEqual(judgeFrame(from, 50, { ok: true, message }), {
      type: 'input',
      input: { type: 'message', from, message },
    });
  });

  it('that no honest peer sends is a fault, and one of another version is none', () => {
    assert.equal(refused('not-canonical', 50).fault, true);
    assert.equal(refused('wrong-version', 50).fault, false);
    assert.equal(refused('wrong-version', 50).code, 'wrong-version');
  });

  it('that is refused costs its sender a millisecond per KiB, and a short one nothing', () => {
    assert.equal(refused('not-canonical', 1_023).pauseMs, 0);
    assert.equal(refused('not-canonical', 1_024).pauseMs, 1);
    assert.equal(refused('not-canonical', 1 << 20).pauseMs, 1_024);
  });
});

describe('the last words of a peer that can write nothing any more', () => {
  it('are its advert and what it gossips: nothing that would promise anything', () => {
    const advert = { type: 'send', to: from, message: { type: 'advert' } } as unknown as Effect;
    const gossip = { type: 'gossip', gossip: { type: 'advert' } } as unknown as Effect;
    const vote = { type: 'send', to: from, message: { type: 'voted' } } as unknown as Effect;
    const persist: Effect = { type: 'persist', writes: [] };
    assert.deepEqual(lastWords([persist, vote, advert, gossip]), [advert, gossip]);
  });
});
