/** Keepers that stay away are replaced while their job goes on, and a small set grows with the mesh. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { currentOf, chainOf } from '../../../../src/core/record/chain.ts';
import { keeperNodes } from '../../../../src/core/record/keeper-set.ts';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import { Cluster, DONE } from '../cluster.ts';
import type { ClusterOptions } from '../cluster.ts';
import { admitted, idOf, jobWith } from '../fixtures.ts';

const AFTER_MS = 60_000;
/** A change is seen at the next look for one, and takes two rounds. */
const WITHIN_MS = AFTER_MS + 60_000;
/** So long the leader waits for those that it asks. */
const ASKED_MS = 40_000;
const running = () => [{ type: 'phase', phase: 'running' }] as const;

const indexes = (cluster: Cluster, nodes: readonly NodeId[]): readonly number[] =>
  nodes.map((node) => cluster.indexOf(node)).sort((a, b) => a - b);
const jobOn = (cluster: Cluster, node: number) => cluster.machine(node).inspect().jobs[0];

/** Who keeps the job by what this node knows; empty while they change. */
function keepersBy(cluster: Cluster, node: number): readonly number[] {
  const job = jobOn(cluster, node);
  if (job === undefined) return [];
  const current = currentOf(chainOf(job.records));
  return current.former.length > 0 ? [] : indexes(cluster, keeperNodes(current));
}

const leads = (cluster: Cluster, node: number): boolean => jobOn(cluster, node)?.leading != null;

/** All of these know that they, and nobody else, keep the job, and one of them leads it. */
function keptBy(cluster: Cluster, nodes: readonly number[]): boolean {
  const known = nodes.every((node) => keepersBy(cluster, node).join() === nodes.join());
  return known && nodes.some((node) => leads(cluster, node));
}

/** A job that runs on, on a mesh of so many nodes. */
function long(nodes: number, options: Partial<ClusterOptions> = {}) {
  const cluster = new Cluster({ nodes, program: running, ...options });
  cluster.submit(0, jobWith());
  const keepers = keepersBy(cluster, [...Array(nodes).keys()].find((n) => leads(cluster, n)) ?? 0);
  const leader = keepers.find((node) => leads(cluster, node)) ?? assert.fail('somebody leads');
  const others = [...Array(nodes).keys()].filter((node) => !keepers.includes(node));
  return { cluster, keepers, leader, others };
}

const after = (keepers: readonly number[], goer: number, comer: number): readonly number[] =>
  [...keepers.filter((node) => node !== goer), comer].sort((a, b) => a - b);

describe('a keeper that stays away', () => {
  const limits = { keepersMax: 3 };

  it('is replaced by a node that can keep the job, and everybody knows', () => {
    const { cluster, keepers, leader, others } = long(4, { limits });
    const goer = keepers.find((node) => node !== leader) ?? assert.fail();
    cluster.crash(goer);
    const next = after(keepers, goer, others[0] ?? assert.fail());
    cluster.until('it is replaced', () => keptBy(cluster, next), WITHIN_MS);
  });

  it('is not replaced before its time', () => {
    const { cluster, keepers, leader } = long(4, { limits });
    cluster.crash(keepers.find((node) => node !== leader) ?? assert.fail());
    cluster.advance(AFTER_MS - 5_000);
    assert.equal(cluster.messages('change').length + cluster.messages('join').length, 0);
  });

  it('one after the other, until none of the first is left', () => {
    const { cluster, keepers, others } = long(7, { limits });
    let now = keepers;
    for (const [at, goer] of keepers.entries()) {
      cluster.crash(goer);
      const left = now.filter((node) => node !== goer);
      cluster.until(
        `keeper ${at} is replaced`,
        () => {
          const [known] = left.map((node) => keepersBy(cluster, node));
          const all = known ?? [];
          return all.length === 3 && !all.includes(goer) && keptBy(cluster, all);
        },
        2 * WITHIN_MS,
      );
      now = keepersBy(cluster, left[0] ?? assert.fail());
    }
    assert.ok(now.every((node) => others.includes(node)));
  });
});

describe('a node that is asked to keep a job', () => {
  const limits = { keepersMax: 3 };

  it('does not become a keeper while it has no room for it, and another one does', () => {
    const { cluster, keepers, leader, others } = long(5, { limits: { ...limits, jobsMax: 1 } });
    const goer = keepers.find((node) => node !== leader) ?? assert.fail();
    const [full, empty] = [others[0] ?? assert.fail(), others[1] ?? assert.fail()];
    // Nobody goes on with it without its keepers.
    const exclusive = jobWith({ Meta: { 'shoal/partition-policy': 'exclusive' } });
    const other = admitted(exclusive, [full, 7, 8], { nonce: 'e'.repeat(32) });
    cluster.message(full, 7, { type: 'activate', ...other });
    assert.equal(cluster.inspect(full).jobs.length, 1, 'it has no room for more');
    cluster.crash(goer);
    const next = after(keepers, goer, empty);
    cluster.until('it is replaced', () => keptBy(cluster, next), 2 * WITHIN_MS);
  });
});

describe('a change that hangs', () => {
  it('as who should go is back, and who agreed was started again, stands in the way of no other', () => {
    const { cluster, keepers, leader } = long(5, { limits: { keepersMax: 3 } });
    const [voter, goer] = keepers.filter((node) => node !== leader);
    assert.ok(voter !== undefined && goer !== undefined);
    cluster.crash(goer);
    cluster.lose = ({ to, message }) => to === idOf(voter) && message.type === 'propose';
    const isProposed = () =>
      cluster
        .messages('propose')
        .some(({ message }) => message.values.some(({ value }) => value.type === 'config'));
    cluster.until('a change is proposed', isProposed, WITHIN_MS);
    cluster.crash(voter);
    cluster.restart(voter);
    cluster.restart(goer);
    cluster.lose = () => false;
    cluster.advance(5 * AFTER_MS);
    assert.deepEqual(keepersBy(cluster, leader), keepers, 'it hangs');
    cluster.crash(voter);
    const isReplaced = () => {
      const now = keepersBy(cluster, leader);
      return now.length === 3 && !now.includes(voter) && now.includes(goer);
    };
    cluster.until('the other one is replaced', isReplaced, 10 * AFTER_MS);
  });

  it('keeps nobody from leading, though a keeper that is there promises nothing', () => {
    const { cluster, keepers, leader } = long(5, { limits: { keepersMax: 3 } });
    const goer = keepers.find((node) => node !== leader) ?? assert.fail();
    cluster.crash(goer);
    cluster.lose = ({ message }) => message.type === 'voted';
    const isProposed = () =>
      cluster
        .messages('propose')
        .some(({ message }) => message.values.some(({ value }) => value.type === 'config'));
    cluster.until('a change is proposed', isProposed, WITHIN_MS);
    cluster.crash(leader);
    cluster.restart(goer);
    const silent = new Set(['promise', 'prepare']);
    cluster.lose = ({ from, message }) => from === idOf(leader) && silent.has(message.type);
    cluster.restart(leader);
    const isLed = () => keepers.some((node) => node !== leader && leads(cluster, node));
    cluster.until('another leads', isLed, 60_000);
  });
});

describe('a small set of keepers', () => {
  it('grows with the mesh, from one to three to five, and stays so', () => {
    const cluster = new Cluster({ nodes: 5, program: running });
    for (const node of [1, 2, 3, 4]) cluster.crash(node);
    cluster.advance(1_000);
    cluster.submit(0, jobWith());
    assert.deepEqual(keepersBy(cluster, 0), [0]);
    cluster.restart(1);
    cluster.advance(WITHIN_MS);
    assert.deepEqual(keepersBy(cluster, 0), [0], 'two are no safer than one');
    cluster.restart(2);
    cluster.until('it has three', () => keptBy(cluster, [0, 1, 2]), WITHIN_MS);
    cluster.restart(3);
    cluster.restart(4);
    cluster.until('it has five', () => keptBy(cluster, [0, 1, 2, 3, 4]), 2 * WITHIN_MS);
    cluster.advance(4 * WITHIN_MS);
    assert.equal(jobOn(cluster, 0)?.records.configs?.length, 4);
  });
});

describe('a node that was asked to keep a job and did not answer', () => {
  it('as it was out of reach is asked again as soon as it is heard', () => {
    const cluster = new Cluster({ nodes: 3, program: running });
    for (const node of [1, 2]) cluster.crash(node);
    cluster.advance(1_000);
    cluster.submit(0, jobWith());
    for (const node of [1, 2]) cluster.restart(node);
    cluster.advance(AFTER_MS / 2);
    cluster.lose = () => true;
    const isAsked = () => cluster.messages('join').length > 0;
    cluster.until('they are asked', isAsked, AFTER_MS);
    cluster.advance(ASKED_MS);
    assert.deepEqual(keepersBy(cluster, 0), [0]);
    cluster.lose = () => false;
    for (const node of [1, 2]) cluster.message(0, node, { type: 'pong', nonce: 0 });
    cluster.until('it has three', () => keptBy(cluster, [0, 1, 2]), 20_000);
  });

  it('though it was there is asked again after two minutes', () => {
    const cluster = new Cluster({ nodes: 3, program: running });
    for (const node of [1, 2]) cluster.crash(node);
    cluster.advance(1_000);
    cluster.submit(0, jobWith());
    for (const node of [1, 2]) cluster.restart(node);
    cluster.lose = ({ message }) => message.type === 'change-agreed';
    const asked = () => cluster.messages('join').length;
    cluster.until('they are asked', () => asked() > 0, 2 * AFTER_MS);
    cluster.advance(ASKED_MS);
    const before = asked();
    cluster.lose = () => false;
    cluster.advance(100_000);
    assert.equal(asked(), before);
    cluster.until('it has three', () => keptBy(cluster, [0, 1, 2]), WITHIN_MS);
  });
});

describe('a change of keepers that nobody has heard the votes for', () => {
  it('binds those who voted beyond the end of the job, as it may have another version', () => {
    const { cluster, keepers, leader } = long(5, { limits: { keepersMax: 3 } });
    const [goer, stays] = keepers.filter((node) => node !== leader);
    cluster.crash(goer ?? assert.fail());
    cluster.lose = ({ message }) =>
      message.type === 'voted' && message.votes.some(({ body }) => body.slot === 'config/0/1');
    const slots = () =>
      cluster
        .store(stays ?? assert.fail())
        .rows('accepted')
        .map(({ key }) => key);
    cluster.until('it is voted for', () => slots().includes('config/0/1'), WITHIN_MS);
    for (const node of [0, 1, 2, 3, 4].filter((one) => one !== goer))
      for (const { execution } of cluster.machine(node).inspect().executions)
        cluster.report(node, execution, DONE.slice(1));
    cluster.until('it is over', () => jobOn(cluster, stays ?? 0)?.state === 'Completed');
    assert.deepEqual(slots(), ['config/0/1']);
  });
});

describe('a keeper that was replaced', () => {
  it('learns when it is back that others keep the job, and votes for nothing', () => {
    const { cluster, keepers, leader, others } = long(4, { limits: { keepersMax: 3 } });
    cluster.crash(leader);
    const comer = others[0] ?? assert.fail();
    const next = after(keepers, leader, comer);
    cluster.until('it is replaced', () => keptBy(cluster, next), WITHIN_MS);
    cluster.restart(leader);
    cluster.until('it knows', () => keepersBy(cluster, leader).join() === next.join());
    const before = cluster.sent.length;
    cluster.advance(WITHIN_MS);
    const said = cluster.sent.slice(before).filter(({ from }) => from === idOf(leader));
    const voted = said.filter(({ message }) =>
      ['promise', 'voted', 'prepare'].includes(message.type),
    );
    assert.deepEqual(voted, []);
    assert.ok(keptBy(cluster, next));
  });

  it('hears of the end of the job', () => {
    const { cluster, keepers, leader, others } = long(4, { limits: { keepersMax: 3 } });
    const goer = keepers.find((node) => node !== leader) ?? assert.fail();
    cluster.crash(goer);
    cluster.until(
      'it is replaced',
      () => keptBy(cluster, after(keepers, goer, others[0] ?? 0)),
      WITHIN_MS,
    );
    cluster.restart(goer);
    const job = jobOn(cluster, leader)?.job ?? assert.fail();
    cluster.request(goer, { type: 'stop', job, reason: 'enough' });
    cluster.until(
      'it is over',
      () => cluster.inspect(goer).jobs[0]?.state === 'Stopped',
      WITHIN_MS,
    );
    assert.equal(cluster.inspect(leader).jobs[0]?.state, 'Stopped');
  });
});
