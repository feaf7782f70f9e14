/** Ballots: comparing them, and the first one, which every admission grants. */
import { compareConfigs } from './chain.ts';
import type { Configuration, Epoch } from './records.ts';

/**
 * The last ballot number there is. Nobody gets there: a keeper follows another one's number only a
 * bounded leap at a time (`acceptor.ts`), and one that stands for leader needs seconds for each.
 */
export const EPOCH_NUMBER_MAX = 0x7fff_ffff;
/** Nobody stands for leader so often that the number leaps further than this between two messages. */
const LEAP_MAX = 100_000;

/**
 * Whether a number that somebody claims can follow the one known: a leap would use the numbers up. Each
 * configuration counts its own; whether there is such a one is for the chain to say.
 */
export const withinReach = (claimed: Epoch, known: Epoch): boolean =>
  claimed.number <=
  LEAP_MAX + (compareConfigs(claimed.config, known.config) === 0 ? known.number : 0);

/** Negative, zero or positive: by config, then number, then leader. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  const configs = compareConfigs(a.config, b.config);
  if (configs !== 0) return configs;
  if (a.number !== b.number) return a.number - b.number;
  return a.leader < b.leader ? -1 : a.leader > b.leader ? 1 : 0;
}

export const sameEpoch = (a: Epoch, b: Epoch): boolean => compareEpochs(a, b) === 0;

/** The epoch that the admission itself grants to the keeper of rank 0: no prepare round is needed. */
export function firstEpoch({ config, keepers }: Configuration): Epoch {
  const first = keepers[0];
  if (first === undefined) throw new Error('an admission without keepers passed validation');
  return { config, number: 0, leader: first.node };
}
