/** Generators of valid record bodies and jobs, one per type, complete by the compiler. */
import fc from 'fast-check';
import {
  acceptSlot,
  assignSlot,
  closeSlot,
  configSlot,
  versionSlot,
} from '../../../../src/core/record/slot.ts';
import type { Arbitrary } from 'fast-check';
import type {
  ExecutionFailure,
  OutputHead,
  ResultRef,
  Usage,
} from '../../../../src/core/record/execution.ts';
import {
  asExecutionId,
  asHlc,
  asJobId,
  asPublicKey,
  asRecordId,
  asStoreId,
  uuidOf,
} from '../../../../src/core/record/ids.ts';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import type {
  Bodies,
  ConfigId,
  Epoch,
  Keeper,
  RecordType,
  Slot,
} from '../../../../src/core/record/records.ts';
import type { Job, Json, Resources, SpecConfig, Task } from '../../../../src/job/model.ts';
import { peerIdOf } from '../../../../p2p/wire/peer-id.ts';

/** Objects like those a decoder makes. */
export const record = <T>(model: { [K in keyof T]: Arbitrary<T[K]> }): Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as Arbitrary<T>;

const hex = (digits: number): Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: digits, maxLength: digits });

export const jobIds = hex(32).map((digits) => asJobId(`j-${uuidOf(digits)}`));
export const executionIds = hex(32).map((digits) => asExecutionId(`e-${uuidOf(digits)}`));
export const nodeIds: Arbitrary<NodeId> = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(peerIdOf);
export const storeIds = hex(32).map(asStoreId);
export const recordIds = hex(64).map(asRecordId);
export const publicKeys = hex(64).map(asPublicKey);
/**
 * Any text, characters outside the basic plane included, but no halves of a pair: UTF-8 has none.
 */
export const texts = fc.string({ unit: 'binary', maxLength: 12 });
export const ordinals = fc.nat(0x7fff_ffff);
export const counts = fc.nat(0x7fff_ffff);
export const moments = fc.nat(2 ** 48);
export const sizes = fc.nat(2 ** 52);
export const hlcs = fc
  .tuple(fc.nat({ max: 2 ** 42 - 1 }), fc.nat(999))
  .map(([wall, counter]) => asHlc(wall + counter / 1_000));
export const cids = fc.constantFrom(
  'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  'QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG',
);
export const dictionaries = fc.dictionary(texts, texts, { maxKeys: 4, noNullPrototype: true });
export const few = <T>(arbitrary: Arbitrary<T>): Arbitrary<T[]> =>
  fc.array(arbitrary, { maxLength: 3 });

const configIds = record<ConfigId>({ major: ordinals, minor: ordinals });

export const epochs: Arbitrary<Epoch> = record({
  config: configIds,
  number: ordinals,
  leader: nodeIds,
});
const keepers: Arbitrary<Keeper> = record({ node: nodeIds, store: storeIds });

export const indexes = fc.nat(999_999);
export const slots: Arbitrary<Slot> = fc.oneof(
  fc.constantFrom<Slot>('admission', 'grant'),
  ordinals.map(closeSlot),
  ordinals.map(versionSlot),
  fc.tuple(ordinals, ordinals).map(([major, minor]) => configSlot({ major, minor })),
  fc.tuple(ordinals, indexes).map(([version, partition]) => acceptSlot(version, partition)),
  fc
    .tuple(ordinals, indexes, indexes)
    .map(([version, partition, attempt]) => assignSlot(version, partition, attempt)),
);

export const resources: Arbitrary<Resources> = record({
  cpuMillis: fc.nat(1_000_000_000),
  memoryBytes: sizes,
  diskBytes: sizes,
  gpus: fc.nat(1_000_000),
});

const jsons = fc
  .jsonValue({ maxDepth: 3, noUnicodeString: false })
  // Minus zero is encoded as zero, which JSON cannot tell apart either.
  .map((value): Json => JSON.parse(JSON.stringify(value)) as Json);
const params = fc.dictionary(texts, jsons, { maxKeys: 4, noNullPrototype: true });
const specConfigs: Arbitrary<SpecConfig> = record({ Type: texts, Params: params });

export const tasks: Arbitrary<Task> = record({
  Name: texts,
  Engine: specConfigs,
  Publisher: specConfigs,
  Env: dictionaries,
  Meta: dictionaries,
  InputSources: few(record({ Source: specConfigs, Alias: texts, Target: texts })),
  ResultPaths: few(record({ Name: texts, Path: texts })),
  ResourcesConfig: record({ CPU: texts, Memory: texts, Disk: texts, GPU: texts }),
  resources,
  Network: record({
    Type: fc.constantFrom('Default', 'None', 'Host', 'Full', 'HTTP', 'Bridge'),
    Domains: few(texts),
    Ports: few(
      record({ Name: texts, Static: fc.nat(65_535), Target: fc.nat(65_535), HostNetwork: texts }),
    ),
  }),
  Timeouts: record({ ExecutionTimeout: counts, QueueTimeout: counts, TotalTimeout: counts }),
});

export const constraints = record({
  Key: texts,
  Operator: fc.constantFrom('=', '!=', 'in', 'notin', 'exists', '!', 'gt', 'lt'),
  Values: few(texts),
});

export const jobTypes = fc.constantFrom('batch', 'ops', 'daemon', 'service');

export const jobs: Arbitrary<Job> = record({
  Name: texts,
  Namespace: texts,
  Type: jobTypes,
  Priority: fc.maxSafeInteger(),
  Count: fc.nat(1_000_000),
  Constraints: few(constraints),
  Meta: dictionaries,
  Labels: dictionaries,
  Task: tasks,
});

const codes = fc.constantFrom('completed', 'image-not-found', 'attempts-exhausted');
const exitCodes = fc.integer();
const results: Arbitrary<ResultRef | null> = fc.option(record({ cid: cids, bytes: sizes }));
const failures: Arbitrary<ExecutionFailure> = record({
  code: codes,
  class: fc.constantFrom('spec', 'node', 'transient', 'limit'),
  message: texts,
});
const outputs: Arbitrary<OutputHead> = record({
  stdout: texts,
  stdoutTruncated: fc.boolean(),
  stderr: texts,
  stderrTruncated: fc.boolean(),
});
const usages: Arbitrary<Usage> = record({
  cpuMs: fc.option(moments),
  peakMemoryBytes: fc.option(sizes),
  wallMs: moments,
});

const place = { job: jobIds, version: ordinals, partition: indexes, attempt: indexes };

const close = {
  job: jobIds,
  version: ordinals,
  outcome: fc.constantFrom('completed', 'failed', 'stopped'),
  code: codes,
  message: texts,
  evidence: few(recordIds),
};

const config = {
  job: jobIds,
  config: configIds,
  keepers: fc.array(keepers, { minLength: 1, maxLength: 5 }),
  former: fc.array(keepers, { maxLength: 5 }),
};

const spec = {
  job: jobIds,
  owner: publicKeys,
  version: ordinals,
  nonce: hex(32),
  sponsor: nodeIds,
  spec: jobs,
  notAfter: moments,
};
const follows = record({
  of: recordIds,
  how: fc.constantFrom('update', 'rerun', 'rollback'),
  reason: texts,
});
const state = {
  ...place,
  execution: executionIds,
  node: nodeIds,
  sequence: ordinals,
  phase: fc.constantFrom(
    'received',
    'preparing',
    'starting',
    'running',
    'publishing',
    'completed',
    'failed',
    'cancelled',
    'lost',
  ),
  restarts: counts,
  retryMs: fc.option(moments),
  exitCode: fc.option(exitCodes),
  result: results,
  failure: fc.option(failures),
  output: fc.option(outputs),
  usage: fc.option(usages),
} as const;
const reached = fc.array(fc.option(moments), { maxLength: 5 });
const pauses = fc.array(
  record({
    at: moments,
    restarts: counts,
    retryMs: moments,
    exitCode: fc.option(exitCodes),
    failure: fc.option(failures),
    resumedMs: fc.option(moments),
  }),
  { maxLength: 8 },
);
const envelopes = fc.uint8Array({ maxLength: 64 });

export const bodyArbitraries: { readonly [T in RecordType]: Arbitrary<Bodies[T]> } = {
  spec: fc.oneof(record(spec), record({ ...spec, follows })),
  admission: record({
    job: jobIds,
    version: ordinals,
    spec: recordIds,
    keepers: fc.array(keepers, { minLength: 1, maxLength: 5 }),
    sponsor: nodeIds,
  }),
  config: fc.oneof(record(config), record({ ...config, reseeds: configIds })),
  vote: record({ job: jobIds, of: recordIds, slot: slots, epoch: epochs, store: storeIds }),
  command: record({
    job: jobIds,
    sequence: ordinals,
    command: fc.oneof(fc.constant('stop'), codes),
    reason: texts,
    notAfter: moments,
  }),
  grant: record({ job: jobIds, epoch: epochs }),
  assign: record({
    ...place,
    replaces: fc.constantFrom(null, 'failed', 'lost', 'missed', 'overdue', 'surplus'),
    adopts: fc.option(indexes),
    execution: executionIds,
    node: nodeIds,
    epoch: epochs,
  }),
  state: fc.oneof(
    record(state),
    record({ ...state, reached }),
    record({ ...state, reached, pauses }),
    record({ ...state, leftOut: fc.array(texts, { maxLength: 10 }) }),
  ),
  accept: record({
    ...place,
    execution: executionIds,
    node: nodeIds,
    exitCode: exitCodes,
    result: results,
    holders: few(nodeIds),
  }),
  version: record({
    job: jobIds,
    version: ordinals,
    spec: envelopes,
    fallback: fc.option(envelopes),
    message: texts,
  }),
  close: fc.oneof(
    record(close),
    record({ ...close, enrolled: fc.nat(1_000_000) }),
    record({ ...close, exitCode: fc.integer({ min: 1, max: 255 }) }),
  ),
  advert: record({
    node: nodeIds,
    store: storeIds,
    sequence: moments,
    addresses: few(fc.constantFrom('/ip4/127.0.0.1/tcp/4001', '/dns4/peer.example/tcp/4001')),
    labels: dictionaries,
    engines: few(fc.constantFrom('docker', 'wasm', 'noop')),
    publishers: few(fc.constantFrom('ipfs', 's3')),
    sources: few(fc.constantFrom('ipfs', 'url')),
    capacity: resources,
    free: resources,
    running: counts,
    keeps: fc.boolean(),
    software: texts,
    features: few(codes),
  }),
};

export const recordTypes = Object.keys(bodyArbitraries) as readonly RecordType[];
