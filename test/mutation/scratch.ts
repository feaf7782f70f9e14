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
import { run } from 'node:test';
import { planted } from './mutation.ts';
import type { Mutation } from './mutation.ts';

/** Who noticed first, and after how long. */
export interface Finding {
  readonly by: string;
  readonly ms: number;
}

export interface Scratch {
  /** Puts the mistake in place of what stands there. @throws MutationError */
  plant(file: string, mutation: Mutation): void;
  /** The tree as it was copied. */
  restore(file: string): void;
  /** Runs the unit tests of the core until one fails. @param file whose own tests come first */
  unitTests(file: string | null): Promise<Finding | null>;
  /** Runs simulator seeds 1 … `seeds` with faults until one fails. */
  swarm(seeds: number): Promise<Finding | null>;
  remove(): void;
}

/** A mistake may make a test wait for ever: that is noticed, too. */
const unitMaxMs = 300_000;
const swarmMaxMs = 300_000;
const copied = ['src', 'p2p', 'scripts', 'test', 'package.json', 'tsconfig.json'];
/** Tests of the core, and of the wire for mistakes that are planted there. */
const unitFolders = ['test/unit/core', 'test/unit/p2p/wire'];

export function createScratch(root: string): Scratch {
  const home = mkdtempSync(join(tmpdir(), 'shoal-mutate-'));
  for (const name of copied) cpSync(join(root, name), join(home, name), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(home, 'node_modules'));
  return {
    plant: (file, mutation) => {
      const source = readFileSync(join(root, file), 'utf8');
      writeFileSync(join(home, file), planted(file, source, mutation));
    },
    restore: (file) => cpSync(join(root, file), join(home, file)),
    unitTests: (file) => unitTests(home, file),
    swarm: (seeds) => swarm(home, seeds),
    remove: () => rmSync(home, { recursive: true }),
  };
}

async function unitTests(home: string, file: string | null): Promise<Finding | null> {
  const began = performance.now();
  const own = file === null ? '' : join(home, 'test', 'unit', dirname(file).replace(/^src\//, ''));
  const files = unitFolders
    .filter((folder) => !folder.includes('wire') || (file ?? 'p2p').startsWith('p2p'))
    .flatMap((folder) => testFiles(join(home, folder)))
    .sort((a, b) => Number(b.startsWith(own)) - Number(a.startsWith(own)));
  const stop = new AbortController();
  let found: Finding | null = null;
  const find = (by: string): void => {
    found ??= { by, ms: performance.now() - began };
    stop.abort();
  };
  const deadline = setTimeout(() => find('the unit tests do not end'), unitMaxMs);
  const tests = run({ files, cwd: home, concurrency: 2, signal: stop.signal });
  tests.on('test:fail', ({ name, file: where, details }) => {
    // A suite fails because of a test in it, which was told of before.
    if (details.type === 'suite') return;
    find(`${relative(join(home, 'test'), where ?? home)}: ${name.replace(home, '')}`);
  });
  await new Promise((resolve) => {
    tests.on('end', resolve).on('error', resolve);
    tests.resume();
  });
  clearTimeout(deadline);
  return found;
}

function testFiles(directory: string): readonly string[] {
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .map((name) => join(directory, name))
    .flatMap((path) =>
      statSync(path).isDirectory() ? testFiles(path) : path.endsWith('.test.ts') ? [path] : [],
    );
}

async function swarm(home: string, seeds: number): Promise<Finding | null> {
  const began = performance.now();
  const args = ['scripts/simulate.ts', '--faults', '--seeds', String(seeds), '--first'];
  const child = spawn(process.execPath, args, { cwd: home, stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const deadline = setTimeout(() => child.kill('SIGKILL'), swarmMaxMs);
  const code = await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(deadline);
  const ms = performance.now() - began;
  const failed = /^seed (\d+) FAILS (\S+):/m.exec(output);
  if (failed !== null) return { by: `seed ${failed[1]}: ${failed[2]}`, ms };
  return code === 0 ? null : { by: 'the simulator does not end', ms };
}
