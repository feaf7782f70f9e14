/** Completion in the shell: the script, and the suggestions it asks for. Both are printed by the library. */
import type { Command } from 'commander';
import tab from '@bomb.sh/tab/commander';

/** `completion <shell>` or `complete -- <words>`. */
export async function complete(program: Command, argv: readonly string[]): Promise<void> {
  const known = program.commands as Command[];
  known.splice(
    known.findIndex((command) => command.name() === 'completion'),
    1,
  );
  tab(program, { completionCommandName: 'completion' });
  await program.parseAsync([...argv], { from: 'user' });
}
