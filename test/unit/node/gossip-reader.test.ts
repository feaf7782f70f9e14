/** What is let in of gossip, what is only not passed on, and what nobody honest can have sent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Announcement, Gossip } from '../../../src/core/contract/messages.ts';
import type { Signed } from '../../../src/core/record/records.ts';
import { jobIdOf } from '../../../src/core/record/verify.ts';
import { gossipReader } from '../../../src/node/gossip-reader.ts';
import { jobWith } from '../core/fixtures.ts';
import { messages, signed, suite } from '../p2p/wire/fixtures.ts';
import { asHlc } from '../../../src/core/record/ids.ts';

const WALL = 1_800_000_000_000;
const read = gossipReader(messages, suite, () => WALL);
const [advert] = fc.sample(signed('advert'), 1);
assert.ok(advert !== undefined);
const self = suite.nodeOf(advert.by);
const nonce = 'a'.repeat(32);
const job = jobIdOf(suite, suite.owner, nonce);
const about = { job, owner: suite.owner, version: 1, nonce, sponsor: self };
const body = { ...about, spec: jobWith(), notAfter: WALL + 1 };
const spec = suite.seal('spec', body, asHlc(WALL), 'owner');
const expired = suite.seal('spec', { ...body, notAfter: WALL - 1 }, asHlc(WALL), 'owner');
const [admission] = fc.sample(signed('admission'), 1);
assert.ok(admission !== undefined);
const plain = { job, version: 1, leader: self, round: 0, need: 1, notAgain: [], grant: null };
const announce = (change: Partial<Announcement> = {}): Gossip => ({
  type: 'announce',
  announcement: { ...plain, spec, admission: { record: admission, votes: [] }, ...change },
});
const unsigned = <T extends Signed<'spec'> | Signed<'advert'>>(record: T): T => ({
  ...record,
  sig: new Uint8Array(64),
});

const verdict = (bytes: Uint8Array): string => {
  const result = read(bytes);
  if (result.ok) return 'in';
  return `${result.sendersFault ? 'fault' : 'ignored'}: ${result.why}`;
};
const said = (gossip: Gossip): string => verdict(messages.encodeGossip(gossip));

test('an announcement whose spec its owner signed is let in, with the spec or without it', () => {
  assert.equal(said(announce()), 'in');
  assert.equal(said(announce({ spec: null })), 'in');
});

test('of a later version the spec is looked at where it is: in what says that it was decided', () => {
  const [version] = fc.sample(signed('version'), 1);
  assert.ok(version !== undefined);
  const decided = (inside: typeof spec): Partial<Announcement> => {
    const body = { ...version.body, job, version: 1, spec: suite.envelopeOf(inside) };
    return { spec: null, decided: { record: { ...version, body }, votes: [] } };
  };
  assert.equal(said(announce(decided(spec))), 'in');
  assert.equal(said(announce(decided(unsigned(spec)))), 'fault: bad-signature');
  assert.equal(said(announce(decided(expired))), 'ignored: expired');
  const other = jobIdOf(suite, suite.owner, 'b'.repeat(32));
  assert.equal(said(announce({ ...decided(spec), job: other })), 'fault: contradiction');
});

test('what nobody honest passes on is the fault of the neighbour that did', () => {
  assert.equal(said(announce({ spec: unsigned(spec) })), 'fault: bad-signature');
  const other = jobIdOf(suite, suite.owner, 'b'.repeat(32));
  assert.equal(said(announce({ job: other })), 'fault: contradiction');
  const forged = unsigned({ ...advert, body: { ...advert.body, node: self } });
  assert.equal(said({ type: 'advert', advert: forged }), 'fault: bad-signature');
  assert.equal(said({ type: 'advert', advert }), 'fault: wrong-signer');
  assert.equal(verdict(Uint8Array.of(0xff)), 'fault: not-canonical');
});

test('what an honest node may come to pass on late, or in a newer form, is nobody’s fault', () => {
  assert.equal(said(announce({ spec: expired })), 'ignored: expired');
  const newer = Buffer.from('a26176016474797065636f6464', 'hex');
  assert.equal(verdict(newer), 'ignored: unknown-type');
});
