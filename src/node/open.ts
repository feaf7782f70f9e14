/** Opens the parts of a peer that need several things of its configuration: identity, host, runner. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { createHost } from '../../p2p/host.ts';
import type { Host } from '../../p2p/host.ts';
import { encodeBody } from '../../p2p/wire/envelope.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { peerIdOf } from '../../p2p/wire/peer-id.ts';
import { createRowCodec } from '../../p2p/wire/rows.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { asJobId, asPublicKey } from '../core/record/ids.ts';
import type { Engine } from '../engines/engine.ts';
import type { Job } from '../job/model.ts';
import type { ContentStore } from '../lib/content.ts';
import type { Log } from '../lib/log.ts';
import { createInlineSource } from '../storage/inline-source.ts';
import { createIpfsSource } from '../storage/ipfs-source.ts';
import { createLocalSource } from '../storage/local-source.ts';
import { createIpfsPublisher, createNoopPublisher } from '../storage/publishers.ts';
import { createCrypto } from '../store/crypto.ts';
import { SqliteDatastore } from '../store/datastore.ts';
import { loadKey, readSwarmKey } from '../store/keys.ts';
import type { Driver } from './driver.ts';
import { gossipReader } from './gossip-reader.ts';
import { planListen } from './listen.ts';
import type { Retention } from './retention.ts';
import { createRunner } from './runner/runner.ts';
import type { Runner } from './runner/runner.ts';

/** Closers run in reverse order of opening, each even when an earlier one failed. */
export class Closers {
  readonly #closers: (() => void | Promise<void>)[] = [];
  readonly #log: Log;
  constructor(log: Log) {
    this.#log = log;
  }
  add(close: () => void | Promise<void>): void {
    this.#closers.push(close);
  }
  async run(): Promise<void> {
    for (const close of this.#closers.splice(0).reverse()) {
      try {
        await close();
      } catch (error) {
        this.#log.warn({ error: String(error) }, 'stop.incomplete');
      }
    }
  }
}

export function openIdentity(config: Config) {
  const crypto = createCrypto();
  const nodeSeed = loadKey(join(config.node.dataDir, 'node.key'), randomBytes);
  const ownerSeed = loadKey(config.node.ownerKey, randomBytes);
  const net = config.network.id;
  const suite = createSuite({ net, nodeSeed, ownerSeed, crypto });
  const options = { net, sha256: crypto.sha256 };
  return { suite, nodeSeed, codec: createMessageCodec(options), rowCodec: createRowCodec(options) };
}

export async function openHost(
  loaded: LoadedConfig,
  version: string,
  identity: ReturnType<typeof openIdentity>,
  log: Log,
  closers: Closers,
): Promise<Host> {
  const { config, origins } = loaded;
  const { dataDir } = config.node;
  const datastore = new SqliteDatastore(join(dataDir, 'peers.db'), (what, why) =>
    log.warn({ what, why }, 'peers.problem'),
  );
  datastore.open();
  closers.add(() => datastore.close());
  const plan = await planListen(
    config.network.listen,
    config.network.listenFallback && !origins.has('network.listen'),
  );
  for (const { from, to } of plan.moved) log.warn({ from, to }, 'listen.moved');
  const host = await createHost(
    {
      network: config.network.id,
      version,
      seed: identity.nodeSeed,
      listen: plan.addresses,
      announce: config.network.announce,
      bootstrap: config.network.bootstrap,
      swarmKey: config.network.swarmKey === '' ? null : readSwarmKey(config.network.swarmKey),
      mdns: config.network.mdns,
      dht: true,
      blocksPath: join(dataDir, 'blocks'),
      libp2pLines: config.logging.level === 'trace',
      maxConnections: config.network.connectionsMax,
      discovery: { fullMeshMax: 50, degree: 16 },
      messages: { queueFrames: 16_384, queueBytes: 32 << 20 },
      contentQuotaBytes: config.results.quotaBytes,
      servesMax: 16,
      standing: { faultsMax: 32, coolingMs: 30_000 },
    },
    {
      datastore,
      log: log.child({ component: 'p2p' }),
      admit: () => true,
      decodeGossip: gossipReader(identity.codec, identity.suite, () => Date.now()),
    },
  );
  closers.add(() => host.stop());
  return host;
}

export function openRunner({
  config,
  engines,
  content,
  driver,
  retention,
  now,
  onDiskFull,
  log,
}: {
  readonly config: Config;
  readonly engines: ReadonlyMap<string, Engine>;
  readonly content: ContentStore;
  readonly driver: Driver;
  readonly retention: Retention;
  /** Counted time. */
  readonly now: () => number;
  readonly onDiskFull: () => void;
  readonly log: Log;
}): Runner {
  const { storage } = config;
  const sources = [
    createIpfsSource(content),
    createInlineSource(storage.inlineMaxBytes),
    createLocalSource('localdirectory', config.policy.allowedPaths),
  ];
  const publishers = [
    createIpfsPublisher(content),
    createIpfsPublisher(content, 'local'),
    createNoopPublisher(''),
    createNoopPublisher('noop'),
  ];
  return createRunner({
    engines,
    sources: new Map(sources.map((source) => [source.type, source])),
    publishers: new Map(publishers.map((publisher) => [publisher.type, publisher])),
    settings: { ...storage, allowedEnv: config.policy.allowedEnv },
    environment: process.env,
    now,
    onDiskFull,
    executionsDir: join(config.node.dataDir, 'executions'),
    log: log.child({ component: 'runner' }),
    emit: (execution, event) => {
      if (event.type === 'ended' && event.result !== null) retention.hold(event.result.cid);
      driver.push({ type: 'run-event', execution, event });
    },
  });
}

/** Bytes that a spec has inside its record; more than `maxBytes` when it cannot be encoded at all. */
export function specBytes(job: Job, maxBytes: number): number {
  const encoded = encodeBody('spec', {
    job: asJobId(`j-00000000-0000-8000-8000-000000000000`),
    owner: asPublicKey('0'.repeat(64)),
    version: 1,
    nonce: '0'.repeat(32),
    sponsor: peerIdOf(new Uint8Array(32)),
    spec: job,
    notAfter: Date.now(),
  });
  if (encoded.ok) return encoded.bytes.length;
  // It has a text that is too long or too many values: what it takes as JSON is what can be told.
  return Math.max(Buffer.byteLength(JSON.stringify(job)), maxBytes + 1);
}
