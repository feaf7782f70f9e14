/** Words for what a keeper refuses because it will never have a say in the job. */
import type { Refusal } from '../core/record/refusals.ts';

const ANEW = 'submit the job again with another idempotency token';

type NoSay = Extract<Refusal, { readonly code: 'other-store' | 'damaged' }>;

export const noSay = ({ code }: NoSay): string =>
  code === 'damaged'
    ? `what a keeper knew of it is damaged there: ${ANEW}`
    : `a keeper that was chosen for it has another store since: ${ANEW}`;
