/**
 * How far an address reaches: this machine, its network, anywhere. Looks through every form in which
 * one address hides in another, because whoever may tell us where to dial could otherwise make us dial
 * ourselves. Pure; looks no name up.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** 0: this machine, or nowhere. 1: a private network. 2: anywhere. */
export type Reach = 0 | 1 | 2;

/** The reach of a host as it stands in an address: an IP in any spelling, or a name. */
export function reachOfHost(host: string): Reach {
  // Names are compared without case, and with the final dot that says "absolute" or without it.
  const name = host.toLowerCase().replace(/\.+$/, '');
  if (isIPv6(name)) return reachOf6(groupsOf(name));
  const number = isIPv4(name) ? fourOf(name) : numberOf(name);
  return number === null ? reachOfName(name) : reachOf4(number);
}

function reachOfName(name: string): Reach {
  if (name === '' || /(^|\.)localhost$/.test(name) || HOSTS_FILE.has(name)) return 0;
  // Names that only a network's own resolver knows.
  return !name.includes('.') || LOCAL_NAME.test(name) ? 1 : 2;
}

/** What hosts files commonly call the loopback beside `localhost`. */
const HOSTS_FILE = new Set(['localhost.localdomain', 'ip6-localhost', 'ip6-loopback']);
const LOCAL_NAME = /\.(local|lan|internal|intranet|home|corp|private|localdomain|home\.arpa)$/;

/** First address, bits that count, reach. The first that fits counts; none = anywhere. */
const RANGES_4: readonly (readonly [string, number, Reach])[] = [
  ['0.0.0.0', 8, 0],
  ['127.0.0.0', 8, 0],
  ['10.0.0.0', 8, 1],
  ['172.16.0.0', 12, 1],
  ['192.168.0.0', 16, 1],
  ['169.254.0.0', 16, 1],
  ['100.64.0.0', 10, 1],
  ['198.18.0.0', 15, 1],
  // Multicast, reserved, broadcast: no peer is there.
  ['224.0.0.0', 3, 0],
];

const fourOf = (text: string): number =>
  text.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);

const RANGES = RANGES_4.map(([first, bits, reach]) => ({
  first: fourOf(first),
  size: 2 ** (32 - bits),
  reach,
}));

const reachOf4 = (number: number): Reach =>
  RANGES.find(({ first, size }) => number >= first && number < first + size)?.reach ?? 2;

/**
 * The IPv4 address that a resolver makes of a name of numbers: `2130706433`, `0x7f.1`, `127.1` and
 * `0177.0.0.1` are all 127.0.0.1. Null when it is no such name.
 */
function numberOf(name: string): number | null {
  const parts = name.split('.');
  if (parts.length > 4 || !parts.every((part) => /^(0x[0-9a-f]*|\d+)$/.test(part))) return null;
  const numbers = parts.map((part) =>
    /^0\d/.test(part) ? Number.parseInt(part, 8) : Number(part === '0x' ? 0 : part),
  );
  const last = numbers.pop() ?? 0;
  const high = numbers.reduce((sum, number, at) => sum + (number % 256) * 256 ** (3 - at), 0);
  return (high + last) % 2 ** 32;
}

/** The eight groups of an IPv6 address, which must be valid. */
function groupsOf(text: string): readonly number[] {
  const [plain = ''] = text.split('%');
  // A dotted end stands for the last two groups.
  const dotted = /[^:]*\.[^:]*$/.exec(plain)?.[0];
  const four = dotted === undefined ? 0 : fourOf(dotted);
  const hex =
    dotted === undefined
      ? plain
      : plain.slice(0, -dotted.length) +
        `${Math.floor(four / 65_536).toString(16)}:${(four % 65_536).toString(16)}`;
  const [head = '', tail] = hex.split('::');
  const numbers = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [front, back] = [numbers(head), numbers(tail ?? '')];
  return tail === undefined
    ? front
    : [...front, ...Array<number>(8 - front.length - back.length).fill(0), ...back];
}

function reachOf6(groups: readonly number[]): Reach {
  const group = (at: number): number => groups[at] ?? 0;
  const inner = innerOf(groups);
  if (inner !== null) return inner;
  const first = group(0);
  // Unique local, link local and what was site local before.
  if ((first & 0xfe00) === 0xfc00 || (first & 0xff80) === 0xfe80) return 1;
  if ((first & 0xff00) === 0xff00) return 0;
  return 2;
}

/** The reach of the IPv4 address that an IPv6 address stands for; null when it stands for none. */
function innerOf(groups: readonly number[]): Reach | null {
  const group = (at: number): number => groups[at] ?? 0;
  const four = (at: number): Reach => reachOf4(group(at) * 65_536 + group(at + 1));
  const zero = (from: number, to: number): boolean =>
    groups.slice(from, to).every((one) => one === 0);
  // Unspecified, loopback and IPv4-compatible: ::1 and :: are 0.0.0.1 and 0.0.0.0 then, this machine.
  if (zero(0, 6)) return four(6);
  // IPv4-mapped and IPv4-translated.
  if (zero(0, 5) && group(5) === 0xffff) return four(6);
  if (zero(0, 4) && group(4) === 0xffff && group(5) === 0) return four(6);
  // NAT64: the well-known prefix, and the one for networks of their own.
  if (group(0) === 0x64 && group(1) === 0xff9b && zero(2, 6)) return four(6);
  if (group(0) === 0x64 && group(1) === 0xff9b && group(2) === 1) return four(6) === 0 ? 0 : 1;
  // 6to4, and Teredo, which turns the bits around.
  if (group(0) === 0x2002) return four(1);
  if (group(0) === 0x2001 && group(1) === 0)
    return reachOf4((group(6) ^ 0xffff) * 65_536 + (group(7) ^ 0xffff));
  return null;
}
