/**
 * Which spec may be the next version of a job. Its owner has signed it for that: for this job, this number, in the
 * place of that version. Nobody else can make one; which of several it is, those who keep the job decide, once.
 */
import type { Versioned, Wanted } from '../contract/messages.ts';
import { chainOf } from './chain.ts';
import type { Roots } from './chain.ts';
import type { Ledger } from './ledger.ts';
import type { Signed, VersionBody } from './records.ts';
import type { Suite } from './suite.ts';
import { VERSIONS_MAX } from './slot.ts';
import { checkCommitted, checkSpec, fitsKeepers } from './verify.ts';
import type { Verdict } from './verify.ts';

/** Of both specs of a version together: beside them its envelope has a sentence and some ids. */
export const SPECS_MAX_BYTES = 60_000;

const WRONG: Verdict = { code: 'contradiction', fault: true };

/** Whether an owner's spec is a version of the job that this one is of. Its number is not looked at. */
function checkVersionOf(
  suite: Suite,
  { body: known }: Signed<'spec'>,
  spec: Signed<'spec'>,
  wall: number,
): Verdict {
  const { body } = spec;
  const isOne =
    body.job === known.job &&
    body.owner === known.owner &&
    body.nonce === known.nonce &&
    body.sponsor === known.sponsor &&
    body.follows !== undefined;
  if (!isOne) return WRONG;
  // What runs as one thing cannot go on as another.
  if (body.spec.Type !== known.spec.Type || body.spec.Name !== known.spec.Name) return WRONG;
  if (body.spec.Namespace !== known.spec.Namespace) return WRONG;
  return checkSpec(suite, spec, wall);
}

/** Whether this may be the version after the current one, as its owner says. */
export function checkWanted(
  suite: Suite,
  current: Signed<'spec'>,
  { spec, fallback }: Wanted,
  wall: number,
): Verdict {
  const { version, follows } = spec.body;
  // There is no slot for it, so it would be wanted for ever.
  if ((fallback ?? spec).body.version > VERSIONS_MAX) return { code: 'over-limit', fault: false };
  if (version !== current.body.version + 1 || follows?.of !== current.id) return WRONG;
  if (follows.how === 'rollback') return WRONG;
  const verdict = checkVersionOf(suite, current, spec, wall);
  if (verdict !== 'good' || fallback === null) return verdict;
  if (fallback.body.version !== version + 1 || fallback.body.follows?.of !== spec.id) return WRONG;
  if (fallback.body.follows.how !== 'rollback') return WRONG;
  if (suite.sizeOf(spec) + suite.sizeOf(fallback) > SPECS_MAX_BYTES)
    return { code: 'over-limit', fault: false };
  return checkVersionOf(suite, current, fallback, wall);
}

/** What a committed version says: its spec, and the one to go back to. null when it is no version of this job. */
export function specsOf(
  suite: Suite,
  known: Signed<'spec'>,
  { version, spec: sealed, fallback: other }: VersionBody,
): Wanted | null {
  const spec = suite.specIn(sealed);
  const fallback = other === null ? null : suite.specIn(other);
  if (spec === null || spec.body.version !== version || (other !== null && fallback === null))
    return null;
  const specs = fallback === null ? [spec] : [spec, fallback];
  // It was looked at when it was voted for: by now it may have expired.
  return specs.every((one) => checkVersionOf(suite, known, one, 0) === 'good')
    ? { spec, fallback }
    : null;
}

export const versionedOf = ({ version }: Versioned): Versioned =>
  version === undefined ? {} : { version };

/** That its spec is the one of its version: of the first the admission says so. */
export function isProven(
  suite: Suite,
  { spec, version, ...roots }: { readonly spec: Signed<'spec'> } & Roots & Versioned,
): boolean {
  if (spec.body.version === 1) return true;
  if (version === undefined || specsOf(suite, spec, version.record.body)?.spec.id !== spec.id)
    return false;
  return checkCommitted(suite, chainOf(roots), version) === 'good';
}

/**
 * The spec that the owner signed for the case that the current version does not come up. null when there is none, or
 * its program must run nowhere beside another and the job was re-seeded meanwhile.
 */
export function fallbackOf(suite: Suite, ledger: Ledger): Signed<'spec'> | null {
  const { spec, version } = ledger;
  const sealed = version?.record.body.fallback ?? null;
  const fallback = sealed === null ? null : suite.specIn(sealed);
  if (fallback?.body.version !== spec.body.version + 1) return null;
  return fitsKeepers(ledger, fallback.body) ? fallback : null;
}

/** Whether a keeper may vote for this as the version after the current one. */
export function mayBeNext(suite: Suite, ledger: Ledger, body: VersionBody, wall: number): boolean {
  const specs = specsOf(suite, ledger.spec, body);
  if (specs === null || body.version !== ledger.spec.body.version + 1) return false;
  // Nobody would ever run it.
  if (!fitsKeepers(ledger, specs.spec.body)) return false;
  // Gone back is only to what the owner signed together with the version at hand.
  if (specs.spec.body.follows?.how === 'rollback')
    return specs.fallback === null && specs.spec.id === fallbackOf(suite, ledger)?.id;
  return checkWanted(suite, ledger.spec, specs, wall) === 'good';
}
