/** A copy of the tree in which mistakes are planted, and who notices them there. */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { planted } from './mutation.ts';
import type { Mutation } from './mutation.ts';

/** Who noticed first, and after how long. */
export interface Finding {
  readonly by: string;
  readonly ms: number;
}

export interface Scratch {
  /** Runs everything without a mistake: what fails then proves nothing about one. */
  sound(seeds: number): Promise<Finding | null>;
  /** Does something while the mistake stands there. @throws MutationError */
  plant<T>(file: string, mutation: Mutation, then: () => Promise<T>): Promise<T>;
  /** Runs the unit tests of the core until one fails. @param file whose own tests come first */
  unitTests(file: string): Promise<Finding | null>;
  /** Runs simulator seeds 1 … `seeds` with faults until one fails. */
  swarm(seeds: number): Promise<Finding | null>;
  remove(): void;
}

/**
 * A mistake may make a test wait for ever: that is noticed, too. Without any, everything takes what it takes
 * on this machine, and from then on some times as long is allowed.
 */
const WATCH_MAX_MS = { first: 1_800_000, least: 300_000, times: 3 };
const COPIED = ['src', 'p2p', 'scripts', 'test', 'package.json', 'tsconfig.json'];
/** Tests of the core, and of the wire for mistakes that are planted there. */
const UNIT_FOLDERS = ['test/unit/core', 'test/unit/p2p/wire'];
/** They come last: most mistakes are found without them. */
const SLOW = /(?:fuzz|bounds|pending|job-index)\.test\.ts$/;

export function createScratch(root: string): Scratch {
  const home = mkdtempSync(join(tmpdir(), 'shoal-mutate-'));
  for (const name of COPIED) cpSync(join(root, name), join(home, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'));
  let maxMs: number = WATCH_MAX_MS.least;
  return {
    async sound(seeds) {
      const began = performance.now();
      const { first } = WATCH_MAX_MS;
      const found = (await unitTests(home, null, first)) ?? (await swarm(home, seeds, first));
      const took = performance.now() - began;
      maxMs = Math.max(WATCH_MAX_MS.least, WATCH_MAX_MS.times * took);
      return found;
    },
    async plant(file, mutation, then) {
      // As it was copied: the tree itself may change meanwhile.
      const source = readFileSync(join(home, file), 'utf8');
      writeFileSync(join(home, file), planted(file, source, mutation));
      try {
        return await then();
      } finally {
        writeFileSync(join(home, file), source);
      }
    },
    unitTests: (file) => unitTests(home, file, maxMs),
    swarm: (seeds) => swarm(home, seeds, maxMs),
    remove: () => rmSync(home, { recursive: true }),
  };
}

async function unitTests(
  home: string,
  file: string | null,
  maxMs: number,
): Promise<Finding | null> {
  const began = performance.now();
  const own = file === null ? '' : join(home, 'test', 'unit', dirname(file).replace(/^src\//, ''));
  const rank = (path: string): number => (path.startsWith(own) ? 0 : SLOW.test(path) ? 2 : 1);
  const files = UNIT_FOLDERS.filter(
    (folder) => !folder.includes('wire') || file?.startsWith('p2p') !== false,
  ).flatMap((folder) => testFiles(join(home, folder)));
  for (const wanted of [0, 1, 2]) {
    const part = files.filter((path) => rank(path) === wanted);
    if (part.length === 0) continue;
    // One process for all of them: starting one for each file would take most of the time.
    const args = ['--test', '--test-isolation=none', '--test-reporter=tap', ...part];
    const failed = /^ *not ok \d+ - (.*)$[\s\S]*?^ *location: '(.*?\.ts)/m;
    const found = await watch(home, args, maxMs, failed, ([, name, path]) => {
      return `\`${relative(join(home, 'test'), path ?? '').replace('.test.ts', '')}\`: ${name}`;
    });
    if (found !== null) return { ...found, ms: performance.now() - began };
  }
  return null;
}

function swarm(home: string, seeds: number, maxMs: number): Promise<Finding | null> {
  const args = ['scripts/simulate.ts', '--faults', '--seeds', String(seeds), '--first'];
  const failed = /^seed (\d+) FAILS (\S+):/m;
  return watch(home, args, maxMs, failed, ([, seed, checker]) => `seed ${seed}: ${checker}`);
}

/** Runs a program until it prints that something failed, or ends. */
async function watch(
  home: string,
  args: readonly string[],
  maxMs: number,
  failed: RegExp,
  describe: (match: RegExpExecArray) => string,
): Promise<Finding | null> {
  const began = performance.now();
  const child = spawn(process.execPath, args, { cwd: home, stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  let found: string | null = null;
  const end = (by: string): void => {
    found ??= by;
    child.kill('SIGKILL');
  };
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    const match = failed.exec(output);
    if (match !== null) end(describe(match));
  });
  const deadline = setTimeout(() => end('it does not end'), maxMs);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(deadline);
  if (code !== 0) found ??= 'it breaks off';
  return found === null ? null : { by: found, ms: performance.now() - began };
}

function testFiles(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .flatMap((path) =>
      statSync(path).isDirectory() ? testFiles(path) : path.endsWith('.test.ts') ? [path] : [],
    );
}
