/**
 * What this version can do that another may not, as short kebab-case names in its adverts and hellos, so that
 * a later one knows of whom it can ask what. The first version has none: what it can do, all can.
 */

/** It keeps jobs that were re-seeded, and believes in their keepers. */
export const RESEED = 'reseed';

export const FEATURES: readonly string[] = [RESEED];

/** More than versions will ever differ in; what one that is told may cost in memory and on the wire. */
export const FEATURES_MAX = 32;
/** UTF-16 units of one name. */
export const FEATURE_LENGTH_MAX = 32;
