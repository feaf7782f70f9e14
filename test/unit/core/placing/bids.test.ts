/** Bids of those who want every job: what they claim is cut down, and what they did is remembered. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import type { Resources } from '../../../../src/job/model.ts';
import { Cluster } from '../cluster.ts';
import { advertOf, idOf, jobWith, stateOf } from '../fixtures.ts';

const HONEST = 8;
const HOSTILE = 9;
const small: Resources = { cpuMillis: 100, memoryBytes: 1_000, diskBytes: 0, gpus: 0 };
const size: Resources = { cpuMillis: 4_000, memoryBytes: 8_000_000, diskBytes: 1_000, gpus: 0 };
const huge: Resources = {
  cpuMillis: 1_000_000_000,
  memoryBytes: Number.MAX_SAFE_INTEGER,
  diskBytes: Number.MAX_SAFE_INTEGER,
  gpus: 1_000,
};
const one: Resources = { cpuMillis: 1, memoryBytes: 1, diskBytes: 1, gpus: 1 };

interface Claim {
  readonly free: Resources;
  readonly capacity: Resources;
  readonly locality: number;
}
const truth: Claim = { free: { ...size, cpuMillis: 3_900 }, capacity: size, locality: 0 };

/** Node 0 keeps and leads jobs that it can't run itself; two others of one size bid, played by the test. */
class Auction {
  readonly cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
  #jobs: number;
  #sequence = 0;

  /** @param first number of the first job: another number is another draw */
  constructor(first = 0) {
    this.#jobs = first;
    for (const node of [HONEST, HOSTILE])
      this.cluster.input(0, { type: 'peer-connected', node: idOf(node) });
  }

  /** They come when the keepers are chosen, and are gone before the next are. */
  #present(keeps: boolean): void {
    for (const node of [HONEST, HOSTILE]) {
      this.#sequence += 1;
      const advert = advertOf(node, { capacity: size, keeps, sequence: this.#sequence });
      this.cluster.message(0, node, { type: 'advert', advert });
    }
  }

  /** @returns who gets the job; the honest node begins it, the other says nothing */
  hold(claim: Claim): NodeId {
    const before = this.cluster.messages('assign').length;
    const heard = this.cluster.effects('gossip').length;
    const job = jobWith({}, { resources: small });
    this.cluster.submit(0, job, String(this.#jobs).padStart(32, '0'));
    this.#jobs += 1;
    this.#present(true);
    this.cluster.advance(510);
    const announced = this.cluster
      .effects('gossip')
      .slice(heard)
      .find(({ gossip }) => gossip.type === 'announce');
    assert.ok(announced?.gossip.type === 'announce');
    const { job: id, version, round } = announced.gossip.announcement;
    const about = { type: 'bid', job: id, version, round, running: 0, executions: 16 } as const;
    this.cluster.message(0, HOSTILE, { ...about, ...claim });
    this.cluster.message(0, HONEST, { ...about, ...truth });
    this.cluster.advance(300);
    const assign = this.cluster
      .messages('assign')
      .slice(before)
      .find(({ message }) => message.spec.body.job === id);
    this.#present(false);
    assert.ok(assign, 'somebody gets the job');
    if (assign.to === idOf(HONEST)) {
      const executions = assign.message.assigns.map(({ record }) => record.body.execution);
      this.cluster.message(0, HONEST, { type: 'started', job: id, executions });
    }
    return assign.to;
  }

  /** How many of `count` jobs the hostile node gets. */
  wonBy(claim: Claim, count: number): number {
    const winners = Array.from({ length: count }, () => this.hold(claim));
    return winners.filter((node) => node === idOf(HOSTILE)).length;
  }
}

describe('a bid', () => {
  for (const [what, claim] of [
    ['that is free a million times over', { free: huge, capacity: one, locality: 0 }],
    ['of a size that nobody has', { free: huge, capacity: huge, locality: 0 }],
    ['that claims to hold inputs that the job does not have', { ...truth, locality: 1 }],
  ] as const) {
    it(`${what} wins no more than an honest one`, () => {
      // Eight of sixteen are expected; fourteen are three standard deviations more.
      const won = new Auction().wonBy(claim, 16);
      assert.ok(won < 14, `it wins ${won} of 16`);
    });
  }
});

describe('a bid with more free than its node has', () => {
  it('wins no more than an honest one', () => {
    const claim = { free: huge, capacity: size, locality: 0 };
    const first = Array.from({ length: 16 }, (_, index) => new Auction(index).wonBy(claim, 1));
    const won = first.reduce((sum, one) => sum + one, 0);
    assert.ok(won < 14, `it wins ${won} of 16`);
  });
});

describe('a node that does not begin what it is given', () => {
  it('gets one job at a time after the second, of all jobs of this leader', () => {
    const auction = new Auction();
    assert.ok(auction.wonBy(truth, 12) >= 2, 'it is given some');
    auction.cluster.advance(6_000);
    assert.ok(auction.wonBy(truth, 10) <= 1);
  });

  it('gets one execution at a time, even where nobody else bids', () => {
    const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
    cluster.submit(0, jobWith({ Count: 40 }, { resources: small }));
    cluster.input(0, { type: 'peer-connected', node: idOf(HOSTILE) });
    const advert = advertOf(HOSTILE, { capacity: size });
    cluster.message(0, HOSTILE, { type: 'advert', advert });
    const { job } = cluster.job(0);
    const bid = { type: 'bid', job, version: 1, round: 0, running: 0, executions: 16 } as const;
    const given = (): number => cluster.job(0).records.committed.length;
    cluster.message(0, HOSTILE, { ...bid, ...truth });
    cluster.advance(300);
    assert.equal(given(), 16);
    cluster.advance(6_000);
    cluster.message(0, HOSTILE, { ...bid, ...truth });
    cluster.advance(300);
    assert.equal(given(), 17);
  });

  it('gets the next replica of a service once the one before runs, as that never ends', () => {
    const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
    cluster.submit(0, jobWith({ Type: 'service', Count: 40 }, { resources: small }));
    cluster.input(0, { type: 'peer-connected', node: idOf(HOSTILE) });
    const advert = advertOf(HOSTILE, { capacity: size });
    cluster.message(0, HOSTILE, { type: 'advert', advert });
    const { job } = cluster.job(0);
    const bid = { type: 'bid', job, version: 1, round: 0, running: 0, executions: 16 } as const;
    const given = (): number => {
      const before = cluster.job(0).records.committed.length;
      cluster.message(0, HOSTILE, { ...bid, ...truth });
      cluster.advance(300);
      return cluster.job(0).records.committed.length - before;
    };
    assert.equal(given(), 16);
    cluster.advance(6_000);
    assert.equal(given(), 1);
    const last = cluster.messages('assign').at(-1)?.message.assigns.at(-1)?.record;
    assert.ok(last);
    const { execution } = last.body;
    cluster.message(0, HOSTILE, { type: 'started', job, executions: [execution] });
    const preparing = stateOf(last, HOSTILE, { phase: 'preparing' });
    cluster.message(0, HOSTILE, { type: 'states', states: [preparing] });
    assert.equal(given(), 0, 'nobody knows yet whether it comes up');
    const running = stateOf(last, HOSTILE, { phase: 'running', sequence: 2 });
    cluster.message(0, HOSTILE, { type: 'states', states: [running] });
    assert.equal(given(), 1);
  });

  it('is given as much as others again after a while', () => {
    const auction = new Auction();
    auction.wonBy(truth, 12);
    auction.cluster.advance(900_000);
    assert.ok(auction.wonBy(truth, 12) >= 2);
  });
});

describe('a bid for more than its node has', () => {
  const alone = (): Cluster => new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
  /** A job of many executions, of a node that runs nothing itself. */
  const led = (advertised: Resources, cluster = alone()) => {
    cluster.submit(0, jobWith({ Count: 40 }, { resources: small }));
    cluster.input(0, { type: 'peer-connected', node: idOf(HOSTILE) });
    const advert = advertOf(HOSTILE, { capacity: advertised });
    cluster.message(0, HOSTILE, { type: 'advert', advert });
    cluster.advance(510);
    const { job } = cluster.job(0);
    const claim = { free: huge, capacity: huge, locality: 0, running: 0, executions: 1_000 };
    cluster.message(0, HOSTILE, { type: 'bid', job, version: 1, round: 0, ...claim });
    cluster.advance(300);
    return cluster;
  };
  const given = (cluster: Cluster): number =>
    cluster.messages('assign').reduce((sum, { message }) => sum + message.assigns.length, 0);

  it('is worth no more executions than fit the node that it advertises', () => {
    const three: Resources = { ...size, cpuMillis: 3 * small.cpuMillis };
    assert.equal(given(led(three)), 3);
    const tiny = led({ ...size, cpuMillis: 1 });
    assert.equal(given(tiny), 0);
    assert.equal(tiny.messages('bid-closed').length, 1);
  });

  it('is worth sixteen executions at most', () => {
    assert.equal(given(led(huge)), 16);
  });
});

describe('nodes that wait with a job', () => {
  it('get their resources back as soon as another node was chosen', () => {
    const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
    cluster.submit(0, jobWith({}, { resources: small }));
    for (const node of [HONEST, HOSTILE]) {
      cluster.input(0, { type: 'peer-connected', node: idOf(node) });
      cluster.message(0, node, { type: 'advert', advert: advertOf(node, { capacity: size }) });
    }
    const { job } = cluster.job(0);
    for (const node of [HONEST, HOSTILE]) {
      const about = { type: 'bid', job, version: 1, round: 0, running: 0, executions: 1 } as const;
      cluster.message(0, node, { ...about, ...truth });
    }
    cluster.advance(300);
    const chosen = cluster.messages('assign').map(({ to }) => to);
    const told = cluster.messages('bid-closed').map(({ to }) => to);
    assert.equal(chosen.length, 1);
    assert.deepEqual(new Set([...chosen, ...told]), new Set([idOf(HONEST), idOf(HOSTILE)]));
  });

  it('are waited for as long as the QueueTimeout says, and not longer', () => {
    const cluster = new Cluster({ nodes: 1, profile: () => ({ engines: {} }) });
    const Timeouts = { ExecutionTimeout: 0, QueueTimeout: 30, TotalTimeout: 0 };
    cluster.submit(0, jobWith({}, { Timeouts }));
    cluster.advance(1_500);
    assert.equal(cluster.job(0).state, 'Pending', 'the first answers may be on their way');
    cluster.advance(27_500);
    assert.equal(cluster.job(0).state, 'Queued');
    cluster.advance(2_000);
    const [close] = cluster.job(0).records.committed.map(({ record }) => record);
    assert.ok(close?.type === 'close' && close.body.code === 'queue-timeout');
  });
});
