/** Ballots: comparing them, and the first one, which every admission grants. */
import type { AdmissionBody, Epoch } from './records.ts';

/** Negative, zero or positive: by config, then number, then leader (protocol part 2). */
export function compareEpochs(a: Epoch, b: Epoch): number {
  if (a.config !== b.config) return a.config - b.config;
  if (a.number !== b.number) return a.number - b.number;
  return a.leader < b.leader ? -1 : a.leader > b.leader ? 1 : 0;
}

export const sameEpoch = (a: Epoch, b: Epoch): boolean => compareEpochs(a, b) === 0;

/** The epoch that the admission itself grants to the keeper of rank 0: no prepare round is needed. */
export function firstEpoch(admission: AdmissionBody): Epoch {
  const first = admission.keepers[0];
  if (first === undefined) throw new Error('an admission without keepers passed validation');
  return { config: admission.config, number: 0, leader: first.node };
}

/** W: how many keepers make a majority of K. */
export const majority = (keepers: number): number => Math.floor(keepers / 2) + 1;
