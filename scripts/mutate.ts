/**
 * Plants small mistakes in a copy of the tree, one at a time, and looks whether the unit tests of the
 * core and the simulator notice. The table that is printed stands in `test/README.md`.
 *
 *   npm run mutate                        every mistake; takes the better part of an hour
 *   npm run mutate -- --only "a quorum"   those with this in their name or file
 *
 * Exit code: 0 = every mistake that matters is noticed, 1 = some survive, 2 = wrong usage, or the
 * table speaks of sources that are not so any more.
 */
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { MutationError } from '../test/mutation/mutation.ts';
import { createScratch } from '../test/mutation/scratch.ts';
import type { Finding, Scratch } from '../test/mutation/scratch.ts';
import { mutations } from '../test/mutation/table.ts';
import type { Planted } from '../test/mutation/table.ts';

const USAGE = `Usage: npm run mutate -- [options]

  --only TEXT   mistakes with this text in their name or file; may be given several times
  --seeds N     simulator seeds that each has to survive (default 300)
  --help        this text`;

class UsageError extends Error {}

interface Outcome extends Planted {
  readonly unit: Finding | null;
  readonly swarm: Finding | null;
}

const print = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
const say = (text: string): void => {
  process.stderr.write(`${text}\n`);
};

function readArguments(): { seeds: number; wanted: readonly Planted[]; all: boolean } | null {
  const { values } = parse();
  if (values.help) return null;
  const seeds = Number(values.seeds ?? '300');
  if (!Number.isSafeInteger(seeds) || seeds < 1)
    throw new UsageError(`--seeds must be a whole number from 1 on, not "${values.seeds}".`);
  const only = values.only ?? [];
  const wanted = mutations.filter(
    ({ file, mutation }) =>
      only.length === 0 || only.some((text) => file.includes(text) || mutation.name.includes(text)),
  );
  if (wanted.length === 0) throw new UsageError(`No mistake is called "${only.join('", "')}".`);
  return { seeds, wanted, all: only.length === 0 };
}

function parse() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string', multiple: true },
        seeds: { type: 'string' },
        help: { type: 'boolean' },
      },
      strict: true,
      allowPositionals: false,
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function mustBeSound(scratch: Scratch, seeds: number): Promise<void> {
  const found = await scratch.sound(seeds);
  if (found !== null) throw new UsageError(`The tree fails as it is: ${found.by}.`);
}

async function tryOne(scratch: Scratch, one: Planted, seeds: number): Promise<Outcome> {
  return scratch.plant(one.file, one.mutation, async () => {
    const unit = await scratch.unitTests(one.file);
    const swarm = await scratch.swarm(seeds);
    return { ...one, unit, swarm };
  });
}

const findingText = (found: Finding | null): string =>
  found === null ? '—' : `${found.by} (${(found.ms / 1_000).toFixed(1)} s)`;

const row = ({ file, mutation, unit, swarm }: Outcome): string => {
  const what = `${mutation.name}: ${mutation.why}`;
  const verdict = mutation.equivalent === true ? 'equivalent' : findingText(unit);
  return `| ${what} | \`${file}\` | ${verdict} | ${findingText(swarm)} |`.replaceAll('\n', ' ');
};

const survives = ({ mutation, unit, swarm }: Outcome): boolean =>
  unit === null && swarm === null && mutation.equivalent !== true;

async function main(): Promise<number> {
  const given = readArguments();
  if (given === null) {
    print(USAGE);
    return 0;
  }
  const scratch = createScratch(join(import.meta.dirname, '..'));
  try {
    if (given.all) await mustBeSound(scratch, given.seeds);
    const outcomes: Outcome[] = [];
    print('| mistake | planted in | unit test | simulator |\n|---|---|---|---|');
    for (const one of given.wanted) {
      const outcome = await tryOne(scratch, one, given.seeds);
      outcomes.push(outcome);
      print(row(outcome));
    }
    const count = (noticed: (outcome: Outcome) => boolean): number =>
      outcomes.filter(noticed).length;
    const left = outcomes.filter(survives);
    say(
      `${outcomes.length} mistakes: the unit tests notice ${count(({ unit }) => unit !== null)}, ` +
        `the simulator ${count(({ swarm }) => swarm !== null)}, neither ${left.length}`,
    );
    for (const { file, mutation } of left) say(`SURVIVES: ${mutation.name} (${file})`);
    return left.length === 0 ? 0 : 1;
  } finally {
    scratch.remove();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof MutationError)) throw error;
  say(error instanceof UsageError ? `${error.message}\n\n${USAGE}` : error.message);
  process.exitCode = 2;
}
