/**
 * Jobs and signed records for the tests of the core, made with the simulator's fast suite. Node number
 * `index` has the id `idOf(index)`, the store `storeOf(index)` and signs with `suiteOf(index)`; all of
 * them hold owner key 0 unless told otherwise.
 */
import type { Announcement } from '../../../src/core/contract/messages.ts';
import { firstConfiguration } from '../../../src/core/record/chain.ts';
import type { ResultRef } from '../../../src/core/record/execution.ts';
import { firstEpoch } from '../../../src/core/record/ballot.ts';
import { asHlc, asStoreId } from '../../../src/core/record/ids.ts';
import type { Hlc, NodeId, RecordId, StoreId } from '../../../src/core/record/ids.ts';
import { executionIdOf } from '../../../src/core/record/execution-id.ts';
import type {
  AdmissionBody,
  AdvertBody,
  AssignBody,
  Bodies,
  Certified,
  CloseBody,
  CommandBody,
  Committed,
  Epoch,
  ReplacedFor,
  Signed,
  Slot,
  SpecBody,
  StateBody,
} from '../../../src/core/record/records.ts';
import type { Suite } from '../../../src/core/record/suite.ts';
import { slotOf } from '../../../src/core/record/slot.ts';
import { jobIdOf } from '../../../src/core/record/verify.ts';
import type { Job, Resources, ResourceTexts, Task } from '../../../src/job/model.ts';
import { createFastSuite, nodeIdOf, nodeKey, ownerKey } from '../../simulation/fast-suite.ts';

/** The wall clock of these tests begins here. */
export const WALL = 1_800_000_000_000;
export const at = (ms: number): Hlc => asHlc(WALL + ms);

export const suiteOf = (index: number, owner = 0): Suite =>
  createFastSuite({ node: nodeKey(index), owner: ownerKey(owner), freeze: true });
export const idOf = (index: number): NodeId => nodeIdOf(nodeKey(index));
export const storeOf = (index: number): StoreId => asStoreId(String(index).padStart(32, '0'));
/** Keepers with their first stores. */
export const setOf = (nodes: readonly number[]) =>
  nodes.map((index) => ({ node: idOf(index), store: storeOf(index) }));
export const suite = suiteOf(0);

const task: Task = {
  Name: 'main',
  Engine: { Type: 'docker', Params: { Image: 'alpine:3.20' } },
  Publisher: { Type: '', Params: {} },
  Env: {},
  Meta: {},
  InputSources: [],
  ResultPaths: [],
  ResourcesConfig: { CPU: '1', Memory: '1gb', Disk: '', GPU: '' },
  resources: { cpuMillis: 1_000, memoryBytes: 1_000_000_000, diskBytes: 0, gpus: 0 },
  Network: { Type: 'None', Domains: [], Ports: [] },
  Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
};

/** What an owner writes to ask for this much. */
const textsOf = (asked: Resources): ResourceTexts => ({
  CPU: `${asked.cpuMillis}m`,
  Memory: String(asked.memoryBytes),
  Disk: String(asked.diskBytes),
  GPU: String(asked.gpus),
});

/** A batch job of one execution, with what the test changes; the texts of its resources follow them. */
export const jobWith = (job: Partial<Omit<Job, 'Task'>> = {}, change: Partial<Task> = {}): Job => ({
  Name: 'sum',
  Namespace: 'default',
  Type: 'batch',
  Priority: 0,
  Count: 1,
  Constraints: [],
  Meta: {},
  Labels: {},
  ...job,
  Task: {
    ...task,
    ...(change.resources === undefined ? {} : { ResourcesConfig: textsOf(change.resources) }),
    ...change,
  },
});

export function specOf(job: Job, change: Partial<SpecBody> = {}, signer = suite): Signed<'spec'> {
  const nonce = change.nonce ?? 'a'.repeat(32);
  const id = jobIdOf(signer, signer.owner, nonce);
  const notAfter = WALL + 86_400_000;
  const about = { job: id, owner: signer.owner, version: 1, nonce, sponsor: idOf(0), notAfter };
  return signer.seal('spec', { ...about, spec: job, ...change }, at(0), 'owner');
}

/** By node number `by`; only that of the sponsor, node 0 unless the spec names another, is good. */
export function admissionOf(
  spec: Signed<'spec'>,
  keepers: readonly number[],
  change: Partial<AdmissionBody> = {},
  by = 0,
): Signed<'admission'> {
  const body = {
    job: spec.body.job,
    version: 1,
    spec: spec.id,
    keepers: keepers.map((index) => ({ node: idOf(index), store: storeOf(index) })),
    sponsor: idOf(by),
    ...change,
  };
  return suiteOf(by).seal('admission', body, at(0), 'node');
}

export const voteOf = (
  index: number,
  job: SpecBody['job'],
  of: RecordId,
  slot: Slot,
  epoch: Epoch,
  store = storeOf(index),
): Signed<'vote'> => suiteOf(index).seal('vote', { job, of, slot, epoch, store }, at(1), 'node');

/** A record with the votes of these nodes. */
export function certify<T extends 'admission' | 'grant' | Committed>(
  record: Signed<T>,
  slot: Slot,
  voters: readonly number[],
  epoch: Epoch,
): Certified<T> {
  const { job } = record.body as { readonly job: SpecBody['job'] };
  return { record, votes: voters.map((index) => voteOf(index, job, record.id, slot, epoch)) };
}

/** The spec that its owner signs to follow this one. */
export const nextSpec = (
  before: Signed<'spec'>,
  job: Job,
  change: Partial<SpecBody> = {},
  signer = suite,
): Signed<'spec'> => {
  const follows = { of: before.id, how: 'update', reason: '' } as const;
  const version = before.body.version + 1;
  return signer.seal(
    'spec',
    { ...before.body, version, spec: job, follows, ...change },
    at(2),
    'owner',
  );
};

/** An admitted job: what any node needs to believe in it. */
export interface Admitted {
  readonly spec: Signed<'spec'>;
  readonly admission: Certified<'admission'>;
  /** Node numbers of the keepers in rank order. */
  readonly keepers: readonly number[];
  readonly epoch: Epoch;
}

export function admitted(
  job: Job,
  keepers: readonly number[],
  change: Partial<SpecBody> = {},
  signer = suite,
): Admitted {
  const spec = specOf(job, change, signer);
  const record = admissionOf(spec, keepers);
  const epoch = firstEpoch(firstConfiguration(record.body));
  return { spec, admission: certify(record, 'admission', keepers, epoch), keepers, epoch };
}

export function assignOf(
  job: Admitted,
  what: {
    readonly partition?: number;
    readonly attempt?: number;
    readonly node: number;
    readonly by?: number;
    readonly replaces?: ReplacedFor;
    /** The attempt whose execution it adopts. */
    readonly adopts?: number;
  },
  epoch = job.epoch,
): Signed<'assign'> {
  const about = {
    job: job.spec.body.job,
    version: job.spec.body.version,
    partition: what.partition ?? 0,
    attempt: what.attempt ?? 0,
    node: idOf(what.node),
  };
  const adopts = what.adopts ?? null;
  const place = { ...about, attempt: adopts ?? about.attempt };
  const execution = executionIdOf(suite, job.spec.body.spec.Type, place);
  const replaces = about.attempt === 0 ? null : (what.replaces ?? 'lost');
  const body: AssignBody = { ...about, replaces, adopts, execution, epoch };
  return suiteOf(what.by ?? job.keepers[0] ?? 0).seal('assign', body, at(2), 'node');
}

export function stateOf(
  assign: Signed<'assign'>,
  node: number,
  change: Partial<StateBody>,
): Signed<'state'> {
  const { epoch: _, replaces: _why, adopts, ...about } = assign.body;
  const body: StateBody = {
    ...about,
    attempt: adopts ?? about.attempt,
    sequence: 0,
    phase: 'running',
    restarts: 0,
    retryMs: null,
    exitCode: null,
    result: null,
    failure: null,
    output: null,
    usage: null,
    ...change,
  };
  return suiteOf(node).seal('state', body, at(3), 'node');
}

export function acceptOf(
  job: Admitted,
  state: Signed<'state'>,
  result: ResultRef | null = state.body.result,
) {
  const { version, partition, attempt, execution, node } = state.body;
  const body = {
    job: state.body.job,
    version,
    partition,
    attempt,
    execution,
    node,
    exitCode: 0,
    result,
    holders: [],
  };
  return suiteOf(job.keepers[0] ?? 0).seal('accept', body, at(4), 'node');
}

export function closeOf(job: Admitted, change: Partial<CloseBody> = {}): Signed<'close'> {
  const body: Bodies['close'] = {
    job: job.spec.body.job,
    version: 1,
    outcome: 'failed',
    code: 'attempts-exhausted',
    message: 'it did not work',
    evidence: [],
    ...change,
  };
  return suiteOf(job.keepers[0] ?? 0).seal('close', body, at(5), 'node');
}

export function stopOf(
  job: Admitted,
  change: Partial<CommandBody> = {},
  signer = suite,
): Signed<'command'> {
  const notAfter = WALL + 3_600_000;
  const body: CommandBody = {
    job: job.spec.body.job,
    sequence: 1,
    command: 'stop',
    reason: 'enough',
    notAfter,
    ...change,
  };
  return signer.seal('command', body, at(6), 'owner');
}

/** The configuration after the admission's, as one of its keepers proposes it. */
export function configOf(
  job: Admitted,
  keepers: readonly number[],
  former: readonly number[],
  by = 1,
): Signed<'config'> {
  const config = { major: 0, minor: 1 };
  const body = { job: job.spec.body.job, config, keepers: setOf(keepers), former: setOf(former) };
  return suiteOf(by).seal('config', body, at(5), 'node');
}

export const grantOf = (job: Admitted, epoch: Epoch, by: number): Signed<'grant'> =>
  suiteOf(by).seal('grant', { job: job.spec.body.job, epoch }, at(7), 'node');

/** Certified by all keepers of the job. */
export const committed = <T extends 'assign' | 'accept' | 'close'>(
  job: Admitted,
  record: Signed<T>,
): Certified<T> => certify(record, slotOf(record as Signed<'close'>), job.keepers, job.epoch);

/** That its keepers decided this spec to be the job's next version. */
export function decidedOf(
  job: Admitted,
  spec: Signed<'spec'>,
  fallback: Signed<'spec'> | null = null,
): Certified<'version'> {
  const sealed = fallback === null ? null : suite.envelopeOf(fallback);
  const body: Bodies['version'] = {
    job: spec.body.job,
    version: spec.body.version,
    spec: suite.envelopeOf(spec),
    fallback: sealed,
    message: '',
  };
  const record = suiteOf(job.keepers[0] ?? 0).seal('version', body, at(3), 'node');
  return certify(record, slotOf(record), job.keepers, job.epoch);
}

/** As its first leader announces the job. */
export const announcementOf = (
  { spec, admission, keepers }: Admitted,
  change: Partial<Announcement> = {},
): Announcement => ({
  job: spec.body.job,
  version: spec.body.version,
  leader: idOf(keepers[0] ?? 0),
  admission,
  grant: null,
  round: 0,
  need: 1,
  spec,
  notAgain: [],
  ...change,
});

/** What node number `index` says of itself. */
export function advertOf(index: number, change: Partial<AdvertBody> = {}): Signed<'advert'> {
  const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
  const body: AdvertBody = {
    node: idOf(index),
    store: storeOf(index),
    sequence: 1,
    addresses: [],
    labels: {},
    engines: [],
    publishers: [],
    sources: [],
    capacity: nothing,
    free: nothing,
    running: 0,
    keeps: true,
    software: 'shoal',
    features: [],
    ...change,
  };
  return suiteOf(index).seal('advert', body, at(0), 'node');
}
