/** Whoever becomes leader takes over what may have been chosen; whoever is overtaken leads no more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AcceptedValue } from '../../../../src/core/contract/messages.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';

import { createLedger, recordsOf } from '../../../../src/core/record/ledger.ts';
import type { Epoch, Signed } from '../../../../src/core/record/records.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  admitted,
  assignOf,
  certify,
  grantOf,
  idOf,
  jobWith,
  stateOf,
  voteOf,
} from '../fixtures.ts';

/** Nodes 1, 0, 2, 3 and 4 keep the job; 1 led it; node 0 is the machine under test. */
const job = admitted(jobWith(), [1, 0, 2, 3, 4]);
const id = job.spec.body.job;
const epochOf = (number: number, node: number): Epoch => ({
  config: { major: 0, minor: 0 },
  number,
  leader: idOf(node),
});
const records = recordsOf(createLedger(job.spec, job.admission));
const accepted = (value: Signed<'assign'>, epoch: Epoch): AcceptedValue => ({
  slot: slotOf(value),
  epoch,
  value,
});

/** Node 0 stands for leader. @returns what it asks the others */
function candidate(): { cluster: Cluster; prepare: MessageOf<'prepare'> } {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  cluster.message(0, 1, { type: 'not-leading', jobs: [id] });
  cluster.until('it stands', () => cluster.messages('prepare').length > 0, 5_000);
  const { message } = cluster.messages('prepare')[0] ?? assert.fail('a prepare');
  return { cluster, prepare: message };
}

function promise(
  { grant }: MessageOf<'prepare'>,
  from: number,
  change: Partial<MessageOf<'promise'>> = {},
): MessageOf<'promise'> {
  const { epoch } = grant.body;
  const vote = voteOf(from, id, grant.id, 'grant', epoch);
  return {
    type: 'promise',
    job: id,
    epoch,
    vote,
    snapshot: 'a'.repeat(32),
    part: 0,
    parts: 1,
    accepted: [],
    records,
    ...change,
  };
}

const leads = (cluster: Cluster): boolean => cluster.job(0).leading !== null;
const proposed = (cluster: Cluster): readonly string[] => [
  ...new Set(
    cluster
      .messages('propose')
      .flatMap(({ message }) => message.values.map(({ value }) => value.id)),
  ),
];

describe('a candidate', () => {
  const low = assignOf(job, { node: 7, by: 2 }, epochOf(0, 1));
  const high = assignOf(job, { node: 8, by: 3 }, epochOf(1, 2));
  const both = [accepted(low, epochOf(0, 1)), accepted(high, epochOf(1, 2))] as const;

  for (const [name, order] of [
    ['first', [both[1], both[0]]],
    ['last', [both[0], both[1]]],
  ] as const) {
    it(`proposes the value of the highest ballot, which it was told of ${name}`, () => {
      const { cluster, prepare } = candidate();
      cluster.message(0, 2, promise(prepare, 2, { accepted: [order[0]] }));
      cluster.message(0, 3, promise(prepare, 3, { accepted: [order[1]] }));
      assert.ok(leads(cluster));
      assert.deepEqual(proposed(cluster), [high.id]);
    });
  }

  it('counts a promise when all its parts are there', () => {
    const { cluster, prepare } = candidate();
    cluster.message(0, 2, promise(prepare, 2));
    cluster.message(0, 3, promise(prepare, 3, { parts: 2 }));
    assert.ok(!leads(cluster), 'half of a promise is none');
    cluster.message(0, 3, promise(prepare, 3, { parts: 2, part: 1, accepted: [both[0]] }));
    assert.ok(leads(cluster));
    assert.deepEqual(proposed(cluster), [low.id]);
  });

  it('makes no promise of parts that a keeper told at two different moments', () => {
    const { cluster, prepare } = candidate();
    const later = { snapshot: 'b'.repeat(32), parts: 2 };
    cluster.message(0, 2, promise(prepare, 2));
    cluster.message(0, 3, promise(prepare, 3, { parts: 2 }));
    cluster.message(0, 3, promise(prepare, 3, { ...later, part: 1 }));
    assert.ok(!leads(cluster), 'what stood between the two parts may be in neither');
    cluster.message(0, 3, promise(prepare, 3, { ...later, part: 0, accepted: [both[0]] }));
    assert.ok(leads(cluster));
    assert.deepEqual(proposed(cluster), [low.id]);
  });

  it('counts no promise of another epoch than its own', () => {
    const { cluster, prepare } = candidate();
    const other = epochOf(prepare.grant.body.epoch.number + 1, 0);
    for (const from of [2, 3, 4]) {
      cluster.message(0, from, promise(prepare, from, { epoch: other }));
      const vote = voteOf(from, id, prepare.grant.id, 'grant', other);
      cluster.message(0, from, promise(prepare, from, { vote }));
    }
    assert.ok(!leads(cluster));
  });

  it('believes no value that a promise only says was chosen', () => {
    const { cluster, prepare } = candidate();
    const made = certify(low, slotOf(low), [2, 8], job.epoch);
    cluster.message(0, 2, promise(prepare, 2, { records: { ...records, committed: [made] } }));
    assert.deepEqual(cluster.job(0).records.committed, []);
  });

  it('tells the keepers with it what it took over rests on', () => {
    const { cluster, prepare } = candidate();
    const assign = certify(low, slotOf(low), [1, 2, 3], epochOf(0, 1));
    const ended = stateOf(low, 7, { phase: 'completed', sequence: 4 });
    const told = { ...records, committed: [assign], states: [ended] };
    for (const from of [2, 3]) cluster.message(0, from, promise(prepare, from, { records: told }));
    const states = cluster.messages('propose').flatMap(({ message }) => message.states);
    assert.ok(states.some((state) => state.id === ended.id));
  });
});

describe('a leader', () => {
  it('that slept keeps to what it proposed, whatever it hears of lower ballots then', () => {
    const { cluster, prepare } = candidate();
    for (const from of [2, 3]) cluster.message(0, from, promise(prepare, from));
    cluster.until('it gives the work to itself', () => proposed(cluster).length > 0, 10_000);
    const before = proposed(cluster);
    cluster.now += 10_000;
    cluster.input(0, { type: 'wake' });
    assert.ok(!leads(cluster), 'it asks first');
    const late = accepted(assignOf(job, { node: 7, by: 1 }), epochOf(0, 1));
    for (const from of [4, 2])
      cluster.message(0, from, promise(prepare, from, { accepted: [late] }));
    assert.ok(leads(cluster));
    cluster.advance(5_000);
    assert.deepEqual(proposed(cluster), before);
  });

  it('that promised a higher epoch leads no more', () => {
    const own = admitted(jobWith(), [0, 1, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    assert.ok(leads(cluster));
    const grant = grantOf(own, epochOf(1, 2), 2);
    cluster.message(0, 2, { type: 'prepare', job: own.spec.body.job, grant });
    assert.ok(!leads(cluster));
  });

  it('is deposed by a keeper that promised another keeper more, and by nobody else', () => {
    const own = admitted(jobWith(), [0, 1, 2]);
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    const outdated = (leader: number, number: number) =>
      ({
        type: 'outdated',
        job: own.spec.body.job,
        promised: epochOf(number, leader),
      }) as const;
    for (const [from, message] of [
      [8, outdated(2, 1)],
      [1, outdated(8, 1)],
      [1, outdated(2, 1_000_000)],
    ] as const) {
      assert.deepEqual(refusals(cluster.message(0, from, message)), ['not-keeper']);
      assert.ok(leads(cluster));
    }
    cluster.message(0, 1, outdated(2, 1));
    assert.ok(!leads(cluster));
  });
});
