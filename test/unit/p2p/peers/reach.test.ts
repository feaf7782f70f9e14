/** Laws of how far an address reaches, in whatever form it is written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';
import { reachOf } from '../../../../p2p/peers/address.ts';
import { reachOfHost } from '../../../../p2p/peers/reach.ts';

const hex = (number: number): string => number.toString(16);
const bytesOf = (text: string): number[] => text.split('.').map(Number);

/** All ways in which IPv6 carries an IPv4 address. */
const carriers: readonly ((four: string) => string)[] = [
  (four) => `::ffff:${four}`,
  (four) => `::ffff:0:${four}`,
  (four) => `64:ff9b::${four}`,
  (four) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytesOf(four);
    return `2002:${hex(a * 256 + b)}:${hex(c * 256 + d)}::1`;
  },
  (four) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytesOf(four).map((byte) => byte ^ 255);
    return `2001:0:4136:e378:8000:63bf:${hex(a * 256 + b)}:${hex(c * 256 + d)}`;
  },
];

test('an IPv4 address reaches no farther for being carried in IPv6, in any of its spellings', () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.constantFrom(...carriers), (four, carry) => {
      const text = carry(four);
      const { value = '' } = multiaddr(`/ip6/${text}/tcp/1`).getComponents()[0] ?? {};
      const groups = new URL(`http://[${text}]/`).hostname.slice(1, -1);
      for (const spelling of [text, text.toUpperCase(), value, groups])
        assert.equal(reachOfHost(spelling), reachOfHost(four), spelling);
    }),
  );
});

test('whatever leads to this machine reaches no farther than this machine', () => {
  const loopback = fc
    .tuple(fc.nat(255), fc.nat(255), fc.nat(255))
    .map((rest) => `127.${rest.join('.')}`);
  const number = (text: string): number => bytesOf(text).reduce((sum, byte) => sum * 256 + byte, 0);
  const spellings: readonly ((four: string) => string)[] = [
    (four) => four,
    (four) => `${four}.`,
    (four) => String(number(four)),
    (four) => `0x${hex(number(four))}`,
    (four) => `127.${number(four) % 2 ** 24}`,
    (four) => `0177.${bytesOf(four).slice(1).join('.')}`,
    ...carriers,
  ];
  fc.assert(
    fc.property(loopback, fc.constantFrom(...spellings), (four, spell) => {
      assert.equal(reachOfHost(spell(four)), 0, spell(four));
    }),
  );
  const names = ['localhost', 'a.localhost', 'localhost.localdomain', 'ip6-loopback'];
  const shout = fc.array(fc.boolean(), { minLength: 30, maxLength: 30 });
  fc.assert(
    fc.property(fc.constantFrom(...names), shout, fc.nat(3), (name, large, dots) => {
      const text = [...name].map((one, at) => (large[at] === true ? one.toUpperCase() : one));
      assert.equal(reachOfHost(text.join('') + '.'.repeat(dots)), 0);
    }),
  );
  for (const host of ['0.0.0.0', '::', '::1', '0:0:0:0:0:0:0:1', '::127.0.0.1', '::1%lo', ''])
    assert.equal(reachOfHost(host), 0, host);
});

test('the forms that were missed once', () => {
  const cases: Record<string, number> = {
    '/ip6/::ffff:7f00:1/tcp/1': 0,
    '/ip6/::ffff:a00:1/tcp/1': 1,
    '/ip6/::ffff:cb00:7105/tcp/1': 2,
    '/dns4/LOCALHOST/tcp/1': 0,
    '/dns4/localhost./tcp/1': 0,
    '/dns/127.0.0.1/tcp/1': 0,
    '/ip4/0.0.0.0/tcp/1': 0,
    '/ip4/224.0.0.1/tcp/1': 0,
    '/ip6/ff02::1/tcp/1': 0,
    '/ip6/64:ff9b:1::a00:1/tcp/1': 1,
    '/dns4/printer/tcp/1': 1,
    '/dns4/nas.local/tcp/1': 1,
    '/dns4/example.org/tcp/1/ip4/127.0.0.1/tcp/5': 0,
    '/ip6zone/lo/ip6/::1/tcp/1': 0,
    '/ip6/2606:4700::1111/tcp/1': 2,
    '/dns4/example.org./tcp/1': 2,
  };
  for (const [text, reach] of Object.entries(cases))
    assert.equal(reachOf(multiaddr(text)), reach, text);
});

test('no host makes the check throw', () => {
  fc.assert(fc.property(fc.string(), (text) => void reachOfHost(text)));
  fc.assert(fc.property(fc.ipV6(), (text) => assert.ok(reachOfHost(text) <= 2)));
});
