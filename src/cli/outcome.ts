/** How a finished job came out: its state, the exit codes that count, its results. */
import { ShoalError } from '../failures/shoal-error.ts';
import type { ExecutionJson, JobAnswer, ListJson, ResultJson } from '../api/types.ts';
import type { Client } from './client.ts';
import { executionsOf } from './executions.ts';
import { jobPath } from './ids.ts';
import { plainLine, shortNode } from './text.ts';

export interface Outcome {
  readonly answer: JobAnswer;
  /** Those that ended by themselves and count, by partition. */
  readonly ended: readonly {
    readonly execution: string;
    readonly partition: number;
    readonly node: string;
    readonly exitCode: number;
  }[];
  readonly results: readonly ResultJson[];
}

/** An execution whose exit code is the job's: completed, and not one that another one made needless. */
function counts(execution: ExecutionJson): boolean {
  return (
    execution.Phase === 'completed' &&
    execution.ComputeState.Message === '' &&
    execution.RunOutput !== null
  );
}

/** @param version of a job that had others before; undefined: the current one */
export async function outcomeOf(
  client: Client,
  job: string,
  namespace: string,
  version?: number,
): Promise<Outcome> {
  const of = { namespace, job_version: version };
  const answer = await client.get<JobAnswer>(jobPath(job), { ...of, include: 'executions' });
  const { Items = [], NextToken = '' } = answer.Executions ?? {};
  const all = NextToken === '' ? Items : await everyOne(client, job, namespace, version);
  const ended = all.filter(counts).map((one) => ({
    execution: one.ID,
    partition: one.PartitionIndex,
    node: one.NodeID,
    exitCode: one.RunOutput?.ExitCode ?? 0,
  }));
  const hasResults = answer.Job.Type === 'batch' || answer.Job.Type === 'ops';
  const results = hasResults
    ? (await client.get<ListJson<ResultJson>>(`${jobPath(job)}/results`, of)).Items
    : [];
  return { answer, ended, results };
}

async function everyOne(
  client: Client,
  job: string,
  namespace: string,
  version: number | undefined,
): Promise<readonly ExecutionJson[]> {
  const limit = Number.POSITIVE_INFINITY;
  const query = { job, namespace, version, limit, orderBy: '', reverse: false };
  return (await executionsOf(client, query)).items;
}

/** The CID of each result, by which it is fetched from anywhere: `shoal cid get CID`. */
export function resultLines(results: readonly ResultJson[], type: string): string[] {
  const which = ({ Params: { Partition, NodeID } }: ResultJson): string =>
    type === 'ops' ? shortNode(NodeID) : `partition ${Partition}`;
  return results.map(
    (result) => `Result of ${plainLine(which(result))}: ${plainLine(result.Params.CID)}`,
  );
}

/** @throws ShoalError `job-failed`. */
export function checkState({ answer }: Outcome): void {
  const { ID, State } = answer.Job;
  if (State.StateType === 'Failed' || State.StateType === 'Stopped') {
    throw new ShoalError({
      code: 'job-failed',
      job: ID,
      state: State.StateType,
      why: State.Message || 'no reason was given',
    });
  }
}

/** @throws ShoalError `job-failed`, `program-failed` – what makes a command end with 5. */
export function checkOutcome(outcome: Outcome): void {
  checkState(outcome);
  const { answer, ended } = outcome;
  const { ID } = answer.Job;
  const exitCodes = ended.map(({ exitCode }) => exitCode).filter((code) => code !== 0);
  if (exitCodes.length > 0)
    throw new ShoalError({ code: 'program-failed', job: ID, exitCodes: [...new Set(exitCodes)] });
}
