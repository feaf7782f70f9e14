/** Whether a node takes a job: each reason to refuse, all reasons at once, and none without a cause. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { busyRefusals, refusalsFor } from '../../../../src/core/placing/eligibility.ts';
import type { ExecutorPolicy, Profile } from '../../../../src/core/contract/profile.ts';
import type { Refusal, RefusalCode } from '../../../../src/core/record/refusals.ts';
import type { Constraint, Job, Task } from '../../../../src/job/model.ts';
import { ownerKey } from '../../../simulation/fast-suite.ts';
import { profileOf } from '../../../simulation/profile.ts';
import { messages } from '../../p2p/wire/fixtures.ts';
import { idOf, jobWith, specOf, suite } from '../fixtures.ts';

const base = profileOf(0, idOf(0));
const policy = (change: Partial<ExecutorPolicy>): Partial<Profile> => ({
  policy: { ...base.policy, ...change },
});
const refusals = (job: Job, profile: Partial<Profile> = {}): readonly Refusal[] =>
  refusalsFor({ ...base, ...profile }, specOf(job).body);
const task = (change: Partial<Task>): Job => jobWith({}, change);
const docker = (Params: Task['Engine']['Params']): Job =>
  task({ Engine: { Type: 'docker', Params } });
const needs = (change: Partial<Task['resources']>): Job =>
  task({ resources: { cpuMillis: 1, memoryBytes: 1, diskBytes: 0, gpus: 0, ...change } });
const input = (
  Type: string,
  Params: Task['Engine']['Params'] = {},
): Task['InputSources'][number] => ({
  Source: { Type, Params },
  Alias: '',
  Target: '/inputs',
});
const directory = (SourcePath: string, ReadWrite: boolean): Job =>
  task({ InputSources: [input('localdirectory', { SourcePath, ReadWrite })] });
const local: Partial<Profile> = {
  sources: ['localdirectory'],
  allowedPaths: ['/data/**', '/scratch:rw'],
};
const zone = (Operator: Constraint['Operator'], ...Values: string[]): Job =>
  jobWith({ Constraints: [{ Key: 'zone', Operator, Values }] });
const network = (Type: Task['Network']['Type']): Job =>
  task({ Network: { Type, Domains: [], Ports: [] } });

type Case = readonly [law: string, refusal: Refusal, job: Job, profile?: Partial<Profile>];
/** Every refusal that comes from profile and spec; the others come from the moment. */
type Lasting = Exclude<
  RefusalCode,
  | 'busy'
  | 'store-full'
  | 'draining'
  | 'expired'
  | 'wrong-time'
  | 'other-store'
  | 'damaged'
  | 'versions-full'
  | 'over'
  | 'unsupported'
>;

const cases: Readonly<Record<Lasting, readonly Case[]>> = {
  'engine-missing': [
    [
      'an engine that is not here',
      { code: 'engine-missing', engine: 'wasm', detail: 'no such engine here' },
      task({ Engine: { Type: 'wasm', Params: {} } }),
    ],
    [
      'an engine that does not work, with the reason',
      { code: 'engine-missing', engine: 'docker', detail: 'no daemon' },
      jobWith(),
      { engines: { docker: { available: false, detail: 'no daemon' } } },
    ],
  ],
  'publisher-missing': [
    [
      'a publisher that is not here',
      { code: 'publisher-missing', publisher: 's3' },
      task({ Publisher: { Type: 's3', Params: {} } }),
    ],
  ],
  'source-missing': [
    [
      'a kind of input that is not here, once however often it is used',
      { code: 'source-missing', source: 's3' },
      task({ InputSources: [input('s3'), input('ipfs'), input('s3')] }),
    ],
  ],
  constraint: [
    [
      'labels that do not match, with the label it has',
      {
        code: 'constraint',
        constraint: { Key: 'zone', Operator: '=', Values: ['z9'] },
        actual: 'z0',
      },
      zone('=', 'z9'),
    ],
    [
      'labels that are missing',
      {
        code: 'constraint',
        constraint: { Key: 'zone', Operator: 'exists', Values: [] },
        actual: null,
      },
      zone('exists'),
      { labels: {} },
    ],
  ],
  'too-big': [
    [
      'more CPU than it has',
      { code: 'too-big', resource: 'cpu', wanted: 4_001, capacity: 4_000 },
      needs({ cpuMillis: 4_001 }),
    ],
    [
      'a GPU where there is none',
      { code: 'too-big', resource: 'gpu', wanted: 1, capacity: 0 },
      needs({ gpus: 1 }),
    ],
    [
      'more disk than it has',
      { code: 'too-big', resource: 'disk', wanted: 10, capacity: 9 },
      needs({ diskBytes: 10 }),
      { capacity: { ...base.capacity, diskBytes: 9 } },
    ],
    [
      'more memory than it has',
      { code: 'too-big', resource: 'memory', wanted: 10, capacity: 9 },
      needs({ memoryBytes: 10 }),
      { capacity: { ...base.capacity, memoryBytes: 9 } },
    ],
    [
      'more memory than it has with what the engine takes beside',
      { code: 'too-big', resource: 'memory', wanted: 15, capacity: 14 },
      needs({ memoryBytes: 10 }),
      { capacity: { ...base.capacity, memoryBytes: 14 }, overheads: { docker: 5 } },
    ],
  ],
  network: [
    [
      'a network it does not allow, with the reason',
      { code: 'network', network: 'Host', detail: 'not here' },
      network('Host'),
    ],
    [
      'a network it does not know',
      { code: 'network', network: 'HTTP', detail: '' },
      network('HTTP'),
    ],
    [
      'a network that this engine cannot give',
      { code: 'network', network: 'Default', detail: 'no wasm' },
      network('Default'),
      { networks: { ...base.networks, 'docker/Default': { allowed: false, detail: 'no wasm' } } },
    ],
    [
      'a port on an address that its operator did not name',
      {
        code: 'network',
        network: 'Host',
        detail: 'ports may not be published on 0.0.0.0 there, only on 127.0.0.1',
      },
      task({
        Network: {
          Type: 'Host',
          Domains: [],
          Ports: [{ Name: 'p', Static: 8080, Target: 0, HostNetwork: '0.0.0.0' }],
        },
      }),
      { networks: { Host: { allowed: true, detail: '' } } },
    ],
  ],
  'path-not-allowed': [
    [
      'a path outside its list',
      { code: 'path-not-allowed', path: '/etc', writable: false },
      directory('/etc', false),
      local,
    ],
    [
      'writing where it allows reading',
      { code: 'path-not-allowed', path: '/data/a', writable: true },
      directory('/data/a', true),
      local,
    ],
  ],
  'env-not-allowed': [
    [
      'a variable of its process that it does not give away',
      { code: 'env-not-allowed', variable: 'AWS_KEY' },
      task({ Env: { KEY: 'env:AWS_KEY', PLAIN: 'value', OK: 'env:APP_A' } }),
      { allowedEnv: ['APP_*'] },
    ],
  ],
  'owner-not-allowed': [
    [
      'an owner on its deny list',
      { code: 'owner-not-allowed' },
      jobWith(),
      policy({ denyOwners: [suite.owner] }),
    ],
    [
      'an owner missing in its allow list',
      { code: 'owner-not-allowed' },
      jobWith(),
      policy({ allowOwners: [ownerKey(1)] }),
    ],
  ],
  'namespace-not-allowed': [
    [
      'a namespace on its deny list',
      { code: 'namespace-not-allowed', namespace: 'default' },
      jobWith(),
      policy({ denyNamespaces: ['default'] }),
    ],
    [
      'a namespace missing in its allow list',
      { code: 'namespace-not-allowed', namespace: 'default' },
      jobWith(),
      policy({ allowNamespaces: ['prod'] }),
    ],
  ],
  'image-not-allowed': [
    [
      'an image that begins with none of its prefixes',
      { code: 'image-not-allowed', image: 'evil/miner' },
      docker({ Image: 'evil/miner' }),
      policy({ allowImages: ['alpine:', 'ghcr.io/us/'] }),
    ],
    [
      'an image of a registry that is not a public one',
      { code: 'image-not-allowed', image: '169.254.169.254/latest/meta' },
      docker({ Image: '169.254.169.254/latest/meta' }),
      policy({ privateRegistries: ['localhost:5000'] }),
    ],
  ],
};

describe('a node refuses', () => {
  for (const [law, refusal, job, profile] of Object.values(cases).flat()) {
    it(law, () => assert.deepEqual(refusals(job, profile), [refusal]));
  }

  it('with all its reasons at once', () => {
    const job = jobWith(
      { Constraints: [{ Key: 'zone', Operator: '=', Values: ['z9'] }] },
      {
        Engine: { Type: 'vm', Params: { Image: 'evil' } },
        Publisher: { Type: 's3', Params: {} },
        InputSources: [input('url'), input('localdirectory', { SourcePath: '/etc' })],
        Env: { A: 'env:SECRET' },
        Network: { Type: 'Host', Domains: [], Ports: [] },
        resources: { cpuMillis: 1e9, memoryBytes: 1e15, diskBytes: 1e15, gpus: 9 },
      },
    );
    const profile = policy({
      denyOwners: [suite.owner],
      denyNamespaces: ['default'],
      allowImages: ['alpine'],
    });
    const codes = new Set(refusals(job, profile).map(({ code }) => code));
    assert.deepEqual([...codes].sort(), (Object.keys(cases) as Lasting[]).sort());
    assert.equal(refusals(job, profile).filter(({ code }) => code === 'too-big').length, 4);
  });
});

describe('a job that speaks of what every object has', () => {
  const inherited = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf'];
  for (const word of inherited) {
    it(`is refused in words that can be sent: ${word}`, () => {
      const jobs = [
        jobWith({ Constraints: [{ Key: word, Operator: '=', Values: ['x'] }] }),
        task({ Engine: { Type: word, Params: {} } }),
        network(word as Task['Network']['Type']),
      ];
      for (const refused of jobs.flatMap((job) => refusals(job))) {
        const { job } = specOf(jobWith()).body;
        const sent = messages.encodeMessage({ type: 'not-admitted', job, refusal: refused });
        assert.ok(sent.length > 0);
      }
      assert.deepEqual(refusals(jobs[0] as Job), [
        {
          code: 'constraint',
          constraint: { Key: word, Operator: '=', Values: ['x'] },
          actual: null,
        },
      ]);
      assert.equal(refusals(jobs[1] as Job)[0]?.code, 'engine-missing');
      assert.equal(refusals(jobs[2] as Job)[0]?.code, 'network');
    });
  }
});

it('says why in a message that can be sent, however much a job asks for', () => {
  const Constraints = Array.from({ length: 200 }, (_, index) => ({
    Key: `key-${index}`,
    Operator: '=' as const,
    Values: ['x'],
  }));
  const job = jobWith({ Constraints });
  const spec = specOf(job).body;
  const decline = {
    type: 'decline',
    job: spec.job,
    version: 1,
    round: 0,
    refusals: refusals(job),
  } as const;
  const decoded = messages.decodeMessage(messages.encodeMessage(decline));
  assert.ok(decoded.ok && decoded.message.type === 'decline');
  assert.equal(decoded.message.refusals.length, 64);
});

describe('a node takes', () => {
  const fine: Readonly<Record<string, readonly [Job, Partial<Profile>?]>> = {
    'a plain job': [jobWith()],
    'a job whose needs are exactly its capacity': [task({ resources: base.capacity })],
    'a job that merely favours another label': [
      jobWith({ Constraints: [{ Key: 'favour_zone', Operator: '=', Values: ['z9'] }] }),
    ],
    'a job whose constraint it meets': [zone('in', 'z0', 'z1')],
    'an allowed path for reading': [directory('/data/a', false), local],
    'an allowed path for writing': [directory('/scratch', true), local],
    'an allowed variable': [
      task({ Env: { A: 'env:APP_A', B: 'env:HOME' } }),
      { allowedEnv: ['APP_*', 'HOME'] },
    ],
    'an allowed owner, namespace and image': [
      docker({ Image: 'ghcr.io/us/a' }),
      policy({
        allowOwners: [suite.owner],
        allowNamespaces: ['default'],
        allowImages: ['ghcr.io/us/'],
      }),
    ],
    'a network that this engine can give though others cannot': [
      network('Host'),
      { networks: { ...base.networks, 'docker/Host': { allowed: true, detail: '' } } },
    ],
  };
  for (const [what, [job, profile]] of Object.entries(fine)) {
    it(what, () => assert.deepEqual(refusals(job, profile), []));
  }

  it('no pattern of variables for more than it says', () => {
    const variable = fc.stringMatching(/^[A-Z_.]{1,8}$/);
    fc.assert(
      fc.property(variable, variable, (allowed, wanted) => {
        const refused =
          refusals(task({ Env: { A: `env:${wanted}` } }), { allowedEnv: [allowed] }).length > 0;
        assert.equal(refused, allowed !== wanted);
      }),
    );
  });
});

describe('a busy node', () => {
  it('names every resource that is short now, with what is wanted and what is free', () => {
    const free = { cpuMillis: 1, memoryBytes: 2, diskBytes: 3, gpus: 4 };
    const wanted = { cpuMillis: 2, memoryBytes: 2, diskBytes: 4, gpus: 4 };
    assert.deepEqual(busyRefusals(wanted, free), [
      { code: 'busy', resource: 'cpu', wanted: 2, free: 1 },
      { code: 'busy', resource: 'disk', wanted: 4, free: 3 },
    ]);
    assert.deepEqual(busyRefusals(free, free), []);
  });
});
