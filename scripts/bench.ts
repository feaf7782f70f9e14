/**
 * Measures the hot paths on real peers and prints a table in Markdown.
 *
 *   npm run bench                               all but what takes longest; some ten minutes
 *   npm run bench -- --only wasm --only cli     some of it
 *   npm run bench -- --quick                    fewer and shorter runs
 *   npm run bench -- --json FILE                the same as JSON, with all that the table leaves out
 *   npm run bench -- --profile DIR              peers leave CPU profiles; prints where their time went
 *
 * Exit code: 0 = measured, whatever came out; 1 = something could not be measured; 2 = wrong usage.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench } from '../test/bench/bench.ts';
import { core } from '../test/bench/core.ts';
import { closedJobs } from '../test/bench/closed-jobs.ts';
import { largeCount } from '../test/bench/count.ts';
import { crowd } from '../test/bench/crowd.ts';
import { cut } from '../test/bench/cut.ts';
import { blackHole, failover } from '../test/bench/failover.ts';
import { heal } from '../test/bench/heal.ts';
import { commandLine, memory } from '../test/bench/footprint.ts';
import { dockerLatency, wasmLatency } from '../test/bench/latency.ts';
import { BUSY_LOAD, describeMachine, load } from '../test/bench/machine.ts';
import { hotFunctions } from '../test/bench/profile.ts';
import { markdown } from '../test/bench/report.ts';
import type { Report } from '../test/bench/report.ts';
import { liveJobs } from '../test/bench/live-jobs.ts';
import { daemonJoins, replaced, stopping } from '../test/bench/services.ts';
import { noopThroughput, wasmThroughput } from '../test/bench/throughput.ts';
import { transfer } from '../test/bench/transfer.ts';

const BENCHES: readonly Bench[] = [
  { name: 'wasm', about: 'one no-op WebAssembly job at a time', run: wasmLatency },
  { name: 'docker', about: 'one Docker job at a time, beside Docker alone', run: dockerLatency },
  { name: 'jobs', about: 'many jobs of the noop engine', run: noopThroughput },
  { name: 'jobs-wasm', about: 'many WebAssembly jobs', run: wasmThroughput },
  { name: 'transfer', about: 'a large file from peer to peer', run: transfer },
  { name: 'failover', about: 'the leader of a job is killed', run: failover },
  { name: 'stop', about: 'a service on five peers is stopped', run: stopping },
  { name: 'daemon', about: 'peers join a mesh that runs a daemon', run: daemonJoins },
  {
    name: 'black-hole',
    about: 'the leader of a job is cut off (ten minutes)',
    run: blackHole,
    apart: true,
  },
  {
    name: 'replaced',
    about: 'the peer of a replica is killed, or cut off (ten minutes)',
    run: replaced,
    apart: true,
  },
  { name: 'crowd', about: 'many peers that start at once (ten minutes)', run: crowd, apart: true },
  {
    name: 'count',
    about: 'one job with 10,000 executions (ten minutes)',
    run: largeCount,
    apart: true,
  },
  { name: 'cut', about: 'six peers are cut in two and healed (an hour)', run: cut, apart: true },
  {
    name: 'heal',
    about: 'six peers with 1,000 live jobs are cut in two and healed (ten minutes)',
    run: heal,
    apart: true,
  },
  { name: 'memory', about: 'an idle peer', run: memory },
  {
    name: 'live-jobs',
    about: 'nine peers with a hundred jobs that run (four minutes)',
    run: liveJobs,
    apart: true,
  },
  { name: 'closed-jobs', about: 'memory after thousands of jobs', run: closedJobs },
  { name: 'cli', about: 'the command line', run: commandLine },
  { name: 'core', about: 'codecs, signatures and the core alone', run: core },
];

const USAGE = `Usage: npm run bench -- [options]

  --only NAME    measure this only; may be given several times (what says how long it takes, only so):
${BENCHES.map(({ name, about }) => `                   ${name.padEnd(11)} ${about}`).join('\n')}
  --quick        fewer and shorter runs
  --json FILE    write the result as JSON too
  --profile DIR  let the peers write CPU profiles there, and print their hottest functions
  --help         this text`;

const HOT_FUNCTIONS = 25;

const print = (text: string): void => void process.stdout.write(`${text}\n`);
/** Progress goes to stderr, so that stdout is the table. */
const say = (text: string): void => void process.stderr.write(`${text}\n`);

function readOptions() {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean' },
      json: { type: 'string' },
      profile: { type: 'string' },
      help: { type: 'boolean' },
    },
    strict: true,
  });
  const unknown = values.only?.find((name) => !BENCHES.some((bench) => bench.name === name));
  if (unknown !== undefined) throw new TypeError(`--only does not know "${unknown}".`);
  return values;
}

async function measure(options: ReturnType<typeof readOptions>): Promise<void> {
  const chosen = BENCHES.filter(
    ({ name, apart }) => options.only?.includes(name) ?? apart !== true,
  );
  const quick = options.quick === true;
  const before = load();
  if (before > BUSY_LOAD)
    say(
      `The load average is ${before.toFixed(2)}: something else is running, and the figures will show it.`,
    );
  const benches: Report['benches'][number][] = [];
  const skipped: string[] = [];
  for (const bench of chosen) {
    say(`${bench.name}: ${bench.about}`);
    const profileDir =
      options.profile === undefined ? null : join(resolve(options.profile), bench.name);
    if (profileDir !== null) await mkdir(profileDir, { recursive: true });
    const [began, loadBefore] = [performance.now(), load()];
    try {
      const result = await bench.run({ quick, profileDir, say });
      benches.push({
        name: bench.name,
        seconds: (performance.now() - began) / 1_000,
        load: loadBefore,
        rows: result.rows,
      });
      skipped.push(...(result.skipped ?? []));
    } catch (error) {
      process.exitCode = 1;
      say(error instanceof Error ? (error.stack ?? error.message) : String(error));
      skipped.push(`${bench.name}: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (profileDir !== null) await printHot(bench.name, profileDir);
  }
  const machine = await describeMachine();
  const report: Report = {
    machine,
    at: new Date().toISOString().slice(0, 16),
    quick,
    load: { before, after: load() },
    benches,
    skipped,
  };
  print(markdown(report));
  if (options.json !== undefined)
    await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`);
}

async function printHot(bench: string, directory: string): Promise<void> {
  const { busyMs, hot } = await hotFunctions(directory, HOT_FUNCTIONS);
  say(`${bench}: ${(busyMs / 1_000).toFixed(1)} s of work in all peers together, by function:`);
  for (const { name, ms } of hot)
    say(
      `  ${ms.toFixed(0).padStart(7)} ms ${((100 * ms) / busyMs).toFixed(1).padStart(5)} %  ${name}`,
    );
}

try {
  const options = readOptions();
  if (options.help === true) print(USAGE);
  else await measure(options);
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  say(`${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
