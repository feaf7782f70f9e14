/**
 * What a command is and how commander reaches it: the code of a command is loaded only when it runs,
 * so that `version` does not pay for YAML. Also the rules for flags that commander leaves open.
 */
import { InvalidArgumentError, Option } from 'commander';
import type { Command } from 'commander';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Client } from './client.ts';
import { createClient, type Connection } from './connection.ts';
import type { ExitCode } from '../failures/table.ts';
import type { Io } from './io.ts';

export interface CommandContext {
  readonly io: Io;
  /** Made at first use, so that commands without a peer need none. */
  readonly client: () => Client;
}

/** A command: positional arguments and flags in, exit code out. `void` is 0. */
export type CommandCode<Options> = (
  context: CommandContext,
  args: readonly string[],
  options: Options,
) => Promise<ExitCode | void>;

/** What one run of the program leaves behind. */
export interface Run {
  readonly io: Io;
  exitCode: ExitCode;
  client: Client | null;
}

/** Makes `command` run what `load` brings. */
export function runs<Options>(
  command: Command,
  run: Run,
  load: () => Promise<CommandCode<Options>>,
): Command {
  refuseTwice(command);
  return command.action(async () => {
    const options = command.optsWithGlobals() as Options & Connection;
    const client = (): Client => {
      run.client ??= createClient(options, run.io.env);
      return run.client;
    };
    const code = await load();
    const args = command.processedArgs
      .flat()
      .filter((arg): arg is string => typeof arg === 'string');
    run.exitCode = (await code({ io: run.io, client }, args, options)) ?? 0;
  });
}

/** Flags that add up; every other one may be given once. */
const repeated = new WeakSet<Option>();

/** Commander would let the last one win, and a typing mistake with it. */
export function refuseTwice(command: Command): void {
  for (const option of command.options) {
    if (repeated.has(option)) continue;
    let given = 0;
    command.on(`option:${option.name()}`, () => {
      given += 1;
      if (given < 2) return;
      throw new ShoalError({
        code: 'usage',
        what: `${option.long ?? option.flags} is given twice.`,
        hint: 'Give it once.',
      });
    });
  }
}

/** An option whose values add up to a list. */
export function listOption(flags: string, description: string): Option {
  const option = new Option(flags, description).argParser(
    (value: string, before: readonly string[] | undefined) => [...(before ?? []), value],
  );
  repeated.add(option);
  return option;
}

/** A whole number of at least `min`. */
export function integerOption(flags: string, description: string, min: number): Option {
  return new Option(flags, description).argParser((value: string) => {
    if (!/^\d{1,15}$/.test(value) || Number(value) < min)
      throw new InvalidArgumentError(`Expected a whole number of at least ${min}.`);
    return Number(value);
  });
}

const outputOption = (formats: readonly string[], preset: string): Option =>
  new Option('-o, --output <format>', 'how to print').choices([...formats]).default(preset);

/**
 * The flags of everything that prints a list.
 * @param named its rows have names, which `--output name` prints alone, whole, one on a line
 */
export function withListOutput(command: Command, { named }: { readonly named: boolean }): Command {
  const formats = ['table', 'wide', 'csv', 'json', 'yaml'];
  return command
    .addOption(outputOption(named ? [...formats, 'name'] : formats, 'table'))
    .option('--pretty', 'indent JSON')
    .option('--hide-header', 'leave the column titles out')
    .option('--no-style', 'no colours')
    .option('--wide', 'shorten nothing');
}

/** The flags of everything that prints one value. */
export function withValueOutput(
  command: Command,
  formats: readonly string[],
  preset: string,
): Command {
  return command.addOption(outputOption(formats, preset)).option('--pretty', 'indent JSON');
}

export const withNamespace = (command: Command): Command =>
  command.option('--namespace <name>', 'namespace of the job', 'default');
