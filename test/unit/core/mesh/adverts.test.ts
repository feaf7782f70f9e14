/** What a node says of itself, and how often: most of what an idle peer costs. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Signed } from '../../../../src/core/record/records.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { Cluster } from '../cluster.ts';
import { profileOf } from '../../../simulation/profile.ts';
import { idOf, jobWith } from '../fixtures.ts';

const { advertMinMs, advertMaxMs } = DEFAULT_LIMITS;

/** Adverts that this node gossiped so far. */
const gossiped = (cluster: Cluster, node: number): readonly Signed<'advert'>[] =>
  cluster.steps.flatMap((step) =>
    step.node === node
      ? step.effects.flatMap((effect) =>
          effect.type === 'gossip' && effect.gossip.type === 'advert' ? [effect.gossip.advert] : [],
        )
      : [],
  );

it('a node of which nothing changes says so every twenty seconds, each time anew', () => {
  const cluster = new Cluster({ nodes: 3 });
  const before = gossiped(cluster, 0).length;
  cluster.advance(10 * advertMaxMs);
  const adverts = gossiped(cluster, 0).slice(before);
  assert.ok(adverts.length >= 8 && adverts.length <= 11, `${adverts.length} adverts`);
  assert.equal(new Set(adverts.map(({ id }) => id)).size, adverts.length);
});

it('what changes is told within five seconds, and then no oftener than before', () => {
  const program = () => [{ type: 'phase', phase: 'running' }] as const;
  const cluster = new Cluster({ nodes: 3, program });
  cluster.advance(advertMinMs);
  cluster.submit(0, jobWith());
  cluster.until('one runs it', () => cluster.effects('run').length > 0);
  const runner = cluster.steps.findLast(({ effects }) =>
    effects.some(({ type }) => type === 'run'),
  );
  assert.ok(runner);
  const before = gossiped(cluster, runner.node).length;
  cluster.advance(advertMinMs);
  assert.deepEqual(
    gossiped(cluster, runner.node)
      .slice(before)
      .map(({ body }) => body.running),
    [1],
  );
  cluster.advance(advertMaxMs - advertMinMs);
  assert.equal(gossiped(cluster, runner.node).length, before + 1);
});

it('new neighbours hear the last advert again, which those who know it need not verify', () => {
  const cluster = new Cluster({ nodes: 2 });
  const said = (): readonly string[] =>
    cluster.messages('advert').map(({ message }) => message.advert.id);
  const before = said().length;
  for (const other of [5, 6, 7]) cluster.input(0, { type: 'peer-connected', node: idOf(other) });
  assert.equal(said().length, before + 3);
  assert.equal(new Set(said().slice(before)).size, 1);
  const profile = { ...profileOf(0, idOf(0)), labels: { disk: 'new' } };
  cluster.input(0, { type: 'profile', profile });
  cluster.input(0, { type: 'peer-connected', node: idOf(8) });
  assert.equal(new Set(said().slice(before)).size, 2, 'what changed is another one');
});
