/**
 * Whether a record may be believed: signature, signer, expiry, and that it belongs where it claims.
 * Everything that enters a ledger passes through here first (invariant S13).
 */
import { isKeeper } from './keeper-set.ts';
import { certifiedEpoch, validCertificate } from './certificate.ts';
import { slotOf } from './slot.ts';
import { firstEpoch, sameEpoch } from './ballot.ts';
import type { JobId, NodeId, PublicKey } from './ids.ts';
import { asJobId, uuidOf } from './ids.ts';
import { problemsOfJob } from '../../job/recheck.ts';
import { KEEPERS_MAX, SPEC_VALID_MAX_MS } from '../contract/limits.ts';
import type { RefuseCode } from '../contract/effect.ts';
import type { CertifiedValue } from '../contract/messages.ts';
import type { AdmissionBody, Certified, Epoch, Signed } from './records.ts';
import type { Suite } from './suite.ts';

/** Clocks of the mesh may differ by this before the longest valid spec is refused. */
const SKEW_MS = 24 * 3_600_000;

export type Verdict = 'good' | { readonly code: RefuseCode; readonly fault: boolean };

const bad = (code: RefuseCode, fault = true): Verdict => ({ code, fault });

/** The id a job has by its owner and nonce. */
export const jobIdOf = (suite: Suite, owner: PublicKey, nonce: string): JobId =>
  asJobId(`j-${uuidOf(suite.hash(`shoal/job|${owner}|${nonce}`))}`);

export function checkSpec(suite: Suite, spec: Signed<'spec'>, wall: number): Verdict {
  const { body } = spec;
  if (spec.by !== body.owner) return bad('wrong-signer');
  if (body.notAfter < wall) return bad('expired', false);
  if (body.job !== jobIdOf(suite, body.owner, body.nonce)) return bad('contradiction');
  if (!suite.verify(spec)) return bad('bad-signature');
  // Last, so that the owner is known to have signed it: no API of the mesh would have taken it.
  return problemsOfJob(body.spec).length === 0 ? 'good' : bad('spec-invalid');
}

/** Nothing is kept for longer than a spec may be good for. */
export const tooLong = (spec: Signed<'spec'>, wall: number): boolean =>
  spec.body.notAfter > wall + SPEC_VALID_MAX_MS + SKEW_MS;

export function checkAdmission(
  suite: Suite,
  spec: Signed<'spec'>,
  admission: Signed<'admission'>,
): Verdict {
  const { body } = admission;
  if (body.spec !== spec.id || body.job !== spec.body.job) return bad('contradiction');
  if (body.version !== spec.body.version) return bad('contradiction');
  // Else any member could give the job keepers of its own, which answer for it and run it again.
  if (body.sponsor !== spec.body.sponsor) return bad('contradiction');
  const nodes = new Set(body.keepers.map((keeper) => keeper.node));
  const size = body.keepers.length;
  if (size % 2 === 0 || size > KEEPERS_MAX || nodes.size !== size) return bad('contradiction');
  if (suite.nodeOf(admission.by) !== body.sponsor) return bad('wrong-signer');
  return suite.verify(admission) ? 'good' : bad('bad-signature');
}

/** Spec and certified admission together: all that is needed to become, or to trust, a keeper. */
export function checkActivation(
  suite: Suite,
  spec: Signed<'spec'>,
  admission: Certified<'admission'>,
  wall: number,
): Verdict {
  const specVerdict = checkSpec(suite, spec, wall);
  if (specVerdict !== 'good') return specVerdict;
  const verdict = checkAdmission(suite, spec, admission.record);
  if (verdict !== 'good') return verdict;
  return validCertificate(admission, admission.record.body, 'admission', suite)
    ? 'good'
    : bad('bad-certificate');
}

export function checkGrant(
  suite: Suite,
  admission: AdmissionBody,
  grant: Certified<'grant'>,
): Verdict {
  const { body, by } = grant.record;
  if (body.job !== admission.job || suite.nodeOf(by) !== body.epoch.leader)
    return bad('wrong-signer');
  if (!isKeeper(admission, body.epoch.leader)) return bad('not-keeper');
  const ok =
    validCertificate(grant, admission, 'grant', suite) &&
    sameEpoch(certifiedEpoch(grant), body.epoch);
  return ok ? 'good' : bad('bad-certificate');
}

/** That this node leads the job: an admission that W keepers signed, and their grant for a later epoch. */
export function checkLeader(
  suite: Suite,
  admission: Certified<'admission'>,
  grant: Certified<'grant'> | null,
  leader: NodeId,
): Verdict {
  const { body } = admission.record;
  if (grantedEpoch(body, grant).leader !== leader) return bad('wrong-signer');
  if (!validCertificate(admission, body, 'admission', suite)) return bad('bad-certificate');
  return grant === null ? 'good' : checkGrant(suite, body, grant);
}

/** The epoch that a grant proves; without one it is the first epoch, which the admission grants. */
export function grantedEpoch(admission: AdmissionBody, grant: Certified<'grant'> | null): Epoch {
  return grant?.record.body.epoch ?? firstEpoch(admission);
}

export function checkCommitted(
  suite: Suite,
  admission: AdmissionBody,
  value: CertifiedValue,
): Verdict {
  const { record } = value;
  if (record.body.job !== admission.job) return bad('contradiction');
  if (!isKeeper(admission, suite.nodeOf(record.by))) return bad('not-keeper');
  return validCertificate(value as Certified<typeof record.type>, admission, slotOf(record), suite)
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
  // Delegations come later; until then the owner alone may command.
  if (command.by !== spec.body.owner) return bad('wrong-signer');
  // The clock of whoever signed it may be wrong: it is good at least as long as its job's spec.
  if (Math.max(command.body.notAfter, spec.body.notAfter) < wall) return bad('expired', false);
  return suite.verify(command) ? 'good' : bad('bad-signature');
}

export function checkAdvert(suite: Suite, advert: Signed<'advert'>): Verdict {
  if (suite.nodeOf(advert.by) !== advert.body.node) return bad('wrong-signer');
  return suite.verify(advert) ? 'good' : bad('bad-signature');
}
