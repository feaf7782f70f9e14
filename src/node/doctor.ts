/** What this machine can run and what keeps it from running more: the findings behind `shoal doctor`. */
import type { Host } from '../../p2p/host.ts';
import type { Finding } from '../api/service.ts';
import type { JobRecords } from '../core/contract/messages.ts';
import type { Machine } from '../core/contract/machine.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../engines/engine.ts';
import type { Store } from '../store/store.ts';
import { clockFinding } from './clock-watch.ts';
import type { DiskState } from './disk-watch.ts';

export interface DoctorDeps {
  readonly config: Config;
  readonly engines: ReadonlyMap<string, Engine>;
  readonly host: Host;
  readonly store: Store;
  readonly machine: Pick<Machine, 'inspect' | 'keeperNumbers'>;
  readonly disk: DiskState;
  /** Amounts of the configuration that the machine does not have. */
  readonly limited: readonly string[];
}

const PROBE_MS = 10_000;
const LOW_DISK_BYTES = 1_000_000_000;

export async function diagnose(deps: DoctorDeps): Promise<readonly Finding[]> {
  return [
    runtimeFinding(),
    ...deps.limited.map(limitFinding),
    ...(await engineFindings(deps)),
    ...storeFindings(deps),
    diskFinding(deps),
    ...copyFindings(deps),
    clockFinding(deps.host.clockSkew()),
    ...peerFindings(deps),
    ...keeperFindings(deps),
  ];
}

const ok = (subject: string, detail: string): Finding => ({
  subject,
  level: 'ok',
  detail,
  remedy: '',
});

const limitFinding = (detail: string): Finding => ({
  subject: 'capacity',
  level: 'warning',
  detail,
  remedy: 'Give an amount that the machine has, or a share such as 80%.',
});

function runtimeFinding(): Finding {
  return ok('runtime', `Node.js ${process.versions.node} on ${process.platform}/${process.arch}`);
}

async function engineFindings({ engines, config }: DoctorDeps): Promise<readonly Finding[]> {
  const disabled = (['wasm', 'docker'] as const)
    .filter((name) => !config.engines[name].enabled)
    .map((name) => ok(`engine ${name}`, 'switched off by the configuration'));
  const probed = await Promise.all(
    [...engines].map(async ([name, engine]): Promise<readonly Finding[]> => {
      const subject = `engine ${name}`;
      const status = await engine.probe(AbortSignal.timeout(PROBE_MS));
      if (!status.available) {
        return [
          {
            subject,
            level: 'problem',
            detail: status.detail,
            remedy: `Jobs of engine ${name} are refused until this is mended.`,
          },
        ];
      }
      const warnings = status.warnings.map(
        (detail): Finding => ({ subject, level: 'warning', detail, remedy: '' }),
      );
      return [ok(subject, status.detail), ...warnings];
    }),
  );
  return [...disabled, ...probed.flat()];
}

function storeFindings({ store }: DoctorDeps): readonly Finding[] {
  if (store.problems.length === 0) return [ok('store', `healthy, id ${store.id.slice(0, 8)}`)];
  return store.problems.map((problem) => ({
    subject: 'store',
    level: 'warning',
    detail: Object.values(problem).join(': '),
    remedy: 'Nothing to do: what was damaged is fetched again from other nodes.',
  }));
}

function diskFinding({ config, disk }: DoctorDeps): Finding {
  const { dataDir } = config.node;
  const { full, freeBytes, marginBytes } = disk;
  const room = `${megabytes(freeBytes)} free at ${dataDir}`;
  if (full) {
    return {
      subject: 'disk',
      level: 'problem',
      detail: `full: ${room}, and this peer takes nothing new below ${megabytes(marginBytes)}`,
      remedy: 'Free some space: the peer takes work again by itself.',
    };
  }
  if (freeBytes >= LOW_DISK_BYTES) return ok('disk', room);
  return { subject: 'disk', level: 'warning', detail: room, remedy: 'Free some space soon.' };
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

function copyFindings({ host }: DoctorDeps): readonly Finding[] {
  const witnesses = host.copyWitnesses();
  if (witnesses.length === 0) return [];
  return [
    {
      subject: 'identity',
      level: 'problem',
      detail: `another process uses the key of this peer, says ${witnesses.slice(0, 3).join(', ')}`,
      remedy: 'Stop one of the two, and start it with a --data-dir of its own.',
    },
  ];
}

function peerFindings({ host }: DoctorDeps): readonly Finding[] {
  const connected = host.peers().length;
  const rejected = host.rejected.map(
    (failure): Finding => ({
      subject: 'bootstrap',
      level: 'warning',
      detail: 'value' in failure ? String(failure.value) : failure.code,
      remedy: 'Correct or remove this --bootstrap address.',
    }),
  );
  const unreachable = host.status().flatMap((peer): readonly Finding[] =>
    peer.problem === null || peer.state === 'connected'
      ? []
      : [
          {
            subject: `peer ${peer.peer}`,
            level: 'warning',
            detail: peer.problem.why,
            remedy: 'It is tried again by itself.',
          },
        ],
  );
  const alone: Finding = {
    subject: 'peers',
    level: 'warning',
    detail: 'connected to nobody',
    remedy: 'Start another peer with --bootstrap and one of the addresses of this one.',
  };
  return [
    connected > 0 ? ok('peers', `${connected} connected`) : alone,
    ...rejected,
    ...unreachable,
  ];
}

/** What the jobs here, and one that is submitted now, would lose with their peers. */
export function keeperFindings({
  machine,
  host,
}: Pick<DoctorDeps, 'machine'> & { readonly host: Pick<Host, 'missed'> }): readonly Finding[] {
  const { possible, wanted } = machine.keeperNumbers(host.missed());
  const open = machine.inspect().jobs.filter(({ records }) => !isOver(records));
  const few = open.filter(({ records }) => keepersOf(records) < wanted);
  const now: Finding =
    possible >= wanted
      ? ok('keepers', `a job submitted now is kept by ${possible} of the peers here`)
      : {
          subject: 'keepers',
          level: 'warning',
          detail: `a job submitted now is kept by ${possible} peers, instead of the ${wanted} that there could be with all of the last minutes`,
          remedy: 'See which peer is away (`shoal node list`), or demand more with --min-keepers.',
        };
  const [first] = few.toSorted((a, b) => keepersOf(a.records) - keepersOf(b.records));
  if (first === undefined) return [now];
  return [
    now,
    {
      subject: 'keepers',
      level: 'warning',
      detail: `${few.length} of the ${open.length} jobs kept here have fewer keepers than the ${wanted} there could be, ${first.job} has ${keepersOf(first.records)}`,
      remedy: 'Their keepers are not replaced: what must not be lost is to be submitted anew.',
    },
  ];
}

const keepersOf = ({ admission }: JobRecords): number => admission.record.body.keepers.length;
const isOver = ({ committed }: JobRecords): boolean =>
  committed.some(({ record }) => record.type === 'close');
