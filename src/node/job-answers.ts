/**
 * Answers about jobs, kept for a moment: a client that waits for a job asks several times a second,
 * and each answer may cost a question to the job's leader and a dozen signed records on the way back.
 * What this peer learns itself about a job makes it ask again at once, so that a keeper shows the end
 * of a job without delay. Knows no records; asks nobody itself.
 */
import { isJobId } from '../core/record/ids.ts';
import type { JobId } from '../core/record/ids.ts';

export interface JobAnswers<T> {
  /** The answer of a moment ago, or a new one. Only full job ids are kept: a name may mean another job now. */
  get(ref: string, namespace: string): Promise<T>;
  /** This peer has learned something about the job. */
  changed(job: JobId): void;
}

export interface JobAnswersDeps<T> {
  readonly ask: (ref: string, namespace: string) => Promise<T>;
  /** How long this answer may be given again, milliseconds; 0 = not at all. */
  readonly keepMs: (answer: T) => number;
  /** Monotonic, milliseconds. */
  readonly now: () => number;
}

interface Kept<T> {
  readonly answer: Promise<T>;
  /** Infinity while the answer is awaited: who asks meanwhile gets the same. */
  until: number;
}

/** More clients than this rarely wait at one peer; those beyond ask the mesh each time. */
const ANSWERS_MAX = 256;

export function createJobAnswers<T>({ ask, keepMs, now }: JobAnswersDeps<T>): JobAnswers<T> {
  const answers = new Map<string, Kept<T>>();

  function askAnew(job: string, namespace: string): Promise<T> {
    const kept: Kept<T> = { answer: ask(job, namespace), until: Number.POSITIVE_INFINITY };
    answers.set(job, kept);
    kept.answer.then(
      (answer) => {
        const ms = keepMs(answer);
        // An answer that is not given again must not stay in memory until 256 others have come.
        if (ms > 0) kept.until = now() + ms;
        else forget(job, kept);
      },
      () => forget(job, kept),
    );
    const oldest = answers.keys().next();
    if (answers.size > ANSWERS_MAX && !oldest.done) answers.delete(oldest.value);
    return kept.answer;
  }

  function forget(job: string, kept: Kept<T>): void {
    if (answers.get(job) === kept) answers.delete(job);
  }

  return {
    get(ref, namespace) {
      if (!isJobId(ref)) return ask(ref, namespace);
      const kept = answers.get(ref);
      if (kept !== undefined && now() < kept.until) return kept.answer;
      answers.delete(ref);
      return askAnew(ref, namespace);
    },
    changed(job) {
      answers.delete(job);
    },
  };
}
