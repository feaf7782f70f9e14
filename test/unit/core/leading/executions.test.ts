/** What a leader tells the executors of its job: who leads, what is pointless now, that it is over. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SlotValue } from '../../../../src/core/contract/messages.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { promiseWhole, snapshotWith } from '../promising.ts';
import { Cluster } from '../cluster.ts';
import { admitted, assignOf, committed, idOf, jobWith, stateOf, voteOf } from '../fixtures.ts';

/** Nodes 0, 1 and 2 keep the job; 0 leads it and is the machine under test; 7 and 8 run it. */
const job = admitted(jobWith({ Count: 2 }), [0, 1, 2]);
const id = job.spec.body.job;
const first = assignOf(job, { node: 7 });
const second = assignOf(job, { node: 8, attempt: 1 });
const execution = first.body.execution;

function leader(assigns = [first, second]): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  const values = assigns.map((assign) => committed(job, assign));
  cluster.message(0, 1, { type: 'commit', job: id, values });
  return cluster;
}

/** Keeper 1 votes for whatever was proposed so far. */
function vote(cluster: Cluster): readonly SlotValue[] {
  const proposals = cluster.messages('propose').flatMap(({ message }) => message.values);
  const votes = proposals.map(({ slot, value }) => voteOf(1, id, value.id, slot, job.epoch));
  cluster.message(0, 1, { type: 'voted', job: id, votes });
  return proposals.map(({ value }) => value);
}

const told = (
  cluster: Cluster,
  type: 'cancel' | 'closed' | 'leads' | 'renewed',
  node: number,
): number => cluster.messages(type).filter(({ to }) => to === idOf(node)).length;

/** The second attempt has a result, which stands. */
function accepted(): Cluster {
  const cluster = leader();
  const ended = stateOf(second, 8, { phase: 'completed', exitCode: 0, sequence: 4 });
  cluster.message(0, 8, { type: 'states', states: [ended] });
  assert.ok(vote(cluster).some(({ type }) => type === 'accept'));
  return cluster;
}

describe('a leader whose partition has a result', () => {
  it('tells the other attempts of it at once that they are pointless, with the proof', () => {
    const cluster = accepted();
    const [cancel] = cluster.messages('cancel');
    assert.equal(cancel?.to, idOf(7));
    assert.equal(cancel.message.execution, execution);
    assert.equal(cancel.message.because.record.type, 'accept');
    assert.equal(told(cluster, 'cancel', 8), 0);
  });

  it('tells them again when they renew their lease', () => {
    const cluster = accepted();
    const before = told(cluster, 'cancel', 7);
    cluster.message(0, 7, { type: 'renew', executions: [{ job: id, execution }] });
    assert.equal(told(cluster, 'cancel', 7), before + 1);
    assert.deepEqual(cluster.messages('renewed'), []);
  });
});

describe('a leader', () => {
  it('tells the executors that it leads, once it has taken over from another', () => {
    const own = admitted(jobWith(), [1, 0, 2]);
    const about = own.spec.body.job;
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    const assign = assignOf(own, { node: 7 });
    const value = committed(own, assign);
    cluster.message(0, 1, { type: 'commit', job: about, values: [value] });
    const running = stateOf(assign, 7, { phase: 'running', sequence: 3 });
    cluster.message(0, 7, { type: 'states', states: [running] });
    cluster.message(0, 1, { type: 'not-leading', jobs: [about] });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
    const { grant } = cluster.messages('prepare')[0]?.message ?? assert.fail('a prepare');
    const prepare = { type: 'prepare', job: about, grant } as const;
    promiseWhole(cluster, prepare, 1, snapshotWith(own, cluster.job(0).records));
    assert.notEqual(cluster.job(0).leading, null);
    assert.equal(told(cluster, 'leads', 7), 1);
  });

  it('tells the executors that the job is over, until they say that they heard it', () => {
    const cluster = leader([first]);
    const failure = { code: 'no-such-image', class: 'spec', message: 'It is not there.' } as const;
    const failed = stateOf(first, 7, { phase: 'failed', failure, sequence: 4 });
    cluster.message(0, 7, { type: 'states', states: [failed] });
    assert.ok(vote(cluster).some(({ type }) => type === 'close'));
    assert.equal(told(cluster, 'closed', 7), 1);
    cluster.advance(5_000);
    assert.ok(told(cluster, 'closed', 7) > 1);
    cluster.message(0, 7, { type: 'closed-ack', job: id, version: 1 });
    const heard = told(cluster, 'closed', 7);
    cluster.advance(20_000);
    assert.equal(told(cluster, 'closed', 7), heard);
  });

  it('tells who keeps the job to a node that runs what nobody here knows, and does not have it wait', () => {
    const cluster = leader([first]);
    const other = assignOf(job, { node: 9, attempt: 1 }).body.execution;
    const before = told(cluster, 'leads', 9);
    cluster.message(0, 9, { type: 'renew', executions: [{ job: id, execution: other }] });
    assert.equal(told(cluster, 'leads', 9), before + 1);
    assert.equal(told(cluster, 'renewed', 9), 0);
    cluster.message(0, 7, { type: 'renew', executions: [{ job: id, execution }] });
    assert.equal(told(cluster, 'renewed', 7), 1);
  });

  it('hears a sign of life of an execution from its own node only', () => {
    const cluster = leader([first]);
    const lost = (): boolean =>
      JSON.stringify(cluster.messages('propose')).includes('assign/1/0/1');
    const running = stateOf(first, 7, { phase: 'running', sequence: 3 });
    cluster.message(0, 7, { type: 'states', states: [running] });
    for (let turn = 0; turn < 30 && !lost(); turn += 1) {
      cluster.message(0, 8, { type: 'renew', executions: [{ job: id, execution }] });
      vote(cluster);
      cluster.advance(1_000);
    }
    assert.ok(lost(), 'another node takes the partition over');
  });

  it('gives an execution to another node when its own does not take it up', () => {
    const cluster = leader([first]);
    for (let turn = 0; turn < 10; turn += 1) {
      cluster.advance(1_000);
      vote(cluster);
    }
    const slots = cluster.job(0).records.committed.map(({ record }) => slotOf(record));
    assert.ok(slots.includes('assign/1/0/1'), 'within ten seconds');
  });
});
