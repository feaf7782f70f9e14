/** Text on a terminal: making remote text harmless, times as people read them, styles. */
import { stripVTControlCharacters, styleText } from 'node:util';
import { withoutHidden } from '../lib/hidden-text.ts';
import type { Io } from './io.ts';

/** Remote text without escape sequences and what a terminal obeys or hides; line ends and tabs stay. */
export const plainText = (text: string): string => withoutHidden(stripVTControlCharacters(text));

/** The same on one line. */
export const plainLine = (text: string): string => plainText(text).replace(/\s+/g, ' ').trim();

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan';
export type Painter = (style: Style, text: string) => string;

/** Paints on a terminal, unless NO_COLOR is set or `plain` is asked for. */
export function painter(io: Io, stream: 'stdout' | 'stderr', plain: boolean): Painter {
  const colours = io.terminal[stream] && !plain && !io.env['NO_COLOR'] && io.env['TERM'] !== 'dumb';
  return (style, text) => (colours ? styleText(style, text, { validateStream: false }) : text);
}

/** Beyond the year 9999 a date has another form, and further on there is none. */
const DATE_MAX_MS = 253_402_300_799_999;

/** `Z`, `+02` or `-09:30`: how far the clocks of this place were from UTC at that moment. */
function zoneAt(date: Date): string {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return 'Z';
  const two = (value: number): string => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? '' : `:${two(size % 60)}`;
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(size / 60))}${rest}`;
}

/** `2026-01-02 03:04:05+01`, as the clocks of this place show it; `-` for what is no moment, which a peer may send. */
export function dateTime(ms: number): string {
  if (!(ms >= 0 && ms <= DATE_MAX_MS)) return '-';
  const date = new Date(ms);
  const local = new Date(ms - date.getTimezoneOffset() * 60_000);
  return `${local.toISOString().slice(0, 19).replace('T', ' ')}${zoneAt(date)}`;
}

/** `03:04:05+01`. */
export const timeOfDay = (ms: number): string => dateTime(ms).split(' ')[1] ?? '-';

/** Milliseconds of RFC 3339, as the API tells moments; NaN for anything else. */
export const msOfText = (text: string): number => Date.parse(text);

/** Milliseconds of nanoseconds; NaN for what is no whole number. */
export const msOfNanos = (nanos: bigint | number): number =>
  typeof nanos === 'bigint' || Number.isSafeInteger(nanos)
    ? Number(BigInt(nanos) / 1_000_000n)
    : Number.NaN;

/** `j-1a2b3c4d`. */
export const shortId = (id: string): string => id.slice(0, 10);

/** `n-` and the last 8 characters of a peer id. */
export const shortNode = (node: string): string => `n-${node.slice(-8)}`;
