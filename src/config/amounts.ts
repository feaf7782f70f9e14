/**
 * The texts of the `capacity` section: an amount (`2`, `500m`, `4GB`) or a share of what the machine
 * has (`80%`). Units as in job specs: k, M, G, T are powers of 1000, Ki, Mi, Gi, Ti of 1024.
 */

const SHARE = /^(\d+(?:\.\d+)?)\s*%$/;
const COUNT = /^(\d+(?:\.\d+)?|\.\d+)(m?)$/;
const BYTES = /^(\d+(?:\.\d+)?|\.\d+)\s*([kmgtp]?)(i?)b?$/i;
const POWERS = 'kmgtp';

export function isShare(text: string): boolean {
  const match = SHARE.exec(text.trim());
  return match !== null && Number(match[1]) <= 100;
}

/** A count, or thousandths with `m`. */
export const isAmount = (text: string): boolean => COUNT.test(text.trim());

export function isByteAmount(text: string): boolean {
  const match = BYTES.exec(text.trim());
  return match !== null && !(match[2] === '' && match[3] !== '');
}

/**
 * What a text of a validated config means on a machine that has `total`.
 * @param unit `count`: in the unit of `total`, `m` meaning thousandths. `bytes`: bytes.
 * @returns at most `total`: more cannot be promised, whatever the operator wrote.
 */
export function amountOf(text: string, total: number, unit: 'count' | 'bytes'): number {
  const share = SHARE.exec(text.trim());
  if (share !== null) return (total * Math.min(100, Number(share[1]))) / 100;
  return Math.min(total, unit === 'bytes' ? bytesOf(text) : countOf(text));
}

/** More is asked for than a machine that has `total` can give. */
export const exceeds = (text: string, total: number, unit: 'count' | 'bytes'): boolean =>
  !isShare(text) && (unit === 'bytes' ? bytesOf(text) : countOf(text)) > total;

function countOf(text: string): number {
  const match = COUNT.exec(text.trim());
  if (match === null) throw new RangeError(`not an amount: ${text}`);
  return Number(match[1]) / (match[2] === 'm' ? 1_000 : 1);
}

function bytesOf(text: string): number {
  const match = BYTES.exec(text.trim());
  if (match === null) throw new RangeError(`not an amount of bytes: ${text}`);
  const power = match[2] === '' ? 0 : POWERS.indexOf((match[2] ?? '').toLowerCase()) + 1;
  return Math.floor(Number(match[1]) * (match[3] === '' ? 1_000 : 1_024) ** power);
}
