/**
 * What this node has taken up by its own decision: announcements of it may be repeated by anybody until its spec
 * has expired, and must not have it done again, when it is forgotten because its job is over, nor when its row was
 * damaged. What does not end is named here once it is over. On disk, as a moment of counted time for each job.
 */
import type { Restored } from '../contract/stored.ts';
import { countedMs } from '../node/counted.ts';
import { persist, wallMs } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { asJobId, uuidOf } from '../record/ids.ts';
import type { JobId } from '../record/ids.ts';
import type { Signed, SpecBody } from '../record/records.ts';
import { GOOD_FOR_MAX_MS, goodForMs } from '../record/verify.ts';

/** Rows of the table `counts`. */
export const DONE_KEY = 'done';
/** 40 bytes of memory and 150 of disk each; the oldest make room. */
const DONE_MAX = 100_000;
/** Whose time is over, looked for whenever one is added. */
const EXPIRED_AT_A_TIME = 16;

export function rememberDone(core: With<'executing'>, spec: Signed<'spec'>): void {
  const { done } = core.executing;
  const now = countedMs(core);
  const job = nameOf(core, spec.body);
  const until = now + goodForMs(spec, wallMs(core));
  persist(core, { table: 'counts', job, key: DONE_KEY, value: { count: Math.ceil(until) } });
  done.add(job, until);
  for (const over of done.before(now, EXPIRED_AT_A_TIME)) forget(core, over);
  const oldest = done.oldest();
  if (done.size > DONE_MAX && oldest !== null) forget(core, oldest);
}

/** Its row was lost, or it is over. */
export const isDone = (core: With<'executing'>, spec: JobVersion): boolean =>
  core.executing.done.has(nameOf(core, spec));

type JobVersion = Pick<SpecBody, 'job' | 'version'>;

/** What a version of a job is called here: each of them is done once. */
function nameOf({ suite }: With<'executing'>, { job, version }: JobVersion): JobId {
  if (version === 1) return job;
  return asJobId(`j-${uuidOf(suite.hash(`shoal/done|${job}|${version}`))}`);
}

function forget(core: With<'executing'>, job: JobId): void {
  core.executing.done.delete(job);
  persist(core, { table: 'counts', job, key: DONE_KEY, value: null });
}

export function restoreDone(core: With<'executing'>, rows: Restored['counts']): void {
  // What the node has counted may be lost with its row: then it is remembered for as long as any may be.
  const latest = countedMs(core) + GOOD_FOR_MAX_MS;
  for (const { job, key, value } of rows)
    if (key === DONE_KEY) core.executing.done.add(job, Math.min(value.count, latest));
}
