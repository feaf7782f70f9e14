/** `job run`: submits a spec and, unless told otherwise, stays until the job is over. */
import { randomUUID } from 'node:crypto';
import { ShoalError } from '../../failures/shoal-error.ts';
import { stringifySorted } from '../../lib/exact-json.ts';
import { jobToBacalhau } from '../../job/to-bacalhau.ts';
import type { Job } from '../../job/model.ts';
import type { DiffAnswer, SubmitAnswer } from '../../api/types.ts';
import type { Client } from '../client.ts';
import type { CommandCode, CommandContext } from '../command.ts';
import { codeOf, tell } from '../errors.ts';
import { jobRef } from '../ids.ts';
import { write, type Io } from '../io.ts';
import { printLogs } from '../logs.ts';
import { checkOutcome, outcomeOf, resultLines, type Outcome } from '../outcome.ts';
import { printLines, printValue } from '../output.ts';
import { readSpec, type SpecSource, type TemplateOptions } from '../spec-source.ts';
import { plainLine, plainText, shortNode } from '../text.ts';
import { waitForJob } from '../waiting.ts';
import { fetchResults } from './job-get.ts';

/** How a job is waited for that was just submitted. */
export interface AttendOptions {
  readonly follow?: boolean;
  readonly idOnly?: boolean;
  readonly waitTimeout?: number;
  readonly waitTimeoutSecs?: number;
  readonly download?: boolean;
  readonly outputDir?: string;
  readonly output: 'text' | 'json' | 'yaml' | 'name';
  readonly pretty?: boolean;
}

export interface JobRunOptions extends TemplateOptions, AttendOptions {
  readonly wait: boolean;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly minKeepers?: number;
  readonly hideWarnings?: boolean;
}

/** What is waited for. */
interface Attended {
  readonly id: string;
  readonly type: string;
  readonly namespace: string;
  /** Of a job that was there before; undefined: its first. */
  readonly version: number | undefined;
}

/** Nothing but the id. */
export const wantsId = ({ idOnly, output }: AttendOptions): boolean =>
  idOnly === true || output === 'name';

/** The answer as a program reads it; false when a person does, or nobody. */
export async function printed(
  io: Io,
  value: unknown,
  { output, pretty }: AttendOptions,
): Promise<boolean> {
  if (output !== 'json' && output !== 'yaml') return false;
  await printValue(io, value, output, pretty === true);
  return true;
}

function warn(io: Io, warnings: readonly string[], options: JobRunOptions): void {
  if (options.hideWarnings === true || wantsId(options)) return;
  for (const warning of warnings) io.stderr.write(`Warning: ${plainText(warning)}\n`);
}

/**
 * Sends the job; when the connection breaks before the answer, once more with the same token, which
 * cannot make a second job.
 */
async function submit(
  io: Io,
  client: Client,
  job: Job,
  { minKeepers = 0, force = false }: JobRunOptions,
): Promise<SubmitAnswer> {
  const body = {
    Job: jobToBacalhau(job),
    Force: force,
    IdempotencyToken: randomUUID(),
    MinKeepers: minKeepers,
  };
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
  const spec = jobToBacalhau(job);
  const answer = await context
    .client()
    .send<DiffAnswer>('PUT', '/orchestrator/jobs/diff', { Job: spec })
    .catch((error: unknown): DiffAnswer => {
      if (codeOf(error) !== 'job-not-found') throw error;
      // A new one: all of it is what would change.
      const lines = stringifySorted(spec, 2).split('\n');
      return { Diff: lines.map((line) => `+ ${line}`).join('\n'), Warnings: [] };
    });
  warn(io, [...warnings, ...answer.Warnings], options);
  if (!(await printed(io, answer, options))) await write(io.stdout, `${plainText(answer.Diff)}\n`);
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
  if (results.length > 0) lines.push('', ...resultLines(results, Type));
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
async function followLogs(
  context: CommandContext,
  { id, namespace, version }: Attended,
): Promise<void> {
  const what = { job: id, namespace, version, execution: '' };
  try {
    await printLogs(context, { ...what, follow: true, tail: false });
  } catch (error) {
    // A peer that is gone is waited for below, as the job goes on.
    const passing = ['logs-unavailable', 'execution-not-found', 'daemon-unreachable'];
    if (!passing.includes(codeOf(error) ?? '')) throw error;
    context.io.stderr.write(`${tell(error).message}\n`);
  }
}

/** Stays until the job is over, or runs when it does not end by itself. */
export async function attend(
  context: CommandContext,
  job: Attended,
  options: AttendOptions,
): Promise<void> {
  const { io } = context;
  const { id, type, namespace, version } = job;
  const client = context.client();
  const silent = options.output !== 'text' || wantsId(options);
  const untilRunning = type === 'service' || type === 'daemon';
  const waiting = {
    io,
    client,
    job: id,
    namespace,
    version,
    untilRunning,
    timeoutMs: (options.waitTimeout ?? options.waitTimeoutSecs ?? 0) * 1000,
  };
  if (options.follow === true) {
    await waitForJob({ ...waiting, untilRunning: true, quiet: true });
    await followLogs(context, job);
  }
  const end = await waitForJob({ ...waiting, quiet: silent || options.follow === true });
  if (end === 'running') {
    if (!silent)
      await printLines(io, [
        `Job ${id} is running. It ends when it is stopped: shoal job stop ${id}`,
      ]);
    return;
  }
  const outcome = await outcomeOf(client, id, namespace, version);
  const told = await printed(io, outcomeValue(outcome), options);
  if (!told && !silent && options.follow !== true) await printLines(io, outcomeLines(outcome));
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

/** What is said once the job is there: its end says the rest, if it is waited for. */
export async function begun(
  io: Io,
  { id, text, answer }: { readonly id: string; readonly text: string; readonly answer: object },
  options: AttendOptions & { readonly wait: boolean },
): Promise<void> {
  if (wantsId(options)) await write(io.stdout, `${id}\n`);
  else if (options.output === 'text') await printLines(io, [text]);
  else if (!options.wait) await printed(io, answer, options);
}

export const jobRun: CommandCode<JobRunOptions> = async (context, [file], options) => {
  const { io } = context;
  const spec = await readSpec(io, file, options);
  if (options.dryRun === true) return dryRun(context, spec, options);
  const answer = await submit(io, context.client(), spec.job, options);
  const id = plainLine(jobRef(answer.JobID));
  const version = answer.JobVersion > 1 ? answer.JobVersion : undefined;
  const again = version === undefined ? '' : ` as version ${version}`;
  warn(io, [...new Set([...spec.warnings, ...answer.Warnings])], options);
  const submitted = `Job ${id} is submitted${again}${answer.Receipt.Again ? ' (it was already)' : ''}.`;
  await begun(io, { id, text: submitted, answer }, options);
  if (!options.wait) return;
  const { Type: type, Namespace: namespace } = spec.job;
  await attend(context, { id, type, namespace, version }, options);
};
