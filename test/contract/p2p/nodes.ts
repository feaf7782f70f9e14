/** Real nodes on loopback for the tests of this folder: started with test values, always stopped. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MemoryDatastore } from 'datastore-core';
import type { Datastore } from 'interface-datastore';
import { createHost } from '../../../p2p/host.ts';
import type { Host, HostConfig, HostDeps } from '../../../p2p/host-types.ts';
import type { Gossip } from '../../../src/core/contract/messages.ts';

export interface TestNode {
  readonly host: Host;
  readonly config: HostConfig;
  readonly datastore: Datastore;
  readonly directory: string;
  /** Without arguments the same node again: key, datastore, blocks; `changes` overrides. */
  restart(changes?: Partial<HostConfig>): Promise<TestNode>;
}

export const quiet: HostDeps['log'] = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: (data, event) => process.stderr.write(`${event} ${JSON.stringify(data)}\n`),
};

/** Test gossip is JSON; text that is none is the sender's fault, `"ignore"` is not. */
const decodeJson: HostDeps['decodeGossip'] = (bytes) => {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString());
    if (value === 'ignore') return { ok: false, sendersFault: false, why: 'ignored' };
    return { ok: true, gossip: value as Gossip };
  } catch {
    return { ok: false, sendersFault: true, why: 'not JSON' };
  }
};

/** Starts nodes and remembers them; `stopAll` belongs into `after`. */
export function testNodes(): {
  start(changes?: Partial<HostConfig>, deps?: Partial<HostDeps>): Promise<TestNode>;
  stopAll(): Promise<void>;
} {
  const hosts = new Set<Host>();
  const directories: string[] = [];

  const start = async (
    config: HostConfig,
    deps: HostDeps,
    directory: string,
  ): Promise<TestNode> => {
    const host = await createHost(config, deps);
    hosts.add(host);
    return {
      host,
      config,
      directory,
      datastore: deps.datastore,
      async restart(changes = {}) {
        hosts.delete(host);
        await host.stop();
        return start({ ...config, ...changes }, deps, directory);
      },
    };
  };

  return {
    async start(changes = {}, deps = {}) {
      const directory = await mkdtemp(path.join(tmpdir(), 'shoal-p2p-'));
      directories.push(directory);
      const config: HostConfig = {
        network: 'test',
        version: '0.0.0',
        seed: randomBytes(32),
        listen: ['/ip4/127.0.0.1/tcp/0'],
        announce: [],
        bootstrap: [],
        swarmKey: null,
        mdns: false,
        dht: false,
        blocksPath: path.join(directory, 'blocks'),
        libp2pLines: false,
        maxConnections: 200,
        discovery: { fullMeshMax: 50, degree: 16 },
        messages: { queueFrames: 4_096, queueBytes: 16 << 20 },
        contentQuotaBytes: 1 << 30,
        servesMax: 16,
        standing: { faultsMax: 32, coolingMs: 30_000 },
        ...changes,
      };
      const all: HostDeps = {
        datastore: new MemoryDatastore(),
        log: quiet,
        admit: () => true,
        decodeGossip: decodeJson,
        ...deps,
      };
      return start(config, all, directory);
    },
    async stopAll() {
      await Promise.all([...hosts].map((host) => host.stop()));
      await Promise.all(directories.map((one) => rm(one, { recursive: true, force: true })));
    },
  };
}

/** Waits for a condition; fails with what `state` prints. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  state: () => unknown = () => '',
  ms = 15_000,
): Promise<void> {
  const end = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > end)
      throw new Error(`${what}: not within ${ms} ms; ${JSON.stringify(state())}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const first = (host: Host): string => host.addresses()[0] ?? '';
