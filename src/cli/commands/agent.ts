/** `agent alive|version|node|config` and `config`: what the peer says of itself. */
import type { CommandCode } from '../command.ts';
import { printValue } from '../output.ts';

interface Options {
  readonly output: 'yaml' | 'json';
  readonly pretty?: boolean;
}

/** `part`: the last segment of the path. */
export const agentPart =
  (part: string): CommandCode<Options> =>
  async ({ io, client }, _args, options) => {
    const answer = await client().get<{ readonly Settings?: unknown }>(`/agent/${part}`);
    await printValue(
      io,
      part === 'config' ? answer.Settings : answer,
      options.output,
      options.pretty === true,
    );
  };
