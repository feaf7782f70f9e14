/**
 * The configurations of a job, one after the other: who keeps it, by the epoch at hand. The first one is
 * the admission's; each later one is committed in a slot of its own, by majorities of the keepers before
 * it and of its own. Whoever checks a vote, a promise or a certificate asks here for the configuration
 * that its epoch names, and never takes the keepers from the admission.
 */
import { KEEPERS_MAX } from '../contract/limits.ts';
import { hasVote, isKeeper, keeperNodes } from './keeper-set.ts';
import type { JobId, NodeId } from './ids.ts';
import type {
  AdmissionBody,
  AnyRecord,
  Certified,
  ConfigBody,
  ConfigId,
  Configuration,
  Epoch,
  Keeper,
} from './records.ts';
import type { Suite } from './suite.ts';

/** Changes of one job's keepers: each is some 2 KB that everybody carries who must know who leads. */
export const CONFIGS_MAX = 64;
/** How often one job is re-seeded: whoever can do so has each time seen a majority of its keepers gone. */
const RESEEDS_MAX = 8;
/** Majors of one generation, of which those that re-seed one configuration with other keepers each have their own: 24 bits of a hash. */
const GENERATION = 2 ** 24;
/** Of no job is the major that high. */
export const MAJOR_MAX = (RESEEDS_MAX + 1) * GENERATION;

/** What has configurations, the first to the latest. */
export interface Chain {
  readonly job: JobId;
  readonly configurations: readonly [Configuration, ...Configuration[]];
}

/** What proves to who knows the first configuration that others keep the job now. */
export interface Changes {
  /** The later ones, in order, at most {@link CONFIGS_MAX}; absent while the keepers never changed. */
  readonly configs?: readonly Certified<'config'>[];
}

/** What proves a chain to anybody. */
export interface Roots extends Changes {
  readonly admission: Certified<'admission'>;
}

/** The changes as they travel and lie on disk. */
export const changes = (configs: readonly Certified<'config'>[]): Changes =>
  configs.length === 0 ? {} : { configs: [...configs] };

export const rootsOf = ({ admission, configs = [] }: Roots): Roots => ({
  admission,
  ...changes(configs),
});

export const FIRST_CONFIG: ConfigId = { major: 0, minor: 0 };

/** Negative, zero or positive: by major, then minor. */
export const compareConfigs = (a: ConfigId, b: ConfigId): number =>
  a.major - b.major || a.minor - b.minor;

export const sameConfig = (a: ConfigId, b: ConfigId): boolean => compareConfigs(a, b) === 0;

/** How often the job was re-seeded up to this configuration. */
const generationOf = ({ major }: ConfigId): number => Math.floor(major / GENERATION);

/** The name of the configuration before this one. */
export const parentOf = ({ config, reseeds }: Configuration): ConfigId =>
  reseeds ?? { major: config.major, minor: config.minor - 1 };

/**
 * The name of the configuration that re-seeds a job with these keepers. It rests on all that matters about it, so that
 * two that are made beside each other are never taken for one: epochs, votes and slots of one count for no other.
 */
export function reseedId(
  suite: Pick<Suite, 'hash'>,
  job: JobId,
  before: ConfigId,
  keepers: readonly Keeper[],
): ConfigId {
  const set = keepers.map(({ node, store }) => `${node} ${store}`).join(' ');
  const hash = suite.hash(`shoal/reseed|${job}|${before.major} ${before.minor}|${set}`);
  const own = Number.parseInt(hash.slice(0, 6), 16);
  return { major: (generationOf(before) + 1) * GENERATION + own, minor: before.minor + 1 };
}

/** The configuration that an admission makes. */
export const firstConfiguration = ({ keepers }: AdmissionBody): Configuration => ({
  config: FIRST_CONFIG,
  keepers,
  former: [],
});

/** The chain of a job whose keepers never changed. */
export const firstOf = (admission: AdmissionBody): Chain => ({
  job: admission.job,
  configurations: [firstConfiguration(admission)],
});

/** The chain that records make which were checked before. */
export const chainOf = ({ admission, configs = [] }: Roots): Chain => ({
  job: admission.record.body.job,
  configurations: [
    firstConfiguration(admission.record.body),
    ...configs.map(({ record }) => record.body),
  ],
});

/** The configuration of this id; null when it is not known here. */
export const configurationOf = ({ configurations }: Chain, id: ConfigId): Configuration | null =>
  configurations.find(({ config }) => sameConfig(config, id)) ?? null;

/** What proves this chain, among the changes that are known. */
export const provenBy = (
  { configurations }: Chain,
  known: readonly Certified<'config'>[],
): Certified<'config'>[] =>
  configurations.flatMap(
    ({ config }) => known.find(({ record }) => sameConfig(record.body.config, config)) ?? [],
  );

/** The latest configuration. */
export const currentOf = ({ configurations }: Chain): Configuration =>
  configurations.at(-1) ?? configurations[0];

/** The configuration of an epoch that was checked before, as the one that this node leads under. */
export function configurationAt(chain: Chain, { config }: Epoch): Configuration {
  const found = configurationOf(chain, config);
  if (found === null) throw new Error('an epoch of an unknown configuration passed validation');
  return found;
}

/** All that kept the job before, and do not now. */
export function earlierKeepers(chain: Chain): Set<NodeId> {
  const nodes = new Set(chain.configurations.flatMap((one) => keeperNodes(one)));
  for (const node of keeperNodes(currentOf(chain))) nodes.delete(node);
  return nodes;
}

/** Whether the node has ever kept the job: what it signed then may be proposed again later. */
export const everKept = ({ configurations }: Chain, node: NodeId): boolean =>
  configurations.some((configuration) => isKeeper(configuration, node));

/**
 * Whether this configuration may come after that one: the next minor of the same major, with one keeper more
 * or less; or joint, with up to two that come or go, since there are majorities of the sets before and after
 * such a change that share nobody. Then the same keepers follow alone.
 */
export function follows(before: Configuration, next: Configuration): boolean {
  const { keepers, former, config } = next;
  if (config.major !== before.config.major || config.minor !== before.config.minor + 1)
    return false;
  if (next.reseeds !== undefined) return false;
  if (!areKeepers(keepers) || next.config.minor > CONFIGS_MAX) return false;
  if (former.length > 0) {
    return (
      before.former.length === 0 &&
      sameKeepers(former, before.keepers) &&
      missing(keepers, former) + missing(former, keepers) <= 2 &&
      // Votes are counted by node: none may vote in the name of a store that it has not.
      new Set([...keepers, ...former].map(({ node }) => node)).size ===
        former.length + missing(keepers, former)
    );
  }
  if (before.former.length > 0) return sameKeepers(keepers, before.keepers);
  return missing(keepers, before.keepers) + missing(before.keepers, keepers) <= 1;
}

/**
 * Whether this configuration re-seeds a job that was kept by that one, for which it needs nobody else of those than a
 * *witness*: a keeper, with its store, that says so with its vote. Whether its name is that of `reseedId` who votes
 * for it looks at, and who believes in it.
 */
export function continues(before: Configuration, { config, ...next }: Configuration): boolean {
  if (next.reseeds === undefined || !sameConfig(next.reseeds, before.config)) return false;
  if (!areKeepers(next.keepers) || next.former.length > 0) return false;
  if (config.minor !== before.config.minor + 1 || config.minor > CONFIGS_MAX) return false;
  const generation = generationOf(config);
  if (generation !== generationOf(before.config) + 1 || generation > RESEEDS_MAX) return false;
  return witnesses(before, next).length > 0;
}

/** Those of a configuration that re-seeds a job which kept it before. */
export const witnesses = (
  before: Configuration,
  { keepers }: Pick<Configuration, 'keepers'>,
): readonly NodeId[] =>
  keepers.filter(({ node, store }) => hasVote(before, node, store)).map(({ node }) => node);

/** Whether a configuration that re-seeds the job has the name that its keepers give it. */
export const isNamedRight = (
  suite: Pick<Suite, 'hash'>,
  { job, config, keepers, reseeds }: ConfigBody,
): boolean => reseeds === undefined || sameConfig(config, reseedId(suite, job, reseeds, keepers));

/** A set that may keep a job: 1 … 5 different nodes. */
function areKeepers(keepers: readonly Keeper[]): boolean {
  const nodes = new Set(keepers.map(({ node }) => node));
  return nodes.size === keepers.length && nodes.size > 0 && nodes.size <= KEEPERS_MAX;
}

/** How many of `of` are not among `among`; the same node with another store is another keeper. */
const missing = (of: readonly Keeper[], among: readonly Keeper[]): number =>
  of.filter(({ node, store }) => !among.some((k) => k.node === node && k.store === store)).length;

const sameKeepers = (a: readonly Keeper[], b: readonly Keeper[]): boolean =>
  a.length === b.length && missing(a, b) === 0;

/**
 * Of which configurations a majority must vote for a record under an epoch, each by its own rule: the
 * epoch's, and for a later configuration that one as well; for one that re-seeds the job that one alone, under an epoch
 * of its own. Empty when nobody can vote so.
 */
export function electorate(
  chain: Chain,
  record: AnyRecord,
  epoch: Epoch,
): readonly Configuration[] {
  if (record.type === 'config' && record.body.reseeds !== undefined) {
    const parent = configurationOf(chain, record.body.reseeds);
    const isOwn = sameConfig(epoch.config, record.body.config);
    return parent !== null && isOwn && continues(parent, record.body) ? [record.body] : [];
  }
  const own = configurationOf(chain, epoch.config);
  if (own === null) return [];
  if (record.type !== 'config') return [own];
  return follows(own, record.body) ? [own, record.body] : [];
}

/** Everybody who has a vote in any of them. */
export function voters(configurations: readonly Configuration[]): readonly NodeId[] {
  const [first, ...others] = configurations;
  if (first === undefined) return [];
  // Nearly always: a record of one configuration, which is asked for with every certificate.
  if (others.length === 0) return keeperNodes(first);
  return [...new Set(configurations.flatMap((one) => keeperNodes(one)))];
}
