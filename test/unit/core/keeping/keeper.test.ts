/** A keeper votes once, promises upwards, accepts what is founded, and answers for what it knows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../../../src/core/contract/effect.ts';
import type { Inspection } from '../../../../src/core/contract/inspection.ts';
import type { Limits } from '../../../../src/core/contract/limits.ts';
import type { Message, SlotValue } from '../../../../src/core/contract/messages.ts';
import type { Certified, Epoch, Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { forge, nodeKey } from '../../../simulation/fast-suite.ts';
import { MESSAGE_FILL_BYTES } from '../../../../src/core/contract/limits.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  acceptOf,
  admissionOf,
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  grantOf,
  idOf,
  jobWith,
  setOf,
  specOf,
  stateOf,
  stopOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

/** Nodes 1, 0 and 2 keep the job; 1 leads it; node 0 is the machine under test. */
const job = admitted(jobWith({ Count: 2 }), [1, 0, 2]);
const id = job.spec.body.job;
const admit = { type: 'admit', spec: job.spec, admission: job.admission.record } as const;
const activate = { type: 'activate', spec: job.spec, admission: job.admission } as const;
const epochOf = (number: number, node: number): Epoch => ({
  config: { major: 0, minor: 0 },
  number,
  leader: idOf(node),
});

const assign = assignOf(job, { node: 7 });
const ended = stateOf(assign, 7, { phase: 'completed', sequence: 4 });
const accept = acceptOf(job, ended);

const machine = (limits: Partial<Limits> = {}): Cluster =>
  new Cluster({ nodes: 1, program: () => [], limits });
function keeper(limits: Partial<Limits> = {}): Cluster {
  const cluster = machine(limits);
  cluster.message(0, 1, activate);
  assert.equal(cluster.machine(0).inspect().jobs.length, 1);
  return cluster;
}
const propose = (
  values: readonly SlotValue[],
  change: Partial<MessageOf<'propose'>> = {},
): MessageOf<'propose'> => ({
  type: 'propose',
  job: id,
  epoch: job.epoch,
  values: values.map((value) => ({ slot: slotOf(value), value })),
  states: [],
  commands: [],
  ...change,
});
const prepare = (epoch: Epoch, by: number): MessageOf<'prepare'> => ({
  type: 'prepare',
  job: id,
  grant: grantOf(job, epoch, by),
});
const sends = (effects: readonly Effect[]): readonly Message[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
const types = (effects: readonly Effect[]): readonly string[] =>
  sends(effects).map(({ type }) => type);
/** Everything but the count of what was refused. */
const state = (inspection: Inspection): Inspection => ({ ...inspection, refused: {} });

/** The input is refused with this code, and nothing else happens. */
function refusedAlone(cluster: Cluster, from: number, message: Message, code: string): void {
  const before = state(cluster.machine(0).inspect());
  const effects = cluster.message(0, from, message);
  assert.deepEqual(refusals(effects), [code]);
  assert.deepEqual(
    effects.filter(({ type }) => type === 'persist'),
    [],
  );
  assert.deepEqual(state(cluster.machine(0).inspect()), before);
}

describe('an admission', () => {
  it('is on disk and voted for by each keeper it names', () => {
    const effects = machine().message(0, 1, admit);
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['persist', 'send'],
    );
    const [voted] = sends(effects);
    assert.ok(voted?.type === 'admitted' && voted.vote.body.of === job.admission.record.id);
    assert.equal(voted.vote.body.store, storeOf(0));
  });

  it('that comes again is voted for again, and nothing more', () => {
    const cluster = keeper();
    assert.deepEqual(
      cluster.message(0, 1, admit).map(({ type }) => type),
      ['send'],
    );
  });

  it('that comes again is not voted for by who keeps the job with the store of a later change alone', () => {
    const before = [...setOf([1, 2]), { node: idOf(0), store: storeOf(9) }];
    for (const [first, answer] of [
      [
        before,
        { type: 'not-admitted', job: id, refusal: { code: 'other-store', store: storeOf(0) } },
      ],
      [setOf([1, 2, 3]), null],
    ] as const) {
      const record = admissionOf(job.spec, [], { keepers: first });
      const admission = certify(record, 'admission', [1, 2], job.epoch);
      const configs = [setOf([1, 2]), setOf([1, 2, 0])].map((keepers, minor) => {
        const body = { job: id, config: { major: 0, minor: minor + 1 }, keepers, former: [] };
        const change = suiteOf(1).seal('config', body, at(5), 'node');
        const epoch = { ...job.epoch, config: { major: 0, minor: minor } };
        return certify(change, slotOf(change), [1, 2], epoch);
      });
      const cluster = machine();
      cluster.message(0, 1, { type: 'activate', spec: job.spec, admission, configs });
      assert.equal(cluster.inspect(0).jobs[0]?.keeper, true);
      const effects = cluster.message(0, 1, { ...admit, admission: record });
      assert.deepEqual(sends(effects), answer === null ? [] : [answer]);
      assert.deepEqual(refusals(effects), answer === null ? ['not-keeper'] : []);
    }
  });

  const spec = job.spec;
  const cases: Readonly<Record<string, readonly [string, Message]>> = {
    'that does not name this node': [
      'not-keeper',
      { ...admit, admission: admissionOf(spec, [1, 2, 3]) },
    ],
    'of a spec that no API would have taken': [
      'spec-invalid',
      { ...admit, spec: specOf(jobWith({ Count: 1_000_000 })) },
    ],
    'of an expired spec': ['expired', { ...admit, spec: specOf(jobWith(), { notAfter: 5 }) }],
    'signed by another than its sponsor': [
      'wrong-signer',
      {
        ...admit,
        admission: admissionOf(spec, [1, 0, 2], { sponsor: idOf(0) }, 5),
      },
    ],
    'that was forged': [
      'bad-signature',
      {
        ...admit,
        admission: forge(admissionOf(spec, [1, 0, 2], { sponsor: idOf(0) }, 5), nodeKey(0)),
      },
    ],
    'of another spec': [
      'contradiction',
      { ...admit, spec: specOf(jobWith(), { nonce: 'c'.repeat(32) }) },
    ],
  };
  for (const [what, [code, message]] of Object.entries(cases)) {
    it(`${what} is refused and not kept`, () => refusedAlone(machine(), 1, message, code));
  }

  it('is the only one a job ever has', () => {
    const other = { ...admit, admission: admissionOf(job.spec, [0, 1, 2]) };
    const pending = machine();
    pending.message(0, 1, admit);
    refusedAlone(pending, 1, other, 'contradiction');
    refusedAlone(keeper(), 1, other, 'contradiction');
    const second = admitted(jobWith({ Count: 2 }), [0, 1, 2]);
    refusedAlone(pending, 1, { ...activate, admission: second.admission }, 'contradiction');
  });

  it('that names this node with another store gets no vote, and its sponsor is told so', () => {
    const keepers = [1, 0, 2].map((index) => ({ node: idOf(index), store: storeOf(index + 10) }));
    const admission = admissionOf(spec, [1, 0, 2], { keepers });
    const effects = machine().message(0, 1, { ...admit, admission });
    const refusal = { code: 'other-store', store: storeOf(0) };
    const said = { type: 'not-admitted', job: id, refusal };
    assert.deepEqual(effects, [{ type: 'send', to: idOf(1), message: said }]);
  });

  it('is declined without a vote by a node that leaves or is full', () => {
    const leaving = machine();
    leaving.input(0, { type: 'drain', on: true });
    const expected = { type: 'not-admitted', job: id };
    assert.deepEqual(sends(leaving.message(0, 1, admit)), [
      { ...expected, refusal: { code: 'draining' } },
    ]);
    const full = machine({ jobsMax: 1 });
    full.message(0, 1, admit);
    const another = admitted(jobWith(), [1, 0, 2], { nonce: 'd'.repeat(32) });
    const [answer] = sends(
      full.message(0, 1, { ...admit, spec: another.spec, admission: another.admission.record }),
    );
    assert.deepEqual(answer, {
      type: 'not-admitted',
      job: another.spec.body.job,
      refusal: { code: 'store-full' },
    });
  });

  it('makes a keeper only with W votes', () => {
    const few = certify(job.admission.record, 'admission', [1], job.epoch);
    refusedAlone(machine(), 1, { ...activate, admission: few }, 'bad-certificate');
    assert.deepEqual(types(machine().message(0, 1, activate)), ['activated']);
  });

  it('does not make a keeper of a node that it does not name', () => {
    const foreign = admitted(jobWith({ Count: 2 }), [1, 2, 3]);
    refusedAlone(
      machine(),
      1,
      { type: 'activate', spec: foreign.spec, admission: foreign.admission },
      'not-keeper',
    );
  });

  it('that nobody activates is handed on to the other keepers, and W votes activate it', () => {
    const cluster = machine();
    cluster.message(0, 1, admit);
    const mark = cluster.sent.length;
    cluster.advance(10_000);
    const handed = cluster.sent.slice(mark).filter(({ message }) => message.type === 'admit');
    assert.deepEqual(
      handed.map(({ to }) => to),
      [idOf(1), idOf(2)],
    );
    const [vote] = certify(job.admission.record, 'admission', [2], job.epoch).votes;
    assert.ok(vote);
    cluster.message(0, 9, { type: 'admitted', job: id, vote });
    assert.equal(
      cluster.machine(0).inspect().jobs.length,
      0,
      'a vote counts from its own keeper only',
    );
    cluster.message(0, 2, { type: 'admitted', job: id, vote });
    assert.equal(cluster.machine(0).inspect().jobs.length, 1);
  });
});

/** All that a promise covers, asked for page by page. */
function acceptedOf(
  cluster: Cluster,
  promise: MessageOf<'promise'>,
  of = id,
): readonly (readonly string[])[] {
  const { snapshot } = promise.digest;
  const told: (readonly string[])[] = [];
  for (let from: number | null = 0; from !== null; ) {
    const wanted = { type: 'page-wanted', job: of, snapshot, chunk: 0, from } as const;
    const [page] = sends(cluster.message(0, 2, wanted));
    assert.ok(page?.type === 'page');
    told.push(...page.accepted.map(({ slot, value }) => [slot, value.id]));
    from = page.next;
  }
  return told;
}

describe('a promise', () => {
  it('is given for a higher epoch, is on disk, and carries what was accepted', () => {
    const cluster = keeper();
    cluster.message(0, 1, propose([assign]));
    const effects = cluster.message(0, 2, prepare(epochOf(1, 2), 2));
    assert.equal(effects[0]?.type, 'persist');
    const [promise] = sends(effects);
    assert.ok(promise?.type === 'promise');
    assert.deepEqual(acceptedOf(cluster, promise), [['assign/1/0/0', assign.id]]);
    assert.deepEqual(cluster.job(0).promised, epochOf(1, 2));
  });

  it('is never lowered', () => {
    const cluster = keeper();
    cluster.message(0, 2, prepare(epochOf(5, 2), 2));
    for (const lower of [epochOf(4, 2), epochOf(5, 1)]) {
      const by = lower.leader === idOf(1) ? 1 : 2;
      const effects = cluster.message(0, by, prepare(lower, by));
      assert.deepEqual(refusals(effects), ['outdated-epoch']);
      assert.deepEqual(sends(effects), [{ type: 'outdated', job: id, promised: epochOf(5, 2) }]);
    }
    const effects = cluster.message(0, 1, propose([assign]));
    assert.deepEqual(types(effects), ['outdated']);
    assert.deepEqual(cluster.job(0).promised, epochOf(5, 2));
  });

  it('is given again for the same epoch without another write', () => {
    const cluster = keeper();
    cluster.message(0, 2, prepare(epochOf(1, 2), 2));
    assert.deepEqual(
      cluster.message(0, 2, prepare(epochOf(1, 2), 2)).map(({ type }) => type),
      ['send'],
    );
  });

  const high = epochOf(9, 2);
  const cases: Readonly<Record<string, readonly [string, number, MessageOf<'prepare'>]>> = {
    'by a node that is no keeper': ['not-keeper', 9, prepare(epochOf(9, 9), 9)],
    'for somebody else': ['wrong-signer', 1, prepare(high, 2)],
    'signed by another': ['wrong-signer', 2, prepare(high, 1)],
    'that was forged': [
      'bad-signature',
      2,
      { ...prepare(high, 2), grant: forge(grantOf(job, high, 1), nodeKey(2)) },
    ],
    'with the grant of another job': [
      'wrong-signer',
      2,
      {
        ...prepare(high, 2),
        grant: grantOf(admitted(jobWith(), [1, 0, 2], { nonce: 'd'.repeat(32) }), high, 2),
      },
    ],
  };
  for (const [what, [code, from, message]] of Object.entries(cases)) {
    it(`asked ${what} is refused`, () => refusedAlone(keeper(), from, message, code));
  }

  it('of a large ledger is one message, and its pages each fit a frame', () => {
    const wide = admitted(jobWith({ Count: 8 }), [1, 0, 2]);
    const { job: id } = wide.spec.body;
    const cluster = machine();
    cluster.message(0, 1, { type: 'activate', spec: wide.spec, admission: wide.admission });
    const values = Array.from({ length: 900 }, (_, number) =>
      assignOf(wide, { node: 7, partition: number % 8, attempt: Math.floor(number / 8) }),
    );
    cluster.message(0, 1, propose(values, { job: id, epoch: wide.epoch }));
    const asked = { type: 'prepare', job: id, grant: grantOf(wide, epochOf(1, 2), 2) } as const;
    const [promise, ...more] = sends(cluster.message(0, 2, asked));
    assert.ok(promise?.type === 'promise');
    assert.deepEqual(more, []);
    assert.equal(acceptedOf(cluster, promise, id).length, values.length);
    const pages = cluster.messages('page');
    assert.ok(pages.length > 1);
    for (const { message } of pages) {
      const bytes = message.accepted.reduce((sum, { value }) => sum + suite.sizeOf(value), 0);
      assert.ok(bytes <= MESSAGE_FILL_BYTES, `${bytes} bytes`);
    }
  });
});

describe('a proposal', () => {
  it('of the leader is accepted, on disk and voted for', () => {
    const effects = keeper().message(0, 1, propose([assign]));
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['persist', 'send'],
    );
    const [voted] = sends(effects);
    assert.ok(voted?.type === 'voted' && voted.votes[0]?.body.of === assign.id);
  });

  it('that comes again is voted for again', () => {
    const cluster = keeper();
    cluster.message(0, 1, propose([assign]));
    assert.deepEqual(types(cluster.message(0, 1, propose([assign]))), ['voted']);
  });

  it('of a second value in the same slot and epoch is refused', () => {
    const cluster = keeper();
    cluster.message(0, 1, propose([assign]));
    const effects = cluster.message(0, 1, propose([assignOf(job, { node: 8 })]));
    assert.deepEqual(refusals(effects), ['contradiction']);
    assert.deepEqual(types(effects), []);
  });

  it('of another value under a higher epoch replaces one that was not chosen', () => {
    const cluster = keeper();
    cluster.message(0, 1, propose([assign]));
    const other = assignOf(job, { node: 8, by: 2 }, epochOf(1, 2));
    assert.deepEqual(types(cluster.message(0, 2, propose([other], { epoch: epochOf(1, 2) }))), [
      'voted',
    ]);
    const [promise] = sends(cluster.message(0, 2, prepare(epochOf(2, 2), 2)));
    assert.ok(promise?.type === 'promise');
    assert.deepEqual(acceptedOf(cluster, promise), [['assign/1/0/0', other.id]]);
  });

  it('of another value than the committed one is answered with that', () => {
    const cluster = keeper();
    cluster.message(0, 1, { type: 'commit', job: id, values: [committed(job, assign)] });
    const effects = cluster.message(
      0,
      2,
      propose([assignOf(job, { node: 8 })], { epoch: epochOf(1, 2) }),
    );
    const [commit] = sends(effects);
    assert.ok(commit?.type === 'commit' && commit.values[0]?.record.id === assign.id);
  });

  it('is refused from a node that is no keeper, or in the name of another', () => {
    refusedAlone(keeper(), 9, propose([assign], { epoch: epochOf(9, 9) }), 'not-keeper');
    refusedAlone(keeper(), 2, propose([assign]), 'not-keeper');
  });

  const refused: Readonly<Record<string, readonly [string, MessageOf<'propose'>]>> = {
    'of a value that no keeper signed': [
      'wrong-signer',
      propose([assignOf(job, { node: 7, by: 9 })]),
    ],
    'of a forged value': [
      'bad-signature',
      propose([forge(assignOf(job, { node: 7, by: 9 }), nodeKey(1))]),
    ],
    'of a value in a slot that is not its own': [
      'wrong-signer',
      propose([], { values: [{ slot: 'assign/1/0/1', value: assign }] }),
    ],
    'of a result nobody reported': ['contradiction', propose([accept])],
    'of a result other than the reported one': [
      'contradiction',
      propose([acceptOf(job, ended, { cid: 'bafyother', bytes: 1 })], { states: [ended] }),
    ],
    'of the result of a failed execution': [
      'contradiction',
      propose([accept], { states: [stateOf(assign, 7, { phase: 'failed', sequence: 9 })] }),
    ],
    'to close as completed without every result': [
      'contradiction',
      propose([accept, closeOf(job, { outcome: 'completed', code: 'completed' })], {
        states: [ended],
      }),
    ],
    'to close as stopped without a stop of the owner': [
      'contradiction',
      propose([closeOf(job, { outcome: 'stopped', code: 'stopped-by-owner' })]),
    ],
  };
  for (const [what, [code, message]] of Object.entries(refused)) {
    it(`${what} is refused`, () => {
      const cluster = keeper();
      const effects = cluster.message(0, 1, message);
      assert.deepEqual(refusals(effects), [code]);
      const voted = sends(effects).flatMap((sent) => (sent.type === 'voted' ? sent.votes : []));
      assert.ok(
        voted.every(({ body }) => body.slot === 'accept/1/0'),
        'only what is founded is voted for',
      );
    });
  }

  it('with its evidence is accepted', () => {
    const stop = { outcome: 'stopped', code: 'stopped-by-owner' } as const;
    const single = admitted(jobWith(), [1, 0, 2], { nonce: 'd'.repeat(32) });
    const about = assignOf(single, { node: 7 });
    const end = stateOf(about, 7, { phase: 'completed' });
    const cluster = keeper();
    assert.deepEqual(types(cluster.message(0, 1, propose([accept], { states: [ended] }))), [
      'voted',
    ]);
    assert.deepEqual(
      types(cluster.message(0, 1, propose([closeOf(job, stop)], { commands: [stopOf(job)] }))),
      ['voted'],
    );
    cluster.message(0, 1, { type: 'activate', spec: single.spec, admission: single.admission });
    const values = [
      acceptOf(single, end),
      closeOf(single, { outcome: 'completed', code: 'completed' }),
    ];
    const [voted] = sends(
      cluster.message(0, 1, { ...propose(values, { states: [end] }), job: single.spec.body.job }),
    );
    assert.ok(voted?.type === 'voted' && voted.votes.length === 2);
  });

  it('brings no false evidence into the ledger', () => {
    const cluster = keeper();
    const forged = forge(stateOf(assign, 9, { phase: 'completed' }), nodeKey(7));
    const foreign = stopOf(job, {}, suiteOf(1, 1));
    const effects = cluster.message(0, 1, propose([], { states: [forged], commands: [foreign] }));
    assert.deepEqual(refusals(effects), ['bad-signature', 'wrong-signer']);
    const { records } = cluster.job(0);
    assert.deepEqual([records.states, records.commands], [[], []]);
  });
});

describe('a commit', () => {
  const value = committed(job, assign);
  const commit = (values: MessageOf<'commit'>['values']): MessageOf<'commit'> => ({
    type: 'commit',
    job: id,
    values,
  });

  it('of the end of a completed job without its results is not learnt: all keepers are asked', () => {
    const cluster = keeper();
    const close = closeOf(job, { outcome: 'completed', code: 'completed' });
    const effects = cluster.message(0, 1, commit([committed(job, close)]));
    assert.equal(cluster.job(0).records.committed.length, 0);
    assert.deepEqual(types(effects), ['status-wanted', 'status-wanted']);
  });

  it('is learned, on disk and acknowledged, whoever brings it', () => {
    const cluster = keeper();
    const effects = cluster.message(0, 9, commit([value]));
    assert.equal(effects[0]?.type, 'persist');
    assert.deepEqual(sends(effects), [{ type: 'commit-ack', job: id, slots: ['assign/1/0/0'] }]);
    const again = cluster.message(0, 9, commit([value]));
    assert.deepEqual(
      again.map(({ type }) => type),
      ['send'],
    );
  });

  it('with a false certificate is refused', () => {
    const few = certify(assign, 'assign/1/0/0', [1], job.epoch);
    refusedAlone(keeper(), 1, commit([few]), 'bad-certificate');
    const stranger = committed(job, assignOf(job, { node: 7, by: 9 }));
    refusedAlone(keeper(), 1, commit([stranger]), 'not-keeper');
  });

  it('of a second value for a slot is refused, though its certificate is good', () => {
    const cluster = keeper();
    cluster.message(0, 1, commit([value]));
    refusedAlone(cluster, 1, commit([committed(job, assignOf(job, { node: 8 }))]), 'contradiction');
  });
});

describe('a closed job', () => {
  const closed = (limits: Partial<Limits> = {}): Cluster => {
    const cluster = keeper(limits);
    cluster.message(0, 1, {
      type: 'commit',
      job: id,
      values: [committed(job, assign), committed(job, closeOf(job))],
    });
    assert.equal(cluster.job(0).state, 'Failed');
    return cluster;
  };
  const answers: Readonly<Record<string, Message>> = {
    'a candidate': prepare(epochOf(9, 2), 2),
    'a leader': propose([assignOf(job, { node: 8, attempt: 1 })], { epoch: epochOf(9, 2) }),
    'a keeper that asks whether it is led': { type: 'status-wanted', jobs: [id] },
  };
  for (const [who, message] of Object.entries(answers)) {
    it(`answers ${who} with everything that was committed`, () => {
      const cluster = closed();
      const before = state(cluster.machine(0).inspect());
      const effects = cluster.message(0, 2, message);
      const [commit] = sends(effects);
      assert.ok(commit?.type === 'commit');
      assert.deepEqual(
        commit.values.map(({ record }) => record.type),
        ['assign', 'close'],
      );
      assert.equal(effects.length, 1);
      assert.deepEqual(state(cluster.machine(0).inspect()), before);
    });
  }

  it('answers an executor with the proof', () => {
    const { execution } = assign.body;
    const renew: Message = { type: 'renew', executions: [{ job: id, execution }] };
    assert.deepEqual(types(closed().message(0, 7, renew)), ['closed']);
    assert.deepEqual(types(closed().message(0, 7, { type: 'states', states: [ended] })), [
      'closed',
      'states-ack',
    ]);
  });
});

describe('a command of the owner', () => {
  it('is on disk, acknowledged and handed to the leader', () => {
    const effects = keeper().message(0, 9, { type: 'command', command: stopOf(job) });
    assert.equal(effects[0]?.type, 'persist');
    assert.deepEqual(types(effects), ['command', 'command-ack']);
  });

  it('that is false is refused', () => {
    const stop = (command: Signed<'command'>): Message => ({ type: 'command', command });
    refusedAlone(keeper(), 9, stop(stopOf(job, {}, suiteOf(1, 1))), 'wrong-signer');
    refusedAlone(
      keeper(),
      9,
      stop(forge(stopOf(job, {}, suiteOf(1, 1)), suite.owner)),
      'bad-signature',
    );
  });
});

describe('a keeper that hears of the end of a completed job', () => {
  it('asks the others for the results before it takes the job for completed', () => {
    const cluster = keeper();
    const close = committed(job, closeOf(job, { outcome: 'completed', code: 'completed' }));
    const before = cluster.messages('status-wanted').length;
    cluster.message(0, 7, { type: 'closed', job: id, close });
    assert.notEqual(cluster.job(0).state, 'Completed');
    const asked = cluster.messages('status-wanted').slice(before);
    assert.deepEqual(asked.map(({ to }) => to).sort(), [idOf(1), idOf(2)].sort());
  });
});

describe('a candidate that hears of the end', () => {
  const ends: Readonly<Record<string, Message>> = {
    'from its leader': { type: 'commit', job: id, values: [committed(job, closeOf(job))] },
    'from an executor': {
      type: 'closed',
      job: id,
      close: committed(job, closeOf(job)) as Certified<'close'>,
    },
  };
  for (const [whence, message] of Object.entries(ends)) {
    it(`${whence} asks for no more promises`, () => {
      const cluster = keeper();
      cluster.message(0, 1, { type: 'not-leading', jobs: [id] });
      cluster.advance(500);
      const asked = () => cluster.messages('prepare').length;
      assert.ok(asked() > 0, 'it stands for leader');
      cluster.message(0, 1, message);
      const before = asked();
      cluster.advance(60_000);
      assert.equal(asked(), before);
    });
  }
});

describe('the end of a job that did not complete', () => {
  it('is not all that a keeper wants to know of it when it hears only that', () => {
    const cluster = keeper();
    cluster.message(0, 1, {
      type: 'closed',
      job: id,
      close: committed(job, closeOf(job)) as Certified<'close'>,
    });
    const asked = cluster.messages('status-wanted').filter(({ from }) => from === idOf(0));
    assert.deepEqual(asked.map(({ to }) => to).sort(), [idOf(1), idOf(2)].sort());
  });
});
