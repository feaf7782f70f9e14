/**
 * The command line: arguments in, exit code out. Builds the command tree, runs one command, and turns
 * whatever goes wrong into words and a code. Never calls `process.exit`.
 */
import { CommanderError } from 'commander';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Run } from './command.ts';
import type { Client } from './client.ts';
import { createClient } from './connection.ts';
import { errorText, tell } from './errors.ts';
import type { ExitCode } from '../failures/table.ts';
import { write, type Io } from './io.ts';
import { createProgram } from './program.ts';
import { VERSION } from './version.ts';

/** `--wait=false` as Bacalhau's scripts write it, in commander's form. */
const SWITCHES = new Set([
  'wait',
  'follow',
  'id-only',
  'pretty',
  'hide-header',
  'no-style',
  'wide',
  'dry-run',
  'raw',
  'tail',
  'quiet',
  'download',
  'overwrite',
]);

/** Switches written `--name=true` or `--name=false` become `--name`, `--no-name` or nothing. */
export function normaliseSwitches(argv: readonly string[]): string[] {
  const end = argv.indexOf('--');
  return argv.flatMap((arg, index) => {
    const match = end >= 0 && index > end ? null : /^--([a-z-]+)=(true|false)$/.exec(arg);
    const name = match?.[1];
    if (name === undefined || !SWITCHES.has(name)) return [arg];
    if (match?.[2] === 'true') return name === 'wait' ? [] : [`--${name}`];
    return name === 'wait' ? ['--no-wait'] : [];
  });
}

/** Whether errors are wanted as JSON, even when the arguments do not parse. */
function wantsJson(argv: readonly string[]): boolean {
  return argv.some(
    (arg, index) =>
      arg === '--output=json' ||
      arg === '-ojson' ||
      ((arg === '--output' || arg === '-o') && argv[index + 1] === 'json'),
  );
}

/** `help job run` is `job run --help`: commander knows it for commands of the first level alone. */
const withHelp = (argv: readonly string[]): readonly string[] =>
  argv[0] === 'help' && argv.length > 1 ? [...argv.slice(1), '--help'] : argv;

/** Commander's own complaint as a failure of ours; null when it only printed help. */
function usageOf(error: CommanderError): ShoalError | null {
  if (error.exitCode === 0) return null;
  const [what = '', ...rest] = error.message.replace(/^error: /, '').split('\n');
  const hint = rest.join(' ').replace(/^\((.*)\)$/, '$1');
  const said =
    error.code === 'commander.help'
      ? 'A command is missing.'
      : `${what.charAt(0).toUpperCase()}${what.slice(1)}.`.replace(/\.\.$/, '.');
  return new ShoalError({
    code: 'usage',
    what: said,
    hint: hint || '`--help` shows what can be given.',
  });
}

/**
 * Runs one command.
 * @param argv the arguments after the program's name.
 * @returns the exit code; see `ExitCode`.
 */
export async function run(argv: readonly string[], io: Io): Promise<ExitCode> {
  const state: Run = { io, exitCode: 0, client: null };
  try {
    if (argv[0] === 'completion' || argv[0] === 'complete') {
      const { complete } = await import('./completion.ts');
      const client = (): Client => (state.client ??= createClient({}, io.env));
      await complete(createProgram(state), argv, { io, client });
      return 0;
    }
    // Not an option of the program: commander would take it from `job describe JOB --version N`.
    if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-V')) {
      await write(io.stdout, `shoal ${VERSION}\n`);
      return 0;
    }
    await createProgram(state).parseAsync(normaliseSwitches(withHelp(argv)), { from: 'user' });
    return state.exitCode;
  } catch (error) {
    const failure = error instanceof CommanderError ? usageOf(error) : error;
    if (failure === null) return 0;
    const told = tell(failure);
    io.stderr.write(errorText(told, wantsJson(argv)));
    return told.exitCode;
  } finally {
    state.client?.close();
  }
}
