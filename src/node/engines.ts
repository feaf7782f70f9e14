/** The engines that the configuration enables, with every limit they are told. */
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { NodeId } from '../core/record/ids.ts';
import { createDockerEngine } from '../engines/docker/docker-engine.ts';
import type { Engine } from '../engines/engine.ts';
import { createNoopEngine } from '../engines/noop/engine.ts';
import { createWasmEngine } from '../engines/wasm/engine.ts';
import type { Log } from '../lib/log.ts';
import { lineageOf } from './lineage.ts';

export interface EngineSurroundings {
  readonly nodeId: NodeId;
  readonly log: Log;
}

/** The bundle brings the runner of wasm programs as a file beside itself; the sources run from where they lie. */
const runnerPath = import.meta.filename.endsWith('.ts')
  ? join(import.meta.dirname, '..', 'engines', 'wasm', 'runner.ts')
  : join(import.meta.dirname, 'wasm-runner.js');

export function createEngines(
  config: Config,
  { nodeId, log }: EngineSurroundings,
): ReadonlyMap<string, Engine> {
  const { docker, wasm, noop } = config.engines;
  const { host, dataDir } = lineageOf(config.node.dataDir);
  const engines: Engine[] = [];
  if (wasm.enabled) {
    engines.push(
      createWasmEngine({
        nodePath: process.execPath,
        runnerPath,
        scratchRoot: join(config.node.dataDir, 'executions'),
        toolDirectories: ['/usr/bin', '/bin', '/usr/sbin', '/sbin'],
        maxModuleBytes: wasm.moduleMaxBytes,
        cpuSecondsMax: 24 * 3_600,
        memoryAllowanceBytes: wasm.overheadBytes,
        filesMax: config.storage.resultEntriesMax,
        openFilesMax: wasm.openFilesMax,
        pollMs: 100,
      }),
    );
  }
  if (docker.enabled) {
    engines.push(
      createDockerEngine({
        ...docker,
        socketPath: docker.socket === '' ? null : docker.socket,
        user: docker.user === '' ? null : docker.user,
        nodeLabel: nodeId,
        meshLabel: config.network.id,
        privateRegistries: config.policy.privateRegistries,
        defaultNetwork: config.policy.defaultNetwork,
        dataLabel: dataDir,
        hostLabel: host,
        diskLooksMax: config.storage.diskLooksMax,
        portAddresses: config.policy.portAddresses,
        onProgress: (execution, text) => log.info({ execution, text }, 'image.pull'),
      }),
    );
  }
  if (noop.enabled) engines.push(createNoopEngine());
  return new Map(engines.map((engine) => [engine.name, engine]));
}
