/** `job diff`: what `job run` of this file would change. */
import type { CommandCode } from '../command.ts';
import { jobRun, type JobRunOptions } from './job-run.ts';

export const jobDiff: CommandCode<Omit<JobRunOptions, 'wait'>> = (context, args, options) =>
  jobRun(context, args, { ...options, wait: false, dryRun: true });
