/**
 * What this node offers to the mesh: measured capacity, labels, engines that work, and its operator's
 * rules, put together from the configuration and looked at again every minute. Reports a profile only
 * when it differs from the last one.
 */
import type { Profile } from '../core/contract/profile.ts';
import { asPublicKey } from '../core/record/ids.ts';
import type { Resources } from '../job/model.ts';
import { amountOf, exceeds } from '../config/amounts.ts';
import { formatBytes } from '../lib/units.ts';
import type { Config } from '../config/schema.ts';
import type { Engine, EngineStatus } from '../engines/engine.ts';
import { withDeadline } from '../lib/abort.ts';
import type { Log } from '../lib/log.ts';
import { machineFacts } from './machine-facts.ts';
import type { MachineFacts } from './machine-facts.ts';

export interface ProfilerOptions {
  readonly config: Pick<Config, 'node' | 'engines' | 'capacity' | 'policy'>;
  /** Those that are enabled. */
  readonly engines: ReadonlyMap<string, Engine>;
  readonly sources: Iterable<string>;
  /** `''` (none) is left out. */
  readonly publishers: Iterable<string>;
  /** Multiaddrs at which this node can be dialled now. */
  readonly addresses: () => readonly string[];
  /** Those that its operator gave it. */
  readonly labels: () => Readonly<Record<string, string>>;
  /** Name and version, e.g. `shoal/0.1.0`. */
  readonly software: string;
  /** The disk has no room now; what is measured of it then does not last. */
  readonly diskFull: () => boolean;
  readonly log: Log;
  readonly emit: (profile: Profile) => void;
}

export interface Profiler {
  /** Measures the machine, asks the engines and emits the first profile; then looks every minute. */
  start(): Promise<Profile>;
  /** Looks now, e.g. because the addresses changed; emits when something differs. */
  refresh(): Promise<void>;
  /** The last warnings of the engines, for status pages. */
  warnings(): readonly string[];
  /** Amounts of the configuration that the machine does not have, in words. */
  limited(): readonly string[];
  stop(): Promise<void>;
}

const REFRESH_MS = 60_000;
/** As promised by the port of engines. */
const PROBE_MS = 10_000;

export function createProfiler(options: ProfilerOptions): Profiler {
  const { config, log } = options;
  const stop = new AbortController();
  let facts: MachineFacts | null = null;
  let limited: readonly string[] = [];
  let last = '';
  let looking: Promise<Profile> | null = null;
  let timer: NodeJS.Timeout | null = null;
  let statuses: ReadonlyMap<string, EngineStatus> = new Map();

  const look = async (): Promise<Profile> => {
    // Disk is measured once: later it is filled by the very jobs that reserved it.
    const measured = facts ?? (await machineFacts(config.node.dataDir, '/'));
    if (facts === null)
      for (const problem of (limited = overstated(config.capacity, measured)))
        log.warn({ problem }, 'capacity.limited');
    if (!options.diskFull()) facts = measured;
    const before = statuses;
    statuses = await probeAll(options.engines, stop.signal);
    report(log, before, statuses);
    const profile = profileOf(options, measured, statuses);
    const text = JSON.stringify(profile);
    if (text !== last && !stop.signal.aborted) {
      last = text;
      options.emit(profile);
    }
    return profile;
  };
  /** One look at a time; who asks meanwhile gets one that begins after its question. */
  const lookOnce = async (): Promise<Profile> => {
    if (looking !== null) await looking.catch(() => {});
    looking ??= look().finally(() => (looking = null));
    return looking;
  };
  return {
    async start() {
      const profile = await lookOnce();
      timer = setInterval(() => {
        lookOnce().catch((error: unknown) => log.warn({ error }, 'profile.refresh-failed'));
      }, REFRESH_MS).unref();
      return profile;
    },
    async refresh() {
      if (!stop.signal.aborted) await lookOnce();
    },
    warnings: () =>
      [...statuses].flatMap(([name, status]) =>
        status.warnings.map((warning) => `${name}: ${warning}`),
      ),
    limited: () => limited,
    async stop() {
      stop.abort();
      if (timer !== null) clearInterval(timer);
      await looking?.catch(() => {});
    },
  };
}

async function probeAll(
  engines: ReadonlyMap<string, Engine>,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, EngineStatus>> {
  const probes = [...engines].map(async ([name, engine]): Promise<[string, EngineStatus]> => {
    try {
      return [name, await withDeadline(PROBE_MS, signal, (deadline) => engine.probe(deadline))];
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return [name, { available: false, detail: `does not answer: ${why}`, warnings: [] }];
    }
  });
  return new Map(await Promise.all(probes));
}

/** An operator hears of an engine when it comes, goes or complains about something new. */
function report(
  log: Log,
  before: ReadonlyMap<string, EngineStatus>,
  now: ReadonlyMap<string, EngineStatus>,
): void {
  for (const [engine, status] of now) {
    const earlier = before.get(engine);
    const { available, detail } = status;
    if (earlier?.available !== available) {
      if (available) log.info({ engine, detail }, 'engine.available');
      else log.warn({ engine, detail }, 'engine.unavailable');
    }
    for (const warning of status.warnings) {
      if (earlier?.warnings.includes(warning) !== true)
        log.warn({ engine, warning }, 'engine.warning');
    }
  }
}

function profileOf(
  options: ProfilerOptions,
  facts: MachineFacts,
  statuses: ReadonlyMap<string, EngineStatus>,
): Profile {
  const { config } = options;
  const { policy } = config;
  return {
    overheads: { wasm: config.engines.wasm.overheadBytes },
    labels: { ...automaticLabels(facts), ...options.labels() },
    engines: {
      ...disabledEngines(config.engines),
      ...Object.fromEntries(
        [...statuses].map(([name, { available, detail }]) => [name, { available, detail }]),
      ),
    },
    publishers: [...options.publishers].filter((name) => name !== ''),
    sources: [...options.sources],
    capacity: capacityOf(config.capacity, facts),
    addresses: options.addresses(),
    software: options.software,
    networks: networksOf(policy.networks),
    allowedPaths: policy.allowedPaths,
    allowedEnv: policy.allowedEnv,
    portAddresses: policy.portAddresses,
    policy: {
      allowOwners: policy.allowOwners.map(asPublicKey),
      denyOwners: policy.denyOwners.map(asPublicKey),
      allowNamespaces: policy.allowNamespaces,
      denyNamespaces: policy.denyNamespaces,
      allowImages: policy.allowImages,
      privateRegistries: policy.privateRegistries,
    },
  };
}

function disabledEngines(engines: Config['engines']): Profile['engines'] {
  const off = Object.entries(engines).filter(([name, { enabled }]) => !enabled && name !== 'noop');
  return Object.fromEntries(
    off.map(([name]) => [
      name,
      { available: false, detail: 'switched off by the operator of this node' },
    ]),
  );
}

/** What is given to jobs of what the machine has. */
export function capacityOf(capacity: Config['capacity'], facts: MachineFacts): Resources {
  return {
    cpuMillis: Math.floor(amountOf(capacity.cpu, facts.cores, 'count') * 1_000),
    memoryBytes: Math.floor(amountOf(capacity.memory, facts.memoryBytes, 'bytes')),
    diskBytes: Math.floor(amountOf(capacity.disk, facts.diskBytes, 'bytes')),
    gpus: Math.floor(amountOf(capacity.gpu, facts.gpus.length, 'count')),
  };
}

/** Amounts that the machine does not have; what it has is given instead. */
export function overstated(capacity: Config['capacity'], facts: MachineFacts): readonly string[] {
  const { cores, memoryBytes, diskBytes, gpus } = facts;
  const say = (name: keyof Config['capacity'], total: number, has: string): readonly string[] =>
    exceeds(capacity[name], total, name === 'memory' || name === 'disk' ? 'bytes' : 'count')
      ? [`--${name} ${capacity[name]} is more than this machine has: ${has} are offered`]
      : [];
  return [
    ...say('cpu', cores, `${cores} cores`),
    ...say('memory', memoryBytes, formatBytes(memoryBytes)),
    ...say('disk', diskBytes, formatBytes(diskBytes)),
    ...say('gpu', gpus.length, `${gpus.length} GPUs`),
  ];
}

/** The names that Bacalhau's nodes have had over time, so that its specs select the same machines. */
export function automaticLabels(facts: MachineFacts): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {
    'Operating-System': facts.operatingSystem,
    Architecture: facts.architecture,
    os_type: facts.operatingSystem,
    os_arch: facts.architecture,
    name: facts.hostName,
  };
  for (const [index, gpu] of facts.gpus.entries()) {
    labels[`GPU-${index}`] = gpu.name.replace(/\s+/g, '-');
    if (gpu.memoryMib !== null) labels[`GPU-${index}-Memory`] = `${gpu.memoryMib}-MiB`;
  }
  return labels;
}

type NetworkRule = Profile['networks'][string];

/** Rules by network type, or by `engine/type` where an engine differs. */
export function networksOf(allowed: Config['policy']['networks']): Profile['networks'] {
  const byPolicy = (type: 'None' | 'Default' | 'Bridge' | 'Host'): NetworkRule =>
    allowed.includes(type)
      ? { allowed: true, detail: '' }
      : {
          allowed: false,
          detail: `the operator of this node allows only ${allowed.join(', ') || 'no network type'}`,
        };
  const none: NetworkRule = {
    allowed: false,
    detail: 'wasm programs have no network; use None or Default',
  };
  const free: NetworkRule = { allowed: true, detail: '' };
  return {
    None: byPolicy('None'),
    Default: byPolicy('Default'),
    Bridge: byPolicy('Bridge'),
    Host: byPolicy('Host'),
    Full: byPolicy('Host'),
    HTTP: {
      allowed: false,
      detail: 'the HTTP domain allow-list is not available on this node yet',
    },
    'wasm/None': free,
    'wasm/Default': free,
    'wasm/Bridge': none,
    'wasm/Host': none,
    'wasm/Full': none,
  };
}
