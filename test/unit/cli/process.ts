/** A process that runs the command line and nothing else: for what only a real process shows. */
import { processIo } from '../../../src/cli/io.ts';
import { run } from '../../../src/cli/main.ts';

process.exitCode = await run(
  process.argv.slice(2),
  processIo(async () => {}),
);
