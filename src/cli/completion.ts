/**
 * Completion in the shell: the script, and the suggestions it asks for. Commands and flags are found by the
 * library; jobs and nodes are asked of the peer, and files are left to the shell.
 */
import type { Command } from 'commander';
import type { Command as Known, Complete, RootCommand } from '@bomb.sh/tab';
import tab from '@bomb.sh/tab/commander';
import type { JobJson, ListJson, NodeStateJson } from '../api/types.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Client } from './client.ts';
import type { CommandContext } from './command.ts';
import { write } from './io.ts';
import { plainLine, shortNode } from './text.ts';

/** Who presses a key does not wait for longer. */
const ANSWER_MS = 1_000;
const JOBS_MAX = 50;
/** What a shell does with the answer: complete file names, or nothing but what is suggested. */
const DIRECTIVE = { files: 0, none: 4 } as const;

/** The library's script registers its function so that bash completes no files where that leaves them to it. */
const BASH_WITH_FILES = 'complete -o default -F __shoal_complete shoal';

/** A suggestion and what it stands for. */
type Suggestion = readonly [string, string];

/** Those of a peer that answers; none of one that does not. */
async function suggestionsOf(
  ask: () => Promise<readonly Suggestion[]>,
): Promise<readonly Suggestion[]> {
  return withDeadline(ANSWER_MS, null, ask).catch(() => []);
}

const jobs = (client: Client) => async (): Promise<readonly Suggestion[]> => {
  const query = { namespace: '*', limit: JOBS_MAX, order_by: 'created_at', reverse: true };
  const { Items } = await client.get<ListJson<JobJson>>('/orchestrator/jobs', query);
  return Items.map(({ ID, Name, State }) => [ID, plainLine(`${Name} ${State.StateType}`)]);
};

const nodes = (client: Client) => async (): Promise<readonly Suggestion[]> => {
  const answer = await client.get<{ readonly Nodes: readonly NodeStateJson[] }>(
    '/orchestrator/nodes',
  );
  return answer.Nodes.map(({ Info, Connection }) => [
    shortNode(Info.NodeID),
    plainLine(`${Info.Labels['name'] ?? ''} ${Connection}`),
  ]);
};

interface Found {
  readonly job: readonly Suggestion[];
  readonly node: readonly Suggestion[];
}

/** Which words of a command stand for what. */
function suggestFor(root: RootCommand, program: Command, found: Found): void {
  let files = false;
  const leaveToShell = (): void => void (files = true);
  const suggest =
    (all: readonly Suggestion[]) =>
    (complete: Complete): void => {
      for (const [value, description] of all) complete(value, description);
    };
  // The library says after each answer that no files are wanted.
  Object.defineProperty(root, 'directive', {
    get: () => (files ? DIRECTIVE.files : DIRECTIVE.none),
    set: () => {},
  });
  for (const [words, known] of root.commands) {
    for (const [name, argument] of known.arguments) {
      if (name === 'job') argument.handler = suggest(found.job);
      if (name === 'node') argument.handler = suggest(found.node);
      if (name === 'file' || name === 'path') argument.handler = leaveToShell;
    }
    for (const option of optionsOfFiles(program, words, known)) option.handler = leaveToShell;
  }
}

/** Options whose value is a file or a directory, as their help names it. */
function optionsOfFiles(program: Command, words: string, known: Known) {
  let command: Command | undefined = program;
  for (const word of words.split(' '))
    command = command?.commands.find((one) => one.name() === word);
  return (command?.options ?? [])
    .filter(({ flags }) => /<(file|dir|path)>/.test(flags))
    .flatMap(({ long }) => known.options.get((long ?? '').replace(/^--/, '')) ?? []);
}

/** `completion <shell>` or `complete -- <words>`. */
export async function complete(
  program: Command,
  argv: readonly string[],
  { io, client }: CommandContext,
): Promise<void> {
  const known = program.commands as Command[];
  known.splice(
    known.findIndex((command) => command.name() === 'completion'),
    1,
  );
  const root = tab(program, { completionCommandName: 'completion' });
  if (argv[0] === 'complete') {
    const asked = argv.slice(argv.indexOf('--') + 1);
    const [job, node] = await Promise.all([
      // Of the words of a command only those of one kind are asked for.
      asked[0] === 'job' ? suggestionsOf(jobs(client())) : [],
      asked[0] === 'node' ? suggestionsOf(nodes(client())) : [],
    ]);
    suggestFor(root, program, { job, node });
  }
  await program.parseAsync([...argv], { from: 'user' });
  if (argv[0] === 'completion' && argv[1] === 'bash')
    await write(io.stdout, `${BASH_WITH_FILES}\n`);
}
