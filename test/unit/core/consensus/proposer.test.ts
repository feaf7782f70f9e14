/** A leader counts the votes of its own epoch, and repeats what nobody answered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import type { Epoch, Slot } from '../../../../src/core/record/records.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import { admitted, idOf, jobWith, voteOf } from '../fixtures.ts';

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
});
