/** A job whose keepers are gone for good, all but too few, goes on with others. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chainOf, currentOf } from '../../../../src/core/record/chain.ts';
import { keeperNodes } from '../../../../src/core/record/keeper-set.ts';
import { Cluster } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { idOf, jobWith } from '../fixtures.ts';

const AFTER_MS = 60_000;
/** It is seen at the next look, and takes two rounds. */
const WITHIN_MS = AFTER_MS + 30_000;
const running = () => [{ type: 'phase', phase: 'running' }] as const;

const jobOn = (cluster: Cluster, node: number) => cluster.machine(node).inspect().jobs[0];
const leads = (cluster: Cluster, node: number): boolean => jobOn(cluster, node)?.leading != null;

/** The configuration of the job that this node knows. */
function currentBy(cluster: Cluster, node: number) {
  const job = jobOn(cluster, node) ?? assert.fail(`node ${node} knows the job`);
  const { config, keepers, former } = currentOf(chainOf(job.records));
  const nodes = keeperNodes({ config, keepers, former }).map((id) => cluster.indexOf(id));
  return { config, nodes: nodes.sort((a, b) => a - b) };
}

/** A job that runs on, on a mesh of so many nodes. */
function long(nodes: number, options: Partial<ClusterOptions> = {}) {
  const cluster = new Cluster({ nodes, program: running, ...options });
  cluster.submit(0, jobWith());
  const all = [...Array(nodes).keys()];
  const leader = all.find((node) => leads(cluster, node)) ?? assert.fail('somebody leads');
  const keepers = currentBy(cluster, leader).nodes;
  return { cluster, leader, keepers, others: all.filter((node) => !keepers.includes(node)) };
}

describe('a job whose keepers are gone, all but too few', () => {
  it('goes on with those that are left and others, led by one of them', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const left = keepers.find((node) => node !== leader) ?? assert.fail();
    for (const node of keepers) if (node !== left) cluster.crash(node);
    cluster.until('it is led', () => leads(cluster, left), WITHIN_MS);
    const { config, nodes } = currentBy(cluster, left);
    assert.ok(config.major > 0);
    assert.equal(config.minor, 1);
    assert.equal(nodes.length, 3);
    assert.ok(nodes.every((node) => node === left || others.includes(node)));
    for (const node of nodes) assert.deepEqual(currentBy(cluster, node).config, config);
  });

  it('is not taken for theirs by a vote that somebody repeats in the name of another', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const left = keepers.find((node) => node !== leader) ?? assert.fail();
    for (const node of keepers) if (node !== left) cluster.crash(node);
    cluster.lose = ({ to, message }) => message.type === 'voted' && cluster.indexOf(to) === left;
    const isVoted = () => cluster.messages('voted').some(({ to }) => cluster.indexOf(to) === left);
    cluster.until('somebody votes', isVoted, WITHIN_MS);
    const [vote] = cluster.messages('voted').filter(({ to }) => cluster.indexOf(to) === left);
    assert.ok(vote !== undefined);
    for (const node of others)
      if (node !== cluster.indexOf(vote.from)) cluster.message(left, node, vote.message);
    assert.equal(currentBy(cluster, left).config.major, 0);
    cluster.message(left, cluster.indexOf(vote.from), vote.message);
    assert.ok(currentBy(cluster, left).config.major > 0);
  });

  it('comes to its end', () => {
    const { cluster, keepers, leader } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    for (const node of keepers) if (node !== left) cluster.crash(node);
    cluster.until('it is led', () => leads(cluster, left), WITHIN_MS);
    const { job } = jobOn(cluster, left) ?? assert.fail();
    const { nodes } = currentBy(cluster, left);
    cluster.request(left, { type: 'stop', job, reason: 'enough' });
    const isOver = () => nodes.every((node) => cluster.inspect(node).jobs[0]?.state === 'Stopped');
    cluster.until('it is over', isOver, 60_000);
  });

  it('keeps all that are left of them, as each may know what was decided', () => {
    for (const [nodes, size] of [
      [5, 2],
      [7, 3],
    ] as const) {
      const { cluster, leader, keepers } = long(nodes);
      const left = keepers.filter((node) => node !== leader).slice(0, 2);
      for (const node of keepers) if (!left.includes(node)) cluster.crash(node);
      const isLed = () => left.some((node) => leads(cluster, node));
      cluster.until('it is led', isLed, WITHIN_MS);
      const now = currentBy(cluster, left[0] ?? assert.fail());
      assert.ok(now.config.major > 0 && left.every((node) => now.nodes.includes(node)));
      assert.equal(now.nodes.length, size);
    }
  });

  it('waits with the last one while that reaches nobody: it may be the one that is cut off', () => {
    const { cluster, keepers } = long(5, { limits: { keepersMax: 3 } });
    const [left] = keepers;
    assert.ok(left !== undefined);
    for (const node of [0, 1, 2, 3, 4]) if (node !== left) cluster.crash(node);
    cluster.advance(5 * WITHIN_MS);
    assert.equal(currentBy(cluster, left).config.major, 0);
    const other = [0, 1, 2, 3, 4].find((node) => !keepers.includes(node)) ?? assert.fail();
    cluster.restart(other);
    cluster.until('it goes on with another', () => leads(cluster, left), WITHIN_MS);
    assert.deepEqual(currentBy(cluster, left).nodes, [left]);
  });
});

describe('a job that was re-seeded', () => {
  it('has no version whose program must run nowhere beside another, and its owner is told why', () => {
    const { cluster, keepers, leader } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    for (const node of keepers) if (node !== left) cluster.crash(node);
    cluster.until('it is led', () => leads(cluster, left), WITHIN_MS);
    const { job, records } = jobOn(cluster, left) ?? assert.fail();
    const { notAfter } = records.spec.body;
    const about = { type: 'update', job, how: 'update', reason: '', notAfter } as const;
    for (const policy of ['exclusive', 'wait']) {
      const Meta = { 'shoal/partition-policy': policy, 'shoal/lost-after': '10m' };
      const request = cluster.request(left, { ...about, spec: jobWith({ Meta }) });
      const reply = cluster.reply(request);
      assert.ok(reply?.type === 'failed' && reply.problem.code === 'spec-invalid', policy);
      assert.match(reply.problem.problems.join(), /submit a new job/);
    }
    const request = cluster.request(left, { ...about, spec: jobWith({ Labels: { of: 'two' } }) });
    cluster.until('it has another version', () => cluster.reply(request) !== null, 60_000);
    assert.equal(cluster.reply(request)?.type, 'updated');
  });
});

/** No message gets from one side to the other. */
function split(cluster: Cluster, side: readonly number[]): void {
  const isHere = (id: Parameters<Cluster['indexOf']>[0]): boolean =>
    side.includes(cluster.indexOf(id));
  cluster.lose = ({ from, to }) => isHere(from) !== isHere(to);
}

function heal(cluster: Cluster): void {
  cluster.lose = () => false;
}

describe('keepers that only seemed to be gone', () => {
  it('go on, when they never missed each other, and those that re-seeded the job yield to them', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    const stay = keepers.filter((node) => node !== left);
    cluster.advance(AFTER_MS + 20_000);
    split(cluster, [left, ...others]);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    heal(cluster);
    const all = [...keepers, ...others];
    const isOne = () =>
      all.every((node) => {
        const job = jobOn(cluster, node);
        return job === undefined || currentBy(cluster, node).config.major === 0;
      });
    cluster.until('they yield', isOne, 60_000);
    assert.ok(stay.some((node) => leads(cluster, node)));
    assert.ok([left, ...others].every((node) => !leads(cluster, node)));
  });

  it('lose their say when they yield: they do not go back, and are replaced where they kept the job before', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    const [comer] = others;
    assert.ok(left !== undefined && comer !== undefined);
    cluster.advance(AFTER_MS + 20_000);
    split(cluster, [left, ...others]);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    const { job, records } = jobOn(cluster, left) ?? assert.fail();
    heal(cluster);
    cluster.until('it yields', () => currentBy(cluster, left).config.major === 0, 60_000);
    const values = records.configs ?? assert.fail('it had other keepers');
    cluster.message(left, comer, { type: 'commit', job, values });
    assert.equal(currentBy(cluster, left).config.major, 0);
    const isReplaced = (): boolean => !currentBy(cluster, leader).nodes.includes(left);
    cluster.until('it is replaced', isReplaced, 60_000);
    assert.equal(currentBy(cluster, leader).config.major, 0);
  });

  it('are asked anew each time, also those that followed the time before', () => {
    const { cluster, leader, keepers, others } = long(4, { limits: { keepersMax: 3 } });
    const gone = keepers.filter((node) => node !== leader);
    for (const node of gone) cluster.crash(node);
    const major = () => currentBy(cluster, leader).config.major;
    cluster.until('it is re-seeded', () => major() > 0, WITHIN_MS);
    for (const node of gone) cluster.restart(node);
    const isWhole = () => currentBy(cluster, leader).nodes.length === 3;
    cluster.until('it has three keepers again', isWhole, 3 * AFTER_MS);
    const first = major();
    cluster.advance(AFTER_MS + 20_000);
    split(cluster, [leader, ...others]);
    cluster.until('it is re-seeded once more', () => major() !== first, WITHIN_MS + 20_000);
    heal(cluster);
    cluster.until('that one yields', () => major() === first, 60_000);
  });

  it('have what was begun without them ended, once those that did so have yielded', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const isRunning = (node: number): boolean =>
      cluster.inspect(node).executions.some(({ phase }) => phase === 'running');
    const [left] = keepers.filter((node) => node !== leader && !isRunning(node));
    assert.ok(left !== undefined);
    const all = [...keepers, ...others];
    const [first] = all.filter(isRunning);
    cluster.advance(AFTER_MS + 20_000);
    split(
      cluster,
      [left, ...others].filter((node) => node !== first),
    );
    cluster.until('it is begun again', () => all.filter(isRunning).length > 1, 3 * AFTER_MS);
    heal(cluster);
    cluster.until('that is ended', () => all.filter(isRunning).length === 1, 90_000);
    cluster.advance(AFTER_MS);
    assert.deepEqual(all.filter(isRunning), [first]);
  });

  it('do not begin anew what they have brought to its end, and tell of that', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    split(cluster, [left, ...others]);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    const { job, records } = jobOn(cluster, left) ?? assert.fail();
    cluster.request(leader, { type: 'stop', job, reason: 'enough' });
    const stateOn = (node: number) => cluster.inspect(node).jobs[0]?.state;
    cluster.until('one side has stopped it', () => stateOn(leader) === 'Stopped');
    const values = records.configs ?? assert.fail('it has other keepers');
    const effects = cluster.message(leader, left, { type: 'commit', job, values });
    assert.equal(stateOn(leader), 'Stopped');
    assert.ok(effects.some((effect) => effect.type === 'send' && effect.message.type === 'closed'));
    heal(cluster);
    const all = [...keepers, ...others];
    const isOver = () => all.every((node) => (stateOn(node) ?? 'Stopped') === 'Stopped');
    cluster.until('the others stop it, too', isOver, 60_000);
  });

  it('take the stop that their owner gave to those that re-seeded it and are over with it', () => {
    for (const isReplaced of [false, true]) {
      const { cluster, leader, keepers, others } = long(7, { limits: { keepersMax: 3 } });
      const [left] = keepers.filter((node) => node !== leader);
      const [spare, ...away] = others;
      assert.ok(left !== undefined && spare !== undefined);
      const { job } = jobOn(cluster, left) ?? assert.fail();
      cluster.advance(AFTER_MS + 20_000);
      split(cluster, [left, ...away, ...(isReplaced ? [] : [spare])]);
      cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
      const isWhole = () => currentBy(cluster, leader).nodes.includes(spare);
      if (isReplaced) cluster.until('the others replace it', isWhole, 3 * AFTER_MS);
      cluster.request(left, { type: 'stop', job, reason: 'enough' });
      const stateOn = (node: number) => cluster.inspect(node).jobs[0]?.state;
      cluster.until('one side has stopped it', () => stateOn(left) === 'Stopped');
      cluster.advance(AFTER_MS);
      assert.equal(stateOn(leader), 'Running');
      heal(cluster);
      const all = [...keepers, ...others];
      const isOver = () => all.every((node) => (stateOn(node) ?? 'Stopped') === 'Stopped');
      cluster.until('the others stop it, too', isOver, 60_000);
    }
  });

  it('are given the stop that one who yields has and could not carry out', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    const { job } = jobOn(cluster, left) ?? assert.fail();
    cluster.advance(AFTER_MS + 20_000);
    split(cluster, [left, ...others]);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    const [asked] = others;
    assert.ok(asked !== undefined);
    cluster.lose = ({ to, message: { type } }) =>
      type === 'propose' || (type === 'command' && cluster.indexOf(to) !== left);
    cluster.request(asked, { type: 'stop', job, reason: 'enough' });
    assert.equal(jobOn(cluster, left)?.records.commands.length, 1);
    for (const node of others) cluster.crash(node);
    heal(cluster);
    const isOver = () =>
      keepers.every((node) => cluster.inspect(node).jobs[0]?.state === 'Stopped');
    cluster.until('it is over', isOver, 2 * AFTER_MS);
  });

  it('hear of a stop also long after it was carried out, when they connect again', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    assert.ok(left !== undefined);
    const stay = keepers.filter((node) => node !== left);
    const { job } = jobOn(cluster, left) ?? assert.fail();
    cluster.advance(AFTER_MS + 20_000);
    const away = [left, ...others];
    const meet = (type: 'peer-connected' | 'peer-disconnected'): void => {
      for (const [one, other] of stay.flatMap((here) =>
        away.map((there) => [here, there] as const),
      )) {
        cluster.input(one, { type, node: idOf(other) });
        cluster.input(other, { type, node: idOf(one) });
      }
    };
    split(cluster, away);
    meet('peer-disconnected');
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    cluster.request(left, { type: 'stop', job, reason: 'enough' });
    cluster.advance(20 * 60_000);
    const stateOn = (node: number) => cluster.inspect(node).jobs[0]?.state;
    assert.equal(stateOn(left), 'Stopped');
    assert.ok(stay.every((node) => stateOn(node) === 'Running'));
    heal(cluster);
    meet('peer-connected');
    const isOver = () => stay.every((node) => stateOn(node) === 'Stopped');
    cluster.until('the others stop it, too', isOver, 60_000);
  });

  it('are given the version that one who yields knows to be wanted', () => {
    const { cluster, leader, keepers, others } = long(7, { limits: { keepersMax: 3 } });
    const [left] = keepers.filter((node) => node !== leader);
    const [spare, asked, ...away] = others;
    assert.ok(left !== undefined && spare !== undefined && asked !== undefined);
    const { job, records } = jobOn(cluster, left) ?? assert.fail();
    const { notAfter } = records.spec.body;
    cluster.advance(AFTER_MS + 20_000);
    split(cluster, [left, asked, ...away]);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS + 20_000);
    const isWhole = () => currentBy(cluster, leader).nodes.includes(spare);
    cluster.until('the others replace it', isWhole, 3 * AFTER_MS);
    cluster.lose = ({ to, message: { type } }) =>
      type === 'propose' || (type === 'update' && cluster.indexOf(to) !== left);
    const spec = jobWith({ Labels: { of: 'two' } });
    cluster.request(asked, { type: 'update', job, how: 'update', reason: '', notAfter, spec });
    for (const node of [asked, ...away]) cluster.crash(node);
    heal(cluster);
    const isNew = () => jobOn(cluster, leader)?.records.spec.body.version === 2;
    cluster.until('it has that version', isNew, 2 * AFTER_MS);
  });

  it('follow, when they were alone', () => {
    const { cluster, leader, keepers, others } = long(6, { limits: { keepersMax: 3 } });
    const [left, ...gone] = [...keepers.filter((node) => node !== leader), leader];
    assert.ok(left !== undefined);
    for (const node of gone) cluster.crash(node);
    cluster.until('it is re-seeded', () => leads(cluster, left), WITHIN_MS);
    for (const node of gone) cluster.restart(node);
    const { config } = currentBy(cluster, left);
    const isOne = () =>
      [...keepers, ...others].every((node) => {
        const known = jobOn(cluster, node) === undefined ? null : currentBy(cluster, node).config;
        return known === null || known.major === config.major;
      });
    cluster.until('they follow', isOne, 60_000);
    assert.ok(leads(cluster, left));
  });
});
