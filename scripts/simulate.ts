/**
 * Runs the mesh in virtual time, on one machine, from a seed.
 *
 *   npm run simulate -- --nodes 1000 --jobs 500 --seed 7     one quiet mesh: what it costs
 *   npm run simulate -- --seeds 1000 --faults                many small meshes with everything going wrong
 *   npm run simulate -- --replay 4711                        one seed with faults, its timeline on failure
 *   npm run simulate -- --soak 60 --seed 500000              an hour of seeds with what the suite mixes, a line for each 1,000
 *   npm run simulate -- --report --nodes 3000                what a job costs against the size of the mesh
 *
 * Exit code: 0 = all promises kept, 1 = a promise broken, 2 = wrong usage.
 */
import { parseArgs } from 'node:util';
import { hardKinds, kindsKept } from '../test/simulation/hard-faults.ts';
import type { HardKind } from '../test/simulation/hard-faults.ts';
import type { Plant, SimulationOptions } from '../test/simulation/options.ts';
import { describeOptions, quietOptions, swarmOptions } from '../test/simulation/options.ts';
import { describeReport, describeViolations } from '../test/simulation/report.ts';
import type { Report } from '../test/simulation/run.ts';
import { measureScale } from '../test/simulation/scale.ts';
import {
  scaleHead,
  scaleLine,
  scaleOptions,
  scalePlot,
  scaleSizes,
} from '../test/simulation/scale-report.ts';
import { STRICT_NAMES } from '../test/simulation/strict.ts';
import type { StrictName } from '../test/simulation/strict.ts';
import { simulate } from '../test/simulation/run.ts';

const USAGE = `Usage: npm run simulate -- [options]

  --nodes N     size of the mesh, 1 to 10000 (with faults: drawn from the seed)
  --jobs N      jobs submitted, 1 to 20000 (with faults: drawn from the seed)
  --seed N      the seed; the first one with --seeds (default 1)
  --seeds N     run N seeds, one after the other
  --soak M      run seed after seed for M minutes, 1 to 1440, with the faults, the trouble
                that the suite mixes and all promises to the letter; a summary for each 1,000
  --report      quiet meshes of growing size, up to --nodes (default 1000), with as many
                jobs as nodes, 200 at least: what they cost and how fast they are, as a table and a plot
  --first       stop at the first seed that fails
  --faults      draw crashes, partitions, losses and the rest from the seed
  --hard KINDS  with trouble beyond the usual faults: all, or some of
                ${hardKinds.join(', ')}
  --strict NAMES  look at these promises to the letter, too: all, or some of
                ${STRICT_NAMES.join(', ')}
  --replay N    run seed N with faults and print the timeline of what failed
  --trace       print the timeline of the whole run
  --plant BUG   put in a bug that must be found: forget-promises or silent-promises
  --help        this text`;

const PLANTS: readonly Plant[] = ['none', 'forget-promises', 'silent-promises'];

class UsageError extends Error {}

interface Arguments {
  readonly nodes: number | null;
  readonly jobs: number | null;
  readonly seed: number;
  readonly seeds: number;
  readonly first: boolean;
  readonly faults: boolean;
  readonly hard: readonly HardKind[];
  readonly strict: readonly StrictName[];
  readonly timeline: boolean;
  readonly trace: boolean;
  readonly plant: Plant;
  /** For so many minutes; null: as many seeds as asked for. */
  readonly soakMinutes: number | null;
  readonly report: boolean;
}

function readArguments(): Arguments | null {
  const { values } = parse();
  if (values.help) return null;
  const whole = (
    name: 'nodes' | 'jobs' | 'seed' | 'seeds' | 'replay' | 'soak',
    low: number,
    high: number,
  ) => {
    const text = values[name];
    if (text === undefined) return null;
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= low && value <= high) return value;
    throw new UsageError(`--${name} must be a whole number from ${low} to ${high}, not "${text}".`);
  };
  const replay = whole('replay', 0, Number.MAX_SAFE_INTEGER);
  const plant = PLANTS.find((known) => known === (values.plant ?? 'none'));
  if (plant === undefined) {
    throw new UsageError(
      `--plant must be one of ${PLANTS.slice(1).join(', ')}, not "${values.plant}".`,
    );
  }
  const hard = namesOf('hard', values.hard, hardKinds);
  const strict = namesOf('strict', values.strict, STRICT_NAMES);
  if (replay !== null && (values.seed ?? values.seeds) !== undefined) {
    throw new UsageError('--replay names its seed itself: leave out --seed and --seeds.');
  }
  const soakMinutes = whole('soak', 1, 1_440);
  if (values.report === true && (soakMinutes !== null || replay !== null || hard.length > 0)) {
    throw new UsageError('--report looks at quiet meshes: leave out --soak, --replay and --hard.');
  }
  return {
    nodes: whole('nodes', 1, 10_000),
    jobs: whole('jobs', 1, 20_000),
    seed: replay ?? whole('seed', 0, Number.MAX_SAFE_INTEGER) ?? 1,
    seeds: whole('seeds', 1, 10_000_000) ?? 1,
    first: values.first === true,
    faults:
      values.faults === true ||
      replay !== null ||
      soakMinutes !== null ||
      plant !== 'none' ||
      hard.length > 0,
    hard: soakMinutes !== null && hard.length === 0 ? kindsKept : hard,
    strict: soakMinutes !== null && strict.length === 0 ? STRICT_NAMES : strict,
    timeline: replay !== null || values.trace === true,
    trace: values.trace === true,
    plant,
    soakMinutes,
    report: values.report === true,
  };
}

/** Some of the names there are, with commas between them; `all` = all of them. */
function namesOf<T extends string>(
  option: string,
  text: string | undefined,
  known: readonly T[],
): readonly T[] {
  if (text === undefined) return [];
  if (text === 'all') return known;
  return text.split(',').map((name) => {
    const found = known.find((other) => other === name);
    if (found !== undefined) return found;
    throw new UsageError(`--${option} knows all, ${known.join(', ')}, but not "${name}".`);
  });
}

function parse() {
  try {
    return parseArgs({
      options: {
        nodes: { type: 'string' },
        jobs: { type: 'string' },
        seed: { type: 'string' },
        seeds: { type: 'string' },
        replay: { type: 'string' },
        plant: { type: 'string' },
        hard: { type: 'string' },
        strict: { type: 'string' },
        soak: { type: 'string' },
        report: { type: 'boolean' },
        first: { type: 'boolean' },
        faults: { type: 'boolean' },
        trace: { type: 'boolean' },
        help: { type: 'boolean' },
      },
      strict: true,
      allowPositionals: false,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function optionsOf(given: Arguments, seed: number): SimulationOptions {
  const base = given.faults
    ? swarmOptions(seed, { nodes: given.nodes, jobs: given.jobs }, given.hard)
    : quietOptions(seed, given.nodes ?? 100, given.jobs ?? 100);
  const strict = [...new Set([...base.strict, ...given.strict])];
  return { ...base, strict, plant: given.plant, timeline: given.timeline };
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};

/** Runs one seed; a failure is run again with its timeline, which costs too much to keep always. */
function runOne(options: SimulationOptions): Report {
  const report = simulate(options);
  if (report.violations.length === 0 || options.timeline) return report;
  return simulate({ ...options, timeline: true });
}

function runSingle(given: Arguments): boolean {
  const options = optionsOf(given, given.seed);
  print(describeOptions(options));
  const began = performance.now();
  const report = runOne(options);
  print(describeReport(report, performance.now() - began));
  if (given.trace) print((report.timeline?.lines(null) ?? []).join('\n'));
  if (report.violations.length > 0) print(describeViolations(report));
  return report.violations.length === 0;
}

/** What many seeds came to. */
interface Tally {
  run: number;
  virtualMs: number;
  worstSettledMs: number;
  readonly failed: number[];
}

const emptyTally = (): Tally => ({ run: 0, virtualMs: 0, worstSettledMs: 0, failed: [] });

/** Runs one seed of many; what fails is said at once. */
function runSeed(given: Arguments, seed: number, tally: Tally): void {
  const report = simulate(optionsOf(given, seed));
  tally.run += 1;
  tally.virtualMs += report.virtualMs;
  tally.worstSettledMs = Math.max(tally.worstSettledMs, report.settledMs);
  const [first] = report.violations;
  if (first === undefined) return;
  tally.failed.push(seed);
  print(`seed ${seed} FAILS ${first.checker}: ${first.message.split('\n')[0]} (--replay ${seed})`);
}

function describeTally({ run, virtualMs, worstSettledMs, failed }: Tally, began: number): string {
  const hours = (virtualMs / 3_600_000).toFixed(1);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  const kept =
    failed.length === 0 ? 'All promises kept.' : `${failed.length} failed: ${failed.join(' ')}`;
  return `${run} seeds, ${hours} h of virtual time in ${seconds} s; slowest to settle after healing: ${worstSettledMs} ms\n${kept}`;
}

function runMany(given: Arguments): boolean {
  const began = performance.now();
  const tally = emptyTally();
  for (let index = 0; index < given.seeds; index += 1) {
    if (given.first && tally.failed.length > 0) break;
    runSeed(given, given.seed + index, tally);
    if (tally.run % 50 === 0) {
      const seconds = ((performance.now() - began) / 1_000).toFixed(0);
      print(`${tally.run} of ${given.seeds} seeds, ${tally.failed.length} failed, ${seconds} s`);
    }
  }
  print(describeTally(tally, began));
  return tally.failed.length === 0;
}

/** Seeds in one summary. */
const SUMMARY = 1_000;

/** Goes on until its time is over, whatever fails; says so of each 1,000 seeds, and of all at the end. */
function soak(given: Arguments, minutes: number): boolean {
  const began = performance.now();
  const all = emptyTally();
  let [part, partBegan] = [emptyTally(), began];
  const isOver = (): boolean => performance.now() - began >= minutes * 60_000;
  for (let seed = given.seed; !isOver(); seed += 1) {
    if (given.first && all.failed.length > 0) break;
    runSeed(given, seed, part);
    if (part.run < SUMMARY) continue;
    print(`seeds ${seed - SUMMARY + 1} to ${seed}: ${describeTally(part, partBegan)}`);
    add(all, part);
    [part, partBegan] = [emptyTally(), performance.now()];
  }
  add(all, part);
  print(`in all: ${describeTally(all, began)}`);
  return all.failed.length === 0;
}

function add(all: Tally, part: Tally): void {
  all.run += part.run;
  all.virtualMs += part.virtualMs;
  all.worstSettledMs = Math.max(all.worstSettledMs, part.worstSettledMs);
  all.failed.push(...part.failed);
}

function reportScale(given: Arguments): boolean {
  print(scaleHead());
  const all = scaleSizes(given.nodes ?? 1_000).map((nodes) => {
    const figures = measureScale(scaleOptions(nodes, given.jobs, given.seed));
    print(scaleLine(figures));
    return figures;
  });
  print(`\n${scalePlot(all)}`);
  return all.every(({ jobs, jobsClosed }) => jobs === jobsClosed);
}

function run(given: Arguments): boolean {
  if (given.report) return reportScale(given);
  if (given.soakMinutes !== null) return soak(given, given.soakMinutes);
  return given.seeds > 1 ? runMany(given) : runSingle(given);
}

try {
  const given = readArguments();
  if (given === null) print(USAGE);
  else process.exitCode = run(given) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}\n`);
  process.exitCode = 2;
}
