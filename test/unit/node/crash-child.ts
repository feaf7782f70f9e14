/**
 * A process that carries out one execution and says on stdout what it told, one JSON event per line;
 * the tests kill it. Arguments: directory, execution order as JSON, and the options below as JSON.
 */
import { join } from 'node:path';
import type { ExecutionOrder } from '../../../src/core/record/execution.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createRunner } from '../../../src/node/runner/runner.ts';
import type { Publisher, Source } from '../../../src/storage/source.ts';
import { createShellEngine } from './shell-engine.ts';
import { settings } from './support.ts';

export interface CrashOptions {
  readonly resume: boolean;
  /** The engine finds its programs again. */
  readonly reattaches: boolean;
  /** What never returns. */
  readonly hangs: 'source' | 'publisher' | 'nothing';
}

const [directory = '', orderText = '', optionsText = ''] = process.argv.slice(2);
const order = JSON.parse(orderText) as ExecutionOrder;
const options = JSON.parse(optionsText) as CrashOptions;

const perhapsHang = async (what: CrashOptions['hangs']): Promise<void> => {
  if (options.hangs === what) await new Promise(() => {});
};
const source: Source = {
  type: 'slow',
  async stage() {
    await perhapsHang('source');
    return { mounts: [], bytes: 0, cleanup: async () => {} };
  },
};
const publisher: Publisher = {
  type: 'slow',
  async publish() {
    await perhapsHang('publisher');
    return { result: { cid: 'bafy0', bytes: 1 }, dropped: [] };
  },
};

const runner = createRunner({
  onDiskFull: () => {},
  engines: new Map([['shell', createShellEngine(options.reattaches)]]),
  sources: new Map([['slow', source]]),
  publishers: new Map([['slow', publisher]]),
  settings,
  environment: {},
  now: Date.now,
  executionsDir: join(directory, 'executions'),
  log: createLog('silent', process.stderr),
  emit: (_execution, event) => process.stdout.write(`${JSON.stringify(event)}\n`),
});
runner.start(order, options.resume);
// The parent ends this process, or it ends when nothing is left to do.
const alive = setInterval(() => {
  if (!runner.isActive(order.execution)) clearInterval(alive);
}, 10);
