/**
 * JSON with whole numbers that do not fit a double: nanoseconds since 1970 do not. They are bigints
 * here and plain integer text on the wire. Everything else is ordinary JSON.
 */

import { escapeHidden } from './hidden-text.ts';

/** What V8 has and the library's types do not know yet. */
interface JsonWithRaw {
  rawJSON(text: string): unknown;
  parse(
    text: string,
    reviver: (key: string, value: unknown, context: { readonly source?: string }) => unknown,
  ): unknown;
}
const json = JSON as unknown as JsonWithRaw;

/**
 * As `JSON.stringify`, with bigints as integer text, and with what a terminal would obey or hide as
 * escapes. `indent`: spaces, 0 = one line.
 */
export function stringifyExact(value: unknown, indent: number): string {
  const exact = (_key: string, member: unknown): unknown =>
    typeof member === 'bigint' ? json.rawJSON(member.toString()) : member;
  return escapeHidden(JSON.stringify(value, exact, indent) ?? 'null');
}

/**
 * As `JSON.parse`, with integers beyond 2^53 as bigints where a moment stands (`…Time`). Anywhere else
 * they stay numbers, because whoever calculates with them does not expect anything else.
 * @throws SyntaxError as `JSON.parse` does.
 */
export function parseExact(text: string): unknown {
  return json.parse(text, (key, value, context) => {
    if (typeof value !== 'number' || Number.isSafeInteger(value)) return value;
    if (!key.endsWith('Time')) return value;
    const source = context.source ?? '';
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}

/** The same with the keys of all maps in alphabetical order: a record has them in another one than whoever wrote it. */
export const stringifySorted = (value: unknown, indent: number): string =>
  stringifyExact(inOrder(value), indent);

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, member]) => [key, inOrder(member)]));
}
