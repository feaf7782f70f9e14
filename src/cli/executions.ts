/** The executions of a job, however many: the API gives at most a thousand at a time. */
import type { ExecutionJson, ListJson } from '../api/types.ts';
import type { Client } from './client.ts';
import { jobPath } from './ids.ts';

/** As the API limits a page. */
const PAGE = 1_000;

export interface ExecutionsQuery {
  readonly job: string;
  readonly namespace: string;
  readonly version?: number | undefined;
  readonly allVersions?: boolean | undefined;
  /** ≥ 1. */
  readonly limit: number;
  readonly orderBy: string;
  readonly reverse: boolean;
}

/** As many as are wanted, and whether there are more. */
export async function executionsOf(
  client: Client,
  { job, namespace, version, allVersions, limit, orderBy, reverse }: ExecutionsQuery,
): Promise<{ readonly items: readonly ExecutionJson[]; readonly more: boolean }> {
  const items: ExecutionJson[] = [];
  for (let token = ''; ; ) {
    const page: ListJson<ExecutionJson> = await client.get(`${jobPath(job)}/executions`, {
      namespace,
      job_version: version,
      all_job_versions: allVersions,
      limit: Math.min(limit, PAGE),
      order_by: orderBy,
      reverse,
      next_token: token,
    });
    items.push(...page.Items);
    token = page.NextToken;
    if (token === '' || items.length >= limit)
      return { items: items.slice(0, limit), more: token !== '' || items.length > limit };
  }
}
