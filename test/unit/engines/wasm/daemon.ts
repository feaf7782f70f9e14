/**
 * A process that runs an endless program, to be killed by a test. Arguments: a directory, the
 * execution id, and `tools` or `no-tools`. Prints `running` when the program runs.
 */
import { benchIn } from './harness.ts';

const [directory = '', execution = '', tools = ''] = process.argv.slice(2);
const changes = tools === 'tools' ? {} : { toolDirectories: [] };
const bench = benchIn(directory, { runnerPath: `${directory}/wasm-runner.js`, ...changes });
const run = bench.runOf({ module: 'limits', params: { Parameters: ['spin'] }, execution });
const outcome = await bench.engine.run(
  run,
  () => console.log('running'),
  new AbortController().signal,
);
console.log(JSON.stringify(outcome));
