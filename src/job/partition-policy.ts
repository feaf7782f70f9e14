/**
 * What becomes of an execution whose node is cut off from those that lead the job: the owner's choice, by keys
 * of the job's `Meta`. What each policy means to a leader and to an executor stands in `core/leading/patience.ts`
 * and `core/executing/hold.ts`.
 */
import { JOB_TYPES, POLICIES } from './types.ts';
import type { PartitionPolicy } from './types.ts';
import { own } from './own.ts';
import type { Job, JobType } from './model.ts';
import { show, suggestion, type Field, type Report } from './problem.ts';

/** Keys of `Meta` that begin with this are the mesh's. */
const SHOAL_META = 'shoal/';
const POLICY_KEY = 'shoal/partition-policy';
const LOST_AFTER_KEY = 'shoal/lost-after';
const KEYS = [POLICY_KEY, LOST_AFTER_KEY];

/** The time of a lease: before that nobody is given up anyway. */
const LOST_AFTER_MIN_MS = 20_000;
/** Half of what a spec may be good for at most. */
const LOST_AFTER_MAX_MS = 30 * 24 * 3_600_000;
const DURATION = /^([1-9]\d{0,8})(s|m|h|d)$/;
const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

type MetaFields = ReadonlyMap<string, { readonly text: string; readonly field: Field }>;

/** Of a sound job. */
export function partitionPolicyOf({ Type, Meta }: Pick<Job, 'Type' | 'Meta'>): PartitionPolicy {
  const given = own(Meta, POLICY_KEY);
  const { policies } = JOB_TYPES[Type];
  return policies.find((policy) => policy === given) ?? policies[0];
}

/** For how long an executor may be cut off, milliseconds; null when the owner did not say so. Of a sound job. */
export const lostAfterOf = ({ Meta }: Pick<Job, 'Meta'>): number | null =>
  durationOf(own(Meta, LOST_AFTER_KEY));

function durationOf(text: string | undefined): number | null {
  if (text === undefined) return null;
  const [, count, unit = ''] = DURATION.exec(text) ?? [];
  return count === undefined ? null : Number(count) * (own(UNITS, unit) ?? 0);
}

/** Tasks have no such keys, and a job has those alone that mean something. */
export function refuseShoalKeys(report: Report, fields: MetaFields): void {
  for (const [key, { field }] of fields)
    if (key.startsWith(SHOAL_META))
      report.problemAtKey(
        field,
        'reserved',
        `${show(key)} is a key of the job's own Meta; move it there`,
      );
}

/** Of the job's own Meta. @param totalTimeout seconds; 0 = none */
export function checkPolicy(
  report: Report,
  fields: MetaFields,
  type: JobType | null,
  totalTimeout: number,
): void {
  for (const [key, { field }] of fields) {
    if (!key.startsWith(SHOAL_META) || KEYS.includes(key)) continue;
    const hint = suggestion(key, KEYS);
    const message = `keys beginning with ${SHOAL_META} are the mesh's, which knows ${KEYS.join(' and ')}, not ${show(key)}.${hint}`;
    report.problemAtKey(field, 'unknown-field', message);
  }
  const given = fields.get(POLICY_KEY);
  const policy = POLICIES.find((name) => name === given?.text) ?? null;
  if (given !== undefined && policy === null) {
    const hint = suggestion(given.text, POLICIES);
    const message = `expected one of ${POLICIES.join(', ')}, got ${show(given.text)}.${hint}`;
    report.problem(given.field, 'unknown-value', message);
  }
  if (given !== undefined && policy !== null && type !== null) {
    const { policies } = JOB_TYPES[type];
    if (!policies.includes(policy)) {
      const message = `a job of type ${type} takes ${policies.join(', ')}, not ${policy}`;
      report.problem(given.field, 'conflict', message);
    }
  }
  checkLostAfter(report, fields, policy, totalTimeout);
}

function checkLostAfter(
  report: Report,
  fields: MetaFields,
  policy: PartitionPolicy | null,
  totalTimeout: number,
): void {
  const given = fields.get(LOST_AFTER_KEY);
  const policyField = fields.get(POLICY_KEY)?.field;
  if (given === undefined) {
    if (policy !== 'wait' || policyField === undefined) return;
    const message = `policy wait needs to know for how long; add ${LOST_AFTER_KEY}, for example "10m"`;
    return report.problem(policyField, 'required', message);
  }
  const { text, field } = given;
  const ms = durationOf(text);
  if (ms === null) {
    const message = `expected a whole number with s, m, h or d, such as 90s, 10m or 1d, got ${show(text)}`;
    return report.problem(field, 'malformed', message);
  }
  if (ms < LOST_AFTER_MIN_MS || ms > LOST_AFTER_MAX_MS)
    return report.problem(field, 'out-of-range', `expected 20s to 30d, got ${show(text)}`);
  if (policy !== 'wait') {
    const message = `${LOST_AFTER_KEY} needs ${POLICY_KEY}: wait; leave it out, or add that`;
    return report.problemAtKey(field, 'conflict', message);
  }
  if (totalTimeout > 0 && ms >= totalTimeout * 1_000) {
    const message = `the job ends with its TotalTimeout (${totalTimeout} s) before ${text} are over; raise that, or wait for less`;
    report.problem(field, 'conflict', message);
  }
}
