/** `node describe`. */
import type { NodeStateJson } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { printValue } from '../output.ts';

interface Options {
  readonly output: 'yaml' | 'json';
  readonly pretty?: boolean;
}

export const nodeDescribe: CommandCode<Options> = async ({ io, client }, [ref = ''], options) => {
  const { Node } = await client().get<{ readonly Node: NodeStateJson }>(
    `/orchestrator/nodes/${encodeURIComponent(ref)}`,
  );
  await printValue(io, Node, options.output, options.pretty === true);
};
