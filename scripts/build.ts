/**
 * Bundles the program into `dist/`: one entry for the command line, which loads the daemon only when
 * it serves, and one for the process that runs wasm programs. Bundled, a command starts in a fifth of
 * the time, and the daemon needs half the memory, because some 1,800 modules need not be found.
 */
import { execFileSync } from 'node:child_process';
import { rm, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { build } from 'esbuild';
import type { BuildOptions } from 'esbuild';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');

/** Some dependencies are CommonJS and call these. */
const banner = [
  `import { createRequire as __createRequire } from 'node:module';`,
  `const require = __createRequire(import.meta.url);`,
  `const __filename = import.meta.filename;`,
  `const __dirname = import.meta.dirname;`,
].join('\n');

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node24',
  legalComments: 'none',
  logLevel: 'warning',
  // Native add-ons of optional features that are not used.
  external: ['*.node', 'cpu-features', 'node-datachannel'],
};

/** Of the checkout that is built; '' when it is none, or git is not there. */
function commit(): string {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return '';
  }
}

/**
 * @param outdir emptied first.
 * @param failpoints places at which tests may break it (`src/lib/failpoint.ts`); the shipped program has none.
 */
export async function buildAll(outdir: string = dist, failpoints = false): Promise<void> {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  await rm(outdir, { recursive: true, force: true });
  await build({
    ...COMMON,
    outdir,
    entryPoints: { shoal: join(root, 'src/main.ts') },
    splitting: true,
    minifySyntax: true,
    minifyWhitespace: true,
    chunkNames: 'chunk-[hash]',
    banner: { js: banner },
    define: {
      SHOAL_VERSION: JSON.stringify(version),
      SHOAL_COMMIT: JSON.stringify(commit()),
      SHOAL_FAILPOINTS: String(failpoints),
    },
  });
  // It runs under the permission model and may read nothing but itself: one file, no imports.
  await build({
    ...COMMON,
    outdir,
    define: { SHOAL_FAILPOINTS: 'false' },
    entryPoints: { 'wasm-runner': join(root, 'src/engines/wasm/runner.ts') },
  });
}

if (import.meta.main) await buildAll();
