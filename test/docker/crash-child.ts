/**
 * A node process that a test can kill: runs one execution, given as JSON in its first two arguments
 * (configuration, run), and prints how it ended.
 */
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import type { DockerEngineConfig } from '../../src/engines/docker/config.ts';
import type { EngineRun } from '../../src/engines/engine.ts';

const [config = '', run = ''] = process.argv.slice(2);
const engine = createDockerEngine({
  ...(JSON.parse(config) as DockerEngineConfig),
  onProgress: () => undefined,
});
const outcome = await engine.run(
  JSON.parse(run) as EngineRun,
  () => process.stdout.write('started\n'),
  new AbortController().signal,
);
process.stdout.write(`${JSON.stringify(outcome)}\n`);
