/**
 * Whether a record may be believed: signature, signer, expiry, and that it belongs where it claims.
 * Everything that enters a ledger passes through here first (invariant I11).
 */
import {
  chainOf,
  compareConfigs,
  configurationOf,
  currentOf,
  everKept,
  FIRST_CONFIG,
  firstOf,
  parentOf,
  sameConfig,
} from './chain.ts';
import type { Chain, Changes, Roots } from './chain.ts';
import { isKeeper } from './keeper-set.ts';
import { certifiedEpoch, validCertificate } from './certificate.ts';
import { configSlot, slotOf } from './slot.ts';
import { firstEpoch, sameEpoch } from './ballot.ts';
import type { JobId, NodeId, PublicKey } from './ids.ts';
import { asJobId, uuidOf } from './ids.ts';
import { ruleOf } from './commands.ts';
import { partitionPolicyOf } from '../../job/partition-policy.ts';
import { problemsOfJob } from '../../job/recheck.ts';
import { KEEPERS_MAX, SPEC_VALID_MAX_MS } from '../contract/limits.ts';
import type { RefuseCode } from '../contract/effect.ts';
import type { CertifiedValue } from '../contract/messages.ts';
import type { Certified, ConfigId, Epoch, Signed, SpecBody } from './records.ts';
import type { Suite } from './suite.ts';

/** Clocks of the mesh may differ by this before the longest valid spec is refused. */
const SKEW_MS = 24 * 3_600_000;
/** So no spec is good for longer. */
export const GOOD_FOR_MAX_MS = SPEC_VALID_MAX_MS + SKEW_MS;

export type Verdict = 'good' | { readonly code: RefuseCode; readonly fault: boolean };

const bad = (code: RefuseCode, fault = true): Verdict => ({ code, fault });

/** The id a job has by its owner and nonce. */
export const jobIdOf = (suite: Suite, owner: PublicKey, nonce: string): JobId =>
  asJobId(`j-${uuidOf(suite.hash(`shoal/job|${owner}|${nonce}`))}`);

/** Specs whose id was computed anew: one is looked at a few times on its way, and is never changed. */
const namedRight = new WeakSet<Signed<'spec'>>();

function isNamedRight(suite: Suite, spec: Signed<'spec'>): boolean {
  if (namedRight.has(spec)) return true;
  const { job, owner, nonce } = spec.body;
  if (job !== jobIdOf(suite, owner, nonce)) return false;
  namedRight.add(spec);
  return true;
}

export function checkSpec(suite: Suite, spec: Signed<'spec'>, wall: number): Verdict {
  const { body } = spec;
  if (spec.by !== body.owner) return bad('wrong-signer');
  if (body.notAfter < wall) return bad('expired', false);
  if (!isNamedRight(suite, spec)) return bad('contradiction');
  if (!suite.verify(spec)) return bad('bad-signature');
  // Last, so that the owner is known to have signed it: no API of the mesh would have taken it.
  return problemsOfJob(body.spec).length === 0 ? 'good' : bad('spec-invalid');
}

/**
 * For how long somebody might take a spec. The clock here may be wrong, and so may that of who signed it,
 * but not the span from there to its end: the longer of both.
 */
export const goodForMs = ({ body, hlc }: Signed<'spec'>, wall: number): number =>
  Math.min(Math.max(0, body.notAfter - Math.min(Math.floor(hlc), wall)), GOOD_FOR_MAX_MS);

/** Nothing is kept for longer than a spec may be good for. */
export const tooLong = (spec: Signed<'spec'>, wall: number): boolean =>
  spec.body.notAfter > wall + GOOD_FOR_MAX_MS;

export function checkAdmission(
  suite: Suite,
  spec: Signed<'spec'>,
  admission: Signed<'admission'>,
): Verdict {
  const { body } = admission;
  if (body.job !== spec.body.job) return bad('contradiction');
  // A later version was not there yet. It has its owner and sponsor, and so the keepers that this one gave the job.
  const isFirst = body.spec === spec.id && body.version === spec.body.version;
  if (!isFirst && (spec.body.version <= body.version || spec.body.follows === undefined))
    return bad('contradiction');
  // Else any member could give the job keepers of its own, which answer for it and run it again.
  if (body.sponsor !== spec.body.sponsor) return bad('contradiction');
  const nodes = new Set(body.keepers.map((keeper) => keeper.node));
  const size = body.keepers.length;
  if (size % 2 === 0 || size > KEEPERS_MAX || nodes.size !== size) return bad('contradiction');
  if (suite.nodeOf(admission.by) !== body.sponsor) return bad('wrong-signer');
  return suite.verify(admission) ? 'good' : bad('bad-signature');
}

/** Whether a job of this kind is re-seeded at all: not when its owner wants nothing to run beside what may still run. */
export function isReseedable({ spec }: Pick<SpecBody, 'spec'>): boolean {
  const policy = partitionPolicyOf(spec);
  return policy !== 'wait' && policy !== 'exclusive';
}

/** Whether a job of this kind can be kept by these: of one that was re-seeded others may run what it ran before. */
export const fitsKeepers = ({ configs = [] }: Changes, body: Pick<SpecBody, 'spec'>): boolean =>
  isReseedable(body) || configs.every(({ record }) => record.body.reseeds === undefined);

/** Spec, certified admission and later configurations: all that is needed to become, or to trust, a keeper. */
export function checkActivation(
  suite: Suite,
  spec: Signed<'spec'>,
  roots: Roots,
  wall: number,
): Verdict {
  const specVerdict = checkSpec(suite, spec, wall);
  if (specVerdict !== 'good') return specVerdict;
  if (!fitsKeepers(roots, spec.body)) return bad('contradiction');
  const verdict = checkAdmission(suite, spec, roots.admission.record);
  return verdict === 'good' ? checkRoots(suite, roots) : verdict;
}

/** Who keeps the job: the keepers signed the admission, and each change of them as its rule demands. */
export function checkRoots(suite: Suite, { admission, configs = [] }: Roots): Verdict {
  const first = firstOf(admission.record.body);
  if (!validCertificate(admission, first, 'admission', suite)) return bad('bad-certificate');
  return extended(suite, first, configs) === null ? bad('bad-certificate') : 'good';
}

/**
 * The chain that these configurations lead to, those that it has already left out, or the chain as it is when they lead
 * to a lower one; null when one of them does not follow. They come in their order: what was left out is not looked at,
 * and who believes in the list must not find it at the end.
 */
export function extended(
  suite: Suite,
  chain: Chain,
  configs: NonNullable<Changes['configs']>,
): Chain | null {
  const told = branchOf(suite, chain, configs);
  if (told === null) return null;
  return compareConfigs(currentOf(told).config, currentOf(chain).config) < 0 ? chain : told;
}

/** The same whichever is the higher: where the job was re-seeded a chain may part from another. */
export function branchOf(
  suite: Suite,
  chain: Chain,
  configs: NonNullable<Changes['configs']>,
): Chain | null {
  const { job } = chain;
  let configurations = chain.configurations;
  let before = FIRST_CONFIG;
  for (const certified of configs) {
    const { body } = certified.record;
    if (compareConfigs(body.config, before) <= 0) return null;
    before = body.config;
    if (configurationOf({ job, configurations }, body.config) !== null) continue;
    const until = upTo(configurations, parentOf(body));
    if (until === null || body.job !== job) return null;
    const way = { job, configurations: until };
    if (!validCertificate(certified, way, configSlot(body.config), suite)) return null;
    configurations = [...until, body];
  }
  return { job, configurations };
}

/** The configurations up to the one of this name. */
function upTo(
  [first, ...later]: Chain['configurations'],
  last: ConfigId,
): Chain['configurations'] | null {
  const at = [first, ...later].findIndex(({ config }) => sameConfig(config, last));
  return at < 0 ? null : [first, ...later.slice(0, at)];
}

export function checkGrant(suite: Suite, chain: Chain, grant: Certified<'grant'>): Verdict {
  const { body, by } = grant.record;
  const { config, leader } = body.epoch;
  if (body.job !== chain.job || suite.nodeOf(by) !== leader) return bad('wrong-signer');
  const configuration = configurationOf(chain, config);
  if (configuration === null || !isKeeper(configuration, leader)) return bad('not-keeper');
  const ok =
    validCertificate(grant, chain, 'grant', suite) && sameEpoch(certifiedEpoch(grant), body.epoch);
  return ok ? 'good' : bad('bad-certificate');
}

/** That this node leads the job: an admission that W keepers signed, and their grant for a later epoch. */
export function checkLeader(
  suite: Suite,
  roots: Roots,
  grant: Certified<'grant'> | null,
  leader: NodeId,
): Verdict {
  if (roots.admission.record.body.keepers.length === 0) return bad('contradiction');
  const chain = chainOf(roots);
  if (grantedEpoch(chain, grant).leader !== leader) return bad('wrong-signer');
  const rooted = checkRoots(suite, roots);
  if (rooted !== 'good' || grant === null) return rooted;
  return checkGrant(suite, chain, grant);
}

/** The epoch that a grant proves; without one it is the first epoch, which the admission grants. */
export function grantedEpoch(chain: Chain, grant: Certified<'grant'> | null): Epoch {
  return grant?.record.body.epoch ?? firstEpoch(chain.configurations[0]);
}

export function checkCommitted(suite: Suite, chain: Chain, value: CertifiedValue): Verdict {
  const { record } = value;
  if (record.body.job !== chain.job) return bad('contradiction');
  if (!everKept(chain, suite.nodeOf(record.by))) return bad('not-keeper');
  return validCertificate(value as Certified<typeof record.type>, chain, slotOf(record), suite)
    ? 'good'
    : bad('bad-certificate');
}

export function checkState(suite: Suite, job: JobId, state: Signed<'state'>): Verdict {
  if (state.body.job !== job) return bad('contradiction');
  if (suite.nodeOf(state.by) !== state.body.node) return bad('wrong-signer');
  return suite.verify(state) ? 'good' : bad('bad-signature');
}

export function checkCommand(
  suite: Suite,
  spec: Signed<'spec'>,
  command: Signed<'command'>,
  wall: number,
): Verdict {
  if (command.body.job !== spec.body.job) return bad('contradiction');
  const { maySign, maxBytes } = ruleOf(command.body);
  if (!maySign(spec.body, command.by)) return bad('wrong-signer');
  if (suite.sizeOf(command) > maxBytes) return bad('over-limit', false);
  // The clock of whoever signed it may be wrong: it is good at least as long as its job's spec.
  if (Math.max(command.body.notAfter, spec.body.notAfter) < wall) return bad('expired', false);
  return suite.verify(command) ? 'good' : bad('bad-signature');
}

export function checkAdvert(suite: Suite, advert: Signed<'advert'>): Verdict {
  if (suite.nodeOf(advert.by) !== advert.body.node) return bad('wrong-signer');
  return suite.verify(advert) ? 'good' : bad('bad-signature');
}
