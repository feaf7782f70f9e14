/** `version`: of this command, and of the peer if one answers. */
import type { VersionJson } from '../../api/types.ts';
import type { CommandCode, CommandContext } from '../command.ts';
import { codeOf } from '../errors.ts';
import { printList, type Column, type OutputOptions } from '../output.ts';
import { VERSION } from '../version.ts';

interface Options extends OutputOptions {
  readonly client?: boolean;
}

interface Versions {
  readonly client: string;
  readonly peer?: string;
}

const columns: readonly Column<Versions>[] = [
  { title: 'Client', value: ({ client }) => client },
  { title: 'Peer', value: ({ peer }) => peer ?? '' },
];

async function peerVersion(context: CommandContext): Promise<string> {
  try {
    return (await context.client().get<VersionJson>('/agent/version')).Shoal;
  } catch (error) {
    if (codeOf(error) === null) throw error;
    return 'no peer answers';
  }
}

export const version: CommandCode<Options> = async (context, _args, options) => {
  const alone = options.client === true;
  const row: Versions = alone
    ? { client: VERSION }
    : { client: VERSION, peer: await peerVersion(context) };
  await printList(context.io, [row], alone ? columns.slice(0, 1) : columns, options);
};
