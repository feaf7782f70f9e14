/**
 * Texts that begin with a byte order mark, as the output of many a Windows program does. The decoder
 * takes the mark away, so that what was decoded has another encoding than what came, and an honest
 * record would be refused as not canonical. Where one may be, this reads the texts as they are.
 */
import { decode, Tokenizer, Type } from 'cborg';
import type { DecodeOptions } from 'cborg';

const MARK = '\ufeff';
const [FIRST, SECOND, THIRD] = [0xef, 0xbb, 0xbf] as const;

const beginsWithMark = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === FIRST && bytes[at + 1] === SECOND && bytes[at + 2] === THIRD;

/** True when a text may begin with a mark: the three bytes are somewhere. */
export function hasMark(bytes: Uint8Array): boolean {
  for (let at = bytes.indexOf(FIRST); at >= 0; at = bytes.indexOf(FIRST, at + 1)) {
    if (beginsWithMark(bytes, at)) return true;
  }
  return false;
}

class MarkedTexts extends Tokenizer {
  override next(): ReturnType<Tokenizer['next']> {
    const token = super.next();
    const text = token.byteValue;
    if (Type.equals(token.type, Type.string) && text !== undefined && beginsWithMark(text, 0))
      token.value = MARK + token.value;
    return token;
  }
}

/** @throws Error as the decoder does */
export function decodeWithMarks(bytes: Uint8Array, options: DecodeOptions): unknown {
  const all = { ...options, retainStringBytes: true };
  return decode(bytes, { ...all, tokenizer: new MarkedTexts(bytes, all) });
}
