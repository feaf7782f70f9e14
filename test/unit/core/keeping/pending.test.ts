/** Admissions that nobody activates: bounded by who brings them, and gone after a while. */
import { firstConfiguration } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  WALL,
  admissionOf,
  at,
  certify,
  idOf,
  jobWith,
  specOf,
  storeOf,
  suiteOf,
  voteOf,
} from '../fixtures.ts';
import { DEFAULT_LIMITS } from '../../../../src/core/contract/limits.ts';
import { createMachine } from '../../../../src/core/machine.ts';
import { asMillis } from '../../../../src/core/record/ids.ts';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** An admission with this node and two others, of an owner of its own. */
function asked(
  nonce: number,
  { owner = 0, keepers = [7, 0, 8], notAfter = WALL + DAY_MS } = {},
): MessageOf<'admit'> {
  const signer = suiteOf(7, owner);
  const spec = specOf(jobWith(), { nonce: String(nonce).padStart(32, '0'), notAfter }, signer);
  return { type: 'admit', spec, admission: admissionOf(spec, keepers) };
}
const rows = (cluster: Cluster): number => cluster.store(0).restore().records.length;
const votes = (cluster: Cluster): number => cluster.messages('admitted').length;

describe('admissions that nobody activates', () => {
  it('are gone from the disk after ten minutes when their keepers were never there', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.message(0, 7, asked(1));
    assert.equal(rows(cluster), 2);
    cluster.advance(9 * MINUTE_MS);
    assert.equal(rows(cluster), 2);
    cluster.advance(2 * MINUTE_MS);
    assert.equal(rows(cluster), 0);
  });

  it('wait for a day when their keepers were there, and are tried ever more seldom', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.input(0, { type: 'peer-connected', node: idOf(8) });
    cluster.message(0, 7, asked(1));
    cluster.advance(DAY_MS / 2);
    assert.equal(rows(cluster), 2);
    assert.ok(cluster.messages('admit').length < 700);
    cluster.advance(DAY_MS / 2 + MINUTE_MS);
    assert.equal(rows(cluster), 0);
  });

  it('are asked about at once when a keeper connects that was away, and of nobody else', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.input(0, { type: 'peer-connected', node: idOf(8) });
    cluster.message(0, 7, asked(1));
    cluster.advance(10 * MINUTE_MS);
    // Whoever is asked next is asked 160 s after that, unless it connects.
    const before = cluster.messages('admit').length;
    cluster.advance(20_000);
    assert.equal(cluster.messages('admit').length, before);
    for (const node of [8, 9]) cluster.input(0, { type: 'peer-connected', node: idOf(node) });
    assert.deepEqual(
      cluster
        .messages('admit')
        .map(({ to }) => to)
        .slice(before),
      [idOf(8)],
    );
    // The vote of that keeper and its own are two of three.
    const { spec, admission } = asked(1);
    const epoch = firstEpoch(firstConfiguration(admission.body));
    const vote = voteOf(8, spec.body.job, admission.id, 'admission', epoch);
    cluster.message(0, 8, { type: 'admitted', job: spec.body.job, vote });
    assert.equal(cluster.machine(0).inspect().jobs.length, 1);
  });

  it('are asked about every ten seconds at most, however often their keepers come and go', () => {
    const cluster = new Cluster({ nodes: 1 });
    cluster.input(0, { type: 'peer-connected', node: idOf(8) });
    cluster.message(0, 7, asked(1));
    cluster.advance(10 * MINUTE_MS);
    const before = cluster.messages('admit').length;
    for (let second = 0; second < 60; second += 1) {
      for (const node of [7, 8]) {
        cluster.input(0, { type: 'peer-disconnected', node: idOf(node) });
        cluster.input(0, { type: 'peer-connected', node: idOf(node) });
      }
      cluster.advance(1_000);
    }
    const asks = cluster.messages('admit').slice(before);
    for (const node of [7, 8]) {
      const told = asks.filter(({ to }) => to === idOf(node)).length;
      assert.ok(told >= 5 && told <= 7, `${told} times in a minute`);
    }
  });

  it('can still be activated when they are forgotten', () => {
    const cluster = new Cluster({ nodes: 1 });
    const { spec, admission } = asked(1);
    cluster.message(0, 7, { type: 'admit', spec, admission });
    cluster.advance(11 * MINUTE_MS);
    const certified = certify(
      admission,
      'admission',
      [7, 8],
      firstEpoch(firstConfiguration(admission.body)),
    );
    cluster.message(0, 7, { type: 'activate', spec, admission: certified });
    assert.equal(cluster.machine(0).inspect().jobs.length, 1);
  });

  it('ask all keepers how far the job is when they are activated late', () => {
    for (const [seconds, asks] of [
      [1, 0],
      [15, 2],
    ] as const) {
      const cluster = new Cluster({ nodes: 1 });
      const { spec, admission } = asked(1);
      cluster.message(0, 7, { type: 'admit', spec, admission });
      cluster.advance(seconds * 1_000);
      const certified = certify(
        admission,
        'admission',
        [7, 8],
        firstEpoch(firstConfiguration(admission.body)),
      );
      cluster.message(0, 7, { type: 'activate', spec, admission: certified });
      assert.equal(cluster.messages('status-wanted').length, asks, `after ${seconds} s`);
    }
  });

  it('are led by whoever says so then, and by no other later on', () => {
    for (const [waitMs, stands] of [
      [0, false],
      [20_000, true],
    ] as const) {
      const cluster = new Cluster({ nodes: 1 });
      const { spec, admission } = asked(1);
      const { job } = spec.body;
      const first = firstEpoch(firstConfiguration(admission.body));
      const certified = certify(admission, 'admission', [7, 8], first);
      cluster.message(0, 7, { type: 'admit', spec, admission });
      cluster.advance(15_000);
      cluster.message(0, 8, { type: 'activate', spec, admission: certified });
      cluster.advance(waitMs);
      const epoch = { ...first, number: 2, leader: idOf(8) };
      cluster.message(0, 8, { type: 'leading', jobs: [{ job, epoch }] });
      cluster.message(0, 7, { type: 'not-leading', jobs: [job] });
      cluster.advance(5_000);
      assert.equal(cluster.messages('prepare').length > 0, stands);
    }
  });

  it('are nothing to a node that has another store since: it cannot vote for them', () => {
    const before = new Cluster({ nodes: 1 });
    before.message(0, 7, asked(1));
    const config = { node: idOf(0), store: storeOf(9), limits: DEFAULT_LIMITS, countedMs: 0 };
    const machine = createMachine(config, suiteOf(0), before.store(0).restore());
    const input = { type: 'message', from: idOf(7), message: asked(1) } as const;
    const effects = machine.handle(input, asMillis(1), at(1));
    const refusal = { code: 'other-store', store: storeOf(9) };
    const said = { type: 'not-admitted', job: asked(1).spec.body.job, refusal };
    assert.deepEqual(effects, [{ type: 'send', to: idOf(7), message: said }]);
    assert.equal(machine.sizes()['pending'], 0);
  });

  it('are at most 256 of one peer, and others are heard all the same', () => {
    const cluster = new Cluster({ nodes: 1 });
    for (let nonce = 0; nonce < 300; nonce += 1)
      cluster.message(0, 7, asked(nonce, { owner: nonce }));
    assert.equal(votes(cluster), 256);
    assert.deepEqual(refusals(cluster.message(0, 7, asked(999))), ['over-limit']);
    cluster.message(0, 6, asked(1_000, { owner: 5 }));
    assert.equal(votes(cluster), 257);
    cluster.advance(11 * MINUTE_MS);
    cluster.message(0, 7, asked(1_001));
    assert.equal(votes(cluster), 258);
  });

  it('are at most 1,024 of one owner, or of peers on one host', () => {
    for (const sameOwner of [true, false]) {
      const cluster = new Cluster({ nodes: 1 });
      for (let nonce = 0; nonce < 1_200; nonce += 1) {
        const from = 10 + (nonce % 20);
        if (!sameOwner) cluster.input(0, { type: 'peer-host', node: idOf(from), host: '10.0.0.1' });
        cluster.message(0, from, asked(nonce, { owner: sameOwner ? 1 : nonce }));
      }
      assert.equal(votes(cluster), 1_024);
      cluster.message(0, 50, asked(5_000, { owner: 9_999 }));
      assert.equal(votes(cluster), 1_025);
    }
  });

  it('are at most 2,048 in all', () => {
    const cluster = new Cluster({ nodes: 1 });
    for (let nonce = 0; nonce < 2_100; nonce += 1) {
      cluster.message(0, 10 + (nonce % 20), asked(nonce, { owner: nonce }));
    }
    assert.equal(votes(cluster), 2_048);
  });
});

describe('a keeper', () => {
  it('keeps at most half of its jobs for one owner', () => {
    const cluster = new Cluster({ nodes: 1, limits: { jobsMax: 10 }, program: () => [] });
    const keep = (nonce: number, owner: number, from = 7): void => {
      const { spec, admission } = asked(nonce, { owner });
      const certified = certify(
        admission,
        'admission',
        [7, 8],
        firstEpoch(firstConfiguration(admission.body)),
      );
      const before = votes(cluster);
      cluster.message(0, from, { type: 'admit', spec, admission });
      if (votes(cluster) > before) {
        cluster.message(0, from, { type: 'activate', spec, admission: certified });
      }
    };
    for (let nonce = 0; nonce < 8; nonce += 1) keep(nonce, 1);
    assert.equal(cluster.machine(0).inspect().jobs.length, 5);
    keep(20, 2, 9);
    assert.equal(cluster.machine(0).inspect().jobs.length, 6);
    const [refused] = cluster.messages('not-admitted');
    assert.deepEqual(refused?.message.refusal, { code: 'store-full' });
  });

  it('keeps at most half of its jobs on the word of one host, however many owners and nodes it names', () => {
    const cluster = new Cluster({ nodes: 1, limits: { jobsMax: 10 }, program: () => [] });
    const bring = (nonce: number, from: number): void => {
      const { spec, admission } = asked(nonce, { owner: nonce });
      const certified = certify(
        admission,
        'admission',
        [7, 8],
        firstEpoch(firstConfiguration(admission.body)),
      );
      cluster.message(0, from, { type: 'activate', spec, admission: certified });
    };
    const at = (node: number, host: string): void =>
      void cluster.input(0, { type: 'peer-host', node: idOf(node), host });
    for (let node = 20; node < 28; node += 1) {
      at(node, '192.0.2.1');
      bring(node, node);
    }
    assert.equal(cluster.machine(0).inspect().jobs.length, 5);
    at(40, '192.0.2.2');
    bring(40, 40);
    assert.equal(cluster.machine(0).inspect().jobs.length, 6);
  });

  it('knows after a restart, too, how many of its jobs one host had sponsored', () => {
    const cluster = new Cluster({ nodes: 1, limits: { jobsMax: 10 }, program: () => [] });
    const bring = (node: number, host: string): void => {
      cluster.input(0, { type: 'peer-host', node: idOf(node), host });
      const nonce = String(node).padStart(32, '0');
      const notAfter = WALL + DAY_MS;
      const signer = suiteOf(7, node);
      const spec = specOf(jobWith(), { nonce, notAfter, sponsor: idOf(node) }, signer);
      const record = admissionOf(spec, [7, 0, 8], {}, node);
      const admission = certify(
        record,
        'admission',
        [7, 8],
        firstEpoch(firstConfiguration(record.body)),
      );
      cluster.message(0, node, { type: 'activate', spec, admission });
    };
    for (let node = 20; node < 28; node += 1) bring(node, '192.0.2.1');
    assert.equal(cluster.machine(0).inspect().jobs.length, 5);
    cluster.crash(0);
    cluster.restart(0);
    for (let node = 20; node < 34; node += 1) bring(node, '192.0.2.1');
    assert.equal(cluster.machine(0).inspect().jobs.length, 5);
    bring(40, '192.0.2.2');
    assert.equal(cluster.machine(0).inspect().jobs.length, 6);
  });

  it('takes no job that is to be remembered for years', () => {
    const cluster = new Cluster({ nodes: 1 });
    const late = asked(1, { notAfter: WALL + 62 * DAY_MS });
    assert.deepEqual(refusals(cluster.message(0, 7, late)), ['over-limit']);
    const [told = assert.fail()] = cluster.messages('not-admitted');
    const wall = WALL + cluster.now;
    const refusal = { code: 'wrong-time', notAfter: WALL + 62 * DAY_MS, wall };
    assert.deepEqual([told.to, told.message.refusal], [idOf(7), refusal]);
    cluster.message(0, 7, asked(2, { notAfter: WALL + 60 * DAY_MS }));
    assert.equal(votes(cluster), 1);
  });
});
