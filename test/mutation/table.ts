/** Every planted mistake, with the file it is in. */
import { consensus } from './consensus.ts';
import { enrolment } from './enrolment.ts';
import { keepers } from './keepers.ts';
import type { Mutation } from './mutation.ts';
import { policies } from './policies.ts';
import { protections } from './protections.ts';
import { reseeding } from './reseeding.ts';
import { services } from './services.ts';
import { versions } from './versions.ts';
import { work } from './work.ts';

export interface Planted {
  readonly file: string;
  readonly mutation: Mutation;
}

export const mutations: readonly Planted[] = [
  consensus,
  keepers,
  reseeding,
  work,
  enrolment,
  protections,
  services,
  policies,
  versions,
]
  .flatMap((table) => Object.entries(table))
  .flatMap(([file, list]) => list.map((mutation) => ({ file, mutation })));
