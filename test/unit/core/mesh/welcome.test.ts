/** What may be asked of a node by those who owe it nothing: proven, weighed, and never everything. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Announcement } from '../../../../src/core/contract/messages.ts';
import type { Resources } from '../../../../src/job/model.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { Admitted } from '../fixtures.ts';
import {
  admitted,
  advertOf,
  announcementOf,
  assignOf,
  certify,
  committed,
  grantOf,
  idOf,
  jobWith,
  suiteOf,
} from '../fixtures.ts';

const CAPACITY = 4_000;
const cpus = (cpuMillis: number): Resources => ({
  cpuMillis,
  memoryBytes: 1_000,
  diskBytes: 0,
  gpus: 0,
});
/** A job of owner number `owner`, admitted by keeper `leader` alone. */
const jobOf = (
  leader: number,
  owner: number,
  nonce: number,
  cpuMillis: number,
  Count = 16,
): Admitted =>
  admitted(
    jobWith({ Count }, { resources: cpus(cpuMillis) }),
    [leader],
    { nonce: String(nonce).padStart(32, '0') },
    suiteOf(leader, owner),
  );
const announcing = (job: Admitted, change: Partial<Announcement> = {}): Announcement =>
  announcementOf(job, { need: 16, ...change });
const invite = (cluster: Cluster, job: Admitted, change: Partial<Announcement> = {}) =>
  cluster.message(0, job.keepers[0] ?? 0, {
    type: 'invite',
    announcement: announcing(job, change),
  });
const held = (cluster: Cluster): number => cluster.machine(0).inspect().held.cpuMillis;
const alone = (): Cluster => new Cluster({ nodes: 1, program: () => [] });
/** The job is taken up here, so that its leader has shown that it means what it says. */
function run(cluster: Cluster, job: Admitted): void {
  invite(cluster, job, { need: 1 });
  const assigns = [committed(job, assignOf(job, { node: 0 }))];
  const { spec, admission } = job;
  cluster.message(0, job.keepers[0] ?? 0, {
    type: 'assign',
    spec,
    admission,
    grant: null,
    assigns,
    holders: [],
  });
  assert.equal(cluster.messages('started').at(-1)?.message.job, spec.body.job);
}

describe('nothing is held', () => {
  const job = admitted(jobWith(), [1, 2, 3]);
  const other = admitted(jobWith(), [1, 2, 3], { nonce: 'c'.repeat(32) });
  const few = { record: job.admission.record, votes: job.admission.votes.slice(0, 1) };
  const later = { config: { major: 0, minor: 0 }, number: 2, leader: idOf(2) };
  const lone = certify(grantOf(job, later, 2), 'grant', [2], later);
  const cases: readonly (readonly [string, number, Partial<Announcement>, string])[] = [
    ['for an admission that too few keepers signed', 1, { admission: few }, 'bad-certificate'],
    ['for the admission of another job', 1, { admission: other.admission }, 'contradiction'],
    ['for a keeper that does not lead', 2, { leader: idOf(2) }, 'wrong-signer'],
    ['for a grant that too few signed', 2, { leader: idOf(2), grant: lone }, 'bad-certificate'],
    ['when another than the leader invites', 3, {}, 'wrong-signer'],
  ];
  for (const [what, from, change, code] of cases) {
    it(what, () => {
      const cluster = alone();
      const announcement = announcing(job, change);
      assert.deepEqual(refusals(cluster.message(0, from, { type: 'invite', announcement })), [
        code,
      ]);
      assert.deepEqual(cluster.machine(0).inspect().holds, []);
      assert.deepEqual(cluster.messages('bid'), []);
    });
  }

  it('when gossip names a leader that nobody knows', () => {
    const cluster = alone();
    const gossip = { type: 'announce', announcement: announcing(job) } as const;
    assert.deepEqual(refusals(cluster.input(0, { type: 'gossip', from: idOf(2), gossip })), [
      'unknown-node',
    ]);
    assert.deepEqual(cluster.messages('bid'), []);
  });

  it('and who only repeats false gossip is not at fault', () => {
    const cluster = alone();
    cluster.input(0, { type: 'peer-connected', node: idOf(1) });
    const gossip = { type: 'announce', announcement: announcing(job, { admission: few }) } as const;
    const effects = cluster.input(0, { type: 'gossip', from: idOf(2), gossip });
    assert.deepEqual(
      effects.filter((effect) => effect.type === 'refuse').map(({ fault }) => fault),
      [false],
    );
  });
});

describe('a leader that this node does not know yet', () => {
  it('gets half of the node held, together with all others of its kind', () => {
    const cluster = alone();
    for (const leader of [1, 2, 3]) invite(cluster, jobOf(leader, leader, leader, 500));
    assert.equal(held(cluster), CAPACITY / 2);
  });

  it('gets one execution held even if it is larger than that', () => {
    const cluster = alone();
    invite(cluster, jobOf(1, 1, 1, CAPACITY));
    assert.equal(held(cluster), CAPACITY);
  });

  it('and is only named by gossip gets a quarter', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    const job = jobOf(1, 1, 1, 500);
    // Known by its advert alone: somebody passed it on.
    const advert = advertOf(1);
    cluster.input(0, { type: 'gossip', from: idOf(2), gossip: { type: 'advert', advert } });
    const gossip = { type: 'announce', announcement: announcing(job) } as const;
    cluster.input(0, { type: 'gossip', from: idOf(2), gossip });
    assert.equal(held(cluster), CAPACITY / 4);
  });

  it('may have everything once a hold of it became an execution', () => {
    const cluster = alone();
    run(cluster, jobOf(1, 1, 1, 500));
    invite(cluster, jobOf(1, 1, 2, 500));
    assert.equal(held(cluster), CAPACITY - 500);
  });
});

describe('a leader that lets holds run out', () => {
  it('has soon nothing held any more, and again after a while', () => {
    const cluster = alone();
    const flood = (nonce: number): number => {
      for (let index = 0; index < 20; index += 1) {
        invite(cluster, jobOf(1, 1, nonce + index, 500));
      }
      return held(cluster);
    };
    assert.equal(flood(0), CAPACITY / 2);
    let heldMs = 0;
    for (let second = 0; second < 120; second += 1) {
      cluster.advance(1_000);
      heldMs += (1_000 * flood(100 * second)) / CAPACITY;
    }
    assert.ok(heldMs < 20_000, `in two minutes of flood a whole node was held for ${heldMs} ms`);
    cluster.advance(600_000);
    assert.equal(flood(50_000), CAPACITY / 2);
  });

  it('does not get more by asking again before they run out', () => {
    const cluster = alone();
    const job = jobOf(1, 1, 1, 500);
    let heldMs = 0;
    for (let second = 0; second < 120; second += 1) {
      invite(cluster, job, { round: second });
      heldMs += (1_000 * held(cluster)) / CAPACITY;
      cluster.advance(1_000);
    }
    assert.ok(heldMs < 25_000, `a whole node was held for ${heldMs} ms`);
  });

  it('keeps nothing from one that is known', () => {
    const cluster = alone();
    run(cluster, jobOf(2, 2, 1, 500));
    const job = jobOf(2, 2, 2, 500, 1);
    for (let index = 0; index < 200; index += 1) {
      invite(cluster, jobOf(3 + index, 3 + index, index, 100));
    }
    invite(cluster, job);
    assert.equal(cluster.messages('bid').at(-1)?.message.job, job.spec.body.job);
  });

  it('that nobody ever heard costs an owner nothing that gossip names', () => {
    const cluster = alone();
    const advert = advertOf(1);
    cluster.input(0, { type: 'gossip', from: idOf(9), gossip: { type: 'advert', advert } });
    for (let round = 0; round < 10; round += 1) {
      const announcement = announcing(jobOf(1, 5, round, 500), { round });
      cluster.input(0, {
        type: 'gossip',
        from: idOf(9),
        gossip: { type: 'announce', announcement },
      });
      cluster.advance(11_000);
    }
    invite(cluster, jobOf(2, 5, 100, 500));
    assert.equal(held(cluster), CAPACITY / 2);
  });
});

describe('an owner', () => {
  it('alone fills the node with its holds', () => {
    const cluster = alone();
    run(cluster, jobOf(1, 1, 1, 500, 1));
    for (let index = 2; index < 12; index += 1) invite(cluster, jobOf(1, 1, index, 500, 1));
    assert.equal(held(cluster), CAPACITY - 500);
  });

  it('has at most half of the node held while others wait', () => {
    const cluster = alone();
    run(cluster, jobOf(1, 1, 1, 500, 1));
    invite(cluster, jobOf(1, 2, 2, 500, 1));
    for (let index = 3; index < 20; index += 1) invite(cluster, jobOf(1, 1, index, 500, 1));
    assert.equal(held(cluster), CAPACITY / 2 + 500);
  });
});

describe('the good name of an owner whose jobs ran here', () => {
  /** Whoever saw a spec of somebody's can be the leader of it, with keepers of his own. */
  function misused(ranBefore: boolean): number {
    const cluster = alone();
    if (ranBefore) run(cluster, jobOf(1, 5, 1, 500, 1));
    for (let round = 10; round < 40; round += 1) {
      invite(cluster, jobOf(7, 5, round, 500));
      cluster.advance(11_000);
    }
    const before = held(cluster);
    invite(cluster, jobOf(2, 5, 100, 500));
    return held(cluster) - before;
  }
  it('is not wasted by leaders that use its specs', () =>
    assert.equal(misused(true), CAPACITY / 2));
  it('has to be earned (control)', () => assert.ok(misused(false) < CAPACITY / 2));
});

describe('the good name of a leader whose jobs ran here', () => {
  it('is not wasted by owners that nobody knows, who have co-keepers that never vote', () => {
    const cluster = alone();
    run(cluster, jobOf(1, 5, 1, 500, 1));
    for (let round = 10; round < 40; round += 1) {
      invite(cluster, jobOf(1, round, round, 500));
      assert.ok(held(cluster) <= CAPACITY / 2, 'and they have half of the node at most');
      cluster.advance(11_000);
    }
    invite(cluster, jobOf(1, 5, 100, 500));
    assert.equal(held(cluster), CAPACITY - 500);
  });
});

describe('holds', () => {
  it('are bounded in number, however little each takes', () => {
    const cluster = alone();
    for (let leader = 1; leader <= 8; leader += 1) {
      for (let index = 0; index < 300; index += 1) {
        invite(cluster, jobOf(leader, leader, 1_000 * leader + index, 1, 1));
      }
    }
    assert.ok(cluster.machine(0).inspect().holds.length <= 1_024);
  });
});
