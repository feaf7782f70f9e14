/** Exclusive jobs: a program runs as long as a quorum of its keepers lets it, and no moment longer. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PREDECESSOR_MS, TENURE_MS } from '../../../../src/core/contract/limits.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import type { ReplacedFor } from '../../../../src/core/record/records.ts';
import { Cluster } from '../cluster.ts';
import { versionSlot } from '../../../../src/core/record/slot.ts';
import {
  acceptOf,
  admitted,
  announcementOf,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  decidedOf,
  idOf,
  jobWith,
  nextSpec,
  stateOf,
  suite,
  suiteOf,
} from '../fixtures.ts';

/** Nodes 1, 2 and 3 keep the job, 1 leads it; node 0 is the executor and no keeper. */
const exclusive = jobWith({ Meta: { 'shoal/partition-policy': 'exclusive' } });
const job = admitted(exclusive, [1, 2, 3]);
const id = job.spec.body.job;
type Wanted = Extract<Message, { type: 'tenure-wanted' }>;

class Executor {
  readonly cluster = new Cluster({ nodes: 1, program: () => [] });
  readonly execution;

  constructor(replaces: ReplacedFor | null = null, version = 1) {
    const { admission } = job;
    const spec = version === 1 ? job.spec : nextSpec(job.spec, exclusive);
    const decided = version === 1 ? null : decidedOf(job, spec);
    const announced = decided === null ? {} : { spec: null, decided };
    const announcement = announcementOf({ ...job, spec }, announced);
    this.cluster.message(0, 1, { type: 'invite', announcement });
    const place = replaces === null ? {} : { attempt: 1, replaces };
    const assign = assignOf({ ...job, spec }, { node: 0, ...place });
    this.execution = assign.body.execution;
    const assigns = [committed(job, assign)];
    const proof = decided === null ? {} : { version: decided };
    const message = { type: 'assign', spec, admission, ...proof, grant: null, assigns } as const;
    this.cluster.message(0, 1, { ...message, holders: [] });
  }

  /** Its questions to keeper 3. */
  questions(): readonly Wanted[] {
    return this.cluster
      .messages('tenure-wanted')
      .flatMap(({ to, message }) => (to === idOf(3) ? [message] : []));
  }

  answer(keepers: readonly number[], wanted = this.questions().at(-1)): void {
    assert.ok(wanted, 'it asks');
    const { config, turn, execution } = wanted;
    for (const keeper of keepers)
      this.cluster.message(0, keeper, { type: 'tenure', job: id, execution, config, turn });
  }

  runs(): number {
    return this.cluster.effects('run').length;
  }

  stops(): number {
    return this.cluster.effects('cancel-run').length;
  }

  /** With answers of these keepers to every question. */
  goOn(ms: number, keepers: readonly number[]): void {
    for (let passed = 0; passed < ms; passed += 500) {
      const before = this.questions().length;
      this.cluster.advance(500);
      if (this.questions().length > before && keepers.length > 0) this.answer(keepers);
    }
  }
}

describe('the executor of an exclusive job', () => {
  it('begins when a quorum of its keepers says so, and asks all of them', () => {
    const executor = new Executor();
    const asked = executor.cluster.messages('tenure-wanted').map(({ to }) => to);
    assert.deepEqual(asked, [1, 2, 3].map(idOf));
    assert.equal(executor.cluster.messages('started').length, 1, 'its leader need not wait');
    executor.answer([1]);
    assert.equal(executor.runs(), 0);
    executor.answer([1]);
    executor.answer([7]);
    assert.equal(executor.runs(), 0, 'twice the same, and a stranger, are no quorum');
    executor.answer([2]);
    assert.equal(executor.runs(), 1);
  });

  it('runs on as long as a quorum answers', () => {
    const executor = new Executor();
    executor.answer([1, 2]);
    executor.goOn(120_000, [2, 3]);
    assert.equal(executor.stops(), 0);
    assert.ok(executor.questions().length < 30, 'it does not ask without a pause');
    assert.ok(executor.cluster.effects('extend-run').length >= 20);
  });

  it('ends its program when they have not let it run on in time, counted from the question', () => {
    const executor = new Executor();
    const [first] = executor.questions();
    executor.cluster.advance(900);
    executor.answer([1, 2], first);
    executor.goOn(TENURE_MS - 1_500, [1]);
    assert.equal(executor.stops(), 0);
    executor.goOn(1_000, [1]);
    assert.equal(executor.stops(), 1);
    const [state] = executor.cluster.messages('states').slice(-1);
    assert.equal(state?.message.states[0]?.body.phase, 'cancelled');
    const asked = executor.questions().length;
    executor.goOn(60_000, []);
    assert.equal(executor.questions().length, asked, 'what has ended asks no more');
    assert.equal(executor.runs(), 1);
  });

  it('takes no answer to another question, of other keepers, or of before it was started again', () => {
    const executor = new Executor();
    const [first] = executor.questions();
    assert.ok(first);
    executor.answer([1, 2], { ...first, turn: first.turn - 1 });
    executor.answer([1, 2], { ...first, config: { major: 0, minor: 2 } });
    assert.equal(executor.runs(), 0);
    executor.cluster.now += 1;
    executor.cluster.restart(0);
    assert.equal(executor.runs(), 0, 'nobody has told it that no other runs');
    executor.answer([1, 2], first);
    assert.equal(executor.runs(), 0);
    executor.answer([1, 2]);
    assert.deepEqual(
      executor.cluster.effects('run').map(({ resume }) => resume),
      [false],
      'it was never begun',
    );
    executor.cluster.restart(0);
    executor.answer([1, 2]);
    assert.deepEqual(
      executor.cluster.effects('run').map(({ resume }) => resume),
      [false, true],
    );
  });

  it('ends by itself when it is started again and its keepers stay away', () => {
    const executor = new Executor();
    executor.answer([1, 2]);
    executor.cluster.restart(0);
    executor.goOn(25_000, [1]);
    assert.equal(executor.stops(), 1);
    const last = executor.cluster.effects('run').at(-1);
    assert.ok(last?.until !== undefined && last.until <= executor.cluster.now, 'only to end it');
  });

  for (const why of ['lost', 'failed'] as const)
    it(`waits with a further attempt until one that its leader calls ${why} has ended, wherever it is`, () => {
      const executor = new Executor(why);
      executor.goOn(PREDECESSOR_MS - 500, [1, 2, 3]);
      assert.deepEqual([executor.questions().length, executor.runs()], [0, 0]);
      executor.goOn(1_000, [1, 2, 3]);
      assert.equal(executor.runs(), 1);
    });

  it('waits with the first attempt of a later version, too', () => {
    const second = new Executor(null, 2);
    second.goOn(PREDECESSOR_MS - 500, [1, 2, 3]);
    assert.deepEqual([second.questions().length, second.runs()], [0, 0]);
    second.goOn(1_000, [1, 2, 3]);
    assert.equal(second.runs(), 1);
  });

  it('is not begun any more when another result was accepted meanwhile', () => {
    const executor = new Executor('lost');
    const state = stateOf(assignOf(job, { node: 5 }), 5, { phase: 'completed' });
    const because = committed(job, acceptOf(job, state));
    const { execution, cluster } = executor;
    cluster.message(0, 1, { type: 'cancel', job: id, execution, because });
    executor.goOn(2 * PREDECESSOR_MS, [1, 2, 3]);
    assert.deepEqual([executor.runs(), executor.stops()], [0, 0]);
    const last = cluster.messages('states').at(-1)?.message.states[0]?.body;
    assert.equal(last?.phase, 'cancelled');
  });
});

describe('a keeper of an exclusive job', () => {
  const own = admitted(exclusive, [1, 0, 2]);
  const first = assignOf(own, { node: 7 });
  const { execution } = first.body;
  const about = own.spec.body.job;
  const wanted = (config = { major: 0, minor: 0 }): Wanted => ({
    type: 'tenure-wanted',
    job: about,
    execution,
    config,
    turn: 5,
  });

  function keeper(): Cluster {
    const cluster = new Cluster({ nodes: 1 });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    cluster.message(0, 1, { type: 'commit', job: about, values: [committed(own, first)] });
    return cluster;
  }
  const answers = (cluster: Cluster, from: number, message = wanted()): boolean => {
    const before = cluster.messages('tenure').length;
    cluster.message(0, from, message);
    return cluster.messages('tenure').length > before;
  };
  const propose = (cluster: Cluster, attempt: number): void => {
    const value = assignOf(own, { node: 8, attempt, replaces: 'lost' });
    const slot = `assign/1/0/${attempt}` as const;
    const values = [{ slot, value }];
    const { epoch } = own;
    cluster.message(0, 1, { type: 'propose', job: about, epoch, values, states: [], commands: [] });
  };

  it('lets the node run on that it was given to, and no other', () => {
    const cluster = keeper();
    assert.equal(answers(cluster, 7), true);
    assert.equal(answers(cluster, 8), false);
  });

  it('does not once it has voted for a later attempt, also after a restart, and for any later one', () => {
    for (const attempt of [1, 3]) {
      const cluster = keeper();
      propose(cluster, attempt);
      assert.equal(cluster.messages('voted').length, 1);
      assert.equal(answers(cluster, 7), false);
      cluster.restart(0);
      assert.equal(answers(cluster, 7), false);
    }
  });

  const toSecond = (cluster: Cluster): void => {
    const spec = nextSpec(own.spec, exclusive);
    const of = { spec: suite.envelopeOf(spec), fallback: null, message: '' };
    const version = suite.seal('version', { job: about, version: 2, ...of }, at(3), 'node');
    const values = [certify(version, versionSlot(2), own.keepers, own.epoch)];
    cluster.message(0, 1, { type: 'commit', job: about, values });
    assert.equal(cluster.job(0).records.spec.body.version, 2);
  };

  it('does not once it has voted for one of a later version that takes its place', () => {
    const cluster = keeper();
    toSecond(cluster);
    assert.equal(answers(cluster, 7), true, 'nothing has taken its place yet');
    const { body, hlc } = assignOf(own, { node: 8 });
    const value = suiteOf(1).seal('assign', { ...body, version: 2 }, hlc, 'node');
    const values = [{ slot: 'assign/2/0/0', value }] as const;
    const { epoch } = own;
    cluster.message(0, 1, { type: 'propose', job: about, epoch, values, states: [], commands: [] });
    assert.equal(cluster.messages('voted').length, 1);
    assert.equal(answers(cluster, 7), false);
  });

  it('does not, either, when the job has another version meanwhile and it never heard the end of its vote', () => {
    const cluster = keeper();
    propose(cluster, 1);
    toSecond(cluster);
    assert.equal(answers(cluster, 7), false);
    cluster.restart(0);
    assert.equal(answers(cluster, 7), false);
    assert.equal(cluster.store(0).rows('accepted').length, 1);
  });

  it('does not when the job has ended', () => {
    const cluster = keeper();
    const state = stateOf(first, 7, { phase: 'completed' });
    cluster.message(0, 7, { type: 'states', states: [state] });
    const { spec } = own;
    cluster.message(0, 1, {
      type: 'commit',
      job: about,
      values: [committed(own, closeOf(own, { outcome: 'failed', version: spec.body.version }))],
    });
    assert.equal(answers(cluster, 7), false);
  });

  it('does not for a job that is not exclusive', () => {
    const cluster = new Cluster({ nodes: 1 });
    const plain = admitted(jobWith(), [1, 0, 2]);
    const assign = assignOf(plain, { node: 7 });
    cluster.message(0, 1, { type: 'activate', spec: plain.spec, admission: plain.admission });
    const { job } = plain.spec.body;
    cluster.message(0, 1, { type: 'commit', job, values: [committed(plain, assign)] });
    const { execution } = assign.body;
    assert.equal(answers(cluster, 7, { ...wanted(), job, execution }), false);
  });

  it('answers for the keepers of now alone', () => {
    const cluster = keeper();
    assert.equal(answers(cluster, 7, wanted({ major: 0, minor: 1 })), false);
  });
});
