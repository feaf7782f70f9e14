/** Numbers that the core could not count on from are refused before it sees them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Gossip, Message } from '../../../../src/core/contract/messages.ts';
import { messages } from './fixtures.ts';
import { gossipArbitraries, messageArbitraries } from './message-arbitraries.ts';

type Change = readonly [what: string, path: readonly string[], value: unknown];

const MAX = Number.MAX_SAFE_INTEGER;
const big: readonly Change[] = ['cpuMillis', 'memoryBytes', 'diskBytes', 'gpus'].flatMap(
  (field): Change[] => [
    [`free ${field}`, ['free', field], MAX],
    [`capacity ${field}`, ['capacity', field], MAX],
    [`negative ${field}`, ['free', field], -1],
  ],
);

/** Of each type what must not pass; every other field is good. */
const cases: { readonly [T in Message['type']]?: readonly Change[] } = {
  bid: [
    ['no slots', ['slots'], 0],
    ['a slot less than none', ['slots'], -1],
    ['more slots than a bid may offer', ['slots'], 17],
    ['half a slot', ['slots'], 1.5],
    ['a round beyond counting', ['round'], MAX],
    ['more running than any node runs', ['running'], MAX],
    ['more locality than all', ['locality'], 1.01],
    ['locality below none', ['locality'], -0.01],
    ...big,
  ],
  outdated: [
    ['the last epoch there could be', ['promised', 'number'], MAX],
    ['an epoch from which none follows', ['promised', 'number'], 2 ** 31],
    ['a configuration beyond counting', ['promised', 'config'], 2 ** 31],
  ],
  leads: [['an epoch beyond counting', ['epoch', 'number'], 2 ** 31]],
  propose: [['an epoch beyond counting', ['epoch', 'number'], 2 ** 31]],
  promise: [
    ['no parts', ['parts'], 0],
    ['more parts than any ledger has', ['parts'], 20_001],
    ['a part behind the last', ['part'], 20_000],
  ],
  invite: [
    ['a need of more than any job', ['announcement', 'need'], 1_000_001],
    ['a round beyond counting', ['announcement', 'round'], MAX],
  ],
  ping: [['a nonce beyond counting', ['nonce'], MAX]],
  'closed-ack': [['a version beyond counting', ['version'], 2 ** 31]],
};

/** A copy with one field changed. */
function changed(value: unknown, path: readonly string[], to: unknown): unknown {
  const [key, ...rest] = path;
  if (key === undefined) return to;
  const map = value as Readonly<Record<string, unknown>>;
  return { ...map, [key]: changed(map[key], rest, to) };
}

describe('a message is refused that has', () => {
  for (const [type, changes] of Object.entries(cases)) {
    const [good] = fc.sample(messageArbitraries[type as Message['type']] as fc.Arbitrary<Message>, {
      numRuns: 1,
      seed: 1,
    });
    for (const [what, path, value] of changes) {
      it(`${what} (${type})`, () => {
        assert.ok(messages.decodeMessage(messages.encodeMessage(good as Message)).ok);
        const odd = changed(good, path, value) as Message;
        const decoded = messages.decodeMessage(messages.encodeMessage(odd));
        assert.ok(!decoded.ok);
        assert.equal(decoded.code, 'bad-shape');
        assert.equal(decoded.place, `${type}.${path.join('.')}`);
      });
    }
  }

  it('a text that is no Unicode: it has no encoding that comes back', () => {
    const [good] = fc.sample(messageArbitraries.invite, { numRuns: 1, seed: 1 });
    const frame = messages.encodeMessage(good as Message);
    // The first half of a pair, as UTF-8 would have it if it had one.
    frame.set([0xed, 0xa0, 0x80], Buffer.from(frame).indexOf('12D3KooW'));
    assert.ok(!messages.decodeMessage(frame).ok);
  });
});

describe('gossip is refused that has', () => {
  it('a need of more than any job', () => {
    const [good] = fc.sample(gossipArbitraries.announce, { numRuns: 1, seed: 1 });
    const odd = changed(good, ['announcement', 'need'], MAX) as Gossip;
    assert.ok(!messages.decodeGossip(messages.encodeGossip(odd)).ok);
  });
});
