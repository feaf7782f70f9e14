/**
 * How much a spec may hold, measured before anything is read whose cost grows faster than the text.
 * Bytes are no measure: a file in a `data:` URL is ten megabytes in one value, and those bytes cost
 * next to nothing.
 */
import { Lexer } from 'yaml';

/** A record holds 64 KiB, and a value in it takes two bytes at least. */
const VALUES_MAX = 32_768;
/** What the YAML reader sees of one value: its indentation, key, colon, blanks, text and line end. */
const LEXEMES_MAX = 8 * VALUES_MAX;
/**
 * Each is looked up by walking through the text before it; beyond so many a few lines of YAML could stand
 * for gigabytes.
 */
export const ALIASES_MAX = 100;
/** Characters of a spec's text; ten megabytes inline take thirteen of it. */
export const TEXT_MAX = 16 * 1024 * 1024;
/** A spec needs nine levels. */
const DEPTH_MAX = 64;

const TOO_MANY = `it holds more than ${VALUES_MAX} values`;

/** @returns why no spec has so much, or null. Looks no further than it must. */
export function whyTooMuchText(text: string): string | null {
  let lexemes = 0;
  let aliases = 0;
  for (const lexeme of new Lexer().lex(text)) {
    lexemes += 1;
    if (lexemes > LEXEMES_MAX) return TOO_MANY;
    if (lexeme.startsWith('*')) aliases += 1;
    if (aliases > ALIASES_MAX) return `it holds more than ${ALIASES_MAX} aliases`;
  }
  return null;
}

/** The same of a decoded value; one that stands in several places counts in each. */
export function whyTooMuch(value: unknown): string | null {
  let values = 0;
  let level: readonly unknown[] = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > DEPTH_MAX) return `it is nested deeper than ${DEPTH_MAX} levels`;
    const below: unknown[] = [];
    for (const one of level) {
      if (typeof one !== 'object' || one === null) continue;
      const members = Array.isArray(one) ? one : Object.values(one);
      values += members.length;
      if (values > VALUES_MAX) return TOO_MANY;
      for (const member of members) below.push(member);
    }
    level = below;
  }
  return null;
}
