/** A later version of a job runs nowhere before its keepers have decided it, whoever calls for it: each node has the proof. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Announcement, Message } from '../../../../src/core/contract/messages.ts';
import type { Certified } from '../../../../src/core/record/records.ts';
import type { JobType } from '../../../../src/job/model.ts';
import { Cluster, refusals } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  assignOf,
  committed,
  decidedOf,
  jobWith,
  nextSpec,
  WALL,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';

/** Its owner signed two specs for its second version; nodes 1, 2 and 3 decided the one. */
function jobOf(Type: JobType) {
  const spec = (V: string) => jobWith({ Type, Count: Type === 'batch' ? 1 : 0 }, { Env: { V } });
  const first = admitted(spec('1'), [1, 2, 3]);
  const of = (V: string): Admitted => ({ ...first, spec: nextSpec(first.spec, spec(V)) });
  const [second, other] = [of('2'), of('other')];
  return { first, second, other, decided: decidedOf(first, second.spec) };
}

const node = (): Cluster => new Cluster({ nodes: 1, program: () => [] });

const runs = (cluster: Cluster) => cluster.effects('run').map(({ order }) => order.task.Env['V']);

type Call = (cluster: Cluster, announcement: Announcement) => ReturnType<Cluster['message']>;
const invite: Call = (cluster, announcement) =>
  cluster.message(0, 1, { type: 'invite', announcement });
const handOn: Call = (cluster, announcement) => {
  const { job, version, leader } = announcement;
  const epoch = { config: { major: 0, minor: 0 }, number: 0, leader };
  cluster.message(0, 7, { type: 'live', jobs: [{ job, version, epoch }] });
  return cluster.message(0, 7, { type: 'live-job', announcement });
};

/** What a leader, or a neighbour, might say instead of the truth. */
const lies = ({ first, second, other, decided }: ReturnType<typeof jobOf>) =>
  ({
    'no proof': announcementOf(second),
    'no proof, for the one that was not decided': announcementOf(other),
    'the proof of the other one': announcementOf(other, {
      decided: { ...decided, ...lieOf(other) },
    }),
    'too few votes': announcementOf(second, {
      spec: null,
      decided: { ...decided, votes: decided.votes.slice(0, 1) },
    }),
    'the proof of another job': announcementOf(second, { spec: null, decided: foreign(first) }),
  }) satisfies Readonly<Record<string, Announcement>>;

/** The votes are for another value. */
const lieOf = (other: Admitted) => ({ record: decidedOf(other, other.spec).record });
function foreign(first: Admitted): Certified<'version'> {
  const stranger = admitted(first.spec.body.spec, [1, 2, 3], { nonce: 'f'.repeat(32) });
  return decidedOf(stranger, nextSpec(stranger.spec, stranger.spec.body.spec));
}

describe('a version after the first', () => {
  for (const [type, how, call] of [
    ['ops', 'called', invite],
    ['daemon', 'called', invite],
    ['daemon', 'handed on', handOn],
  ] as const)
    it(`of a job of type ${type} that is ${how} is begun with the proof that it was decided, and not without`, () => {
      const job = jobOf(type);
      for (const [lie, announcement] of Object.entries(lies(job))) {
        const cluster = node();
        assert.equal(refusals(call(cluster, announcement)).length, 1, lie);
        cluster.advance(60_000);
        assert.deepEqual(runs(cluster), [], lie);
        assert.equal(cluster.machine(0).sizes()['live'], 0, lie);
      }
      const cluster = node();
      call(cluster, announcementOf(job.second, { spec: null, decided: job.decided }));
      cluster.advance(60_000);
      assert.deepEqual(runs(cluster), ['2']);
    });

  it('is bid for only with that proof, and an assignment has it, too', () => {
    const job = jobOf('batch');
    for (const [lie, announcement] of Object.entries(lies(job))) {
      const cluster = node();
      invite(cluster, announcement);
      assert.equal(cluster.messages('bid').length, 0, lie);
    }
    const { admission, spec } = job.second;
    const assigns = [committed(job.first, assignOf(job.second, { node: 0 }))];
    const about = { type: 'assign', admission, grant: null, assigns, holders: [] } as const;
    for (const [message, begun] of [
      [{ ...about, spec }, []],
      [{ ...about, spec: job.other.spec, version: job.decided }, []],
      [{ ...about, spec, version: job.decided }, ['2']],
    ] as const satisfies readonly (readonly [Message, readonly string[]])[]) {
      const cluster = node();
      invite(cluster, announcementOf(job.second, { spec: null, decided: job.decided }));
      assert.equal(cluster.messages('bid').length, 1);
      cluster.message(0, 1, message);
      assert.deepEqual(runs(cluster), begun);
    }
  });

  it('is handed on with its proof, after a start as well, and its spec does not travel twice', () => {
    const { second, decided } = jobOf('daemon');
    const cluster = node();
    invite(cluster, announcementOf(second, { spec: null, decided }));
    for (const restarts of [0, 1]) {
      if (restarts > 0) cluster.restart(0);
      cluster.message(0, 7, { type: 'live-wanted', jobs: [second.spec.body.job] });
      const told = cluster.messages('live-job').at(-1)?.message.announcement;
      assert.deepEqual([told?.spec, told?.decided], [null, decided]);
      const next = node();
      if (told !== undefined) handOn(next, told);
      next.advance(60_000);
      assert.deepEqual(runs(next), ['2']);
    }
  });

  it('that is too large for an announcement is fetched from its leader, and is the one that was decided', () => {
    const spec = (V: string) =>
      jobWith({ Type: 'ops', Count: 0 }, { Env: { V, TEXT: '.'.repeat(40_000) } });
    const cluster = new Cluster({ nodes: 6 });
    const reply = cluster.reply(cluster.submit(0, spec('1')));
    assert.ok(reply?.type === 'receipt');
    const { job } = reply;
    cluster.advance(60_000);
    const notAfter = WALL + 86_400_000;
    const how = { how: 'update', reason: '', notAfter } as const;
    const asked = cluster.request(0, { type: 'update', job, spec: spec('2'), ...how });
    cluster.until('it is decided', () => cluster.reply(asked) !== null);
    const run = () =>
      cluster
        .effects('run')
        .filter(({ order }) => order.version === 2 && order.task.Env['V'] === '2');
    cluster.until('all run it', () => run().length === 6);
    const [largest] = cluster
      .effects('gossip')
      .map(({ gossip }) => JSON.stringify(gossip).length)
      .sort((a, b) => b - a);
    assert.ok(largest !== undefined && largest < 32_768, `${largest}`);
  });
});
