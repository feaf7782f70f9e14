/** `doctor`: what the peer found about itself; 3 when there is a problem. */
import type { FindingJson } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { printList, type Column, type OutputOptions } from '../output.ts';
import { own } from '../../job/own.ts';
import type { Style } from '../text.ts';

const LEVELS: Readonly<Record<FindingJson['Level'], Style>> = {
  ok: 'green',
  warning: 'yellow',
  problem: 'red',
};
const levelStyle = ({ Level }: FindingJson): Style | null => own(LEVELS, Level) ?? null;

export const doctor: CommandCode<OutputOptions> = async ({ io, client }, _args, options) => {
  const { Items } = await client().get<{ readonly Items: readonly FindingJson[] }>('/shoal/doctor');
  const columns: readonly Column<FindingJson>[] = [
    { title: 'Level', value: ({ Level }) => Level, style: levelStyle },
    { title: 'Subject', value: ({ Subject }) => Subject },
    { title: 'Detail', value: ({ Detail }) => Detail, wraps: true },
    { title: 'What to do', value: ({ Remedy }) => Remedy, wraps: true },
  ];
  await printList(io, Items, columns, options);
  return Items.some(({ Level }) => Level === 'problem') ? 3 : 0;
};
