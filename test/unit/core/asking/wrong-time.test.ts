/** What is refused for its time is told to whoever asked, with both times. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asRecordId } from '../../../../src/core/record/ids.ts';
import type { RecordId } from '../../../../src/core/record/ids.ts';
import { Cluster } from '../cluster.ts';
import { jobWith, WALL } from '../fixtures.ts';

const DAY_MS = 86_400_000;
const program = () => [{ type: 'phase', phase: 'running' }] as const;

describe('a job', () => {
  for (const [what, skewMs] of [
    ['over by the clocks of its keepers', -3 * DAY_MS],
    ['good for years by the clocks of its keepers', 90 * DAY_MS],
  ] as const) {
    it(`that is ${what} is refused with both times`, () => {
      const cluster = new Cluster({ nodes: 4, program });
      const keepers = [1, 2, 3];
      cluster.skewMs = (node) => (keepers.includes(node) ? 0 : skewMs);
      const notAfter = WALL + cluster.now + skewMs + DAY_MS;
      const spec = jobWith();
      const input = {
        type: 'submit',
        spec,
        nonce: 'b'.repeat(32),
        notAfter,
        minKeepers: 0,
      } as const;
      const request = cluster.request(0, input);
      const reply = cluster.reply(request);
      assert.ok(reply?.type === 'failed', JSON.stringify(reply));
      const { problem } = reply;
      assert.ok(problem.code === 'not-admitted' && problem.refusal.code === 'wrong-time');
      assert.equal(problem.refusal.notAfter, notAfter);
      assert.equal(problem.refusal.wall, WALL + cluster.now);
    });
  }

  it('that is over since the clock of its sponsor was set is answered', () => {
    const cluster = new Cluster({ nodes: 3, program });
    cluster.lose = ({ message }) => message.type === 'admit';
    const request = cluster.submit(0, jobWith());
    assert.equal(cluster.reply(request), null);
    cluster.skewMs = () => 10 * DAY_MS;
    cluster.advance(30_000);
    const reply = cluster.reply(request);
    assert.ok(
      reply?.type === 'failed' && reply.problem.code === 'not-admitted',
      JSON.stringify(reply),
    );
    assert.equal(reply.problem.refusal.code, 'wrong-time');
  });
});

describe('a stop', () => {
  it('whose job is over by the clocks of its keepers is told so at once, and arrives when they are right', () => {
    const cluster = new Cluster({ nodes: 3, program });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const { job } = cluster.job(0);
    const keepers = [1, 2];
    cluster.skewMs = (node) => (keepers.includes(node) ? 30 * DAY_MS : 0);
    const request = cluster.request(0, { type: 'stop', job, reason: 'enough' });
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping', JSON.stringify(reply));
    assert.deepEqual([reply.signed, reply.needed, reply.refused?.keepers], [1, 2, 2]);
    assert.equal(reply.refused?.refusal.code, 'wrong-time');
    cluster.skewMs = () => 0;
    cluster.until('it is stopped', () => cluster.job(0).state === 'Stopped', 60_000);
  });

  it('is refused by its keepers only, and one that has it does not take it back', () => {
    const cluster = new Cluster({ nodes: 4, program });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const keeps = (node: number): boolean => cluster.machine(node).inspect().jobs.length > 0;
    const asker = [0, 1, 2, 3].find((node) => !keeps(node)) ?? assert.fail();
    const [first = assert.fail(), second = assert.fail()] = [0, 1, 2, 3].filter(keeps);
    const { job } = cluster.job(first);
    const sent: RecordId[] = [];
    cluster.lose = ({ message }) => {
      if (message.type === 'command') sent.push(message.command.id);
      return message.type === 'command';
    };
    const request = cluster.request(asker, { type: 'stop', job, reason: 'enough' });
    const command = sent[0] ?? assert.fail('it was sent');
    const refusal = { code: 'wrong-time', notAfter: 1, wall: 2 } as const;
    const refused = { type: 'command-refused', job, command, refusal } as const;
    const ack = { type: 'command-ack', job, command } as const;
    const other = asRecordId('0'.repeat(64));
    for (const stranger of [8, 9]) cluster.message(asker, stranger, refused);
    for (const node of [first, second])
      cluster.message(asker, node, { ...refused, command: other });
    cluster.message(asker, first, ack);
    cluster.message(asker, first, refused);
    cluster.message(asker, second, refused);
    assert.equal(cluster.reply(request), null);
    cluster.message(asker, second, ack);
    const reply = cluster.reply(request);
    assert.ok(reply?.type === 'stopping' && reply.signed === 2, JSON.stringify(reply));
  });
});
