/** A node whose disk is full, or that drains, takes nothing new, says so, goes on with what it has, and comes back. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Message } from '../../../src/core/contract/messages.ts';
import { Cluster } from './cluster.ts';
import { admitted, assignOf, committed, idOf, jobWith, stateOf } from './fixtures.ts';

const sends = (effects: readonly Effect[]): readonly Message[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
const kinds = (effects: readonly Effect[]): readonly string[] =>
  sends(effects).map(({ type }) => type);
const writes = (effects: readonly Effect[]): number =>
  effects.filter(({ type }) => type === 'persist').length;

/** Nodes 1, 0 and 2 keep the job; node 0 is the machine under test. */
const job = admitted(jobWith(), [1, 0, 2]);
const id = job.spec.body.job;
const admit = { type: 'admit', spec: job.spec, admission: job.admission.record } as const;
const activate = { type: 'activate', spec: job.spec, admission: job.admission } as const;
const invite = {
  type: 'invite',
  announcement: {
    job: id,
    version: 1,
    leader: idOf(1),
    epoch: job.epoch,
    round: 0,
    need: 1,
    spec: job.spec,
    admission: job.admission,
    grant: null,
    notAgain: [],
  },
} as const;
const assign = {
  type: 'assign',
  spec: job.spec,
  admission: job.admission,
  grant: null,
  assigns: [committed(job, assignOf(job, { node: 0 }))],
  holders: [],
} as const;

const machine = (): Cluster => new Cluster({ nodes: 1, program: () => [] });

/** What shuts a node, and opens it again. */
const doors: Readonly<Record<string, readonly [code: string, turn: (shut: boolean) => Input]>> = {
  'whose disk is full': ['store-full', (full) => ({ type: 'disk', full })],
  'that drains': ['draining', (on) => ({ type: 'drain', on })],
};

for (const [which, [code, turn]] of Object.entries(doors))
  describe(`a node ${which}`, () => {
    const fill = (cluster: Cluster, full = true): readonly Effect[] => cluster.input(0, turn(full));
    const reason = new RegExp(`"code":"${code}"`);
    const asked: readonly (readonly [string, Message, string])[] = [
      ['an admission', admit, 'not-admitted'],
      ['an invitation to bid', invite, 'decline'],
    ];
    for (const [what, message, answer] of asked) {
      it(`refuses ${what} with the reason, and writes nothing`, () => {
        const cluster = machine();
        fill(cluster);
        const effects = cluster.message(0, 1, message);
        const [told] = sends(effects);
        assert.equal(told?.type, answer);
        assert.match(JSON.stringify(told), reason);
        assert.equal(writes(effects), 0);
      });
    }

    it('does not take what it bid for before', () => {
      const cluster = machine();
      assert.deepEqual(kinds(cluster.message(0, 1, invite)), ['bid']);
      fill(cluster);
      const effects = cluster.message(0, 1, assign);
      assert.deepEqual(kinds(effects), ['not-started']);
      assert.match(JSON.stringify(sends(effects)), reason);
      assert.equal(writes(effects), 0);
    });

    it('copies no result for others', () => {
      const cluster = machine();
      fill(cluster);
      const state = stateOf(assign.assigns[0]?.record ?? assert.fail('no assignment'), 0, {
        phase: 'completed',
        result: { cid: 'bafk', bytes: 1 },
      });
      const { spec, admission } = assign;
      const message = {
        type: 'replicate',
        spec,
        admission,
        grant: null,
        state,
        holders: [],
      } as const;
      const effects = cluster.message(0, 1, message);
      assert.deepEqual(
        effects.filter(({ type }) => type === 'replicate'),
        [],
      );
    });

    it('takes no submission', () => {
      const cluster = machine();
      fill(cluster);
      const reply = cluster.reply(cluster.submit(0, jobWith()));
      assert.deepEqual(reply, { type: 'failed', problem: { code } });
    });

    it('becomes keeper of what it voted for, and of nothing else', () => {
      const promised = machine();
      promised.message(0, 1, admit);
      fill(promised);
      assert.deepEqual(kinds(promised.message(0, 1, activate)), ['activated']);
      const asked = machine();
      fill(asked);
      assert.deepEqual(asked.message(0, 1, activate), []);
      fill(asked, false);
      assert.deepEqual(kinds(asked.message(0, 1, activate)), ['activated'], 'it is asked again');
    });

    it('says so at once to everybody, and once', () => {
      const cluster = new Cluster({ nodes: 2, program: () => [] });
      const before = cluster.messages('advert').length;
      const effects = fill(cluster);
      const adverts = effects.flatMap((effect) => {
        if (effect.type === 'gossip' && effect.gossip.type === 'advert')
          return [effect.gossip.advert];
        return effect.type === 'send' && effect.message.type === 'advert'
          ? [effect.message.advert]
          : [];
      });
      assert.equal(adverts.length, 2, 'by gossip and to the neighbour');
      for (const { body } of adverts) assert.deepEqual([body.keeps, body.engines], [false, []]);
      assert.equal(cluster.messages('advert').length, before + 1);
      assert.deepEqual(fill(cluster), [], 'nothing has changed');
      cluster.submit(1, jobWith());
      assert.deepEqual(
        cluster.job(1).records.admission.record.body.keepers.map(({ node }) => node),
        [idOf(1)],
        'the others do not count on it',
      );
    });

    it('takes work again when there is room', () => {
      const cluster = machine();
      fill(cluster);
      cluster.message(0, 1, invite);
      const back = kinds(fill(cluster, false));
      assert.ok(back.includes('bid'), 'for what it had to refuse');
      assert.deepEqual(kinds(cluster.message(0, 1, invite)), ['bid']);
      const [own] = cluster.machine(0).sightings();
      assert.equal(own?.advert.keeps, true);
    });
  });
