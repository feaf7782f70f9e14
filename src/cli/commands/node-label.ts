/** `node label`: shows, sets and takes away labels of the peer this command talks to; it keeps them over restarts. */
import type { LabelsJson } from '../../api/types.ts';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { CommandCode } from '../command.ts';
import { printLines } from '../output.ts';
import { plainLine } from '../text.ts';

const PATH = '/shoal/labels';

/** `KEY=VALUE` sets one, `KEY-` takes it away. */
function changeOf(args: readonly string[]): {
  readonly Set: Readonly<Record<string, string>>;
  readonly Remove: readonly string[];
} {
  const set: [string, string][] = [];
  const remove: string[] = [];
  for (const arg of args) {
    const at = arg.indexOf('=');
    if (at > 0) set.push([arg.slice(0, at), arg.slice(at + 1)]);
    else if (at < 0 && arg.length > 1 && arg.endsWith('-')) remove.push(arg.slice(0, -1));
    else {
      const what = `node label: ${plainLine(arg)} is neither KEY=VALUE nor KEY-.`;
      throw new ShoalError({
        code: 'usage',
        what,
        hint: 'room=a sets a label, room- takes it away.',
      });
    }
  }
  return { Set: Object.fromEntries(set), Remove: remove };
}

export const nodeLabel: CommandCode<object> = async ({ io, client }, args) => {
  const body = changeOf(args);
  const { Labels } =
    args.length === 0
      ? await client().get<LabelsJson>(PATH)
      : await client().send<LabelsJson>('PUT', PATH, body);
  const lines = Object.entries(Labels)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => plainLine(`${key}=${value}`));
  await printLines(io, lines.length === 0 ? ['This peer has no labels of its own.'] : lines);
  return 0;
};
