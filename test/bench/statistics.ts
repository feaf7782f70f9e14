/** Percentiles of samples, and the rows of the result table. Measures nothing. */

export interface Summary {
  readonly runs: number;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly spread: 'p10–p90' | 'min–max';
  readonly p99: number;
}

/** From this many samples on, single outliers are left out of the spread. */
const PERCENTILES_FROM = 10;

/** Linear between neighbours. `share` 0 … 1; `sorted` rises and is not empty. */
function quantile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** @throws RangeError without samples. */
export function summarise(samples: readonly number[]): Summary {
  if (samples.length === 0) throw new RangeError('nothing was measured');
  const sorted = [...samples].sort((a, b) => a - b);
  const many = sorted.length >= PERCENTILES_FROM;
  return {
    runs: sorted.length,
    median: quantile(sorted, 0.5),
    low: quantile(sorted, many ? 0.1 : 0),
    high: quantile(sorted, many ? 0.9 : 1),
    spread: many ? 'p10–p90' : 'min–max',
    p99: quantile(sorted, 0.99),
  };
}

/** What a figure should be; compared with the median unless nearly every run, or each, counts. */
export interface Target {
  readonly limit: number;
  readonly wanted: 'at most' | 'at least';
  readonly of: 'median' | 'p99' | 'every run';
}

export interface Row extends Summary {
  /** What was measured, in words. */
  readonly what: string;
  readonly unit: string;
  readonly target: Target | null;
  /** null without a target. */
  readonly met: boolean | null;
  readonly note: string;
}

export const atMost = (limit: number, of: Target['of'] = 'median'): Target => ({
  limit,
  wanted: 'at most',
  of,
});
export const atLeast = (limit: number, of: Target['of'] = 'median'): Target => ({
  limit,
  wanted: 'at least',
  of,
});

export function row(
  what: string,
  unit: string,
  samples: readonly number[],
  target: Target | null = null,
  note = '',
): Row {
  const summary = summarise(samples);
  return {
    what,
    unit,
    ...summary,
    target,
    met: target === null ? null : meets(samples, summary, target),
    note,
  };
}

function meets(
  samples: readonly number[],
  { median, p99 }: Summary,
  { limit, wanted, of }: Target,
): boolean {
  const fits = (value: number): boolean => (wanted === 'at most' ? value <= limit : value >= limit);
  if (of === 'every run') return samples.every(fits);
  return fits(of === 'median' ? median : p99);
}
