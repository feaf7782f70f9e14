/** `job run`: submits a spec and, unless told otherwise, stays until the job is over. */
import { randomUUID } from 'node:crypto';
import { ShoalError } from '../../failures/shoal-error.ts';
import { jobToBacalhau } from '../../job/to-bacalhau.ts';
import type { Job } from '../../job/model.ts';
import type { DiffAnswer, SubmitAnswer } from '../../api/types.ts';
import type { Client } from '../client.ts';
import type { CommandCode, CommandContext } from '../command.ts';
import { codeOf, tell } from '../errors.ts';
import { jobRef } from '../ids.ts';
import { write, type Io } from '../io.ts';
import { printLogs } from '../logs.ts';
import { checkOutcome, outcomeOf, type Outcome } from '../outcome.ts';
import { printLines, printValue } from '../output.ts';
import { readSpec, type SpecSource, type TemplateOptions } from '../spec-source.ts';
import { plainLine, plainText, shortNode } from '../text.ts';
import { waitForJob } from '../waiting.ts';
import { fetchResults } from './job-get.ts';

export interface JobRunOptions extends TemplateOptions {
  readonly wait: boolean;
  readonly follow?: boolean;
  readonly idOnly?: boolean;
  readonly dryRun?: boolean;
  readonly waitTimeout?: number;
  readonly waitTimeoutSecs?: number;
  readonly download?: boolean;
  readonly outputDir?: string;
  readonly minKeepers?: number;
  readonly hideWarnings?: boolean;
  readonly output: 'text' | 'json';
  readonly pretty?: boolean;
}

function warn(io: Io, warnings: readonly string[], options: JobRunOptions): void {
  if (options.hideWarnings === true || options.idOnly === true) return;
  for (const warning of warnings) io.stderr.write(`Warning: ${plainText(warning)}\n`);
}

/**
 * Sends the job; when the connection breaks before the answer, once more with the same token, which
 * cannot make a second job.
 */
async function submit(io: Io, client: Client, job: Job, minKeepers: number): Promise<SubmitAnswer> {
  const body = { Job: jobToBacalhau(job), IdempotencyToken: randomUUID(), MinKeepers: minKeepers };
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  const once = (): Promise<SubmitAnswer> =>
    client.send<SubmitAnswer>('PUT', '/orchestrator/jobs', body, stop.signal);
  try {
    return await once().catch((error: unknown) => {
      const cause =
        error instanceof Error
          ? (error.cause as { readonly code?: string } | undefined)
          : undefined;
      if (codeOf(error) === 'daemon-unreachable' && cause?.code === 'ECONNRESET') return once();
      throw error;
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    const what =
      'Interrupted before the peer answered: the job may or may not have been submitted. `shoal job list` shows it if it was.';
    throw new ShoalError({ code: 'interrupted', what }, { cause: error });
  } finally {
    release();
  }
}

async function dryRun(
  context: CommandContext,
  { job, warnings }: SpecSource,
  options: JobRunOptions,
): Promise<void> {
  const { io } = context;
  const answer = await context
    .client()
    .send<DiffAnswer>('PUT', '/orchestrator/jobs/diff', { Job: jobToBacalhau(job) });
  warn(io, [...warnings, ...answer.Warnings], options);
  if (options.output === 'json') await printValue(io, answer, 'json', options.pretty === true);
  else await write(io.stdout, `${plainText(answer.Diff)}\n`);
}

function outcomeLines({ answer, ended, results }: Outcome): string[] {
  const { ID, State, Type } = answer.Job;
  const lines = [
    `Job ${ID} is ${State.StateType}${State.Message === '' ? '' : `: ${plainText(State.Message)}`}`,
  ];
  for (const { partition, node, exitCode } of ended) {
    // Of an ops job a node is all there is to say about an execution.
    const which = Type === 'ops' ? shortNode(node) : `partition ${partition} on ${shortNode(node)}`;
    lines.push(`  ${which}: exit code ${exitCode}`);
  }
  lines.push('', `To see what happened:     shoal job describe ${ID}`);
  if (results.length > 0) lines.push(`To fetch the results:     shoal job get ${ID}`);
  return lines;
}

const outcomeValue = ({ answer, ended, results }: Outcome): object => ({
  JobID: answer.Job.ID,
  State: answer.Job.State,
  Executions: ended.map((one) => ({
    ID: one.execution,
    PartitionIndex: one.partition,
    NodeID: one.node,
    ExitCode: one.exitCode,
  })),
  Results: results,
});

/** An execution that came to nothing has no output; how the job came out is what counts then. */
async function followLogs(context: CommandContext, id: string, namespace: string): Promise<void> {
  try {
    await printLogs(context, { job: id, namespace, execution: '', follow: true, tail: false });
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'logs-unavailable' && code !== 'execution-not-found') throw error;
    context.io.stderr.write(`${tell(error).message}\n`);
  }
}

async function attend(
  context: CommandContext,
  job: Job,
  id: string,
  options: JobRunOptions,
): Promise<void> {
  const { io } = context;
  const client = context.client();
  const silent = options.idOnly === true || options.output === 'json';
  const untilRunning = job.Type === 'service' || job.Type === 'daemon';
  const waiting = {
    io,
    client,
    job: id,
    namespace: job.Namespace,
    untilRunning,
    timeoutMs: (options.waitTimeout ?? options.waitTimeoutSecs ?? 0) * 1000,
  };
  if (options.follow === true) {
    await waitForJob({ ...waiting, untilRunning: true, quiet: true });
    await followLogs(context, id, job.Namespace);
  }
  const end = await waitForJob({ ...waiting, quiet: silent || options.follow === true });
  if (end === 'running') {
    if (!silent)
      await printLines(io, [
        `Job ${id} is running. It ends when it is stopped: shoal job stop ${id}`,
      ]);
    return;
  }
  const outcome = await outcomeOf(client, id, job.Namespace);
  if (options.output === 'json')
    await printValue(io, outcomeValue(outcome), 'json', options.pretty === true);
  else if (!silent && options.follow !== true) await printLines(io, outcomeLines(outcome));
  if (options.download === true && outcome.results.length > 0) {
    await fetchResults(context, {
      job: id,
      outcome,
      outputDir: options.outputDir,
      raw: false,
      overwrite: false,
    });
  }
  checkOutcome(outcome);
}

export const jobRun: CommandCode<JobRunOptions> = async (context, [file], options) => {
  const { io } = context;
  const spec = await readSpec(io, file, options);
  if (options.dryRun === true) return dryRun(context, spec, options);
  const answer = await submit(io, context.client(), spec.job, options.minKeepers ?? 0);
  const id = plainLine(jobRef(answer.JobID));
  warn(io, [...new Set([...spec.warnings, ...answer.Warnings])], options);
  if (options.idOnly === true) await write(io.stdout, `${id}\n`);
  else if (options.output === 'json' && !options.wait)
    await printValue(io, answer, 'json', options.pretty === true);
  else if (options.output !== 'json')
    await printLines(io, [
      `Job ${id} is submitted${answer.Receipt.Again ? ' (it was already)' : ''}.`,
    ]);
  if (options.wait) await attend(context, spec.job, id, options);
};
