/** A result is accepted when enough nodes that are there have it, and only then. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import type { NodeId } from '../../../../src/core/record/ids.ts';
import { Cluster } from '../cluster.ts';
import { idOf, jobWith } from '../fixtures.ts';

const RUNNING: readonly RunEvent[] = [{ type: 'phase', phase: 'running' }];
const ended: RunEvent = {
  type: 'ended',
  exitCode: 0,
  result: { cid: 'bafyresult', bytes: 9 },
  output: null as never,
  usage: null as never,
};
const publishing = jobWith({}, { Publisher: { Type: 'ipfs', Params: {} } });

/** A job that runs on a node which does not keep it, on which nodes of seven, and who leads it. */
function play(job = publishing) {
  for (let k = 0; k < 30; k += 1) {
    const cluster = new Cluster({ nodes: 7, program: () => RUNNING });
    cluster.submit(0, job, k.toString(16).padStart(32, '0'));
    cluster.advance(12_000);
    const { keepers } = cluster.messages('activate')[0]?.message.admission.record.body ?? {};
    const kept = (keepers ?? []).map(({ node }) => cluster.indexOf(node));
    const [run] = cluster.effects('run');
    const executor = cluster.steps.find(({ effects }) => run && effects.includes(run))?.node;
    const leader = kept.find((node) => cluster.job(node).leading !== null);
    if (run === undefined || executor === undefined || leader === undefined) continue;
    if (kept.includes(executor)) continue;
    const { execution } = run.order;
    return {
      cluster,
      leader,
      executor,
      kept,
      end: () => cluster.report(executor, execution, [ended]),
    };
  }
  return assert.fail('no job ran on a node that does not keep it');
}
type Played = ReturnType<typeof play>;

const committed = ({ cluster, kept }: Played, type: 'accept' | 'assign' | 'close') =>
  cluster
    .job(kept.at(-1) ?? 0)
    .records.committed.map(({ record }) => record)
    .filter((record) => record.type === type);
function holdersOf(played: Played): readonly NodeId[] {
  const [accept] = committed(played, 'accept');
  return accept?.type === 'accept' ? accept.body.holders : [];
}
const accepted = (played: Played) => (): boolean => committed(played, 'accept').length > 0;
const asked = ({ cluster }: Played): readonly NodeId[] =>
  cluster.messages('replicate').map(({ to }) => to);

describe('the copy of a result', () => {
  it('is nothing that a node says which was not asked for it', () => {
    const played = play();
    const { cluster, end, leader, executor } = played;
    cluster.lose = ({ message }) => message.type === 'replicate' || message.type === 'replicated';
    cluster.input(leader, { type: 'disk', full: true });
    end();
    cluster.advance(1_000);
    const { message } = cluster.messages('replicate')[0] ?? assert.fail('somebody is asked');
    const { job, execution } = message.state.body;
    const made = {
      type: 'replicated',
      job,
      execution,
      cid: 'bafyresult',
      outcome: 'made',
    } as const;
    for (let node = 0; node < 7; node += 1) {
      if (asked(played).includes(idOf(node)) || node === executor || node === leader) continue;
      cluster.message(leader, node, made);
    }
    assert.ok(!accepted(played)());
  });

  for (const [what, lost] of [
    ['request', 'replicate'],
    ['answer', 'replicated'],
  ] as const) {
    it(`is asked for again within seconds when the ${what} was lost`, () => {
      const played = play();
      const { cluster, end, leader } = played;
      // It asks itself first; with a full disk it does not.
      cluster.input(leader, { type: 'disk', full: true });
      let count = 0;
      cluster.lose = ({ message }) => {
        if (message.type === lost) count += 1;
        return message.type === lost && count === 1;
      };
      end();
      cluster.until('it is accepted', accepted(played), 5_000);
      assert.equal(holdersOf(played).length, 2);
      assert.equal(new Set(asked(played)).size, 1, 'of the same node');
      assert.equal(cluster.effects('replicate').length, 1, 'which makes it once');
    });
  }

  it('is asked of another node at once when the first refuses or dies', () => {
    for (const way of ['refuses', 'dies'] as const) {
      const played = play();
      const { cluster, end } = played;
      const first: number[] = [];
      cluster.copy = (node) => {
        if (first.length > 0 && first[0] !== node) return 'made';
        first.push(node);
        return way === 'refuses' ? 'refused' : null;
      };
      // The leader asks itself first; here it has no room.
      cluster.input(played.leader, { type: 'disk', full: true });
      end();
      const [one] = first;
      assert.ok(one !== undefined && one !== played.leader);
      if (way === 'dies') cluster.crash(one);
      cluster.until('it is accepted', accepted(played), 15_000);
      assert.ok(!holdersOf(played).includes(idOf(one)));
      assert.equal(holdersOf(played).length, 2);
    }
  });
});

describe('a result', () => {
  it('whose only node died with it is not accepted: the partition runs again', () => {
    const played = play();
    const { cluster, end, executor } = played;
    let dead = false;
    cluster.copy = (_node, { holders }) =>
      dead && holders.every((holder) => holder === idOf(executor)) ? 'missing' : 'made';
    dead = true;
    end();
    cluster.crash(executor);
    cluster.until('it runs again', () => committed(played, 'assign').length === 2, 30_000);
    assert.deepEqual(committed(played, 'accept'), []);
    const again = cluster.effects('run').at(-1) ?? assert.fail('a second run');
    const where = cluster.steps.find(({ effects }) => effects.includes(again))?.node ?? -1;
    cluster.report(where, again.order.execution, [ended]);
    cluster.until('the second one is accepted', accepted(played), 10_000);
    assert.ok(!holdersOf(played).includes(idOf(executor)));
    assert.equal(holdersOf(played).length, 2);
  });

  it('that its node brings back while another attempt runs is accepted', () => {
    const played = play();
    const { cluster, end, executor } = played;
    cluster.copy = () => 'missing';
    end();
    cluster.crash(executor);
    cluster.until('it runs again', () => committed(played, 'assign').length === 2, 30_000);
    cluster.copy = () => 'made';
    cluster.restart(executor);
    cluster.until('it is accepted', accepted(played), 30_000);
    assert.equal(holdersOf(played)[0], idOf(executor));
  });

  it('that its node lost although it lives is not accepted either', () => {
    const played = play();
    const { cluster, end, executor } = played;
    cluster.copy = (_node, { holders }) => (holders[0] === idOf(executor) ? 'missing' : 'made');
    end();
    cluster.until('it runs again', () => committed(played, 'assign').length === 2, 30_000);
    assert.deepEqual(committed(played, 'accept'), []);
  });

  it('is reported to those keepers only that did not acknowledge it', () => {
    const played = play({ ...publishing, Count: 2 });
    const { cluster, end } = played;
    end();
    cluster.until('it is accepted', accepted(played), 10_000);
    const mark = cluster.messages('states').length;
    cluster.advance(600_000);
    const told = cluster.messages('states').length - mark;
    assert.ok(told >= 5 && told <= 20, `${told} in ten minutes`);
  });
});
