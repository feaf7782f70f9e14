/**
 * Answers about jobs, kept for a moment: a client that waits for a job asks several times a second,
 * and each answer may cost a question to the job's leader and a dozen signed records on the way back.
 * What this peer learns itself about a job makes it ask again at once, so that a keeper shows the end
 * of a job without delay, and nobody is told less than this peer has just told him by another way: by the
 * name of the job, its logs or the list of jobs. Knows no records; asks nobody itself.
 */
import { isJobId } from '../core/record/ids.ts';
import type { JobId } from '../core/record/ids.ts';

export interface JobAnswers<T> {
  /** The answer of a moment ago, or a new one. Only full job ids are kept: a name may mean another job now. */
  /** @param version 0 or absent: the current one */
  get(ref: string, namespace: string, version?: number): Promise<T>;
  /** This peer has learned something about the job. */
  changed(job: JobId): void;
  /** It has told of all jobs, as they are now. */
  toldAll(): void;
}

export interface JobAnswersDeps<T> {
  readonly ask: (ref: string, namespace: string, version: number) => Promise<T>;
  readonly jobOf: (answer: T) => JobId;
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

/** 0: whichever version is the current one. */
const keyOf = (job: string, version: number): string => `${job}@${version}`;

/** More clients than this rarely wait at one peer; those beyond ask the mesh each time. */
const ANSWERS_MAX = 256;

export function createJobAnswers<T>({ ask, jobOf, keepMs, now }: JobAnswersDeps<T>): JobAnswers<T> {
  const answers = new Map<string, Kept<T>>();

  function askAnew(job: string, namespace: string, version: number): Promise<T> {
    const kept: Kept<T> = { answer: ask(job, namespace, version), until: Number.POSITIVE_INFINITY };
    const key = keyOf(job, version);
    answers.set(key, kept);
    kept.answer.then(
      (answer) => {
        const ms = keepMs(answer);
        // An answer that is not given again must not stay in memory until 256 others have come.
        if (ms > 0) kept.until = now() + ms;
        else forget(key, kept);
      },
      () => forget(key, kept),
    );
    const oldest = answers.keys().next();
    if (answers.size > ANSWERS_MAX && !oldest.done) answers.delete(oldest.value);
    return kept.answer;
  }

  function forget(key: string, kept: Kept<T>): void {
    if (answers.get(key) === kept) answers.delete(key);
  }

  /** Whoever was told of it under its name is not told less under its id. */
  async function askByName(ref: string, namespace: string, version: number): Promise<T> {
    const answer = await ask(ref, namespace, version);
    changed(jobOf(answer));
    return answer;
  }

  function changed(job: JobId): void {
    for (const key of answers.keys()) if (key.startsWith(job)) answers.delete(key);
  }

  return {
    get(ref, namespace, version = 0) {
      if (!isJobId(ref)) return askByName(ref, namespace, version);
      const key = keyOf(ref, version);
      const kept = answers.get(key);
      if (kept !== undefined && now() < kept.until) return kept.answer;
      answers.delete(key);
      return askAnew(ref, namespace, version);
    },
    changed,
    toldAll: () => answers.clear(),
  };
}
