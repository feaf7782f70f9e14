/** `shoal serve`: its flags come from the table of the configuration and go on as they were given. */
import { own } from '../job/own.ts';
import { Option, type Command } from 'commander';
import { serveFlags, type ServeFlag } from '../config/flags.ts';
import { listOption, runs, type Run } from './command.ts';
import type { FlagRecord } from './io.ts';

/** Given before or after the command's name; commander keeps them with the program. */
const GLOBAL: ReadonlySet<string> = new Set(['--api-host', '--api-port']);

function optionOf({ flag, argument, repeatable, help }: ServeFlag): Option {
  const flags = argument === null ? flag : `${flag} <${argument}>`;
  return repeatable ? listOption(flags, help) : new Option(flags, help);
}

/** Only what was given: `--no-x` is false by being there, and true by default. */
function given(options: Readonly<Record<string, unknown>>): FlagRecord {
  const given = serveFlags.flatMap((serveFlag) => {
    const value = own(options, optionOf(serveFlag).attributeName());
    const isSwitch = serveFlag.argument === null;
    const isSet = isSwitch ? value === !serveFlag.flag.startsWith('--no-') : value !== undefined;
    if (!isSet) return [];
    return [[serveFlag.flag, isSwitch ? true : (value as string | readonly string[])] as const];
  });
  return Object.fromEntries(given);
}

export function addServe(program: Command, run: Run): void {
  const serve = program.command('serve').description('run a peer in this process');
  for (const serveFlag of serveFlags)
    if (!GLOBAL.has(serveFlag.flag)) serve.addOption(optionOf(serveFlag));
  runs<Readonly<Record<string, unknown>>>(
    serve,
    run,
    async () =>
      ({ io }, _args, options) =>
        io.startDaemon(given(options)),
  );
}
