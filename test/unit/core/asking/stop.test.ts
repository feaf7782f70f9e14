/** A stop is on disk where it was given, and is sent until enough keepers have it, or it has expired. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asRequestId } from '../../../../src/core/record/ids.ts';
import { Cluster, DONE } from '../cluster.ts';
import { idOf, jobWith, WALL } from '../fixtures.ts';

const program = () => [{ type: 'phase', phase: 'running' }] as const;
const NODES = [0, 1, 2, 3];
const DAY_MS = 86_400_000;

/** Four nodes and a running job that three of them keep; the fourth is told to stop it. */
function running() {
  const cluster = new Cluster({ nodes: NODES.length, program });
  cluster.submit(0, jobWith());
  cluster.advance(1_000);
  const keeps = (node: number): boolean => cluster.machine(node).inspect().jobs.length > 0;
  const asker = NODES.find((node) => !keeps(node)) ?? assert.fail('one does not keep it');
  const keepers = NODES.filter(keeps);
  const { job } = cluster.job(keepers[0] ?? assert.fail());
  let asked = 0;
  const stop = (): string => {
    const request = asRequestId(`s-${(asked += 1)}`);
    cluster.input(asker, { type: 'stop', request, job, reason: 'enough' });
    return request;
  };
  const isStopped = (): boolean => keepers.every((node) => cluster.job(node).state === 'Stopped');
  return { cluster, asker, keepers, stop, isStopped };
}

describe('a stop', () => {
  it('that a majority of the keepers has is certain, and leaves nothing behind where it was given', () => {
    const { cluster, asker, stop, isStopped } = running();
    const rows = cluster.store(asker).restore().records.length;
    const request = stop();
    cluster.advance(1_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping' && reply.signed >= reply.needed);
    cluster.until('it is stopped', isStopped, 10_000);
    assert.equal(cluster.store(asker).restore().records.length, rows);
  });

  it('is answered within five seconds when a majority is away, and arrives when it is back', () => {
    const { cluster, keepers, stop, isStopped } = running();
    for (const node of keepers.slice(1)) cluster.pause(node);
    const request = stop();
    cluster.advance(5_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping', JSON.stringify(reply));
    assert.deepEqual([reply.signed, reply.needed], [1, 2]);
    cluster.advance(600_000);
    for (const node of keepers.slice(1)) cluster.resume(node);
    cluster.until('it is stopped', isStopped, 60_000);
  });

  it('that is carried out before the keepers are heard to have it has succeeded', () => {
    const { cluster, stop, isStopped } = running();
    cluster.lose = ({ message }) => message.type === 'command-ack';
    const request = stop();
    cluster.until('it is stopped', isStopped, 2_000);
    cluster.until('it is answered', () => cluster.reply(request) !== null, 10_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping' && reply.signed >= reply.needed, JSON.stringify(reply));
  });

  it('of a job that is stopped has succeeded', () => {
    const { cluster, keepers, stop, isStopped } = running();
    stop();
    cluster.until('it is stopped', isStopped, 10_000);
    const [keeper = assert.fail()] = keepers;
    const { job } = cluster.job(keeper);
    const request = asRequestId('again');
    cluster.input(keeper, { type: 'stop', request, job, reason: 'enough' });
    cluster.advance(1_000);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping' && reply.signed >= reply.needed, JSON.stringify(reply));
  });

  it('of a version goes on though the one before has ended', () => {
    const cluster = new Cluster({
      nodes: NODES.length,
      program: (order) => (order.version === 1 ? DONE : program()),
    });
    cluster.submit(0, jobWith());
    cluster.until('it is over', () => cluster.job(0).state === 'Completed', 60_000);
    const { job, records } = cluster.job(0);
    const end = records.committed.find(({ record }) => record.type === 'close');
    assert.ok(end?.record.type === 'close');
    const close = { record: end.record, votes: end.votes };
    const again = { how: 'update', reason: '', notAfter: WALL + DAY_MS } as const;
    const spec = jobWith({}, { Env: { V: '2' } });
    const updated = cluster.request(0, { type: 'update', job, spec, ...again });
    cluster.until('it is updated', () => cluster.reply(updated) !== null, 60_000);
    cluster.lose = ({ message }) => message.type === 'command';
    const request = cluster.request(0, { type: 'stop', job, reason: 'enough' });
    cluster.message(0, 1, { type: 'closed', job, close });
    assert.equal(cluster.reply(request), null);
    cluster.lose = () => false;
    cluster.until('it is stopped', () => cluster.job(0).state === 'Stopped', 60_000);
  });

  it('goes on when the peer that it was given to was killed meanwhile', () => {
    const { cluster, asker, keepers, stop, isStopped } = running();
    for (const node of keepers.slice(1)) cluster.pause(node);
    stop();
    cluster.advance(5_000);
    cluster.crash(asker);
    cluster.advance(60_000);
    cluster.restart(asker);
    // Only now anybody else could have heard of it.
    cluster.lose = ({ from, message }) =>
      message.type === 'command' && from === idOf(keepers[0] ?? 0);
    for (const node of keepers.slice(1)) cluster.resume(node);
    cluster.until('it is stopped', isStopped, 60_000);
    assert.equal(cluster.store(asker).restore().records.length, 0);
  });

  it('that nobody heard of for a day is given up, and nothing of it stays', () => {
    const { cluster, asker, keepers, stop } = running();
    cluster.lose = ({ message }) => message.type === 'command';
    for (const node of keepers) cluster.pause(node);
    for (const node of keepers) cluster.resume(node);
    stop();
    cluster.advance(10_000);
    assert.equal(cluster.machine(asker).sizes()['stops'], 1);
    cluster.crash(keepers[0] ?? 0);
    cluster.now += DAY_MS;
    cluster.advance(60_000);
    assert.equal(cluster.machine(asker).sizes()['stops'], 0);
    assert.equal(cluster.store(asker).restore().records.length, 0);
  });

  for (const [what, days] of [
    ['behind', -3],
    ['ahead', 0.9],
  ] as const) {
    it(`is carried out although the clock of the peer that it was given to is days ${what}`, () => {
      const { cluster, asker, stop, isStopped } = running();
      cluster.skewMs = (node) => (node === asker ? days * DAY_MS : 0);
      stop();
      cluster.until('it is stopped', isStopped, 10_000);
    });
  }

  it('given twice is sent once, and both are answered', () => {
    const { cluster, asker, keepers, stop } = running();
    for (const node of keepers.slice(1)) cluster.pause(node);
    const requests = [stop(), stop()];
    cluster.advance(5_000);
    for (const request of requests) assert.equal(cluster.reply(request)?.type, 'stopping');
    assert.equal(cluster.machine(asker).sizes()['stops'], 1);
  });
});
