/** Names of files that are no text, in a form that can be shown and typed again: each byte that is not UTF-8 as `\\xe9`. */
import { isUtf8 } from 'node:buffer';

/** The longest form of one character, bytes. */
const CHARACTER_MAX = 4;

/** `name` in the directory `below` ('' = the root). */
export const escapedName = (below: string, name: Buffer): string =>
  `${below === '' ? '' : `${below}/`}${escaped(name)}`;

/** The text of the bytes; what is no text in them is escaped, the rest stays as it is. */
export function escaped(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterAt(bytes, at);
    text +=
      length === 0
        ? `\\x${(bytes[at] ?? 0).toString(16).padStart(2, '0')}`
        : bytes.toString('utf8', at, at + length);
    at += Math.max(1, length);
  }
  return text;
}

/** Bytes of the character that begins there; 0 when none does. */
function characterAt(bytes: Buffer, at: number): number {
  for (let length = 1; length <= CHARACTER_MAX; length += 1)
    if (at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length))) return length;
  return 0;
}
