/**
 * IP addresses as text, and which of them the whole internet shares. What is not plainly public is not:
 * loopback, private, link-local and reserved ranges, and forms that carry another address inside.
 */

/** IPv4 in dotted form, or IPv6. */
export function isIpAddress(text: string): boolean {
  return ipv4Of(text) !== null || ipv6Of(text) !== null;
}

/** True for an address that means the same machine to everybody. */
export function isPublicAddress(text: string): boolean {
  const four = ipv4Of(text);
  if (four !== null) return isPublic4(four);
  const six = ipv6Of(text);
  return six !== null && isPublic6(six);
}

/** The four bytes; null when the text is none. */
function ipv4Of(text: string): readonly number[] | null {
  const parts = text.split('.');
  if (parts.length !== 4) return null;
  // A leading zero would be octal to some readers.
  if (!parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) return null;
  return parts.map(Number);
}

/** The eight groups; null when the text is none. */
function ipv6Of(text: string): readonly number[] | null {
  const halves = text.split('::');
  if (!text.includes(':') || halves.length > 2) return null;
  const sides = halves.map((half) => (half === '' ? [] : half.split(':')));
  const embedded = text.endsWith('::') ? null : ipv4Of(sides.at(-1)?.at(-1) ?? '');
  if (embedded !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = embedded;
    const groups = [a * 256 + b, c * 256 + d].map((group) => group.toString(16));
    sides.at(-1)?.splice(-1, 1, ...groups);
  }
  const given = sides.flat();
  if (!given.every((group) => /^[0-9a-f]{1,4}$/i.test(group))) return null;
  const missing = 8 - given.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const [left = [], right = []] = sides;
  const zeros = Array.from({ length: missing }, () => '0');
  return [...left, ...zeros, ...right].map((group) => Number.parseInt(group, 16));
}

function isPublic4([a = 0, b = 0, c = 0]: readonly number[]): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
  if (a === 100) return b < 64 || b > 127;
  if (a === 169) return b !== 254;
  if (a === 172) return b < 16 || b > 31;
  if (a === 192) return b !== 168 && !(b === 0 && (c === 0 || c === 2)) && !(b === 88 && c === 99);
  if (a === 198) return b !== 18 && b !== 19 && !(b === 51 && c === 100);
  return !(a === 203 && b === 0 && c === 113);
}

/** Of 2000::/3; without Teredo, documentation and 6to4, which stand for other addresses or none. */
function isPublic6([a = 0, b = 0]: readonly number[]): boolean {
  if (a < 0x2000 || a > 0x3fff || a === 0x2002) return false;
  return !(a === 0x2001 && (b === 0 || b === 0xdb8));
}
