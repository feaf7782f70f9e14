/**
 * The rules of a spec once more, for a job that came as a record instead of as a text: what another
 * node signed went through its rules, or through none. A sound job is its own normal form, so it is
 * written out, read again like any user's spec, and must come back as it was. One mechanism for all
 * rules, those of the future included; a member that only the normal form has (the parsed
 * resources, the case of a type) cannot differ from what its text means either.
 */
import { own } from './own.ts';
import type { Job } from './model.ts';
import { parseJobValue } from './parse.ts';
import type { Problem } from './problem.ts';
import { jobToBacalhau } from './to-bacalhau.ts';

/** A record that comes again is the same object, so each is read once: it takes some 20 µs. */
const known = new WeakMap<Job, readonly Problem[]>();

/** Empty for a job that `parseJob` could have made. Never throws. */
export function problemsOfJob(job: Job): readonly Problem[] {
  const before = known.get(job);
  if (before !== undefined) return before;
  const problems = findProblems(job);
  known.set(job, problems);
  return problems;
}

/** For a job that came in as a text here, and was read by the rules then: it is not read again. */
export function noteSound(job: Job): void {
  known.set(job, []);
}

function findProblems(job: Job): readonly Problem[] {
  const read = parseJobValue(jobToBacalhau(job));
  if (!read.ok) return read.problems;
  if (isSame(read.job, job)) return [];
  const message = 'the job is not in its normal form: what it says and what it means differ';
  return [{ place: null, path: '', code: 'malformed', message }];
}

/** Equality of plain data. The depth of both is bounded by reading one of them. */
function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) {
    return Object.is(a, b);
  }
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const members = Object.entries(a);
  return (
    members.length === Object.keys(b).length &&
    members.every(
      ([key, value]) =>
        Object.hasOwn(b, key) && isSame(value, own(b as Readonly<Record<string, unknown>>, key)),
    )
  );
}
