/** Pages of the list of jobs: whole jobs as far as they are told in time. */
import type { ListedJob } from '../core/contract/messages.ts';
import { withDeadline } from '../lib/abort.ts';
import { jobAnswer, summaryJson } from './job-json.ts';
import type { ShoalService } from './service.ts';
import type { JobJson } from './types.ts';

/** Jobs of a page that are looked up; of a longer one only what the index has is told, as each may cost a question. */
const WHOLE_MAX = 50;
/** A job whose keepers do not answer must not hold up the list. */
const LOOKUP_MS = 500;

/** In their order; a job that nobody tells of in time is told as the index has it: without parameters and message. */
export async function wholeJobs(
  service: Pick<ShoalService, 'getJob'>,
  jobs: readonly ListedJob[],
): Promise<readonly JobJson[]> {
  if (jobs.length > WHOLE_MAX) return jobs.map(summaryJson);
  return Promise.all(
    jobs.map((listed) =>
      withDeadline(LOOKUP_MS, null, () => service.getJob(listed.job, listed.namespace, false)).then(
        (view) => jobAnswer(view).Job,
        () => summaryJson(listed),
      ),
    ),
  );
}
