/** References to jobs and executions as a user types them. */
import { ShoalError } from '../failures/shoal-error.ts';

/** With fewer digits a reference that is unique today is ambiguous tomorrow. */
const DIGITS_MIN = 6;

/**
 * A job is named by its id, the beginning of it, or its name.
 * @throws ShoalError `prefix-too-short`; `usage` for nothing.
 */
export function jobRef(text: string | undefined): string {
  const ref = (text ?? '').trim();
  if (ref === '')
    throw new ShoalError({
      code: 'usage',
      what: 'Which job? Give its id or name.',
      hint: '`shoal job list` lists them.',
    });
  const digits = /^[je]-([0-9a-f-]*)$/i.exec(ref)?.[1]?.replaceAll('-', '');
  if (digits !== undefined && digits.length < DIGITS_MIN)
    throw new ShoalError({ code: 'prefix-too-short', ref, minDigits: DIGITS_MIN });
  return ref;
}

/** The reference as part of a path. */
export const jobPath = (ref: string): string => `/orchestrator/jobs/${encodeURIComponent(ref)}`;
