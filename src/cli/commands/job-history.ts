/** `job history`: everything told so far; does not wait for more. */
import type { HistoryJson, ListJson } from '../../api/types.ts';
import type { Client } from '../client.ts';
import { historyColumns } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { jobPath, jobRef } from '../ids.ts';
import { printList, type OutputOptions } from '../output.ts';

interface Options extends OutputOptions {
  readonly namespace: string;
  readonly eventType: string;
  readonly executionId?: string;
  readonly version?: number;
  readonly allVersions?: boolean;
}

const PAGE = 500;

async function everything(
  client: Client,
  path: string,
  query: Readonly<Record<string, string | number | boolean | undefined>>,
): Promise<HistoryJson[]> {
  const events: HistoryJson[] = [];
  for (let token = ''; ; ) {
    const page = await client.get<ListJson<HistoryJson>>(path, {
      ...query,
      limit: PAGE,
      next_token: token,
    });
    events.push(...page.Items);
    // The token of a job that goes on never ends; it only stands still.
    if (page.NextToken === '' || page.NextToken === token || page.Items.length === 0) return events;
    token = page.NextToken;
  }
}

export const jobHistory: CommandCode<Options> = async ({ io, client }, [ref], options) => {
  const events = await everything(client(), `${jobPath(jobRef(ref))}/history`, {
    namespace: options.namespace,
    event_type: options.eventType,
    execution_id: options.executionId,
    job_version: options.version,
    all_job_versions: options.allVersions,
  });
  await printList(io, events, historyColumns, options);
};
