/** What an answer of another node can do to a look-up: show what is signed, and nothing else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asRequestId } from '../../../../src/core/record/ids.ts';
import type { JobId } from '../../../../src/core/record/ids.ts';
import { ledgerOf, summaryOf } from '../../../../src/core/record/ledger.ts';
import type { Answer, JobRecords, Question } from '../../../../src/core/contract/messages.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { forge, nodeKey, ownerKey } from '../../../simulation/fast-suite.ts';
import { Cluster, refusals } from '../cluster.ts';
import {
  WALL,
  acceptOf,
  admissionOf,
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
  specOf,
  stateOf,
  stopOf,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

const request = asRequestId('q');
const nonce = (digit: number): string => String(digit).padStart(32, '0');

/** A node that keeps nothing and has these neighbours. */
function asking(neighbours: readonly number[]): Cluster {
  const asker = new Cluster({ nodes: 1 });
  for (const node of neighbours) asker.input(0, { type: 'peer-connected', node: idOf(node) });
  return asker;
}

const query = (asker: Cluster, ref: string): void => {
  asker.input(0, {
    type: 'query',
    request,
    query: { type: 'job', ref, namespace: 'default', from: 0 },
  });
};
const answer = (asker: Cluster, from: number, given: Answer) =>
  asker.message(0, from, { type: 'found', request, answer: given });

function recordsOf(job: Admitted, change: Partial<JobRecords> = {}): JobRecords {
  const { spec, admission } = job;
  return { spec, admission, grant: null, commands: [], committed: [], states: [], ...change };
}
const found = (job: Admitted, change: Partial<JobRecords> = {}): Answer => ({
  type: 'job',
  records: recordsOf(job, change),
  waiting: null,
  next: null,
});

/** A job of owner number `owner`, made `ms` after the wall clock of the tests began. */
function jobOf(owner: number, name: string, ms: number, digit = owner): Admitted {
  const signer = suiteOf(0, owner);
  const first = specOf(jobWith({ Name: name }), { nonce: nonce(digit) }, signer);
  const spec = signer.seal('spec', first.body, at(ms), 'owner');
  const record = admissionOf(spec, [1, 2, 3]);
  const epoch = { config: { major: 0, minor: 0 }, number: 0, leader: idOf(1) };
  return {
    spec,
    admission: certify(record, 'admission', [1, 2], epoch),
    keepers: [1, 2, 3],
    epoch,
  };
}

function announce(asker: Cluster, spec: Signed<'spec'>, leader = 9) {
  return asker.input(0, {
    type: 'gossip',
    from: idOf(leader),
    gossip: {
      type: 'announce',
      announcement: {
        job: spec.body.job,
        version: 1,
        leader: idOf(leader),
        admission: admitted(jobWith(), [leader]).admission,
        grant: null,
        round: 0,
        need: 1,
        spec,
        notAgain: [],
      },
    },
  });
}

const questions = (asker: Cluster): readonly Question[] =>
  asker.messages('find').map(({ message }) => message.query);

function shown(asker: Cluster): JobId {
  const reply = asker.reply(request);
  assert.ok(reply?.type === 'answer', JSON.stringify(reply));
  return reply.answer.records.spec.body.job;
}

function listedBy(asker: Cluster) {
  const reply = asker.reply(request);
  assert.ok(reply?.type === 'listed', JSON.stringify(reply));
  return reply.jobs;
}

describe('an answer about a job', () => {
  const job = admitted(jobWith(), [1, 2, 3]);
  const assign = assignOf(job, { node: 4 });
  const state = stateOf(assign, 4, { phase: 'completed', exitCode: 0 });
  const forgedStop = suiteOf(9, 5).seal('command', { ...stopOf(job).body }, at(6), 'owner');
  const cases: Readonly<Record<string, Partial<JobRecords>>> = {
    'a command that another owner signed': { commands: [forgedStop] },
    'a command that claims the owner signed it': { commands: [forge(forgedStop, ownerKey(0))] },
    'a grant that nobody voted for': {
      grant: { record: grantOf(job, { ...job.epoch, number: 3, leader: idOf(2) }, 2), votes: [] },
    },
    'a close without votes': { committed: [{ record: closeOf(job), votes: [] }] },
    'an accept for a partition that the job does not have': {
      committed: [
        committed(job, assign),
        committed(job, acceptOf(job, stateOf(assignOf(job, { node: 4, partition: 7 }), 4, {}))),
      ],
    },
    'one slot twice': { committed: [committed(job, assign), committed(job, assign)] },
    'a state that its node did not sign': {
      committed: [committed(job, assign)],
      states: [forge(stateOf(assign, 9, { phase: 'completed' }), nodeKey(4))],
    },
    'an admission that no keeper signed': {
      admission: { record: job.admission.record, votes: [] },
    },
    'keepers that nobody voted for, in the place of the admission’s': {
      configs: [
        {
          record: suiteOf(9).seal(
            'config',
            { ...configOf(job, [9], []).body, config: job.epoch.config },
            at(5),
            'node',
          ),
          votes: [],
        },
      ],
    },
    'thousands of commands': { commands: Array.from({ length: 1_000 }, () => stopOf(job)) },
  };
  for (const [what, change] of Object.entries(cases)) {
    it(`with ${what} is refused as a whole, and the next one counts`, () => {
      const asker = asking([7, 8]);
      query(asker, job.spec.body.job);
      assert.equal(refusals(answer(asker, 8, found(job, change))).length, 1);
      assert.equal(asker.reply(request), null);
      answer(asker, 7, found(job));
      asker.advance(3_000);
      assert.equal(shown(asker), job.spec.body.job);
    });
  }

  it('shows no state of an execution that nobody assigned', () => {
    const asker = asking([7]);
    query(asker, job.spec.body.job);
    answer(asker, 7, found(job, { states: [state] }));
    asker.advance(3_000);
    const reply = asker.reply(request);
    assert.ok(reply?.type === 'answer');
    assert.deepEqual(reply.answer.records.states, []);
  });

  it('counts as to how the job waits only from its keepers', () => {
    const waiting = {
      nodesKnown: 1,
      nodesAnswered: 0,
      refusals: [],
      partitionsWaiting: 1,
      keepersReached: 0,
      keepers: 3,
    };
    const asker = asking([2, 8]);
    query(asker, job.spec.body.job);
    answer(asker, 8, { type: 'job', records: recordsOf(job), waiting, next: null });
    answer(asker, 2, {
      type: 'job',
      records: recordsOf(job),
      waiting: { ...waiting, nodesKnown: 5 },
      next: null,
    });
    asker.advance(3_000);
    const reply = asker.reply(request);
    assert.ok(reply?.type === 'answer');
    assert.equal(reply.answer.waiting?.nodesKnown, 5);
  });

  it('counts only from a node that was asked, and once', () => {
    const asker = asking([7]);
    query(asker, job.spec.body.job);
    answer(asker, 9, found(job));
    assert.equal(asker.reply(request), null, 'node 9 was not asked');
    answer(asker, 7, { type: 'none' });
    assert.equal(asker.reply(request)?.type, 'failed');
  });
});

describe('a stop', () => {
  const job = admitted(jobWith(), [1, 2, 3]);
  const stopThrough = (commands: readonly Signed<'command'>[]) => {
    const asker = asking([1, 8]);
    const { job: id } = job.spec.body;
    asker.input(0, { type: 'stop', request, job: id, reason: 'enough' });
    answer(asker, 8, found(job, { commands }));
    answer(asker, 1, found(job));
    asker.advance(2_500);
    return asker.messages('command')[0]?.message.command.body.sequence;
  };

  it('goes out although a neighbour answered with a forged command of the highest number', () => {
    const body = { ...stopOf(job).body, sequence: 0x7fff_ffff };
    assert.equal(stopThrough([suiteOf(9, 5).seal('command', body, at(6), 'owner')]), 1);
  });

  it('goes out under a number that can be written even after one of the highest number', () => {
    assert.equal(stopThrough([stopOf(job, { sequence: 0x7fff_ffff })]), 0x7fff_ffff);
  });
});

describe('a name', () => {
  const own = jobOf(0, 'sum', 1_000);
  const century = Date.UTC(2100, 0) - WALL;
  const foreign = jobOf(5, 'sum', century);

  it('means the own job, whatever date another owner gave a job of that name', () => {
    const asker = asking([1, 8]);
    announce(asker, foreign.spec);
    announce(asker, own.spec, 1);
    announce(asker, jobOf(6, 'sum', century).spec);
    query(asker, 'sum');
    answer(asker, 8, found(foreign));
    answer(asker, 1, found(own));
    asker.advance(3_000);
    assert.equal(shown(asker), own.spec.body.job);
  });

  it('means the own job also when only another node knows it and answers last', () => {
    const asker = asking([1, 8]);
    query(asker, 'sum');
    answer(asker, 8, found(foreign, { committed: [committed(foreign, closeOf(foreign))] }));
    assert.equal(asker.reply(request), null);
    answer(asker, 1, found(own));
    asker.advance(3_000);
    assert.equal(shown(asker), own.spec.body.job);
  });

  it('means the newest of the own jobs that have it', () => {
    const newer = jobOf(0, 'sum', 2_000, 1);
    const asker = asking([1]);
    for (const { spec } of [own, newer]) announce(asker, spec, 1);
    query(asker, 'sum');
    answer(asker, 1, found(newer));
    asker.advance(3_000);
    assert.equal(shown(asker), newer.spec.body.job);
    assert.ok(questions(asker).every((q) => q.type === 'job' && q.ref === newer.spec.body.job));
  });

  it('means a job of another owner when there is no own one, and that is not stopped', () => {
    const asker = asking([1]);
    query(asker, 'sum');
    answer(asker, 1, found(foreign));
    asker.advance(3_000);
    assert.equal(shown(asker), foreign.spec.body.job);
    const stop = asRequestId('s');
    asker.input(0, { type: 'stop', request: stop, job: foreign.spec.body.job, reason: '' });
    asker.message(0, 1, { type: 'found', request: stop, answer: found(foreign) });
    asker.advance(3_000);
    const reply = asker.reply(stop);
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'not-owner');
  });

  it('is answered for whoever asks by whose jobs the asker called its own', () => {
    const keeper = asking([]);
    for (const job of [own, foreign]) {
      const record = admissionOf(job.spec, [0, 1, 2]);
      const admission = certify(record, 'admission', [0, 1], { ...job.epoch, leader: idOf(0) });
      keeper.message(0, 1, { type: 'activate', spec: job.spec, admission });
    }
    for (const job of [own, foreign]) {
      const { owner } = job.spec.body;
      const ask: Question = { type: 'job', ref: 'sum', namespace: 'default', from: 0, owner };
      const [effect] = keeper.message(0, 1, { type: 'find', request, query: ask });
      assert.ok(effect?.type === 'send' && effect.message.type === 'found');
      const given = effect.message.answer;
      assert.ok(given.type === 'job');
      assert.equal(given.records.spec.body.job, job.spec.body.job);
    }
  });

  it('that is the id of a job does not stand for that job', () => {
    const asker = asking([1, 8]);
    const { job } = own.spec.body;
    const impostor = jobOf(5, job, century);
    query(asker, job);
    answer(asker, 8, found(impostor));
    answer(asker, 1, found(own));
    asker.advance(3_000);
    assert.equal(shown(asker), job);
  });
});

describe('the beginning of an id', () => {
  it('is not made ambiguous by ids that a neighbour makes up', () => {
    const own = jobOf(0, 'sum', 1_000);
    const { job } = own.spec.body;
    const asker = asking([1, 8]);
    query(asker, job.slice(0, 8));
    const madeUp = ['1', '2'].map((digit) => asJobId(`${job.slice(0, 30)}${digit.repeat(8)}`));
    answer(asker, 8, { type: 'ambiguous', jobs: madeUp });
    for (let count = 0; count < 2; count += 1) answer(asker, 8, { type: 'none' });
    answer(asker, 1, found(own));
    asker.advance(3_000);
    assert.equal(shown(asker), job);
  });
});

describe('whoever is said to know a job', () => {
  it('cannot keep the neighbours from being asked by its silence', () => {
    const own = jobOf(0, 'sum', 1_000);
    const asker = asking([1]);
    for (const liar of [20, 21, 22, 23, 24]) announce(asker, own.spec, liar);
    query(asker, own.spec.body.job);
    asker.advance(1_000);
    answer(asker, 1, found(own, { committed: [committed(own, closeOf(own))] }));
    assert.equal(shown(asker), own.spec.body.job);
  });

  it('leads a look-up on to others, but not without end', () => {
    const asker = asking([8]);
    const { job } = jobOf(0, 'sum', 0).spec.body;
    query(asker, job);
    let next = 100;
    for (let round = 0; round < 200; round += 1) {
      const nodes = Array.from({ length: 8 }, () => idOf((next += 1)));
      for (const { to } of asker.messages('find').slice(-1)) {
        asker.input(0, {
          type: 'message',
          from: to,
          message: { type: 'found', request, answer: { type: 'elsewhere', job, nodes } },
        });
      }
    }
    assert.ok(asker.messages('find').length <= 256);
  });
});

describe('a list', () => {
  const line = (job: Admitted) => summaryOf(ledgerOf(recordsOf(job)), false);
  const real = jobOf(5, 'sum', 0);

  it('has no line that only an unsigned answer tells of', () => {
    const asker = asking([8]);
    asker.input(0, {
      type: 'query',
      request,
      query: { type: 'jobs', namespace: null, limit: 5_000 },
    });
    const ghosts = Array.from({ length: 999 }, (_, index) => ({
      ...line(real),
      job: asJobId(`j-00000000-0000-8000-8000-${String(index).padStart(12, '0')}`),
    }));
    answer(asker, 8, { type: 'jobs', jobs: ghosts });
    for (let count = 0; count < 4; count += 1) answer(asker, 8, { type: 'specs', specs: [] });
    asker.advance(2_500);
    assert.deepEqual(listedBy(asker), []);
    const asked = questions(asker).filter((q) => q.type === 'specs');
    assert.equal(asked.length, 4);
    assert.ok(asked.every((q) => q.jobs.length <= 64));
  });

  it('takes name, owner and date from the signed spec, and marks the rest as told by others', () => {
    const asker = asking([8]);
    asker.input(0, { type: 'query', request, query: { type: 'jobs', namespace: null, limit: 10 } });
    const told = { ...line(real), name: 'mine', createdAt: 2 ** 47, state: 'Running' as const };
    answer(asker, 8, { type: 'jobs', jobs: [{ ...told, modifiedAt: WALL + 900 }] });
    answer(asker, 8, { type: 'specs', specs: [real.spec] });
    const [job, ...others] = listedBy(asker);
    assert.deepEqual(others, []);
    assert.deepEqual(
      [job?.name, job?.createdAt, job?.state, job?.vouched],
      ['sum', WALL, 'Running', false],
    );
  });

  it('takes no spec that its owner did not sign', () => {
    const asker = asking([8]);
    asker.input(0, { type: 'query', request, query: { type: 'jobs', namespace: null, limit: 10 } });
    answer(asker, 8, { type: 'jobs', jobs: [line(real)] });
    const effects = answer(asker, 8, { type: 'specs', specs: [forge(real.spec, ownerKey(3))] });
    assert.equal(refusals(effects).length, 1);
    assert.deepEqual(listedBy(asker), []);
  });

  it('has the own jobs first when there are more than fit', () => {
    const asker = asking([]);
    announce(asker, jobOf(0, 'own', 0).spec);
    for (let digit = 1; digit < 9; digit += 1) announce(asker, jobOf(5, 'x', 900, digit).spec);
    asker.input(0, { type: 'query', request, query: { type: 'jobs', namespace: null, limit: 3 } });
    assert.equal(listedBy(asker)[0]?.name, 'own');
  });
});
