/** A leader that did not run for a while asks before it acts, and gives way when it was overtaken. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../../../src/core/contract/effect.ts';
import type { MessageType } from '../../../../src/core/contract/messages.ts';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith } from '../fixtures.ts';

const types = (effects: readonly Effect[]): readonly MessageType[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [effect.message.type] : []));

describe('a leader', () => {
  const play = () => {
    const cluster = new Cluster({ nodes: 3, program: () => [{ type: 'phase', phase: 'running' }] });
    cluster.submit(0, jobWith());
    cluster.advance(12_000);
    const leader =
      [0, 1, 2].find((index) => cluster.job(index).leading !== null) ?? assert.fail('a leader');
    return { cluster, leader, others: [0, 1, 2].filter((index) => index !== leader) };
  };
  const commanding = new Set<MessageType>(['propose', 'commit', 'assign', 'cancel', 'closed']);

  it('that did not run for a while asks the keepers before it acts again', () => {
    const { cluster, leader } = play();
    const epoch = cluster.job(leader).leading;
    // Nobody runs, so nobody takes over meanwhile.
    cluster.lose = ({ message }) => message.type === 'promise';
    cluster.now += 10_000;
    const effects = cluster.input(leader, { type: 'wake' });
    assert.ok(types(effects).includes('prepare'));
    assert.deepEqual(
      types(effects).filter((type) => commanding.has(type)),
      [],
    );
    assert.equal(cluster.job(leader).leading, null);
    cluster.lose = () => false;
    cluster.until('it leads again', () => cluster.job(leader).leading !== null, 10_000);
    assert.deepEqual(cluster.job(leader).leading, epoch);
  });

  it('that was overtaken while it did not run steps down without another word', () => {
    const { cluster, leader, others } = play();
    cluster.pause(leader);
    cluster.until(
      'another leads',
      () => others.some((index) => cluster.job(index).leading !== null),
      30_000,
    );
    cluster.resume(leader);
    const mark = cluster.sent.length;
    const steppedDown = () =>
      cluster.effects('note', leader).some(({ event }) => event === 'job.stepped-down');
    cluster.until('it steps down', steppedDown, 20_000);
    assert.equal(cluster.job(leader).leading, null);
    const said = cluster.sent.slice(mark).filter(({ from }) => from === idOf(leader));
    assert.deepEqual(
      said.filter(({ message }) => commanding.has(message.type)),
      [],
    );
  });

  it('counts a vote only when its own keeper brings it', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [] });
    cluster.lose = ({ message }) => message.type === 'voted';
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const leader =
      [0, 1, 2].find((index) => cluster.job(index).leading !== null) ?? assert.fail('a leader');
    const { message } = cluster.messages('voted')[0] ?? assert.fail('a vote');
    for (const stranger of [7, 8, 9]) cluster.message(leader, stranger, message);
    assert.deepEqual(cluster.job(leader).records.committed, []);
    cluster.message(
      leader,
      cluster.indexOf(cluster.messages('voted')[0]?.from ?? assert.fail()),
      message,
    );
    assert.equal(cluster.job(leader).records.committed.length, 1);
  });
});
