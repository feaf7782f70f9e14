/** Answers to local requests, and why there may be none. Types only. */
import type { Answer, ListedJob } from './messages.ts';
import type { JobId, PublicKey } from '../record/ids.ts';
import type { Certified } from '../record/records.ts';
import type { Refusal } from '../record/refusals.ts';
import type { JobType } from '../../job/model.ts';

/** The answer to a local request. */
export type Reply =
  | {
      readonly type: 'accepted';
      readonly job: JobId;
      readonly version: number;
      readonly receipt: Certified<'admission'>;
      readonly again: boolean;
    }
  | { readonly type: 'stopping'; readonly job: JobId }
  | { readonly type: 'answer'; readonly answer: Extract<Answer, { readonly type: 'job' }> }
  | { readonly type: 'listed'; readonly jobs: readonly ListedJob[] }
  | { readonly type: 'failed'; readonly problem: Problem };

/** Why a local request could not be carried out; `node/` turns it into a `ShoalError`. */
export type Problem =
  | { readonly code: 'job-not-found'; readonly ref: string }
  | { readonly code: 'job-ambiguous'; readonly ref: string; readonly candidates: readonly JobId[] }
  | { readonly code: 'job-terminal'; readonly job: JobId; readonly state: string }
  | { readonly code: 'not-owner'; readonly job: JobId; readonly owner: PublicKey }
  | {
      readonly code: 'keepers-unreachable';
      readonly job: JobId;
      readonly reached: number;
      readonly needed: number;
    }
  | { readonly code: 'not-admitted'; readonly job: JobId; readonly refusal: Refusal }
  | { readonly code: 'spec-too-large'; readonly bytes: number; readonly maxBytes: number }
  | { readonly code: 'unsupported-job-type'; readonly jobType: JobType }
  | { readonly code: 'draining' }
  /** A fault of the program; the log of the node says more. */
  | { readonly code: 'internal'; readonly what: string }
  | { readonly code: 'store-full' };
