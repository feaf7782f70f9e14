/** Whatever is sent, and however much of it: everything a node remembers has a bound. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asRequestId } from '../../../src/core/record/ids.ts';
import { summaryOf, ledgerOf } from '../../../src/core/record/ledger.ts';
import type {
  Gossip,
  GossipType,
  Message,
  MessageType,
} from '../../../src/core/contract/messages.ts';
import type { Certified, Epoch } from '../../../src/core/record/records.ts';
import { FIRST_CONFIG } from '../../../src/core/record/chain.ts';
import { Cluster, refusals } from './cluster.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  configOf,
  grantOf,
  idOf,
  jobWith,
  stateOf,
  suite,
  stopOf,
  storeOf,
  suiteOf,
} from './fixtures.ts';
import type { Admitted } from './fixtures.ts';

/** Entries that each map or set may have; one that is not named here is a map without a bound. */
const bounds: Readonly<Record<string, number>> = {
  timers: 10_000,
  dirty: 0,
  troubles: 0,
  members: 20_000,
  connected: 1,
  heardAt: 20_000,
  hosts: 4_096,
  watches: 10_000,
  stops: 0,
  updates: 0,
  relayedPings: 1_024,
  kept: 0,
  pending: 0,
  submissions: 0,
  executions: 0,
  live: 0,
  own: 0,
  done: 0,
  declined: 1_024,
  versions: 1_024,
  holds: 64,
  wishes: 2_000,
  awaitingSpec: 2_000,
  index: 10_000,
  indexOf: 10_000,
  allowances: 4_096,
  warm: 0,
  // The store gives no more; nobody else adds any.
  forfeits: 0,
  shelf: 0,
  tokens: 0,
  tombs: 0,
  cards: 0,
  recalls: 0,
  untold: 0,
  branchEnds: 0,
  past: 0,
  pastOfOwner: 0,
  trimmed: 0,
  bare: 0,
  closed: 0,
  lookups: 0,
  replicas: 64,
  copied: 1_024,
  entrusted: 0,
  awaySince: 0,
  local: 10_000,
  liveWanted: 512,
};

function assertBounded(cluster: Cluster, of = bounds): void {
  for (const [name, size] of Object.entries(cluster.machine(0).sizes())) {
    const most = of[name];
    assert.ok(most !== undefined, `${name} has a bound in this test`);
    assert.ok(size <= most, `${name} holds ${size} entries, ${most} are allowed`);
  }
}

const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
const request = asRequestId('r');

/** Everything about job number `n`, of nodes that are all strangers here. */
function facts(n: number) {
  const job = admitted(jobWith(), [1, 2, 3], { nonce: String(n).padStart(32, '0') });
  const assign = assignOf(job, { node: 4 });
  const state = stateOf(assign, 4, { phase: 'completed' });
  const epoch: Epoch = { config: { major: 0, minor: 0 }, number: 4, leader: idOf(2) };
  return { n, job, id: job.spec.body.job, assign, state, epoch };
}
type Facts = ReturnType<typeof facts>;

const announcementOf = ({ job, id, n }: Facts, spec: Admitted['spec'] | null) => ({
  job: id,
  version: 1,
  leader: idOf(n % 60_000),
  admission: job.admission,
  grant: null,
  round: 0,
  need: 16,
  spec,
  notAgain: [],
});
const advertOf = (n: number) =>
  suiteOf(n).seal(
    'advert',
    {
      node: idOf(n),
      store: storeOf(n),
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
    },
    at(0),
    'node',
  );
const recordsOf = ({ job }: Facts) => ({
  spec: job.spec,
  admission: job.admission,
  grant: null,
  commands: [],
  committed: [],
  states: [],
});

type Makers<U extends { readonly type: string }> = {
  readonly [T in U['type']]: (of: Facts) => Extract<U, { readonly type: T }>;
};

const messages: Makers<Message> = {
  admit: ({ job }) => ({ type: 'admit', spec: job.spec, admission: job.admission.record }),
  admitted: ({ job, id }) => ({
    type: 'admitted',
    job: id,
    vote: job.admission.votes[0] ?? assert.fail(),
  }),
  'not-admitted': ({ id }) => ({ type: 'not-admitted', job: id, refusal: { code: 'draining' } }),
  activate: ({ job }) => ({ type: 'activate', spec: job.spec, admission: job.admission }),
  'job-wanted': ({ id }) => ({ type: 'job-wanted', job: id }),
  over: ({ id }) => ({ type: 'over', job: id }),
  invite: (of) => ({
    type: 'invite',
    announcement: announcementOf(of, of.n % 2 === 0 ? of.job.spec : null),
  }),
  live: ({ id, epoch }) => ({ type: 'live', jobs: [{ job: id, version: 1, epoch }] }),
  'live-wanted': ({ id }) => ({ type: 'live-wanted', jobs: [id] }),
  'live-job': (of) => ({ type: 'live-job', announcement: announcementOf(of, of.job.spec) }),
  'spec-wanted': ({ id }) => ({ type: 'spec-wanted', job: id, version: 1 }),
  spec: ({ job }) => ({ type: 'spec', spec: job.spec }),
  bid: ({ id }) => ({
    type: 'bid',
    job: id,
    version: 1,
    round: 0,
    free: nothing,
    capacity: nothing,
    executions: 1,
    running: 0,
    locality: 0,
  }),
  decline: ({ id }) => ({ type: 'decline', job: id, version: 1, round: 0, refusals: [] }),
  'bid-closed': ({ id }) => ({ type: 'bid-closed', job: id, version: 1 }),
  prepare: ({ job, id, epoch }) => ({ type: 'prepare', job: id, grant: grantOf(job, epoch, 2) }),
  promise: (of) => ({
    type: 'promise',
    job: of.id,
    epoch: of.epoch,
    vote: certify(grantOf(of.job, of.epoch, 2), 'grant', [1], of.epoch).votes[0] ?? assert.fail(),
    digest: {
      version: 1,
      snapshot: String(of.n).padStart(32, '0'),
      chunks: ['a'.repeat(32), 'b'.repeat(32)],
    },
  }),
  ledger: (of) => ({
    type: 'ledger',
    job: of.id,
    digest: {
      version: 1,
      snapshot: String(of.n).padStart(32, '0'),
      chunks: ['a'.repeat(32), 'b'.repeat(32)],
    },
  }),
  'page-wanted': ({ id, n }) => ({
    type: 'page-wanted',
    job: id,
    snapshot: String(n).padStart(32, '0'),
    ...{ chunk: 0, from: n },
  }),
  page: ({ id, n }) => ({
    type: 'page',
    job: id,
    snapshot: String(n).padStart(32, '0'),
    ...{ chunk: 0, from: 0, next: null },
    ...{ committed: [], accepted: [], states: [], commands: [] },
  }),
  outdated: ({ id, epoch }) => ({ type: 'outdated', job: id, promised: epoch }),
  propose: ({ id, assign, epoch }) => ({
    type: 'propose',
    job: id,
    epoch,
    values: [{ slot: 'assign/1/0/0', value: assign }],
    states: [],
    commands: [],
  }),
  voted: ({ job, id }) => ({ type: 'voted', job: id, votes: [...job.admission.votes] }),
  commit: ({ job, id, assign }) => ({ type: 'commit', job: id, values: [committed(job, assign)] }),
  update: ({ job, id }) => ({ type: 'update', job: id, spec: job.spec, fallback: null }),
  version: ({ job, id, epoch }) => {
    const spec = suite.envelopeOf(job.spec);
    const body = { job: id, version: 2, spec, fallback: null, message: '' };
    const record = suite.seal('version', body, at(0), 'node');
    return { type: 'version', job: id, version: certify(record, 'version/2', [1], epoch) };
  },
  change: ({ job, id }) => ({ type: 'change', job: id, next: configOf(job, [1, 2, 0], [1, 2, 3]) }),
  join: ({ job }) => ({
    type: 'join',
    spec: job.spec,
    admission: job.admission,
    next: configOf(job, [1, 2, 0], [1, 2, 3]),
  }),
  branch: ({ id }) => ({ type: 'branch', job: id, turn: 1 }),
  'branch-known': ({ id }) => ({ type: 'branch-known', job: id, turn: 0, intact: true }),
  'change-agreed': ({ job, id }) => ({
    type: 'change-agreed',
    job: id,
    of: configOf(job, [1, 2, 0], [1, 2, 3]).id,
  }),
  'commit-ack': ({ id }) => ({ type: 'commit-ack', job: id, slots: ['assign/1/0/0', 'close/1'] }),
  activated: ({ id }) => ({ type: 'activated', job: id }),
  'closed-ack': ({ id }) => ({ type: 'closed-ack', job: id, version: 1 }),
  assign: ({ job, assign }) => ({
    type: 'assign',
    spec: job.spec,
    admission: job.admission,
    grant: null,
    assigns: [committed(job, assign)],
    holders: [],
  }),
  started: ({ id, assign }) => ({ type: 'started', job: id, executions: [assign.body.execution] }),
  'not-started': ({ id, assign }) => ({
    type: 'not-started',
    job: id,
    execution: assign.body.execution,
    refusals: [],
  }),
  states: ({ state }) => ({ type: 'states', states: [state] }),
  'states-ack': ({ assign }) => ({
    type: 'states-ack',
    seen: [{ execution: assign.body.execution, sequence: 1 }],
  }),
  renew: ({ id, assign }) => ({
    type: 'renew',
    executions: [{ job: id, execution: assign.body.execution }],
  }),
  renewed: ({ assign }) => ({ type: 'renewed', executions: [assign.body.execution] }),
  'tenure-wanted': ({ id, assign, epoch, n }) => ({
    type: 'tenure-wanted',
    job: id,
    execution: assign.body.execution,
    config: epoch.config,
    turn: n,
  }),
  tenure: ({ id, assign, epoch, n }) => ({
    type: 'tenure',
    job: id,
    execution: assign.body.execution,
    config: epoch.config,
    turn: n,
  }),
  leads: ({ id, epoch }) => ({ type: 'leads', job: id, epoch, grant: null }),
  cancel: ({ job, id, assign, state }) => ({
    type: 'cancel',
    job: id,
    execution: assign.body.execution,
    because: committed(job, acceptOf(job, state)),
  }),
  closed: ({ job, id }) => ({ type: 'closed', job: id, close: committed(job, closeOf(job)) }),
  replicate: ({ job, state }) => ({
    type: 'replicate',
    spec: job.spec,
    admission: job.admission,
    grant: null,
    state,
    holders: [],
  }),
  entrust: ({ job, state }) => ({
    type: 'entrust',
    spec: job.spec,
    admission: job.admission,
    accept: committed(job, acceptOf(job, state)) as Certified<'accept'>,
    holders: [],
  }),
  replicated: ({ id, assign, n }) => ({
    type: 'replicated',
    job: id,
    execution: assign.body.execution,
    cid: `bafy${n}`,
    outcome: 'made',
  }),
  command: ({ job }) => ({ type: 'command', command: stopOf(job) }),
  'command-refused': ({ id, job }) => ({
    type: 'command-refused',
    job: id,
    command: job.spec.id,
    refusal: { code: 'wrong-time', notAfter: 1, wall: 2 },
  }),
  'command-ack': ({ id, job }) => ({ type: 'command-ack', job: id, command: job.spec.id }),
  'status-wanted': ({ id }) => ({ type: 'status-wanted', jobs: [id] }),
  leading: ({ id, job }) => ({ type: 'leading', jobs: [{ job: id, epoch: job.epoch }] }),
  'not-leading': ({ id }) => ({ type: 'not-leading', jobs: [id] }),
  advert: ({ n }) => ({ type: 'advert', advert: advertOf(n) }),
  ping: ({ n }) => ({ type: 'ping', nonce: n }),
  pong: ({ n }) => ({ type: 'pong', nonce: n }),
  'ping-for-me': ({ n }) => ({ type: 'ping-for-me', nonce: n, target: idOf(1) }),
  find: ({ id, job }) => ({
    type: 'find',
    request,
    query: { type: 'job', ref: id, namespace: 'default', from: 0, owner: job.spec.body.owner },
  }),
  found: (of) => ({
    type: 'found',
    request: asRequestId(`r${of.n}`),
    answer: { type: 'job', records: recordsOf(of), waiting: null, next: null },
  }),
};

const gossip: Makers<Gossip> = {
  announce: (of) => ({
    type: 'announce',
    announcement: announcementOf(of, of.n % 2 === 0 ? of.job.spec : null),
  }),
  advert: ({ n }) => ({ type: 'advert', advert: advertOf(n) }),
  closed: (of) => ({
    type: 'closed',
    close: committed(of.job, closeOf(of.job)),
    summary: summaryOf(ledgerOf(recordsOf(of)), false),
  }),
};

const ROUNDS = 2_200;
const many = Array.from({ length: ROUNDS }, (_, n) => facts(n));

/** A node that nobody but node 1 is connected to; what it sends goes nowhere. */
function alone(): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.input(0, { type: 'peer-connected', node: idOf(1) });
  return cluster;
}

describe('what a node remembers stays bounded', () => {
  for (const type of Object.keys(messages) as MessageType[]) {
    it(`when ${ROUNDS} strangers each send a ${type} about another job`, () => {
      const cluster = alone();
      many.forEach((of, n) => cluster.message(0, 10 + n, messages[type](of)));
      assertBounded(cluster);
    });
  }
  for (const type of Object.keys(gossip) as GossipType[]) {
    it(`when ${ROUNDS} strangers each gossip a ${type} about another job`, () => {
      const cluster = alone();
      many.forEach((of, n) =>
        cluster.input(0, { type: 'gossip', from: idOf(10 + n), gossip: gossip[type](of) }),
      );
      assertBounded(cluster);
    });
  }

  it('when more nodes speak than it can know', () => {
    const cluster = alone();
    for (let n = 0; n < 20_500; n += 1) cluster.message(0, 10 + n, { type: 'pong', nonce: n });
    assertBounded(cluster);
  });
});

describe('what a keeper remembers of a job stays bounded', () => {
  /** Node 0 keeps the job with nodes 1 and 2, who are hostile. */
  function keeping() {
    const cluster = alone();
    const job = admitted(jobWith(), [1, 0, 2]);
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const size = (name: string): number => cluster.machine(0).sizes()[name] ?? 0;
    return { cluster, job, size };
  }

  it('when its owner signs thousands of stops: the last one stands, on disk, too', () => {
    const { cluster, job, size } = keeping();
    for (let sequence = 1; sequence <= 1_000; sequence += 1) {
      cluster.message(0, 9, { type: 'command', command: stopOf(job, { sequence }) });
    }
    assert.equal(size('ledger.commands'), 1);
    assert.equal(cluster.job(0).records.commands[0]?.body.sequence, 1_000);
    const { job: id } = job.spec.body;
    const rows = cluster
      .store(0)
      .restore()
      .records.filter(({ job: of, value }) => of === id && value.record.type === 'command');
    assert.equal(rows.length, 1);
  });

  it('when another keeper reports executions that nobody assigned', () => {
    const { cluster, job, size } = keeping();
    for (let n = 0; n < 500; n += 1) {
      const state = stateOf(assignOf(job, { node: 100 + n }), 100 + n, {});
      cluster.message(0, 1, { type: 'states', states: [state] });
    }
    assert.ok(size('ledger.states') <= 64, `${size('ledger.states')} states`);
  });

  it('when a majority of its keepers commits what the job has no slot for', () => {
    const { cluster, job, size } = keeping();
    for (let partition = 0; partition < 200; partition += 1) {
      const value = committed(job, assignOf(job, { node: 4, partition }));
      cluster.message(0, 1, { type: 'commit', job: job.spec.body.job, values: [value] });
    }
    assert.equal(size('ledger.committed'), 1);
  });

  it('when its leader proposes what the job has no slot for', () => {
    const { cluster, job, size } = keeping();
    for (let partition = 0; partition < 200; partition += 1) {
      const value = assignOf(job, { node: 4, partition });
      const values = [{ slot: `assign/1/${partition}/0` as const, value }];
      const { epoch } = job;
      cluster.message(0, 1, {
        type: 'propose',
        job: job.spec.body.job,
        epoch,
        values,
        states: [],
        commands: [],
      });
    }
    assert.equal(size('kept.accepted'), 1);
  });
});

describe('one message makes a node send', () => {
  /** Node 0 keeps this closed job with nodes 1 and 2. */
  function closedJob() {
    const cluster = alone();
    const job = admitted(jobWith(), [1, 0, 2]);
    const { job: id } = job.spec.body;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const assign = assignOf(job, { node: 4 });
    const values = [committed(job, assign), committed(job, closeOf(job))];
    cluster.message(0, 1, { type: 'commit', job: id, values });
    return { cluster, job, id, assign };
  }

  it('nothing of a closed job to a stranger that asks whether it is led', () => {
    const { cluster, id } = closedJob();
    const effects = cluster.message(0, 9, { type: 'status-wanted', jobs: [id] });
    assert.deepEqual(refusals(effects), ['not-keeper']);
    assert.equal(effects.filter(({ type }) => type === 'send').length, 0);
    assert.ok(
      cluster
        .message(0, 2, { type: 'status-wanted', jobs: [id] })
        .some(({ type }) => type === 'send'),
      'a keeper of it is answered',
    );
  });

  it('no more about jobs that are not here than the allowance of the asker has room for', () => {
    const cluster = alone();
    const jobs = Array.from({ length: 256 }, (_, n) =>
      asJobId(`j-00000000-0000-8000-8000-${String(n).padStart(12, '0')}`),
    );
    for (let count = 0; count < 20; count += 1)
      cluster.message(0, 9, { type: 'status-wanted', jobs });
    const told = cluster.messages('not-leading').map(({ message }) => message.jobs.length);
    assert.equal(
      told.reduce((sum, count) => sum + count, 0),
      2_000,
    );
  });

  it('all records of a large job no oftener than the allowance of the asker has room for', () => {
    const cluster = alone();
    const job = admitted(jobWith({ Count: 400 }), [1, 0, 2]);
    const { job: id } = job.spec.body;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const assigned = Array.from({ length: 400 }, (_, partition) =>
      committed(job, assignOf(job, { node: 4, partition })),
    );
    for (let from = 0; from < 400; from += 100)
      cluster.message(0, 1, { type: 'commit', job: id, values: assigned.slice(from, from + 100) });
    const grant = grantOf(job, { config: FIRST_CONFIG, number: 1, leader: idOf(2) }, 2);
    const query = {
      type: 'job',
      ref: id,
      namespace: 'default',
      from: 0,
      owner: suiteOf(9).owner,
    } as const;
    const ask = (from: number, message: Message): number => {
      const effects = Array.from({ length: 200 }, () => cluster.message(0, from, message)).flat();
      const sent = effects.filter((effect) => effect.type === 'send');
      return sent.filter(({ message: told }) => told.type !== 'status-wanted').length;
    };
    // 400 records are worth 50 points; they fill some messages, and 2,000 points are there at once.
    const found = ask(9, { type: 'find', request: asRequestId('r'), query });
    assert.ok(found > 0 && found <= 40, `${found} answers`);
    const promised = ask(2, { type: 'prepare', job: id, grant });
    assert.ok(promised > 0 && promised <= 300, `${promised} parts of promises`);
    cluster.advance(10_000);
    const close = committed(job, closeOf(job));
    cluster.message(0, 1, { type: 'commit', job: id, values: [close] });
    const told = ask(2, { type: 'status-wanted', jobs: [id] });
    assert.ok(told > 0 && told <= 300, `${told} parts of what was committed`);
  });

  it('a job to nobody who is not its keeper', () => {
    const { cluster, id } = closedJob();
    assert.deepEqual(refusals(cluster.message(0, 9, { type: 'job-wanted', job: id })), [
      'not-keeper',
    ]);
  });

  it('the end of a job once, however often the job is named', () => {
    const { cluster, id, assign } = closedJob();
    const { execution } = assign.body;
    const states = Array.from({ length: 500 }, (_, sequence) => stateOf(assign, 4, { sequence }));
    const executions = states.map(() => ({ job: id, execution }));
    for (const message of [
      { type: 'states', states } as const,
      { type: 'renew', executions } as const,
    ]) {
      const effects = cluster.message(0, 9, message);
      const closes = effects.filter((e) => e.type === 'send' && e.message.type === 'closed');
      assert.equal(closes.length, 1, message.type);
    }
  });

  it('no ping to a node that it has never heard of', () => {
    const cluster = alone();
    const ask = (target: number) =>
      cluster.message(0, 9, { type: 'ping-for-me', nonce: 7, target: idOf(target) }).length;
    assert.equal(ask(3), 0);
    assert.equal(ask(1), 1);
  });

  it('answers until the allowance of the asker is used up, and again when time has passed', () => {
    const cluster = alone();
    const list = () =>
      cluster
        .message(0, 9, {
          type: 'find',
          request,
          query: { type: 'jobs', namespace: null, limit: 1_000 },
        })
        .filter(({ type }) => type === 'send').length;
    let answered = 0;
    for (let count = 0; count < 200; count += 1) answered += list();
    assert.equal(answered, 20);
    cluster.advance(1_000);
    for (let count = 0; count < 200; count += 1) answered += list();
    assert.equal(answered, 30);
  });

  it('an answer about a job of many partitions that fits a frame, its end and results first', () => {
    const cluster = alone();
    const job = admitted(jobWith({ Count: 400 }), [1, 0, 2]);
    const { job: id, owner } = job.spec.body;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const text = 'x'.repeat(2_000);
    const output = { stdout: text, stdoutTruncated: true, stderr: text, stderrTruncated: true };
    const change = { phase: 'completed', exitCode: 0, output } as const;
    const states = Array.from({ length: 400 }, (_, partition) =>
      stateOf(assignOf(job, { node: 4, partition }), 4, change),
    );
    const assigns = states.map(({ body }) =>
      committed(job, assignOf(job, { node: 4, partition: body.partition })),
    );
    const accepts = states.map((state) => committed(job, acceptOf(job, state)));
    for (const values of [assigns, accepts, [committed(job, closeOf(job))]]) {
      cluster.message(0, 1, { type: 'commit', job: id, values });
    }
    cluster.message(0, 1, { type: 'states', states });
    const query = { type: 'job', ref: id, namespace: 'default', from: 0, owner } as const;
    const [effect] = cluster.message(0, 9, { type: 'find', request, query });
    assert.ok(effect?.type === 'send' && effect.message.type === 'found');
    const { answer } = effect.message;
    assert.ok(answer.type === 'job');
    assert.equal(answer.records.committed[0]?.record.type, 'close');
    assert.ok(answer.records.states.length >= 40);
    // As text, without the signatures, which take 64 bytes each in a frame.
    const signatures = answer.records.committed.length * 4 + answer.records.states.length;
    const text64 = JSON.stringify(answer, (key, value) => (key === 'sig' ? '' : value)).length;
    assert.ok(text64 + 64 * signatures < 1_048_576, `${text64} characters`);
    // The rest is in further parts, each with the end.
    const told = new Set<string>();
    for (let from: number | null = 0; from !== null; ) {
      cluster.advance(1_000);
      const [part] = cluster.message(0, 9, { type: 'find', request, query: { ...query, from } });
      assert.ok(part?.type === 'send' && part.message.type === 'found');
      const found = part.message.answer;
      assert.ok(found.type === 'job' && (found.next === null || found.next > from));
      assert.equal(found.records.committed[0]?.record.type, 'close');
      for (const { record } of found.records.committed) told.add(record.id);
      for (const { id: state } of found.records.states) told.add(state);
      from = found.next;
    }
    assert.equal(told.size, 3 * 400 + 1);
    // Whoever asks here is told all of it at once.
    cluster.input(0, { type: 'query', request, query: { ...query, type: 'job' } });
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'answer' && reply.answer.next === null);
    assert.equal(reply.answer.records.committed.length, 2 * 400 + 1);
  });

  it('what a large job that is over has come to only to whoever asks for its pages', () => {
    const cluster = alone();
    const job = admitted(jobWith({ Count: 400 }), [1, 0, 2]);
    const { job: id } = job.spec.body;
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    const assigns = Array.from({ length: 400 }, (_, partition) =>
      committed(job, assignOf(job, { node: 4, partition })),
    );
    cluster.message(0, 1, { type: 'commit', job: id, values: assigns });
    cluster.message(0, 1, { type: 'commit', job: id, values: [committed(job, closeOf(job))] });
    const [told, ...more] = cluster
      .message(0, 2, { type: 'status-wanted', jobs: [id] })
      .flatMap((e) => (e.type === 'send' ? [e.message] : []));
    assert.ok(told?.type === 'ledger');
    assert.deepEqual(more, []);
    const { snapshot, chunks } = told.digest;
    for (const chunk of chunks.keys()) {
      const wanted = { type: 'page-wanted', job: id, snapshot, chunk, from: 0 } as const;
      cluster.message(0, 2, wanted);
    }
    const pages = cluster.messages('page').map(({ message }) => message);
    assert.equal(pages.flatMap((page) => page.committed).length, 401);
    assert.deepEqual(
      pages.at(-1)?.committed.map(({ record }) => record.type),
      ['close'],
    );
  });
});
