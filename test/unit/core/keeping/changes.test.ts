/** A job whose keepers were changed: a proven change is believed, and the keepers that the epoch names are asked. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Certified, Epoch, Signed } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  admitted,
  announcementOf,
  assignOf,
  at,
  certify,
  committed,
  grantOf,
  idOf,
  jobWith,
  storeOf,
  suiteOf,
} from '../fixtures.ts';

const quiet = (): Cluster => new Cluster({ nodes: 1, program: () => [] });
const at5 = at(5);
const keepersOf = (nodes: readonly number[]) =>
  nodes.map((index) => ({ node: idOf(index), store: storeOf(index) }));

/** Nodes 1, 2 and 3 keep the job; then 0, 1 and 2 do. */
const job = admitted(jobWith({ Count: 2 }), [1, 2, 3]);
const id = job.spec.body.job;

function change(
  minor: number,
  keepers: readonly number[],
  former: readonly number[],
  voters: readonly number[],
): Certified<'config'> {
  const config = { major: 0, minor };
  const body = { job: id, config, keepers: keepersOf(keepers), former: keepersOf(former) };
  const record = suiteOf(1).seal('config', body, at(5), 'node');
  const before = { ...config, minor: minor - 1 };
  return certify(record, slotOf(record), voters, { config: before, number: 0, leader: idOf(1) });
}

const configs = [change(1, [1, 2, 0], [1, 2, 3], [1, 2]), change(2, [1, 2, 0], [], [1, 2])];
const epoch: Epoch = { config: { major: 0, minor: 2 }, number: 1, leader: idOf(2) };
const grant = certify(grantOf(job, epoch, 2), 'grant', [0, 2], epoch);
const assign = assignOf(job, { node: 7, by: 2 }, epoch);
const activate = { type: 'activate', spec: job.spec, admission: job.admission } as const;
const propose = (value: Signed<'assign'> | Signed<'config'>, by: Epoch): MessageOf<'propose'> => ({
  type: 'propose',
  job: id,
  epoch: by,
  values: [{ slot: slotOf(value), value }],
  states: [],
  commands: [],
});

describe('a node that is to keep a job by a later configuration', () => {
  it('keeps it with the proof of each change, and not without', () => {
    const cluster = quiet();
    assert.deepEqual(refusals(cluster.message(0, 1, activate)), ['not-keeper']);
    const [joint] = configs;
    const gap = configs.slice(1);
    assert.deepEqual(refusals(cluster.message(0, 1, { ...activate, configs: gap })), [
      'bad-certificate',
    ]);
    const few = [change(1, [1, 2, 0], [1, 2, 3], [1, 0])];
    assert.deepEqual(refusals(cluster.message(0, 1, { ...activate, configs: few })), [
      'bad-certificate',
    ]);
    assert.ok(joint !== undefined);
    cluster.message(0, 1, { ...activate, configs });
    assert.equal(cluster.messages('activated').length, 1);
  });

  it('votes in epochs of a configuration that it knows, for its keepers, also after a restart', () => {
    const cluster = quiet();
    cluster.message(0, 1, { ...activate, configs });
    for (const again of [false, true]) {
      if (again) cluster.restart(0);
      const votes = cluster.messages('voted').length;
      const unknown = { ...epoch, config: { major: 0, minor: 3 } };
      assert.deepEqual(refusals(cluster.message(0, 2, propose(assign, unknown))), ['not-keeper']);
      const gone = { ...epoch, number: 2, leader: idOf(3) };
      assert.deepEqual(refusals(cluster.message(0, 3, propose(assign, gone))), ['not-keeper']);
      cluster.message(0, 2, propose(assign, epoch));
      assert.equal(cluster.messages('voted').length, votes + 1);
    }
  });

  it('learns what the keepers of each configuration committed under its epochs', () => {
    const cluster = quiet();
    cluster.message(0, 1, { ...activate, configs });
    const early = committed(job, assignOf(job, { node: 8, partition: 1, by: 3 }));
    const late = certify(assign, slotOf(assign), [0, 2], epoch);
    const bad = certify(assign, slotOf(assign), [2, 3], epoch);
    assert.deepEqual(refusals(cluster.message(0, 1, { type: 'commit', job: id, values: [bad] })), [
      'bad-certificate',
    ]);
    cluster.message(0, 1, { type: 'commit', job: id, values: [early, late] });
    const known = cluster.job(0).records.committed.map(({ record }) => record.id);
    assert.deepEqual(known, [early.record.id, late.record.id]);
  });
});

describe('a keeper', () => {
  const own = admitted(jobWith(), [1, 0, 2]);

  it('learns a change by a commit, and stands for leader in the latest configuration', () => {
    const cluster = quiet();
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    const body = {
      job: own.spec.body.job,
      config: { major: 0, minor: 1 },
      keepers: keepersOf([1, 0, 2, 3]),
      former: [],
    };
    const record = suiteOf(1).seal('config', body, at(5), 'node');
    const value = certify(record, slotOf(record), [1, 2, 3], own.epoch);
    const { job: about } = body;
    cluster.message(0, 1, { type: 'commit', job: about, values: [value] });
    assert.equal(cluster.messages('commit-ack').length, 1);
    cluster.message(0, 1, { type: 'not-leading', jobs: [about] });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 10_000);
    const asked = cluster
      .messages('prepare')
      .map(({ to, message }) => [to, message.grant.body.epoch]);
    const own1 = { config: { major: 0, minor: 1 }, number: 1, leader: idOf(0) };
    for (const node of [1, 2, 3])
      assert.ok(
        asked.some(([to]) => to === idOf(node)),
        `asks ${node}`,
      );
    assert.deepEqual(asked[0]?.[1], own1);
  });
});

describe('a keeper that is told late that its job goes on', () => {
  it('asks those that keep it now how it stands', () => {
    const late = admitted(jobWith(), [1, 0, 2], { nonce: 'f'.repeat(32) });
    const { spec, admission } = late;
    const cluster = quiet();
    cluster.message(0, 1, { type: 'admit', spec, admission: admission.record });
    cluster.advance(11_000);
    const steps = [{ former: [1, 0, 2] }, { former: [] }].map(({ former }, minor) => {
      const config = { major: 0, minor: minor + 1 };
      const sets = { keepers: keepersOf([1, 0, 3]), former: keepersOf(former) };
      const body = { job: spec.body.job, config, ...sets };
      const record = suiteOf(1).seal('config', body, at5, 'node');
      return certify(record, slotOf(record), [1, 0], {
        ...late.epoch,
        config: { major: 0, minor },
      });
    });
    cluster.message(0, 1, { type: 'activate', spec, admission, configs: steps });
    const asked = cluster.messages('status-wanted').map(({ to }) => to);
    assert.deepEqual(asked, [idOf(1), idOf(3)]);
  });
});

describe('a leader of a job whose keepers changed often', () => {
  const alone = admitted(jobWith(), [0], { nonce: 'c'.repeat(32) });

  /** Two come, and two go again: four configurations each time. */
  function often(times: number): readonly Certified<'config'>[] {
    const three = [0, 1, 2];
    const steps = [[three, [0]] as const, [three, []], [[0], three], [[0], []]];
    return Array.from({ length: 4 * times }, (_, at) => {
      const [keepers = [], former = []] = steps[at % 4] ?? [];
      const config = { major: 0, minor: at + 1 };
      const sets = { keepers: keepersOf(keepers), former: keepersOf(former) };
      const body = { job: alone.spec.body.job, config, ...sets };
      const record = suiteOf(0).seal('config', body, at5, 'node');
      const epoch = { config: { major: 0, minor: at }, number: 0, leader: idOf(0) };
      return certify(record, slotOf(record), [0, 1], epoch);
    });
  }

  it('lets a node come back with another store by the last change there is room for', () => {
    const cluster = new Cluster({ nodes: 3, program: () => [{ type: 'phase', phase: 'running' }] });
    const last = [
      [0, 1],
      [0, 1, 2],
      [0, 1],
    ].map((nodes, at) => {
      const config = { major: 0, minor: 61 + at };
      const body = { job: alone.spec.body.job, config, keepers: keepersOf(nodes), former: [] };
      const record = suiteOf(0).seal('config', body, at5, 'node');
      const epoch = { config: { major: 0, minor: 60 + at }, number: 0, leader: idOf(0) };
      return certify(record, slotOf(record), [0, 1], epoch);
    });
    const { spec, admission } = alone;
    const all = [...often(15), ...last];
    cluster.message(0, 1, { type: 'activate', spec, admission, configs: all });
    const keepers = () => all.length + 1 === cluster.job(0).records.configs?.length;
    cluster.until('three keep it', keepers);
    assert.equal(cluster.job(0).records.configs?.at(-1)?.record.body.keepers.length, 3);
  });

  for (const [times, how] of [
    [1, 'by gossip'],
    [8, 'to each node, as gossip has no room for the proof'],
  ] as const)
    it(`announces it ${how}`, () => {
      const cluster = new Cluster({ nodes: 2, program: () => [] });
      const { spec, admission } = alone;
      cluster.message(0, 1, { type: 'activate', spec, admission, configs: often(times) });
      const announced = (): number =>
        cluster.effects('gossip', 0).filter(({ gossip }) => gossip.type === 'announce').length;
      cluster.until('it bids', () => cluster.messages('bid').some(({ from }) => from === idOf(1)));
      assert.equal(announced() > 0, times === 1);
    });
});

describe('an executor', () => {
  const mine = assignOf(job, { node: 0 });
  const announcement = announcementOf(job, { need: 2 });
  const running = (): Cluster => {
    const cluster = quiet();
    cluster.message(0, 1, { type: 'invite', announcement });
    cluster.message(0, 1, {
      type: 'assign',
      spec: job.spec,
      admission: job.admission,
      grant: null,
      assigns: [committed(job, mine)],
      holders: [],
    });
    assert.equal(cluster.machine(0).inspect().executions.length, 1);
    return cluster;
  };
  const epochOf = (cluster: Cluster) => cluster.machine(0).inspect().executions[0]?.epoch;

  it('obeys a leader of a later configuration when the changes are proven, and remembers them', () => {
    const cluster = running();
    const leads = { type: 'leads', job: id, epoch, grant } as const;
    cluster.message(0, 2, leads);
    cluster.message(0, 2, { ...leads, configs: configs.slice(1) });
    assert.deepEqual(epochOf(cluster), job.epoch);
    cluster.message(0, 2, { ...leads, configs });
    assert.deepEqual(epochOf(cluster), epoch);
    cluster.restart(0);
    const next = { ...epoch, number: 2 };
    const again = certify(grantOf(job, next, 2), 'grant', [0, 2], next);
    cluster.message(0, 2, { type: 'leads', job: id, epoch: next, grant: again });
    assert.deepEqual(epochOf(cluster), next);
  });

  it('asks those that keep the job now when its leader is none of theirs, whatever that one says', () => {
    const cluster = running();
    const renewals = (to: number) =>
      cluster.messages('renew').filter((sent) => sent.to === idOf(to));
    for (let told = 0; cluster.now < 120_000; cluster.advance(1_000)) {
      if (renewals(1).length === told) continue;
      told = renewals(1).length;
      cluster.message(0, 1, { type: 'leads', job: id, epoch: job.epoch, configs, grant: null });
    }
    assert.ok(renewals(2).length > 0);
  });

  it('keeps the signed spec and the admission on disk with what it runs, so that anybody can seed the job again', () => {
    const cluster = running();
    const [row] = cluster.store(0).rows('executions');
    assert.ok(row?.value);
    assert.equal(row.value.spec.id, job.spec.id);
    assert.deepEqual(row.value.admission, job.admission);
  });
});
