/** Laws of addresses, names of CIDs and entries, and the reasons of failed dials. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';
import { announced, checkPeerAddress, reachOf } from '../../../../p2p/peers/address.ts';
import { parseCid } from '../../../../p2p/content/dag.ts';
import { dialProblem } from '../../../../p2p/peers/dial-problem.ts';
import { checkName } from '../../../../p2p/content/files.ts';
import { jobsShards } from '../shards.ts';
import { ShoalError } from '../../../../src/failures/shoal-error.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';

const ID = '12D3KooWK7TYPMuJHHjmLCeXx3D4jmaqNS8Df9xdmJhWfEALWFuX';
const SELF = asNodeId('12D3KooWDGF2pa96fEtCVrdGMmhrYi742JD9mjUN8Z6QPzLgQgxz');

const whyOf = (text: string): string => {
  const check = checkPeerAddress(text, SELF);
  return check.ok ? 'ok' : check.failure.why;
};

test('each bad bootstrap address has its own reason', () => {
  const cases: Record<string, RegExp> = {
    [`/ip4/192.0.2.1/tcp/4001/p2p/${ID}`]: /^ok$/,
    [`/dns4/seed.example.org/tcp/4001/p2p/${ID}`]: /^ok$/,
    garbage: /./,
    '': /does not name the peer/,
    '/ip4/192.0.2.1/tcp/4001': /does not name the peer/,
    '/ip4/192.0.2.1/tcp/4001/p2p/abc': /./,
    [`/ip4/192.0.2.1/tcp/0/p2p/${ID}`]: /port is 0/,
    [`/ip4/192.0.2.1/tcp/70000/p2p/${ID}`]: /port is 70000/,
    [`/ip4/192.0.2.1/udp/4001/quic-v1/p2p/${ID}`]: /no TCP port/,
    [`/ip4/192.0.2.1/tcp/4001/ws/p2p/${ID}`]: /TCP alone.* not by ws/,
    [`/dns4/example.org/tcp/443/tls/ws/p2p/${ID}`]: /not by tls/,
    [`/ip4/192.0.2.1/tcp/4001/p2p/${ID}/p2p-circuit/p2p/${ID}`]: /not by p2p-circuit/,
    [`/dnsaddr/mesh.example/p2p/${ID}`]: /TCP alone/,
    [`/ip4/300.0.2.1/tcp/4001/p2p/${ID}`]: /./,
    [`/ip4/192.0.2.1/tcp/4001/p2p/${SELF}`]: /this peer itself/,
  };
  for (const [text, why] of Object.entries(cases)) assert.match(whyOf(text), why, text);
  assert.notEqual(whyOf('garbage'), 'ok');
  assert.notEqual(whyOf('/ip4/192.0.2.1/tcp/4001/p2p/abc'), 'ok');
});

test('no text makes the address check throw', () => {
  fc.assert(fc.property(fc.string(), (text) => void checkPeerAddress(text, SELF)));
});

test('an address reaches this machine, its network, or anywhere', () => {
  const cases: Record<string, number> = {
    '/ip4/127.0.0.1/tcp/1': 0,
    '/ip6/::1/tcp/1': 0,
    '/dns4/localhost/tcp/1': 0,
    '/ip4/10.1.2.3/tcp/1': 1,
    '/ip4/172.16.0.1/tcp/1': 1,
    '/ip4/172.32.0.1/tcp/1': 2,
    '/ip4/192.168.1.1/tcp/1': 1,
    '/ip4/169.254.1.1/tcp/1': 1,
    '/ip4/100.64.0.1/tcp/1': 1,
    '/ip6/fd00::1/tcp/1': 1,
    '/ip6/fe80::1/tcp/1': 1,
    '/ip4/203.0.113.5/tcp/1': 2,
    '/ip6/2001:db8::1/tcp/1': 2,
    '/dns4/example.org/tcp/1': 2,
  };
  for (const [text, reach] of Object.entries(cases))
    assert.equal(reachOf(multiaddr(text)), reach, text);
});

test('loopback is announced only where there is nothing else', () => {
  const loopback = multiaddr('/ip4/127.0.0.1/tcp/1');
  const outside = multiaddr('/ip4/198.51.100.7/tcp/1');
  assert.deepEqual(announced([loopback]), [loopback]);
  assert.deepEqual(announced([loopback, outside]), [outside]);
});

test('CIDs are read with their usual prefixes, and refused with a reason', () => {
  const v0 = 'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG';
  const v1 = parseCid(v0).toString();
  assert.match(v1, /^bafybe/);
  for (const text of [v1, `/ipfs/${v1}`, `ipfs://${v1}`, ` ${v1} `])
    assert.equal(parseCid(text).toString(), v1);
  const blake = 'bafk2bzacedsbpv32ebbrn4mgs77wtc5nj5ajo6gbojhfenzg3vtvuuowqqwbu';
  for (const text of ['', 'x', 'Qm123', v1.slice(0, 20), `${v1}/a`, blake]) {
    assert.throws(
      () => parseCid(text),
      (error) => error instanceof ShoalError && error.failure.code === 'cid-invalid',
      text,
    );
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseCid(text);
      } catch (error) {
        assert.ok(error instanceof ShoalError, String(error));
      }
    }),
  );
});

test('a name that is accepted stays inside its directory', () => {
  for (const good of ['a', '..a', 'a..', 'ä', 'con', ' ', '\\', 'c:']) checkName(good);
  for (const bad of ['', '.', '..', '/', 'a/b', 'a\0', 'x'.repeat(256)]) {
    assert.throws(() => checkName(bad), ShoalError, JSON.stringify(bad));
  }
});

test('the reason of a failed dial is found inside nested errors', () => {
  const named = (name: string, message = ''): Error => Object.assign(new Error(message), { name });
  const cases: [unknown, string][] = [
    [new AggregateError([named('UnexpectedPeerError')]), 'peer-id-mismatch'],
    [named('DialDeniedError'), 'not-admitted'],
    [new AggregateError([new Error('connect ECONNREFUSED 127.0.0.1:1')]), 'refused'],
    [new Error('x', { cause: named('EncryptionFailedError') }), 'handshake-failed'],
    [named('TimeoutError'), 'timeout'],
    [named('EncryptionFailedError', 'The operation was aborted due to timeout'), 'timeout'],
    ['just text', 'unreachable'],
    [undefined, 'unreachable'],
  ];
  for (const [error, problem] of cases)
    assert.equal(dialProblem(error, SELF).problem, problem, String(error));
});

test('jobs spread evenly over the shards of the announcements', () => {
  const counts = jobsShards(4_000);
  assert.ok(
    counts.every((count) => count > 800),
    counts.join(),
  );
});
