/** Who does not answer delays a question about a job for a moment, and is named. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asRequestId } from '../../../../src/core/record/ids.ts';
import type { Answer } from '../../../../src/core/contract/messages.ts';
import { ledgerOf, summaryOf } from '../../../../src/core/record/ledger.ts';
import type { Reply } from '../../../../src/core/contract/reply.ts';
import { Cluster } from '../cluster.ts';
import { admitted, idOf, jobWith } from '../fixtures.ts';

const request = asRequestId('q');
const job = admitted(jobWith(), [1, 2, 3]);
const id = job.spec.body.job;
const records = { ...job, grant: null, commands: [], committed: [], states: [] };
const { spec, admission, grant, commands, committed, states } = records;
const found: Answer = {
  type: 'job',
  records: { spec, admission, grant, commands, committed, states },
  waiting: null,
  next: null,
};

function asking(neighbours: readonly number[]): Cluster {
  const asker = new Cluster({ nodes: 1 });
  for (const node of neighbours) asker.input(0, { type: 'peer-connected', node: idOf(node) });
  return asker;
}
/** Gossip tells of the job, and that node 1 leads it. */
const announce = (asker: Cluster): void => {
  const about = { job: id, version: 1, leader: idOf(1), grant: null, round: 0, need: 1 };
  const announcement = { ...about, admission, spec, notAgain: [] };
  asker.input(0, {
    type: 'gossip',
    from: idOf(1),
    gossip: { type: 'announce', announcement },
  });
};
const query = (asker: Cluster, ref: string = id): void => {
  asker.input(0, {
    type: 'query',
    request,
    query: { type: 'job', ref, namespace: 'default', from: 0 },
  });
};
const answer = (asker: Cluster, from: number, given: Answer): void => {
  asker.message(0, from, { type: 'found', request, answer: given });
};
const asked = (asker: Cluster): readonly number[] =>
  asker.messages('find').map(({ to }) => [1, 2, 3, 8, 9].find((n) => idOf(n) === to) ?? -1);
function shown(asker: Cluster): Extract<Reply, { type: 'answer' }> {
  const reply = asker.reply(request);
  assert.ok(reply?.type === 'answer', JSON.stringify(reply));
  return reply;
}

describe('a job that is looked up', () => {
  it('is shown half a second after it was found, however many are silent', () => {
    const asker = asking([1, 2, 3, 8, 9]);
    query(asker);
    for (const keeper of [1, 2]) answer(asker, keeper, found);
    asker.advance(600);
    assert.deepEqual(shown(asker).keepers?.silent, [idOf(3)]);
  });

  it('is shown at once when all of its keepers answer', () => {
    const asker = asking([1, 2, 3, 8]);
    announce(asker);
    query(asker);
    assert.deepEqual(asked(asker), [1]);
    for (const keeper of [1, 2, 3]) answer(asker, keeper, found);
    assert.deepEqual(shown(asker).keepers, {
      total: 3,
      nodes: [1, 2, 3].map(idOf),
      silent: [],
      leader: idOf(1),
      reseedAfterMs: 60_000,
    });
    assert.deepEqual(asked(asker), [1, 2, 3], 'and nobody else is asked');
  });

  it('is found at its other keepers when its leader is gone and no neighbour keeps it', () => {
    const asker = asking([8]);
    announce(asker);
    query(asker);
    answer(asker, 8, { type: 'elsewhere', job: id, nodes: [idOf(1)] });
    answer(asker, 2, found);
    asker.advance(3_000);
    assert.deepEqual(shown(asker).keepers?.silent, [idOf(1), idOf(3)]);
  });

  it('is found at its other keepers when its leader is connected and silent', () => {
    const asker = asking([1, 8]);
    announce(asker);
    query(asker);
    asker.advance(600);
    answer(asker, 2, found);
    answer(asker, 3, found);
    asker.advance(600);
    const { keepers } = shown(asker);
    assert.deepEqual([keepers?.silent, keepers?.leader], [[idOf(1)], idOf(1)]);
  });

  it('and that one who led it has forgotten is found at the others', () => {
    const asker = asking([1, 8]);
    announce(asker);
    query(asker);
    answer(asker, 1, { type: 'none' });
    answer(asker, 8, { type: 'none' });
    asker.advance(600);
    answer(asker, 3, found);
    asker.advance(600);
    assert.deepEqual(shown(asker).keepers?.silent, [idOf(2)]);
  });

  it('and that nobody answers about is not called unknown, and who is silent is named', () => {
    const asker = asking([1, 8]);
    announce(asker);
    query(asker);
    asker.advance(600);
    answer(asker, 8, { type: 'none' });
    asker.advance(2_400);
    const reply = asker.reply(request);
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'job-unreachable');
    assert.equal(reply.problem.asked, 4);
    assert.deepEqual(
      [...reply.problem.silent].sort(),
      [1, 2, 3].map(idOf).sort((a, b) => (a < b ? -1 : 1)),
    );
  });

  it('and that is known to nobody who answers is unknown, and who is silent is named', () => {
    const asker = asking([8, 9]);
    query(asker);
    answer(asker, 8, { type: 'none' });
    asker.advance(3_000);
    const reply = asker.reply(request);
    assert.ok(reply?.type === 'failed' && reply.problem.code === 'job-not-found');
    assert.deepEqual([reply.problem.asked, reply.problem.silent], [2, [idOf(9)]]);
  });
});

describe('a list', () => {
  it('waits half a second for the silent when most have answered', () => {
    const asker = asking([1, 2, 9]);
    asker.input(0, { type: 'query', request, query: { type: 'jobs', namespace: null, limit: 9 } });
    const line = summaryOf(
      ledgerOf({ spec, admission, grant, commands, committed, states }),
      false,
    );
    for (const node of [1, 2]) answer(asker, node, { type: 'jobs', jobs: [line] });
    for (const node of [1, 2]) answer(asker, node, { type: 'specs', specs: [spec] });
    asker.advance(600);
    const reply = asker.reply(request);
    assert.ok(reply?.type === 'listed');
    assert.equal(reply.jobs.length, 1);
  });
});

describe('a keeper that is asked about its own job', () => {
  function three(nodes: readonly number[] = [0, 1, 2]) {
    const program = () => [{ type: 'phase', phase: 'running' }] as const;
    const cluster = new Cluster({ nodes: nodes.length, program });
    cluster.submit(0, jobWith());
    cluster.advance(1_000);
    const leader = nodes.find((n) => cluster.job(n).leading !== null) ?? assert.fail();
    const [asker, other] = nodes.filter((n) => n !== leader) as [number, number];
    const first = cluster.job(leader).job;
    const ask = (node: number, ref = first): Extract<Reply, { type: 'answer' }> => {
      const one = asRequestId(`q-${cluster.now}`);
      const about = { type: 'job', ref, namespace: 'default', from: 0 } as const;
      cluster.input(node, { type: 'query', request: one, query: about });
      cluster.advance(1_500);
      const reply = cluster.reply(one);
      assert.ok(reply?.type === 'answer', JSON.stringify(reply));
      return reply;
    };
    return { cluster, leader, asker, other, ask };
  }

  it('names the leader that does not answer', () => {
    const { cluster, leader, asker, ask } = three();
    assert.deepEqual(ask(asker).keepers?.silent, []);
    cluster.pause(leader);
    const { keepers } = ask(asker);
    assert.deepEqual([keepers?.silent, keepers?.leader], [[idOf(leader)], idOf(leader)]);
  });

  it('names all that are away, whoever it is that is asked', () => {
    const { cluster, leader, asker, other, ask } = three();
    cluster.pause(leader);
    cluster.pause(other);
    for (let turn = 0; turn < 20; turn += 1) {
      const { keepers } = ask(asker);
      assert.deepEqual(keepers?.silent.toSorted(), [idOf(leader), idOf(other)].toSorted());
      cluster.advance(3_000);
    }
    cluster.resume(leader);
    cluster.resume(other);
    cluster.until('all are there again', () => ask(asker).keepers?.silent.length === 0, 60_000);
  });

  it('says that it waits for keepers all the time, also between two tries to lead it', () => {
    const nodes = [0, 1, 2, 3, 4];
    const { cluster, leader, asker, other, ask } = three(nodes);
    for (const node of nodes) if (node !== asker && node !== other) cluster.pause(node);
    cluster.advance(20_000);
    for (let turn = 0; turn < 20; turn += 1) {
      const { answer: told, keepers } = ask(asker);
      assert.equal(keepers?.silent.length, 3);
      assert.ok(keepers.silent.includes(idOf(leader)));
      assert.equal(told.waiting?.keepersReached, 2, `${turn}`);
      cluster.advance(500);
    }
  });

  it('says so when no others will take their place', () => {
    const { cluster, ask } = three();
    const Meta = { 'shoal/partition-policy': 'exclusive' };
    cluster.submit(0, jobWith({ Name: 'alone', Meta }), 'c'.repeat(32));
    assert.equal(ask(0).keepers?.reseedAfterMs, 60_000);
    const policies = cluster.inspect(0).jobs.map(({ job }) => ask(0, job).keepers?.reseedAfterMs);
    assert.deepEqual(policies.toSorted(), [60_000, null]);
  });

  it('names all that are away when it leads', () => {
    const { cluster, leader, asker, other, ask } = three();
    cluster.pause(asker);
    cluster.pause(other);
    cluster.advance(16_000);
    assert.deepEqual(ask(leader).keepers?.silent.toSorted(), [idOf(asker), idOf(other)].toSorted());
  });
});

describe('who sponsored a job and does not keep it', () => {
  it('asks its keepers alone, as soon as it has the receipt', () => {
    const cluster = new Cluster({ nodes: 4 });
    // Of four nodes three keep a job; which they are depends on its id.
    for (let count = 0; count < 50; count += 1) {
      const reply = cluster.reply(cluster.submit(0, jobWith(), String(count).padStart(32, '0')));
      assert.ok(reply?.type === 'receipt');
      const keepers = reply.receipt.record.body.keepers.map(({ node }) => node);
      if (keepers.includes(idOf(0))) continue;
      cluster.input(0, {
        type: 'query',
        request,
        query: { type: 'job', ref: reply.job, namespace: 'default', from: 0 },
      });
      const asked = cluster.messages('find').filter(({ from }) => from === idOf(0));
      assert.ok(asked.length > 0 && asked.every(({ to }) => keepers.includes(to)));
      assert.equal(cluster.reply(request)?.type, 'answer');
      return;
    }
    assert.fail('of some job the sponsor is no keeper');
  });
});
