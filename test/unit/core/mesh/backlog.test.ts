/** A node that is behind with what others say accuses nobody of silence, and is not made so by one flood. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith } from '../fixtures.ts';

const NODES = [0, 1, 2, 3, 4, 5, 6];

/** A job that runs: its leader, another keeper, and two that neither lead nor are that keeper. */
function led(nonce = 'b') {
  const cluster = new Cluster({
    nodes: NODES.length,
    program: () => [{ type: 'phase', phase: 'running' }],
  });
  cluster.submit(0, jobWith(), nonce.repeat(32));
  cluster.advance(20_000);
  const jobs = (node: number) => cluster.machine(node).inspect().jobs;
  const leader = NODES.find((node) => jobs(node).some(({ leading }) => leading !== null));
  const keeper = NODES.find((node) => node !== leader && jobs(node).length > 0);
  assert.ok(leader !== undefined && keeper !== undefined);
  const runner = cluster.steps.find(({ effects }) => effects.some(({ type }) => type === 'run'));
  const others = NODES.filter((node) => ![leader, keeper, runner?.node].includes(node));
  return { cluster, leader, keeper, runner: runner?.node ?? assert.fail(), others };
}

/** What of others reaches `node` for a while is this: pings that lay here for a time. */
function hearOnly(
  cluster: Cluster,
  node: number,
  from: readonly number[],
  seconds: number,
  waitedMs: number,
): void {
  cluster.lose = ({ to }) => to === idOf(node);
  for (let turn = 0; turn < 5 * seconds; turn += 1) {
    cluster.advance(200);
    for (const one of from)
      cluster.input(
        node,
        { type: 'message', from: idOf(one), message: { type: 'ping', nonce: turn } },
        waitedMs,
      );
  }
}

const stands = (cluster: Cluster, node: number): boolean =>
  cluster.messages('prepare').some(({ from }) => from === idOf(node));

describe('a keeper that does not hear its leader', () => {
  it('stands for leader when it is not behind', () => {
    const { cluster, keeper, others } = led();
    hearOnly(cluster, keeper, others.slice(0, 2), 40, 0);
    assert.ok(stands(cluster, keeper));
  });

  it('does not while it falls behind, and does soon after', () => {
    const { cluster, keeper, others } = led();
    hearOnly(cluster, keeper, others.slice(0, 2), 15, 5_000);
    assert.equal(stands(cluster, keeper), false);
    hearOnly(cluster, keeper, others.slice(0, 2), 60, 0);
    assert.ok(stands(cluster, keeper));
  });

  it('does when the messages of one peer alone have to wait', () => {
    const { cluster, keeper, others } = led();
    hearOnly(cluster, keeper, others.slice(0, 1), 40, 5_000);
    assert.ok(stands(cluster, keeper));
  });
});

describe('a leader that falls behind', () => {
  /** Seconds from the last word of the executor until another node is looked for. */
  function patience(waitedMs: (second: number) => number): number {
    // A keeper that runs it would depose a leader that does not answer it.
    const found = [...'bcdef0123456'].map(led).find((one) => {
      return one.cluster.machine(one.runner).inspect().jobs.length === 0;
    });
    const { cluster, leader, runner, others } = found ?? assert.fail();
    const rounds = (): number =>
      cluster.effects('gossip', leader).filter(({ gossip }) => gossip.type === 'announce').length;
    const before = rounds();
    // The answers of the keepers still come.
    cluster.lose = ({ from, to }) => to === idOf(leader) && from === idOf(runner);
    for (let second = 0; second < 120; second += 1) {
      if (rounds() > before) return second;
      cluster.advance(1_000);
      for (const one of others.slice(0, 2))
        cluster.input(
          leader,
          { type: 'message', from: idOf(one), message: { type: 'ping', nonce: second } },
          waitedMs(second),
        );
    }
    return assert.fail('it never gave up');
  }

  it('gives an execution up later, by so much, and not never', () => {
    const quick = patience(() => 0);
    const behind = patience((second) => Math.min(500 * second, 15_000));
    assert.ok(behind >= quick + 7 && behind <= quick + 20, `${behind} s instead of ${quick} s`);
  });
});
