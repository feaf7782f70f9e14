/** `job list`. */
import type { JobJson, ListJson } from '../../api/types.ts';
import { jobColumns } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { printList, type OutputOptions } from '../output.ts';
import { plainLine } from '../text.ts';

interface Options extends OutputOptions {
  readonly namespace: string;
  readonly labels?: string;
  readonly limit: number;
  readonly nextToken?: string;
  readonly orderBy: string;
  readonly orderReversed?: boolean;
}

/** The newest first: that is what one looks for; `--order-reversed` turns it round. */
export const jobList: CommandCode<Options> = async ({ io, client }, _args, options) => {
  const page = await client().get<ListJson<JobJson>>('/orchestrator/jobs', {
    namespace: options.namespace,
    labels: options.labels,
    limit: options.limit,
    next_token: options.nextToken,
    order_by: options.orderBy,
    reverse: options.orderReversed !== true,
  });
  await printList(io, page.Items, jobColumns, options, ({ ID }) => ID);
  if (page.NextToken !== '')
    io.stderr.write(`There are more: --next-token ${plainLine(page.NextToken)}\n`);
};
