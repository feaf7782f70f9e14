/** Executions of a job in lists: in which order, in pages, counted, with their jobs beside them. */
import { stringifyExact } from '../lib/exact-json.ts';
import { cut, LIMIT_MAX, type Order } from './paging.ts';
import type { ExecutionJson, JobJson, ListJson } from './types.ts';

/** Nanoseconds: what is lost of them as a number is below the clock's own steps. */
const executionCreated: Order<ExecutionJson> = (a, b) =>
  Number(a.CreateTime) - Number(b.CreateTime);
const executionModified: Order<ExecutionJson> = (a, b) =>
  Number(a.ModifyTime) - Number(b.ModifyTime);
export const EXECUTION_ORDERS = {
  '': executionCreated,
  created_at: executionCreated,
  create_time: executionCreated,
  modified_at: executionModified,
  modify_time: executionModified,
};

/** The first of a list; the token continues it where the list itself is asked for. */
export const firstPage = <T>(items: readonly T[]): ListJson<T> => {
  const page = { orderBy: '', reverse: false, limit: LIMIT_MAX, offset: 0 };
  const { items: Items, next: NextToken } = cut(items, page);
  return { NextToken, Items };
};

/** By partition and attempt while one answer has them all; more of them as the list goes on. */
export const inPages = (executions: readonly ExecutionJson[]): readonly ExecutionJson[] =>
  executions.length <= LIMIT_MAX ? executions : [...executions].sort(executionCreated);

/** Beside executions their jobs take no more room than this, in characters. */
const JOBS_BESIDE_MAX = 1_000_000;

/** As Bacalhau has it, each with its job beside it; without it where a spec of 60 KB would be told a thousand times. */
export function withJobs(
  executions: readonly ExecutionJson[],
  jobs: readonly JobJson[],
): readonly ExecutionJson[] {
  const longest = Math.max(0, ...jobs.map((job) => stringifyExact(job, 0).length));
  if (longest * executions.length > JOBS_BESIDE_MAX) return executions;
  const of = new Map(jobs.map((job) => [job.Version, job]));
  return executions.map((one) => {
    const Job = of.get(one.JobVersion);
    return Job === undefined ? one : { ...one, Job };
  });
}

/** Executions by their phase. */
export function countsOf(executions: readonly ExecutionJson[]): Readonly<Record<string, number>> {
  const counts = new Map<string, number>();
  for (const { Phase } of executions) counts.set(Phase, (counts.get(Phase) ?? 0) + 1);
  return Object.fromEntries(counts);
}
