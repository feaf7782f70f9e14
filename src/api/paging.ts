/**
 * Paging as Bacalhau does it: a token is base64url of `sortBy:Y|N:limit:offset` and overrides the
 * order and limit of the request that carries it.
 */
import { ShoalError } from '../failures/shoal-error.ts';
import { own } from '../job/own.ts';

export interface Page {
  readonly orderBy: string;
  readonly reverse: boolean;
  /** Items wanted; 0 = all. */
  readonly limit: number;
  readonly offset: number;
}

/** More than this in one answer is never given, whatever is asked. */
export const LIMIT_MAX = 1000;

/** What a token should be. */
export const EARLIER = 'the NextToken of an earlier answer';

function encodeToken(page: Page): string {
  const text = `${page.orderBy}:${page.reverse ? 'Y' : 'N'}:${page.limit}:${page.offset}`;
  return Buffer.from(text, 'utf8').toString('base64url');
}

/** @throws ShoalError `request-invalid` – not one of our tokens. */
export function decodeToken(token: string): Page {
  const text = Buffer.from(token, 'base64url').toString('utf8');
  const match = /^([a-z_]*):([YN]):(\d{1,9}):(\d{1,9})$/.exec(text);
  if (match === null) {
    throw new ShoalError({
      code: 'request-invalid',
      place: 'next_token',
      value: token.slice(0, 80),
      expected: EARLIER,
    });
  }
  const [, orderBy = '', reverse, limit, offset] = match;
  return {
    orderBy,
    reverse: reverse === 'Y',
    limit: Math.min(Number(limit), LIMIT_MAX),
    offset: Number(offset),
  };
}

/** The items of a page and the token of the next one; '' when there is none. */
export function cut<T>(
  items: readonly T[],
  page: Page,
): { readonly items: readonly T[]; readonly next: string } {
  const end = page.limit === 0 ? items.length : page.offset + page.limit;
  const next = end < items.length ? encodeToken({ ...page, offset: end }) : '';
  return { items: items.slice(page.offset, end), next };
}

export type Order<T> = (a: T, b: T) => number;

/** By the order that the page names. @throws ShoalError `request-invalid`. */
export function sorted<T>(
  items: readonly T[],
  page: Page,
  orders: Readonly<Record<string, Order<T>>>,
): T[] {
  const order = own(orders, page.orderBy);
  if (order === undefined) {
    throw new ShoalError({
      code: 'request-invalid',
      place: 'order_by',
      value: page.orderBy,
      expected: Object.keys(orders).filter(Boolean).join(', '),
    });
  }
  const list = [...items].sort(order);
  return page.reverse ? list.reverse() : list;
}
