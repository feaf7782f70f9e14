/** A leader counts the votes of its own epoch, and repeats what nobody answered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { Message, SlotValue } from '../../../../src/core/contract/messages.ts';
import type { Epoch, Slot } from '../../../../src/core/record/records.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import { promiseOf, promiseWhole, snapshotWith } from '../promising.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import {
  admitted,
  assignOf,
  committed as committedIn,
  idOf,
  jobWith,
  stopOf,
  voteOf,
} from '../fixtures.ts';

/** Nodes 0, 1 and 2 keep the job; 0 leads it, runs it and is the machine under test. */
const job = admitted(jobWith(), [0, 1, 2]);
const id = job.spec.body.job;

/** It has proposed to give the execution to itself, the only node there is. */
function leader(events: readonly RunEvent[] = []): {
  cluster: Cluster;
  proposed: MessageOf<'propose'>;
} {
  const cluster = new Cluster({ nodes: 1, program: () => events });
  cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  cluster.until('it proposes', () => cluster.messages('propose').length > 0, 10_000);
  const { message } = cluster.messages('propose')[0] ?? assert.fail('a proposal');
  return { cluster, proposed: message };
}

function voted({ values }: MessageOf<'propose'>, by: number, epoch: Epoch): Message {
  const votes = values.map(({ slot, value }) => voteOf(by, id, value.id, slot, epoch));
  return { type: 'voted', job: id, votes };
}

/** The same with many partitions; keeper 1 led it. */
const large = admitted(jobWith({ Count: 600 }), [1, 0, 2]);

const committed = (cluster: Cluster): number => cluster.job(0).records.committed.length;
const sent = (cluster: Cluster, type: 'propose' | 'commit', to: number): number =>
  cluster.messages(type).filter((message) => message.to === idOf(to)).length;

describe('a leader', () => {
  it('counts no vote of another epoch than its own', () => {
    const { cluster, proposed } = leader();
    const others: readonly Epoch[] = [
      { config: { major: 0, minor: 0 }, number: 1, leader: idOf(0) },
      { config: { major: 0, minor: 0 }, number: 0, leader: idOf(1) },
    ];
    for (const epoch of others) {
      for (const by of [1, 2]) cluster.message(0, by, voted(proposed, by, epoch));
      assert.equal(committed(cluster), 0);
    }
    cluster.message(0, 1, voted(proposed, 1, job.epoch));
    assert.equal(committed(cluster), 1);
  });

  it('repeats a proposal to who has not voted', () => {
    const { cluster } = leader();
    const before = [sent(cluster, 'propose', 1), sent(cluster, 'propose', 2)];
    assert.deepEqual(before, [1, 1]);
    cluster.advance(5_000);
    assert.ok(sent(cluster, 'propose', 1) > 1);
    assert.ok(sent(cluster, 'propose', 2) > 1);
  });

  it('repeats a commit to who has not acknowledged it, and to nobody else', () => {
    const { cluster, proposed } = leader();
    cluster.message(0, 1, voted(proposed, 1, job.epoch));
    assert.deepEqual([sent(cluster, 'commit', 1), sent(cluster, 'commit', 2)], [1, 1]);
    const slots: readonly Slot[] = proposed.values.map(({ slot }) => slot);
    cluster.message(0, 1, { type: 'commit-ack', job: id, slots });
    cluster.advance(5_000);
    assert.equal(sent(cluster, 'commit', 1), 1);
    assert.ok(sent(cluster, 'commit', 2) > 1);
  });

  it('commits the end of a job after the results it rests on, whatever is voted for first', () => {
    const { cluster, proposed } = leader(DONE);
    cluster.message(0, 1, voted(proposed, 1, job.epoch));
    const last = cluster.messages('propose').at(-1)?.message ?? assert.fail('a proposal');
    assert.deepEqual(
      last.values.map(({ slot }) => slot),
      ['accept/1/0', 'close/1'],
    );
    const [accept, close] = last.values;
    assert.ok(accept !== undefined && close !== undefined);
    cluster.message(0, 1, voted({ ...last, values: [close] }, 1, job.epoch));
    assert.equal(cluster.job(0).state, 'Running');
    cluster.message(0, 2, voted({ ...last, values: [accept] }, 2, job.epoch));
    assert.equal(cluster.job(0).state, 'Completed');
  });

  describe('that took over what an earlier one may have committed', () => {
    /** Keeper 1 led it, and gave the execution away; the owner has stopped it. */
    const followed = admitted(jobWith(), [1, 0, 2]);
    const value = assignOf(followed, { node: 7, by: 1 });

    function successor(): {
      cluster: Cluster;
      propose: (type: SlotValue['type']) => MessageOf<'propose'>;
    } {
      const cluster = new Cluster({ nodes: 1, program: () => [] });
      const { spec, admission, epoch } = followed;
      cluster.message(0, 1, { type: 'activate', spec, admission });
      cluster.message(0, 7, { type: 'command', command: stopOf(followed) });
      cluster.message(0, 1, { type: 'not-leading', jobs: [id] });
      cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
      const { message } = cluster.messages('prepare')[0] ?? assert.fail('a prepare');
      const accepted = [{ slot: slotOf(value), epoch, value }];
      promiseWhole(cluster, message, 2, snapshotWith(followed, { accepted }));
      const propose = (type: SlotValue['type']): MessageOf<'propose'> =>
        cluster
          .messages('propose')
          .find(({ message: { values } }) => values[0]?.value.type === type)?.message ??
        assert.fail(`it proposes the ${type}`);
      return { cluster, propose };
    }

    it('commits that before the end of the job, whatever is voted for first', () => {
      const { cluster, propose } = successor();
      const [over, end] = [propose('assign'), propose('close')];
      cluster.message(0, 2, voted(end, 2, end.epoch));
      assert.equal(committed(cluster), 0);
      cluster.message(0, 2, voted(over, 2, over.epoch));
      assert.equal(committed(cluster), 2);
      assert.equal(cluster.job(0).state, 'Stopped');
      const told = cluster.messages('commit').filter(({ to }) => to === idOf(1));
      assert.deepEqual(
        told[0]?.message.values.map(({ record }) => record.type),
        ['assign', 'close'],
      );
    });

    it('ends the job without that after 20 s when nobody votes for it', () => {
      const { cluster, propose } = successor();
      const end = propose('close');
      const seconds = (count: number): void => {
        for (let second = 0; second < count; second += 1) {
          cluster.message(0, 2, { type: 'ping', nonce: second });
          cluster.advance(1_000);
        }
      };
      seconds(5);
      cluster.message(0, 2, voted(end, 2, end.epoch));
      seconds(14);
      assert.equal(committed(cluster), 0);
      seconds(2);
      assert.equal(cluster.job(0).state, 'Stopped');
    });
  });

  it('has so many commits open with a keeper, and goes on with its answers', () => {
    const values = Array.from({ length: 600 }, (_, partition) =>
      committedIn(large, assignOf(large, { node: 7, partition })),
    );
    const { job: about } = large.spec.body;
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: large.spec, admission: large.admission });
    cluster.message(0, 1, { type: 'commit', job: about, values });
    cluster.message(0, 1, { type: 'not-leading', jobs: [about] });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
    const { message } = cluster.messages('prepare')[0] ?? assert.fail('a prepare');
    // Keeper 1 has all of it, keeper 2 says nothing.
    promiseWhole(cluster, message, 1, snapshotWith(large, { committed: values }));
    const told = (): readonly Slot[] => [
      ...new Set(
        cluster
          .messages('commit')
          .filter(({ to }) => to === idOf(2))
          .flatMap((one) => one.message.values.map(({ record }) => slotOf(record))),
      ),
    ];
    assert.equal(told().length, 256);
    cluster.advance(10_000);
    assert.equal(told().length, 256, 'who is silent is told the same again');
    cluster.message(0, 2, { type: 'commit-ack', job: about, slots: told().slice(0, 100) });
    assert.equal(told().length, 356);
    const withOne = cluster.messages('commit').filter(({ to }) => to === idOf(1));
    assert.deepEqual(withOne, [], 'what it has it is not told');
    // It promises late, and has everything, too.
    const late = promiseOf(message, 2, snapshotWith(large, { committed: values }));
    const before = cluster.messages('commit').length;
    cluster.message(0, 2, late);
    cluster.advance(60_000);
    assert.equal(cluster.messages('commit').length, before);
  });
});
