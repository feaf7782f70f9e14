/**
 * The composition root: builds a peer from its configuration and takes it down again. The only file
 * that may import from every folder; everything here is wiring.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { readApiKeys } from '../api/keys.ts';
import type { Listening } from '../api/listen.ts';
import { API_LIMITS, createApiServer } from '../api/server.ts';
import { explainConfig, limitsOf } from '../config/load.ts';
import type { LoadedConfig } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { asHlc, asMillis } from '../core/record/ids.ts';
import type { NodeId } from '../core/record/ids.ts';
import { createMachine } from '../core/machine.ts';
import type { StoreWrite } from '../core/contract/stored.ts';
import { createLog } from '../lib/log.ts';
import type { Log } from '../lib/log.ts';
import { lockDataDir } from '../store/lock.ts';
import { isFull, openStore } from '../store/store.ts';
import type { Store } from '../store/store.ts';
import { announcingContent } from './announcing-content.ts';
import { createBreaking } from './breaking.ts';
import { clientsContent } from './clients-content.ts';
import { createCompany } from './company.ts';
import { startClockWatch } from './clock-watch.ts';
import { closeDataDirs, makeDataDirs } from './data-dirs.ts';
import { createCountedClock, machineClocks } from './counted-clock.ts';
import { createDefects, stackOf } from './defects.ts';
import { pause } from '../lib/abort.ts';
import { createDiskWatch } from './disk-watch.ts';
import { createRoomMaking } from './making-room.ts';
import { diagnose } from './doctor.ts';
import { createDrain, realTime as wallTime } from './draining.ts';
import { createDriver } from './driver.ts';
import type { Driver } from './driver.ts';
import { createReplicator, perform } from './effects.ts';
import type { EffectPorts } from './effects.ts';
import { createEngines } from './engines.ts';
import { judgeFrame, lastWords } from './heard.ts';
import { readLogs, readResult } from './logs/logs.ts';
import { openLabels } from './labels.ts';
import { createNodeMetrics } from './metrics.ts';
import { Closers, openHost, openIdentity, openRunner, specBytes } from './open.ts';
import { createOwed } from './owed.ts';
import { createProfiler } from './profile.ts';
import { createRetention } from './retention.ts';
import type { Runner } from './runner/runner.ts';
import { catchTheUncaught } from './last-resort.ts';
import { createJobLookup, createService } from './service.ts';
import { moveLargeInputs } from './inline-inputs.ts';
import { createJoining, realTime } from './joining.ts';
import { planApiPort } from './listen.ts';
import { answerTails, logSourceOf } from './logs/tails.ts';
import { startWatchdog } from './watchdog.ts';
import { clearSpool } from '../api/receive-tree.ts';
import { failpoint } from '../lib/failpoint.ts';

/** A running peer. */
export interface Peer {
  readonly nodeId: NodeId;
  readonly addresses: readonly string[];
  readonly api: Listening;
  /** Takes nothing new, ends what runs, tells the others, closes everything. Idempotent. */
  stop(): Promise<void>;
  /** Resolves when the peer has stopped; rejects when it broke. */
  readonly ended: Promise<void>;
}

/** Spec records hold at most this; the envelope around them needs the rest of 64 KiB. */
const SPEC_MAX_BYTES = 60_000;
/** Between two looks for what executions have left behind, milliseconds. */
const SWEEP_MS = 60_000;
/** Running programs get this long to be stopped and reported when the peer leaves. */
const LEAVE_MS = 8_000;
/** After that the parts of the peer get this long to close. */
const STOP_MS = 5_000;

/** @throws ShoalError for everything a person can put right: configuration, keys, ports, locks, stores. */
export async function startPeer(
  loaded: LoadedConfig,
  version: string,
  /** Takes lines for whoever sits at the terminal. */
  tell: (line: string) => void = () => {},
): Promise<Peer> {
  const { config } = loaded;
  const log = createLog(config.logging.level, process.stderr);
  const closers = new Closers(log);
  try {
    return await compose(loaded, version, { log, closers, tell });
  } catch (error) {
    await closers.run();
    throw error;
  }
}

async function compose(
  loaded: LoadedConfig,
  version: string,
  { log, closers, tell }: { log: Log; closers: Closers; tell: (line: string) => void },
): Promise<Peer> {
  const { config } = loaded;
  const { dataDir } = config.node;
  closeDataDirs(dataDir, log);
  for (const aside of makeDataDirs(dataDir)) log.warn({ aside }, 'data.set-aside');
  const lock = lockDataDir(dataDir);
  failpoint('lock.taken');
  closers.add(() => lock.release());
  const identity = openIdentity(config);
  const { codec, rowCodec, suite } = identity;
  const store = openStore(dataDir, { codec: rowCodec, random: randomBytes });
  closers.add(() => store.close());
  for (const problem of store.problems) log.warn({ ...problem }, 'store.problem');
  const host = await openHost(loaded, version, identity, log, closers);
  failpoint('host.started');
  const peerLog = log.child({ node: host.nodeId.slice(-8) });

  const counted = createCountedClock(store.kv, machineClocks(), (error) =>
    peerLog.warn({ error: String(error) }, 'clock.not-saved'),
  );
  closers.add(() => counted.stop());
  const machine = createMachine(
    { node: host.nodeId, store: store.id, limits: limitsOf(config), countedMs: counted.now() },
    suite,
    store.restore(),
  );
  const ended = Promise.withResolvers<void>();
  ended.promise.catch(() => {});
  const retention = createRetention({
    kv: store.kv,
    now: counted.now,
    content: host.content,
    retentionMs: config.results.retentionMs,
    maxBytes: config.storage.resultMaxBytes,
    lost: (cid) => driver.push({ type: 'content', cid, local: false }),
    log: peerLog,
  });
  closers.add(() => retention.stop());
  // Driver, runner and metrics know each other only through these closures.
  const metrics = createNodeMetrics({ host: () => host, driver: () => driver, machine });
  const defects = createDefects({
    log: peerLog,
    count: (where) => metrics.defect(where),
    now: () => performance.now(),
  });
  const hands: EffectPorts = {
    host,
    codec,
    log: peerLog,
    metrics,
    runner: () => runner,
    replicate: (effect) => replicate(effect),
    closed: (job) => jobs.changed(job),
    defects,
    push: (input) => driver.push(input),
  };
  const driver: Driver = createDriver(machine, {
    persist: (writes) => persisted(store, writes),
    owed: createOwed(join(dataDir, 'store.db')),
    onFull: (full) => disk.wrote(full),
    perform: (effect) => perform(hands, effect),
    reload: (job) => store.restoreJob(job),
    onDefect: (where, error) => defects.report(where, error),
    log: peerLog,
    onFatal: (error, inputs) => breakDown(error, inputs),
  });
  closers.add(() => driver.stop());
  closers.add(startWatchdog());
  closers.add(catchTheUncaught(defects, (error) => broken(error)));
  const breakDown = createBreaking({
    dataDir,
    log: peerLog,
    farewell: () => {
      // Past the driver, which handles nothing any more: these words promise nothing.
      const words = machine.handle(
        { type: 'drain', on: true },
        asMillis(performance.now()),
        asHlc(Date.now()),
      );
      for (const effect of lastWords(words)) perform(hands, effect);
    },
    stopRuns: () => runner.stop(LEAVE_MS),
    end: (error) => ended.reject(error),
  });
  const disk = createDiskWatch({
    dataDir,
    margin: { bytes: config.storage.marginBytes, share: config.storage.marginPercent / 100 },
    log: peerLog,
    onFull: (full) => {
      driver.push({ type: 'disk', full });
      if (full) making.begin();
      if (!full) void profiler.refresh().catch(() => {});
    },
    onLost: (error) => {
      driver.abandon();
      breakDown(error);
    },
  });
  const making = createRoomMaking({
    content: host.content,
    full: () => disk.state().full,
    pause,
    log: peerLog,
  });
  closers.add(() => {
    disk.stop();
    making.stop();
  });
  closers.add(startClockWatch(peerLog, () => host.clockSkew()));
  const jobs = createJobLookup({ driver, self: host.nodeId });
  const content = announcingContent(host.content, (cid, local) =>
    driver.push({ type: 'content', cid, local }),
  );
  const engines = createEngines(config, { nodeId: host.nodeId, log: peerLog });
  const runner = openRunner({
    config,
    engines,
    content,
    driver,
    retention,
    now: counted.now,
    onDiskFull: making.begin,
    log: peerLog,
  });
  closers.add(() => runner.stop(2_000));
  const replicate = createReplicator({
    host,
    driver,
    retention,
    resultMaxBytes: config.storage.resultMaxBytes,
    log: peerLog,
  });
  const labels = await openLabels(dataDir, config.node.labels, peerLog);
  const profiler = createProfiler({
    config,
    labels: labels.now,
    engines,
    sources: ['ipfs', 'inline', 'localdirectory'],
    publishers: ['ipfs', 'local', 'noop'],
    addresses: () => host.addresses(),
    software: `shoal/${version}`,
    diskFull: () => disk.state().full,
    log: peerLog,
    emit: (profile) => driver.push({ type: 'profile', profile }),
  });
  await disk.start();
  await profiler.start();
  for (const problem of profiler.limited()) tell(`limited    ${problem}`);
  closers.add(() => profiler.stop());
  const company = createCompany({
    wanted: config.network.bootstrap.length > 0,
    connected: () => host.peers().length,
    problems: () =>
      host
        .status()
        .flatMap(({ peer, problem }) => (problem === null ? [] : [{ peer, why: problem.why }])),
    tell,
    after: (ms, call) => {
      const timer = setTimeout(call, ms);
      return () => clearTimeout(timer);
    },
  });
  closers.add(() => company.stop());
  host.messages.listen({
    onFrame: (from, frame) => {
      let room: Promise<void> | undefined;
      defects.contain('frame', () => {
        const heard = judgeFrame(from, frame.byteLength, codec.decodeMessage(frame));
        if (heard.type === 'input') {
          room = driver.hear(heard.input, frame.byteLength);
          return;
        }
        metrics.refused(heard.code);
        if (heard.fault) host.penalise(from, 'garbage');
        if (heard.pauseMs > 0) room = new Promise((resolve) => setTimeout(resolve, heard.pauseMs));
      });
      return room;
    },
    onConnected: (node) => {
      driver.push({ type: 'peer-host', node, host: host.hostOf(node) });
      driver.push({ type: 'peer-connected', node });
      peerLog.info({ peer: node, connected: host.peers().length }, 'peer.connected');
      company.came(node);
    },
    onDisconnected: (node) => {
      driver.push({ type: 'peer-disconnected', node, sentAway: host.isSentAway(node) });
      peerLog.info({ peer: node, connected: host.peers().length }, 'peer.disconnected');
      company.went(node);
    },
    onUnreachable: (node) => driver.push({ type: 'unreachable', node }),
  });
  host.gossip.listen((gossip, from) => driver.push({ type: 'gossip', from, gossip }));

  const startedAt = Date.now();
  const logSource = logSourceOf(config, runner, content);
  const stored = clientsContent(content, () => disk.state().full);
  const inline = {
    content: stored,
    spoolDir: join(dataDir, 'spool'),
    maxBytes: config.storage.inlineMaxBytes,
  };
  const service = createService({
    retention: { resultsMs: config.results.retentionMs, logsMs: config.storage.logRetentionMs },
    driver,
    machine,
    jobs,
    self: host.nodeId,
    content: stored,
    kv: store.kv,
    now: counted.now,
    specBytes: (job) => specBytes(job, SPEC_MAX_BYTES),
    specMaxBytes: SPEC_MAX_BYTES,
    moveLargeInputs: (job, warnings) => moveLargeInputs(inline, job, warnings),
    specValidMs: config.jobs.retentionMs,
    localLogs: (execution, options, result, signal) =>
      readLogs(logSource, execution, options, result, signal),
    resultLogs: (result, options, signal) => readResult(logSource, result, options, signal),
    remoteLogs: (node, request, signal) => host.tail.openTail(node, request, signal),
    peers: () =>
      host.status().map((peer) => ({
        peer: peer.peer,
        connected: peer.state === 'connected',
        problem: peer.problem?.why ?? null,
      })),
    missed: () => host.missed(),
    joined: createJoining({
      ...realTime,
      joining: () => host.joining(),
      connected: () => host.peers().length,
      introduced: () =>
        machine.sightings().filter((one) => one.connected && one.advert.node !== host.nodeId)
          .length,
    }),
    selfInfo: () => ({
      node: host.nodeId,
      version,
      network: config.network.id,
      owner: suite.owner,
      addresses: host.addresses(),
      labels: labels.now(),
      startedAt,
      peersConnected: host.peers().length,
      peerProblems: host
        .status()
        .filter((peer) => peer.problem !== null && peer.state !== 'connected')
        .map((peer) => ({ peer: peer.peer, problem: peer.problem?.why ?? '', at: Date.now() })),
    }),
    config: () =>
      Object.fromEntries(
        explainConfig(loaded).map((s) => [
          s.path,
          { value: JSON.parse(s.value) as unknown, origin: s.origin },
        ]),
      ),
    doctor: () =>
      diagnose({
        config,
        engines,
        host,
        store,
        machine,
        disk: disk.state(),
        limited: profiler.limited(),
      }),
    changeLabels: async (change) => {
      const all = await labels.change(change);
      await profiler.refresh();
      return all;
    },
    drain: createDrain({
      ...wallTime,
      drain: (on) => driver.push({ type: 'drain', on }),
      left: () => Math.max(runner.keep().size, machine.load().executions),
      onlyHere: () => machine.onlyHere(),
      leave: () => void stop(),
      isLeaving: () => stopping !== null,
    }),
    metrics: () => metrics.text(),
  });
  answerTails(host, logSource);
  await clearSpool(join(dataDir, 'spool'));
  const { origins } = loaded;
  const isFixed = origins.has('api.port') || origins.has('api.host');
  const apiPort = await planApiPort(
    config.api.host,
    config.api.port,
    config.network.listenFallback && !isFixed,
  );
  if (apiPort !== config.api.port) peerLog.warn({ from: config.api.port }, 'api.moved');
  const api = await createApiServer(service, {
    host: config.api.host,
    port: apiPort,
    insecure: config.api.insecure,
    allowedHosts: config.api.allowedHosts,
    allowedOrigins: config.api.allowedOrigins,
    apiKeys: config.api.keys === '' ? [] : readApiKeys(config.api.keys),
    socket: socketOf(config),
    spoolDir: join(dataDir, 'spool'),
    uploadMaxBytes: config.storage.inputMaxBytes,
    fetchMaxBytes: config.storage.inputMaxBytes,
    requestsPerSecond: 1_000,
    ...API_LIMITS,
    version,
    onDefect: (error, requestId) =>
      peerLog.error({ error: stackOf(error), requestId }, 'api.defect'),
  });
  closers.add(() => api.stop());
  const address = await api.start();
  failpoint('api.listening');
  if (address.socketProblem !== '')
    peerLog.warn({ problem: address.socketProblem }, 'api.no-socket');
  driver.push({ type: 'wake' });
  const sweep = (): void =>
    void runner
      .sweep()
      .catch((error: unknown) => peerLog.warn({ error: String(error) }, 'sweep.failed'));
  // Once everything restored is started again, what is left over belongs to nobody.
  void driver.caughtUp().then(sweep);
  const sweeper = setInterval(sweep, SWEEP_MS);
  closers.add(() => clearInterval(sweeper));

  let stopping: Promise<void> | null = null;
  const stop = (): Promise<void> => {
    stopping ??= leave(driver, runner, closers).then(() => ended.resolve());
    return stopping;
  };
  const broken = (error: unknown): void => {
    peerLog.fatal({ error: stackOf(error) }, 'node.broken');
    const reject = (): void =>
      ended.reject(error instanceof Error ? error : new Error(String(error)));
    stopping ??= leave(driver, runner, closers).finally(reject);
    setTimeout(reject, LEAVE_MS + STOP_MS).unref();
  };
  return {
    nodeId: host.nodeId,
    addresses: host.addresses(),
    api: address,
    stop,
    ended: ended.promise,
  };
}

/** Only one that somebody asked for must be there. */
function socketOf({ api, node }: Config): { path: string; required: boolean } | null {
  if (api.socket === 'none') return null;
  const required = api.socket !== '';
  return { path: required ? api.socket : join(node.dataDir, 'api.sock'), required };
}

/** @returns false when the disk is full. @throws ShoalError when the store cannot be used any more. */
function persisted(store: Store, writes: readonly StoreWrite[]): boolean {
  try {
    store.apply(writes);
    return true;
  } catch (error) {
    if (isFull(error)) return false;
    throw error;
  }
}

/** Tells the mesh, ends what runs here so that it can go on elsewhere, then closes everything. */
async function leave(driver: Driver, runner: Runner, closers: Closers): Promise<void> {
  failpoint('leave.begun');
  driver.push({ type: 'drain', on: true });
  for (const execution of runner.keep()) runner.cancel(execution, 'the peer is shutting down');
  const deadline = Date.now() + LEAVE_MS;
  while (runner.keep().size > 0 && Date.now() < deadline)
    await new Promise((r) => setTimeout(r, 50));
  // The last states are on their way once the driver has handled them and the streams have flushed.
  await new Promise((r) => setTimeout(r, 200));
  failpoint('leave.told');
  await closers.run();
}
