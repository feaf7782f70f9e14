/** How far a reader of a history is, as a text that it hands back. */
import { invalid } from './http.ts';
import type { Place } from './history.ts';
import { EARLIER, LIMIT_MAX } from './paging.ts';

export interface Wanted {
  readonly place: Place;
  /** Events of one answer. */
  readonly limit: number;
}

export const toToken = ({ place: { book, from, to, offset }, limit }: Wanted): string =>
  Buffer.from(`${book}:${limit}:${from}:${to}:${offset}`, 'utf8').toString('base64url');

/** @throws ShoalError `request-invalid` – not one of our tokens. */
export function ofToken(token: string): Wanted {
  const decoded = Buffer.from(token, 'base64url').toString('utf8');
  const match = /^([0-9a-f]{8}):(\d{1,4}):(\d{1,9}):(\d{1,9}):(\d{1,9})$/.exec(decoded);
  if (match === null) throw invalid('next_token', token.slice(0, 80), EARLIER);
  const [, book = '', ...numbers] = match;
  const [limit = 0, from = 0, to = 0, offset = 0] = numbers.map(Number);
  return { place: { book, from, to, offset }, limit: Math.min(limit, LIMIT_MAX) };
}
