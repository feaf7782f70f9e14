/** Answers to local requests, and why there may be none. Types only. */
import type { Answer, ListedJob } from './messages.ts';
import type { JobId, NodeId, PublicKey } from '../record/ids.ts';
import type { Certified } from '../record/records.ts';
import type { Refusal } from '../record/refusals.ts';

/** The answer to a local request. */
export type Reply =
  | {
      readonly type: 'receipt';
      readonly job: JobId;
      readonly version: number;
      readonly receipt: Certified<'admission'>;
      readonly again: boolean;
    }
  /** Signed and on disk here; `signed` of the keepers have it, and `needed` make it certain. */
  | {
      readonly type: 'stopping';
      readonly job: JobId;
      readonly signed: number;
      readonly needed: number;
      /** Wall clock, milliseconds: it is sent to the others until then. */
      readonly notAfter: number;
      /** Keepers that refuse it, with the reason of the last; null: none does. */
      readonly refused: { readonly refusal: Refusal; readonly keepers: number } | null;
    }
  /** It is the job's version now. */
  | { readonly type: 'updated'; readonly job: JobId; readonly version: number }
  | {
      readonly type: 'answer';
      readonly answer: Extract<Answer, { readonly type: 'job' }>;
      /** null: the job is over. */
      readonly keepers: KeepersView | null;
    }
  | { readonly type: 'listed'; readonly jobs: readonly ListedJob[] }
  | { readonly type: 'failed'; readonly problem: Problem };

/** Who of a job's keepers is there, as far as the node asked can tell. */
export interface KeepersView {
  readonly total: number;
  /** Those that keep it now, in the order in which they lead; while they change, those that go as well. */
  readonly nodes: readonly NodeId[];
  /** Those that do not answer. */
  readonly silent: readonly NodeId[];
  /** Who is believed to lead. */
  readonly leader: NodeId;
  /** After so long without a majority of them others keep the job, milliseconds; null: its policy lets none. */
  readonly reseedAfterMs: number | null;
}

/** Whom a question reached: how many were asked, and some of those that did not answer. */
export interface Unanswered {
  readonly asked: number;
  readonly silent: readonly NodeId[];
}

/** Why a local request could not be carried out; `node/` turns it into a `ShoalError`. */
export type Problem =
  | ({ readonly code: 'job-not-found'; readonly ref: string } & Unanswered)
  /** It exists, but none of those who keep it answers. */
  | ({ readonly code: 'job-unreachable'; readonly job: JobId } & Unanswered)
  | { readonly code: 'job-ambiguous'; readonly ref: string; readonly candidates: readonly JobId[] }
  | { readonly code: 'job-terminal'; readonly job: JobId; readonly state: string }
  /** It has this version by now: what was asked for was about an earlier one. */
  | { readonly code: 'job-changed'; readonly job: JobId; readonly version: number }
  /** So many of its keepers have no room for a further version that it cannot be one: the bytes of one of them. */
  | {
      readonly code: 'versions-full';
      readonly job: JobId;
      readonly bytes: number;
      readonly maxBytes: number;
    }
  /** What this job, as it stands, cannot become. */
  | { readonly code: 'spec-invalid'; readonly problems: readonly string[] }
  | { readonly code: 'not-owner'; readonly job: JobId; readonly owner: PublicKey }
  | {
      readonly code: 'keepers-unreachable';
      readonly job: JobId;
      readonly reached: number;
      readonly needed: number;
    }
  /** Fewer than the client wants at least; the number of keepers is odd. */
  | {
      readonly code: 'too-few-keepers';
      /** null: nothing was submitted; else the job that the same token stands for. */
      readonly job: JobId | null;
      readonly keepers: number;
      readonly minKeepers: number;
      /** Peers that could keep a job now, the one asked included. */
      readonly peers: number;
    }
  | { readonly code: 'not-admitted'; readonly job: JobId; readonly refusal: Refusal }
  | { readonly code: 'spec-too-large'; readonly bytes: number; readonly maxBytes: number }
  | { readonly code: 'draining' }
  /** A fault of the program; the log of the node says more. */
  | { readonly code: 'internal'; readonly what: string }
  | { readonly code: 'store-full' };
