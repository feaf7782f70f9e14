/** `doctor`: what the peer found about itself; 3 when there is a problem. */
import type { FindingJson } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { printList, type OutputOptions } from '../output.ts';

export const doctor: CommandCode<OutputOptions> = async ({ io, client }, _args, options) => {
  const { Items } = await client().get<{ readonly Items: readonly FindingJson[] }>('/shoal/doctor');
  const columns = [
    { title: 'Level', value: (finding: FindingJson) => finding.Level },
    { title: 'Subject', value: (finding: FindingJson) => finding.Subject },
    { title: 'Detail', value: (finding: FindingJson) => finding.Detail },
    { title: 'What to do', value: (finding: FindingJson) => finding.Remedy },
  ];
  await printList(io, Items, columns, options);
  return Items.some(({ Level }) => Level === 'problem') ? 3 : 0;
};
