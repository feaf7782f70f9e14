/**
 * Runs the mesh in virtual time, on one machine, from a seed.
 *
 *   npm run simulate -- --nodes 1000 --jobs 500 --seed 7     one quiet mesh: what it costs
 *   npm run simulate -- --seeds 1000 --faults                many small meshes with everything going wrong
 *   npm run simulate -- --replay 4711                        one seed with faults, its timeline on failure
 *
 * Exit code: 0 = all promises kept, 1 = a promise broken, 2 = wrong usage.
 */
import { parseArgs } from 'node:util';
import { hardKinds } from '../test/simulation/hard-faults.ts';
import type { HardKind } from '../test/simulation/hard-faults.ts';
import type { Plant, SimulationOptions } from '../test/simulation/options.ts';
import { describeOptions, quietOptions, swarmOptions } from '../test/simulation/options.ts';
import { describeReport, describeViolations } from '../test/simulation/report.ts';
import type { Report } from '../test/simulation/run.ts';
import { STRICT_NAMES } from '../test/simulation/strict.ts';
import type { StrictName } from '../test/simulation/strict.ts';
import { simulate } from '../test/simulation/run.ts';

const USAGE = `Usage: npm run simulate -- [options]

  --nodes N     size of the mesh, 1 to 5000 (with faults: drawn from the seed)
  --jobs N      jobs submitted, 1 to 20000 (with faults: drawn from the seed)
  --seed N      the seed; the first one with --seeds (default 1)
  --seeds N     run N seeds, one after the other
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
}

function readArguments(): Arguments | null {
  const { values } = parse();
  if (values.help) return null;
  const whole = (
    name: 'nodes' | 'jobs' | 'seed' | 'seeds' | 'replay',
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
  return {
    nodes: whole('nodes', 1, 5_000),
    jobs: whole('jobs', 1, 20_000),
    seed: replay ?? whole('seed', 0, Number.MAX_SAFE_INTEGER) ?? 1,
    seeds: whole('seeds', 1, 10_000_000) ?? 1,
    first: values.first === true,
    faults: values.faults === true || replay !== null || plant !== 'none' || hard.length > 0,
    hard,
    strict,
    timeline: replay !== null || values.trace === true,
    trace: values.trace === true,
    plant,
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

function runMany(given: Arguments): boolean {
  const began = performance.now();
  const failed: number[] = [];
  let virtualMs = 0;
  let worstSettledMs = 0;
  let run = 0;
  for (let index = 0; index < given.seeds; index += 1) {
    if (given.first && failed.length > 0) break;
    run += 1;
    const seed = given.seed + index;
    const report = simulate(optionsOf(given, seed));
    virtualMs += report.virtualMs;
    worstSettledMs = Math.max(worstSettledMs, report.settledMs);
    if (report.violations.length > 0) {
      failed.push(seed);
      const [first] = report.violations;
      print(
        `seed ${seed} FAILS ${first?.checker}: ${first?.message.split('\n')[0]} (--replay ${seed})`,
      );
    }
    if ((index + 1) % 50 === 0) {
      const seconds = ((performance.now() - began) / 1_000).toFixed(0);
      print(`${index + 1} of ${given.seeds} seeds, ${failed.length} failed, ${seconds} s`);
    }
  }
  const hours = (virtualMs / 3_600_000).toFixed(1);
  const seconds = ((performance.now() - began) / 1_000).toFixed(1);
  print(
    `${run} seeds, ${hours} h of virtual time in ${seconds} s; slowest to settle after healing: ${worstSettledMs} ms`,
  );
  print(
    failed.length === 0 ? 'All promises kept.' : `${failed.length} failed: ${failed.join(' ')}`,
  );
  return failed.length === 0;
}

try {
  const given = readArguments();
  if (given === null) print(USAGE);
  else process.exitCode = (given.seeds > 1 ? runMany(given) : runSingle(given)) ? 0 : 1;
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(`${error.message}\n\n${USAGE}\n`);
  process.exitCode = 2;
}
