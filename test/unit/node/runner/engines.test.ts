import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { loadConfig } from '../../../../src/config/load.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';
import { encodeDataUrl } from '../../../../src/job/inline.ts';
import { createLog } from '../../../../src/lib/log.ts';
import { createEngines } from '../../../../src/node/engines.ts';
import { inputOf, orderOf } from '../../storage/support.ts';
import { failureOf, world } from '../support.ts';
import type { World } from '../support.ts';

const modules = join(import.meta.dirname, '../../../fixtures/wasm');

/** A runner with the engines of a peer as they are configured by default, and noop. */
async function peer(): Promise<World> {
  const flags = { '--no-docker': true, '--noop': true, '--data-dir': import.meta.dirname };
  const { config } = await loadConfig({
    flags,
    env: {},
    home: import.meta.dirname,
    cwd: import.meta.dirname,
  });
  const log = createLog('silent', process.stderr);
  return world({
    engines: createEngines(config, { nodeId: asNodeId('12D3KooWTest'), log }),
    settings: { inputMaxBytes: 10_000_000 },
  });
}

describe('the runner with the engines of a peer', () => {
  it('runs a wasm program: inputs in, results out, exit code kept', async () => {
    await using w = await peer();
    const module = await w.content.add(join(modules, 'args.wasm'), new AbortController().signal);
    const order = orderOf('e-1', {
      Engine: {
        Type: 'wasm',
        Params: { EntryModule: '/module.wasm', Entrypoint: '_start', Parameters: ['one', 'two'] },
      },
      Publisher: { Type: 'ipfs', Params: {} },
      InputSources: [
        inputOf('ipfs', { CID: module.cid }, '/module.wasm'),
        inputOf('inline', { URL: encodeDataUrl(Buffer.from('x')) }, '/in'),
      ],
      ResultPaths: [{ Name: 'out', Path: '/out' }],
      resources: { cpuMillis: 500, memoryBytes: 64_000_000, diskBytes: 1_000_000, gpus: 0 },
    });
    w.runner.start(order, false);
    const last = await w.last();
    assert.equal(last.type, 'ended', JSON.stringify(last));
    assert.deepEqual(w.told(), ['preparing', 'starting', 'running', 'publishing', 'ended']);
    assert.ok(last.type === 'ended' && last.result !== null);
    assert.match(last.output.stdout, /two/);
    assert.equal(w.content.filesOf(last.result.cid)['exitCode'], String(last.exitCode));
    assert.equal(
      await readFile(join(w.executionsDir, 'e-1/logs/stdout'), 'utf8'),
      w.content.filesOf(last.result.cid)['stdout'],
    );
  });

  it('waits, ends and cancels runs of the noop engine', async () => {
    await using w = await peer();
    w.runner.start(orderOf('e-1', { Engine: { Type: 'noop', Params: { ExitCode: 7 } } }), false);
    const last = await w.last();
    assert.ok(last.type === 'ended' && last.exitCode === 7, JSON.stringify(last));
    const endless = orderOf(
      'e-2',
      { Engine: { Type: 'noop', Params: { Milliseconds: 600_000 } } },
      { timeoutMs: 50 },
    );
    w.runner.start(endless, false);
    assert.equal(failureOf(await w.last('e-2')), 'limit execution-timeout');
    w.runner.start(
      orderOf('e-3', { Engine: { Type: 'noop', Params: { Milliseconds: 600_000 } } }),
      false,
    );
    await w.phase('running', 'e-3');
    w.runner.cancel(orderOf('e-3', {}).execution, 'stopped');
    assert.equal((await w.last('e-3')).type, 'cancelled');
  });
});
