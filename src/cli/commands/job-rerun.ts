/** `job rerun`: the spec of this or an earlier version of a job once more, as its next version. */
import type { JobAnswer, RerunAnswer } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { jobPath, jobRef } from '../ids.ts';
import { plainLine } from '../text.ts';
import { attend, begun, type AttendOptions } from './job-run.ts';

interface Options extends AttendOptions {
  readonly namespace: string;
  readonly version?: number;
  readonly reason?: string;
  readonly wait: boolean;
}

export const jobRerun: CommandCode<Options> = async (context, [ref], options) => {
  const { io } = context;
  const client = context.client();
  const answer = await client.send<RerunAnswer>('PUT', `${jobPath(jobRef(ref))}/rerun`, {
    JobVersion: options.version ?? 0,
    Reason: options.reason ?? '',
    Namespace: options.namespace,
  });
  const id = plainLine(jobRef(answer.JobID));
  const text = `Job ${id} runs once more, as version ${answer.JobVersion}.`;
  await begun(io, { id, text, answer }, options);
  if (!options.wait) return;
  const { Job } = await client.get<JobAnswer>(jobPath(id), { job_version: answer.JobVersion });
  const job = { id, type: Job.Type, namespace: Job.Namespace, version: answer.JobVersion };
  await attend(context, job, options);
};
