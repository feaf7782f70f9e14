/**
 * The composition root: builds a peer from its configuration and takes it down again. The only file
 * that may import from every folder; everything here is wiring.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createHost } from '../../p2p/host.ts';
import type { Host } from '../../p2p/host.ts';
import { encodeBody } from '../../p2p/wire/envelope.ts';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import type { MessageCodec } from '../../p2p/wire/messages.ts';
import { createRowCodec } from '../../p2p/wire/rows.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { createApiServer } from '../api/server.ts';
import { explainConfig, limitsOf } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { asExecutionId, asJobId, asPublicKey } from '../core/ids.ts';
import type { JobId, NodeId } from '../core/ids.ts';
import { createMachine } from '../core/machine.ts';
import type { Effect, Machine, NoteEvent } from '../core/machine-types.ts';
import type { Gossip } from '../core/messages.ts';
import type { Engine } from '../engines/engine.ts';
import type { Job } from '../job/model.ts';
import type { ContentStore } from '../lib/content.ts';
import { createLog } from '../lib/log.ts';
import type { Log } from '../lib/log.ts';
import { createIpfsSource } from '../storage/ipfs-source.ts';
import { createInlineSource } from '../storage/inline-source.ts';
import { createLocalSource } from '../storage/local-source.ts';
import { createIpfsPublisher, createNoopPublisher } from '../storage/publishers.ts';
import { createCrypto } from '../store/crypto.ts';
import { SqliteDatastore } from '../store/datastore.ts';
import { loadKey, readSwarmKey } from '../store/keys.ts';
import { lockDataDir } from '../store/lock.ts';
import { openStore } from '../store/store.ts';
import { createDriver } from './driver.ts';
import type { Driver } from './driver.ts';
import { createEngines } from './engines.ts';
import { diagnose } from './doctor.ts';
import { planListen } from './listen.ts';
import { encodeLogLine } from './log-frames.ts';
import { readLogs } from './logs.ts';
import type { LogSource } from './logs.ts';
import { createNodeMetrics } from './metrics.ts';
import type { NodeMetrics } from './metrics.ts';
import { createProfiler } from './profile.ts';
import { createRetention } from './retention.ts';
import { createRunner } from './runner.ts';
import type { Runner } from './runner.ts';
import { createService } from './service.ts';
import { announcingContent } from './announcing-content.ts';

/** A running peer. */
export interface Peer {
  readonly nodeId: NodeId;
  readonly addresses: readonly string[];
  readonly api: { readonly host: string; readonly port: number };
  /** Takes nothing new, ends what runs, tells the others, closes everything. Idempotent. */
  stop(): Promise<void>;
  /** Resolves when the peer has stopped; rejects when it broke. */
  readonly ended: Promise<void>;
}

/** Spec records hold at most this; the envelope around them needs the rest of 64 KiB. */
const specMaxBytes = 60_000;
/** Running programs get this long to be stopped and reported when the peer leaves. */
const leaveMs = 8_000;

/** Closers run in reverse order of opening, each even when an earlier one failed. */
class Closers {
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

/** @throws ShoalError for everything a person can put right: configuration, keys, ports, locks, stores. */
export async function startPeer(loaded: LoadedConfig, version: string): Promise<Peer> {
  const { config } = loaded;
  const log = createLog(config.logging.level, process.stderr);
  const closers = new Closers(log);
  try {
    return await compose(loaded, version, log, closers);
  } catch (error) {
    await closers.run();
    throw error;
  }
}

async function compose(loaded: LoadedConfig, version: string, log: Log, closers: Closers): Promise<Peer> {
  const { config } = loaded;
  const { dataDir } = config.node;
  for (const directory of [dataDir, join(dataDir, 'executions'), join(dataDir, 'spool')]) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  }
  const lock = lockDataDir(dataDir);
  closers.add(() => lock.release());
  const identity = openIdentity(config);
  const { codec, rowCodec, suite } = identity;
  const store = openStore(dataDir, { codec: rowCodec, random: randomBytes });
  closers.add(() => store.close());
  for (const problem of store.problems) log.warn({ ...problem }, 'store.problem');
  const host = await openHost(loaded, version, identity, log, closers);
  const peerLog = log.child({ node: host.nodeId.slice(-8) });

  const machine = createMachine(
    { node: host.nodeId, store: store.id, limits: limitsOf(config) },
    suite,
    store.restore(),
  );
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  const retention = createRetention({
    kv: store.kv,
    content: host.content,
    retentionMs: config.results.retentionMs,
    log: peerLog,
  });
  closers.add(() => retention.stop());
  // Driver, runner and metrics know each other only through these two closures.
  const metrics = createNodeMetrics({ host: () => host, driver: () => driver, machine });
  const hands: Hands = { host, codec, log: peerLog, metrics, runner: () => runner, replicate: (effect) => replicate(effect) };
  const driver: Driver = createDriver(machine, {
    persist: (writes) => store.apply(writes),
    perform: (effect) => perform(hands, effect),
    log: peerLog,
    onFatal: (error, inputs) => {
      peerLog.fatal({ error: stackOf(error) }, 'node.broken');
      writeFileSync(join(dataDir, `crash-${Date.now()}.jsonl`), `${inputs.join('\n')}\n`, { mode: 0o600 });
      ended.reject(error instanceof Error ? error : new Error(String(error)));
    },
  });
  closers.add(() => driver.stop());
  const content = announcingContent(host.content, (cid, local) => driver.push({ type: 'content', cid, local }));
  const engines = createEngines(config, { nodeId: host.nodeId, log: peerLog });
  const runner = openRunner(config, engines, content, driver, retention, peerLog);
  closers.add(() => runner.stop(2_000));
  const replicate = replicator(config, host, driver, retention, peerLog);
  const profiler = createProfiler({
    config,
    engines,
    sources: ['ipfs', 'inline', 'localdirectory'],
    publishers: ['ipfs', 'noop'],
    addresses: () => host.addresses(),
    software: `shoal/${version}`,
    log: peerLog,
    emit: (profile) => driver.push({ type: 'profile', profile }),
  });
  await profiler.start();
  closers.add(() => profiler.stop());
  host.messages.listen({
    onFrame: (from, frame) => {
      const decoded = codec.decodeMessage(frame);
      if (decoded.ok) driver.push({ type: 'message', from, message: decoded.message });
      else metrics.refused(decoded.code);
    },
    onConnected: (node) => driver.push({ type: 'peer-connected', node }),
    onDisconnected: (node) => driver.push({ type: 'peer-disconnected', node }),
    onUnreachable: (node) => driver.push({ type: 'unreachable', node }),
  });
  host.gossip.listen((gossip, from) => driver.push({ type: 'gossip', from, gossip }));

  const startedAt = Date.now();
  const logSource = logSourceOf(config, runner, content, machine);
  const service = createService({
    driver,
    machine,
    self: host.nodeId,
    content,
    kv: store.kv,
    specBytes: (job) => specBytes(job),
    specMaxBytes,
    specValidMs: config.jobs.retentionMs,
    localLogs: (execution, options, signal) => readLogs(logSource, execution, options, signal),
    remoteLogs: (node, request, signal) => host.tail.openTail(node, request, signal),
    peers: () =>
      host.status().map((peer) => ({
        peer: peer.peer,
        connected: peer.state === 'connected',
        problem: peer.problem?.why ?? null,
      })),
    selfInfo: () => ({
      node: host.nodeId,
      version,
      network: config.network.id,
      owner: suite.owner,
      addresses: host.addresses(),
      labels: config.node.labels,
      startedAt,
      peersConnected: host.peers().length,
      peerProblems: host
        .status()
        .filter((peer) => peer.problem !== null && peer.state !== 'connected')
        .map((peer) => ({ peer: peer.peer, problem: peer.problem?.why ?? '', at: Date.now() })),
    }),
    config: () => Object.fromEntries(explainConfig(loaded).map((s) => [s.path, { value: JSON.parse(s.value) as unknown, origin: s.origin }])),
    doctor: () => diagnose({ config, engines, host, store }),
    metrics: () => metrics.text(),
  });
  answerTails(host, logSource);
  const api = await createApiServer(service, {
    host: config.api.host,
    port: config.api.port,
    insecure: config.api.insecure,
    allowedHosts: [],
    allowedOrigins: [],
    apiKeys: [],
    spoolDir: join(dataDir, 'spool'),
    uploadMaxBytes: config.storage.inputMaxBytes,
    fetchMaxBytes: config.storage.inputMaxBytes,
    requestsPerSecond: 1_000,
    version,
    onDefect: (error, requestId) =>
      peerLog.error({ error: stackOf(error), requestId }, 'api.defect'),
  });
  closers.add(() => api.stop());
  const address = await api.start();
  // Only now is everything restored started again: what is left over belongs to nobody.
  driver.push({ type: 'wake' });
  setImmediate(() => void runner.sweep().catch((error: unknown) => peerLog.warn({ error: String(error) }, 'sweep.failed')));
  const sweeper = setInterval(() => void runner.sweep().catch(() => {}), 60_000);
  closers.add(() => clearInterval(sweeper));

  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopping ??= leave(driver, runner, closers).then(() => ended.resolve());
    return stopping;
  };
  return { nodeId: host.nodeId, addresses: host.addresses(), api: address, stop, ended: ended.promise };
}

/** Tells the mesh, ends what runs here so that it can go on elsewhere, then closes everything. */
async function leave(driver: Driver, runner: Runner, closers: Closers): Promise<void> {
  driver.push({ type: 'drain' });
  for (const execution of runner.keep()) runner.cancel(execution, 'the peer is shutting down');
  const deadline = Date.now() + leaveMs;
  while (runner.keep().size > 0 && Date.now() < deadline) await new Promise((r) => setTimeout(r, 50));
  // The last states are on their way once the driver has handled them and the streams have flushed.
  await new Promise((r) => setTimeout(r, 200));
  await closers.run();
}

// — parts

function openIdentity(config: Config) {
  const crypto = createCrypto();
  const nodeSeed = loadKey(join(config.node.dataDir, 'node.key'), randomBytes);
  const ownerSeed = loadKey(config.node.ownerKey, randomBytes);
  const net = config.network.id;
  const suite = createSuite({ net, nodeSeed, ownerSeed, crypto });
  const options = { net, sha256: crypto.sha256 };
  return { suite, nodeSeed, codec: createMessageCodec(options), rowCodec: createRowCodec(options) };
}

async function openHost(
  loaded: LoadedConfig,
  version: string,
  identity: ReturnType<typeof openIdentity>,
  log: Log,
  closers: Closers,
): Promise<Host> {
  const { config, origins } = loaded;
  const { dataDir } = config.node;
  const datastore = new SqliteDatastore(join(dataDir, 'peers.db'));
  await datastore.open();
  closers.add(() => datastore.close());
  const plan = await planListen(config.network.listen, config.network.listenFallback && !origins.has('network.listen'));
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
      messages: { queueFrames: 20_000, queueBytes: 32 << 20 },
      contentQuotaBytes: config.results.quotaBytes,
      servesMax: 16,
    },
    {
      datastore,
      log: log.child({ component: 'p2p' }),
      admit: () => true,
      decodeGossip: (bytes) => {
        const decoded = identity.codec.decodeGossip(bytes);
        if (decoded.ok) return decoded;
        return { ok: false, sendersFault: decoded.code !== 'unknown-type', why: decoded.code };
      },
    },
  );
  closers.add(() => host.stop());
  return host;
}

function openRunner(
  config: Config,
  engines: ReadonlyMap<string, Engine>,
  content: ReturnType<typeof announcingContent>,
  driver: Driver,
  retention: ReturnType<typeof createRetention>,
  log: Log,
): Runner {
  const { storage } = config;
  const sources = [
    createIpfsSource(content),
    createInlineSource(storage.inlineMaxBytes),
    createLocalSource('localdirectory', config.policy.allowedPaths),
  ];
  const publishers = [createIpfsPublisher(content), createNoopPublisher(''), createNoopPublisher('noop')];
  return createRunner({
    engines,
    sources: new Map(sources.map((source) => [source.type, source])),
    publishers: new Map(publishers.map((publisher) => [publisher.type, publisher])),
    settings: { ...storage, allowedEnv: config.policy.allowedEnv },
    environment: process.env,
    now: () => Date.now(),
    executionsDir: join(config.node.dataDir, 'executions'),
    log: log.child({ component: 'runner' }),
    emit: (execution, event) => {
      if (event.type === 'ended' && event.result !== null) retention.hold(event.result.cid);
      driver.push({ type: 'run-event', execution, event });
    },
  });
}

/** What performs the effects of the core. */
interface Hands {
  readonly host: Host;
  readonly codec: MessageCodec;
  readonly log: Log;
  readonly metrics: NodeMetrics;
  readonly runner: () => Runner;
  readonly replicate: (effect: Extract<Effect, { type: 'replicate' }>) => void;
}

function perform(hands: Hands, effect: Exclude<Effect, { type: 'persist' | 'reply' }>): void {
  const { host, codec, log, metrics, runner } = hands;
  switch (effect.type) {
    case 'send':
      host.messages.send(effect.to, codec.encodeMessage(effect.message));
      metrics.sent(effect.message.type);
      return;
    case 'gossip':
      host.gossip.publish(codec.encodeGossip(effect.gossip), jobOfGossip(effect.gossip));
      return;
    case 'run':
      return runner().start(effect.order, effect.resume);
    case 'cancel-run':
      return runner().cancel(effect.execution, effect.why);
    case 'forget-run':
      return runner().forget(effect.execution);
    case 'replicate':
      return hands.replicate(effect);
    case 'refuse':
      metrics.refused(effect.code);
      log.debug({ code: effect.code, from: effect.from, fault: effect.fault }, 'record.refused');
      return;
    case 'note':
      metrics.noted(effect.event);
      log[noisy.has(effect.event) ? 'debug' : 'info']({ ...effect.data }, effect.event);
  }
}

/** Events that come several times per job; an operator wants a handful. */
const noisy: ReadonlySet<NoteEvent> = new Set<NoteEvent>([
  'execution.phase',
  'job.activated',
  'job.admitted',
  'peer.suspect',
]);

/** The shard a gossip message belongs to; adverts and farewells have a topic of their own. */
function jobOfGossip(gossip: Gossip): JobId | null {
  if (gossip.type === 'announce') return gossip.announcement.job;
  return gossip.type === 'closed' ? gossip.summary.job : null;
}

const stackOf = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? error.message) : String(error);

function logSourceOf(config: Config, runner: Runner, content: ContentStore, machine: Machine): LogSource {
  return {
    executionsDir: join(config.node.dataDir, 'executions'),
    isActive: (execution) => runner.isActive(execution),
    content,
    resultOf: (execution) => {
      for (const { records } of machine.inspect().jobs) {
        const state = records.states.find((s) => s.body.execution === execution);
        if (state?.body.result != null) return { cid: state.body.result.cid, holders: [state.body.node] };
      }
      return null;
    },
    outputMaxBytes: config.storage.outputMaxBytes,
  };
}

/** Other peers read the logs of this node's executions through a stream of their own. */
function answerTails(host: Host, source: LogSource): void {
  host.tail.handleTail(async function* (request, _from, signal) {
    const asked: unknown = JSON.parse(new TextDecoder().decode(request));
    const { execution, tail, follow } = asked as { execution: unknown; tail: unknown; follow: unknown };
    if (typeof execution !== 'string' || !/^e-[0-9a-f-]{36}$/.test(execution)) {
      throw new Error('not an execution id');
    }
    const options = { tail: tail === true, follow: follow === true };
    for await (const line of readLogs(source, asExecutionId(execution), options, signal)) {
      yield encodeLogLine(line);
    }
  });
}

function replicator(
  config: Config,
  host: Host,
  driver: Driver,
  retention: ReturnType<typeof createRetention>,
  log: Log,
): (effect: Extract<Effect, { type: 'replicate' }>) => void {
  return ({ cid, holders, execution }) => {
    const options = { holders, maxBytes: config.storage.resultMaxBytes, signal: AbortSignal.timeout(600_000) };
    host.content
      .replicate(cid, options)
      .then(() => {
        retention.hold(cid);
        return true;
      })
      .catch((error: unknown) => {
        log.warn({ cid, error: String(error) }, 'result.not-replicated');
        return false;
      })
      .then((done) => driver.push({ type: 'replicated', execution, cid, done }));
  };
}

function specBytes(job: Job): number {
  const encoded = encodeBody('spec', {
    job: asJobId(`j-00000000-0000-8000-8000-000000000000`),
    owner: asPublicKey('0'.repeat(64)),
    version: 1,
    nonce: '0'.repeat(32),
    spec: job,
    notAfter: Date.now(),
  });
  return encoded.ok ? encoded.bytes.length : Number.MAX_SAFE_INTEGER;
}
