/** `job executions`. */
import { executionColumns } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { executionsOf } from '../executions.ts';
import { jobRef } from '../ids.ts';
import { printList, type OutputOptions } from '../output.ts';

interface Options extends OutputOptions {
  readonly namespace: string;
  readonly version?: number;
  readonly allVersions?: boolean;
  readonly limit: number;
  readonly orderBy: string;
  readonly orderReversed?: boolean;
}

export const jobExecutions: CommandCode<Options> = async ({ io, client }, [ref], options) => {
  const { items, more } = await executionsOf(client(), {
    job: jobRef(ref),
    namespace: options.namespace,
    version: options.version,
    allVersions: options.allVersions,
    limit: options.limit,
    orderBy: options.orderBy,
    reverse: options.orderReversed === true,
  });
  await printList(io, items, executionColumns, options, ({ ID }) => ID);
  if (more) io.stderr.write('There are more: raise --limit.\n');
};
