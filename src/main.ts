/**
 * The program: the command line of this process, with the daemon loaded only when it is asked for.
 * The first lines keep Node's compile cache, which halves the start of a command.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Beside the program; where that cannot be written there is no cache, and nothing else changes.
enableCompileCache(join(import.meta.dirname, 'cache'));

const [{ run }, { processIo }] = await Promise.all([
  import('./cli/main.ts'),
  import('./cli/io.ts'),
]);

const io = processIo(async (flags) => {
  const { serve } = await import('./node/serve.ts');
  await serve(flags);
});
process.exitCode = await run(process.argv.slice(2), io);
