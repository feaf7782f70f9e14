/** `node list`. */
import { ShoalError } from '../../failures/shoal-error.ts';
import type { NodeStateJson } from '../../api/types.ts';
import { nodeColumns, nodeGroups } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { printList, type OutputOptions } from '../output.ts';

interface Options extends OutputOptions {
  readonly labels?: string;
  readonly filterStatus?: string;
  readonly orderBy?: string;
  readonly orderReversed?: boolean;
  readonly show: string;
}

export const nodeList: CommandCode<Options> = async ({ io, client }, _args, options) => {
  const show = options.show
    .split(',')
    .map((name) => name.trim())
    .filter(Boolean);
  const unknown = show.find((name) => !nodeGroups.includes(name));
  if (unknown !== undefined) {
    throw new ShoalError({
      code: 'usage',
      what: `--show ${unknown}: there is no such group.`,
      hint: `Groups: ${nodeGroups.join(', ')}.`,
    });
  }
  const { Nodes } = await client().get<{ readonly Nodes: readonly NodeStateJson[] }>(
    '/orchestrator/nodes',
    {
      labels: options.labels,
      'filter-status': options.filterStatus,
      order_by: options.orderBy,
      reverse: options.orderReversed === true,
    },
  );
  await printList(io, Nodes, nodeColumns(show), options, ({ Info }) => Info.NodeID);
};
