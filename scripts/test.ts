/**
 * Runs every level of the tests, one after the other, and sums them up. `npm test -- unit mesh` runs
 * only these levels. The levels are described in `test/README.md`.
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = join(import.meta.dirname, '..');
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

interface Level {
  readonly name: string;
  /** Folder below `test/`; null for the level that runs the checkers. */
  readonly folder: string | null;
  /** Test files run at the same time: real peers and containers get the machine to themselves. */
  readonly parallel: number;
  /** Longest time of one test, milliseconds. */
  readonly timeoutMs: number;
}

const LEVELS: readonly Level[] = [
  { name: 'check', folder: null, parallel: 1, timeoutMs: 0 },
  { name: 'unit', folder: 'unit', parallel: 2, timeoutMs: 120_000 },
  { name: 'contract', folder: 'contract', parallel: 1, timeoutMs: 180_000 },
  { name: 'simulation', folder: 'simulation', parallel: 2, timeoutMs: 400_000 },
  { name: 'docker', folder: 'docker', parallel: 1, timeoutMs: 180_000 },
  { name: 'mesh', folder: 'mesh', parallel: 2, timeoutMs: 300_000 },
  { name: 'examples', folder: 'examples', parallel: 1, timeoutMs: 300_000 },
];

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

function testFiles(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .flatMap((path) =>
      statSync(path).isDirectory() ? testFiles(path) : path.endsWith('.test.ts') ? [path] : [],
    )
    .sort();
}

/** Runs a program with its output on this terminal; `watch` sees the output too. */
function run(
  command: string,
  args: readonly string[],
  watch: (text: string) => void = () => {},
): Promise<number> {
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    process.stdout.write(text);
    watch(text);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}

async function check(): Promise<Counts> {
  const code = await run('npm', ['run', '--silent', 'check']);
  return { passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1, skipped: 0 };
}

async function runLevel(level: Level): Promise<Counts> {
  if (level.folder === null) return check();
  const files = testFiles(join(root, 'test', level.folder));
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 };
  let tail = '';
  const args = [
    '--test',
    `--test-concurrency=${level.parallel}`,
    `--test-timeout=${level.timeoutMs}`,
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    ...files.map((file) => relative(root, file)),
  ];
  const code = await run(process.execPath, args, (text) => {
    tail = (tail + text).slice(-20_000);
  });
  const count = (what: string): number =>
    Number(new RegExp(`^ℹ ${what} (\\d+)$`, 'm').exec(tail)?.[1] ?? 0);
  const counts = {
    passed: count('pass'),
    failed: count('fail') + count('cancelled'),
    skipped: count('skipped'),
  };
  // A runner that died has no closing lines; that is a failure too.
  if (code !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !LEVELS.some((level) => level.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `test: no level ${unknown.join(', ')}; there are ${LEVELS.map(({ name }) => name).join(', ')}\n`,
  );
  process.exit(2);
}
if (!existsSync(bin('tsc'))) {
  process.stderr.write(
    'test: the development packages are missing; run scripts/test, or npm install\n',
  );
  process.exit(2);
}

const results: { name: string; seconds: number; counts: Counts }[] = [];
for (const level of LEVELS.filter(({ name }) => wanted.length === 0 || wanted.includes(name))) {
  process.stdout.write(`\n—— ${level.name} ——\n`);
  const started = performance.now();
  const counts = await runLevel(level);
  results.push({ name: level.name, seconds: (performance.now() - started) / 1000, counts });
}
const TOTAL: Counts = { passed: 0, failed: 0, skipped: 0 };
process.stdout.write('\n');
for (const { name, seconds, counts } of results) {
  const { passed, failed, skipped } = counts;
  TOTAL.passed += passed;
  TOTAL.failed += failed;
  TOTAL.skipped += skipped;
  process.stdout.write(
    `${name.padEnd(12)}${seconds.toFixed(0).padStart(5)} s  ${passed} passed, ${failed} failed, ${skipped} skipped\n`,
  );
}
process.stdout.write(
  `\n${TOTAL.passed} passed, ${TOTAL.failed} failed, ${TOTAL.skipped} skipped\n`,
);
process.exitCode = TOTAL.failed > 0 ? 1 : 0;
