/** The leader of a job is cut off from all others while the job runs: both ways, and one way only. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { runElsewhere } from './elsewhere.ts';
import type { Network } from './network.ts';
import type { Peer } from './peer.ts';
import { agree, createScene, seconds } from './scene.ts';
import { noop } from './specs.ts';

const { mesh, network, uncut } = await createScene(5);

/** The promise after a black hole: silence is noticed later than a death. */
const LED_MS = 20_000;
const AGREED_MS = 30_000;
/** It ends in the middle of the cut, when another leads already. */
const WORK = { Milliseconds: 24_000 };

interface Cut {
  readonly name: string;
  readonly begin: (network: Network, leader: number, others: readonly number[]) => Promise<void>;
}

const CUTS: readonly Cut[] = [
  { name: 'cut off', begin: (links, leader, others) => links.part([leader], others) },
  { name: 'heard by nobody', begin: (links, leader, others) => links.lose([leader], others) },
  { name: 'deaf to all', begin: (links, leader, others) => links.lose(others, [leader]) },
];

describe('a leader that loses its links while its job runs', { skip: uncut }, () => {
  let peers: readonly Peer[];
  before(async () => {
    peers = await mesh.grow(5);
  });

  for (const { name, begin } of CUTS) {
    test(`${name}: another leads, the job is run once, and all agree when it is healed`, async (context) => {
      const links = network ?? assert.fail('no network');
      const { id, leader, execution, witness } = await runElsewhere(mesh, noop(WORK));
      const others = peers.filter((peer) => peer !== leader);
      const cutAt = performance.now();
      await begin(
        links,
        peers.indexOf(leader),
        others.map((peer) => peers.indexOf(peer)),
      );
      try {
        await mesh.until(
          'another leads',
          () => mesh.leaders(id).some((peer) => peer !== leader),
          LED_MS,
        );
        const led = performance.now() - cutAt;
        const { Executions } = await mesh.reaches(witness, id, 'Completed', 60_000);
        assert.deepEqual(
          Executions?.Items.map(({ ID, Phase }) => `${ID} ${Phase}`),
          [`${execution} completed`],
          'one attempt',
        );
        context.diagnostic(`another leads after ${seconds(led)}`);
      } finally {
        await links.heal();
      }
      const healed = await agree(
        mesh,
        peers,
        [id],
        ([view = '']) => view.startsWith('Completed'),
        AGREED_MS,
      );
      const accepts = (await mesh.history(leader, id)).filter(({ Event }) =>
        Event.Message.includes('accepted (exit code'),
      );
      assert.equal(accepts.length, 1, JSON.stringify(accepts));
      await mesh.joined();
      context.diagnostic(`all agree ${seconds(healed)} after the links are back`);
    });
  }
});
