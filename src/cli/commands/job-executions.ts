/** `job executions`. */
import type { ExecutionJson, ListJson } from '../../api/types.ts';
import { executionColumns } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { jobPath, jobRef } from '../ids.ts';
import { printList, type OutputOptions } from '../output.ts';

interface Options extends OutputOptions {
  readonly namespace: string;
  readonly limit: number;
  readonly orderBy: string;
  readonly orderReversed?: boolean;
}

export const jobExecutions: CommandCode<Options> = async ({ io, client }, [ref], options) => {
  const page = await client().get<ListJson<ExecutionJson>>(`${jobPath(jobRef(ref))}/executions`, {
    namespace: options.namespace,
    limit: options.limit,
    order_by: options.orderBy,
    reverse: options.orderReversed === true,
  });
  await printList(io, page.Items, executionColumns, options);
  if (page.NextToken !== '') io.stderr.write('There are more: raise --limit.\n');
};
