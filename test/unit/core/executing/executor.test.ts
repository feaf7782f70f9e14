/** An executor takes only what it bid for, under the highest epoch it saw, with every proof. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Effect } from '../../../../src/core/contract/effect.ts';
import type { Inspection } from '../../../../src/core/contract/inspection.ts';
import type { Message } from '../../../../src/core/contract/messages.ts';
import type { Certified, Epoch, Signed } from '../../../../src/core/record/records.ts';
import { forge, nodeKey } from '../../../simulation/fast-suite.ts';
import { Cluster, DONE, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  WALL,
  acceptOf,
  admitted,
  announcementOf,
  assignOf,
  certify,
  closeOf,
  committed,
  grantOf,
  idOf,
  jobWith,
  specOf,
  stateOf,
  suiteOf,
} from '../fixtures.ts';

/** Nodes 1, 2 and 3 keep the job, 1 leads it; node 0 is the executor and no keeper. */
const job = admitted(jobWith({ Count: 2 }), [1, 2, 3]);
const id = job.spec.body.job;
const assign = (partition = 0, attempt = 0): Certified<'assign'> =>
  committed(job, assignOf(job, { node: 0, partition, attempt }));
const first = assign();
const second = assign(1);
const later: Epoch = { config: { major: 0, minor: 0 }, number: 2, leader: idOf(2) };
const granted = (epoch: Epoch, by: number): Certified<'grant'> =>
  certify(grantOf(job, epoch, by), 'grant', [2, 3], epoch);

const announcement = announcementOf(job, { need: 2 });
const assigning = (change: Partial<MessageOf<'assign'>> = {}): MessageOf<'assign'> => ({
  type: 'assign',
  spec: job.spec,
  admission: job.admission,
  grant: null,
  assigns: [first],
  holders: [],
  ...change,
});

function executor(): Cluster {
  return new Cluster({ nodes: 1, program: () => [] });
}

/** One that has just bid. */
function bidder(): Cluster {
  const cluster = executor();
  cluster.message(0, 1, { type: 'invite', announcement });
  assert.equal(cluster.machine(0).inspect().holds.length, 1);
  return cluster;
}

/** Everything but the count of what was refused. */
const state = (inspection: Inspection): Inspection => ({ ...inspection, refused: {} });
const sends = (effects: readonly Effect[]): readonly Message[] =>
  effects.flatMap((effect) => (effect.type === 'send' ? [effect.message] : []));
const running = (): Cluster => {
  const cluster = bidder();
  cluster.message(0, 1, assigning());
  return cluster;
};

describe('an invited node', () => {
  it('bids with a hold on the resources, for as many executions as it has room for', () => {
    const effects = executor().message(0, 1, { type: 'invite', announcement });
    const [bid] = sends(effects);
    assert.ok(bid?.type === 'bid');
    assert.deepEqual(
      [bid.executions, bid.free.cpuMillis, bid.capacity.cpuMillis],
      [2, 2_000, 4_000],
    );
  });

  it('declines with its reasons what it can never run', () => {
    const odd = admitted(jobWith({}, { Engine: { Type: 'lua', Params: {} } }), [1, 2, 3]);
    const { spec, admission } = odd;
    const effects = executor().message(0, 1, {
      type: 'invite',
      announcement: { ...announcement, job: spec.body.job, spec, admission },
    });
    const [decline] = sends(effects);
    assert.ok(decline?.type === 'decline' && decline.refusals[0]?.code === 'engine-missing');
  });

  it('holds nothing for a job that no API would have taken', () => {
    const raw = admitted(jobWith({ Count: 1_000_000 }), [1, 2, 3]);
    const { spec, admission } = raw;
    const cluster = executor();
    const effects = cluster.message(0, 1, {
      type: 'invite',
      announcement: { ...announcement, job: spec.body.job, spec, admission },
    });
    assert.deepEqual(
      effects.map((effect) => (effect.type === 'refuse' ? [effect.code, effect.fault] : effect)),
      [['spec-invalid', true]],
    );
    assert.deepEqual(cluster.machine(0).inspect().holds, []);
  });

  it('declines what it has no room for now, and bids when it has', () => {
    const cluster = executor();
    const needs = { ...jobWith().Task.resources, cpuMillis: 3_000 };
    const big = admitted(jobWith({}, { resources: needs }), [1, 2, 3], { nonce: 'e'.repeat(32) });
    cluster.message(0, 1, { type: 'invite', announcement });
    cluster.message(0, 1, assigning({ assigns: [first, second] }));
    const { spec, admission } = big;
    const about = { ...announcement, job: spec.body.job, spec, admission };
    const [decline] = sends(cluster.message(0, 1, { type: 'invite', announcement: about }));
    assert.ok(decline?.type === 'decline');
    assert.deepEqual(decline.refusals, [
      { code: 'busy', resource: 'cpu', wanted: 3_000, free: 2_000 },
    ]);
    cluster.report(0, first.record.body.execution, DONE);
    assert.deepEqual(
      cluster.messages('bid').map(({ message }) => message.job),
      [id, big.spec.body.job],
    );
  });

  it('holds nothing for longer than the bid is good', () => {
    const cluster = bidder();
    cluster.advance(9_999);
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
    cluster.advance(2);
    assert.equal(cluster.machine(0).inspect().holds.length, 0);
  });

  it('gives the hold back when the leader closes the bidding', () => {
    const cluster = bidder();
    cluster.message(0, 1, { type: 'bid-closed', job: id, version: 1 });
    assert.equal(cluster.machine(0).inspect().holds.length, 0);
  });

  it('asks for a spec that did not fit, and bids when it comes', () => {
    const cluster = executor();
    const [wanted] = sends(
      cluster.message(0, 1, { type: 'invite', announcement: { ...announcement, spec: null } }),
    );
    assert.deepEqual(wanted, { type: 'spec-wanted', job: id, version: 1 });
    const [bid] = sends(cluster.message(0, 1, { type: 'spec', spec: job.spec }));
    assert.equal(bid?.type, 'bid');
  });

  it('refuses a spec that is not that of the announced job', () => {
    const spec = specOf(jobWith(), { nonce: 'f'.repeat(32) });
    const cluster = executor();
    assert.deepEqual(
      refusals(cluster.message(0, 1, { type: 'invite', announcement: { ...announcement, spec } })),
      ['contradiction'],
    );
    assert.equal(cluster.machine(0).inspect().holds.length, 0);
  });

  it('that failed the job twice bids only when it is asked again and again', () => {
    const cluster = executor();
    const again = { ...announcement, notAgain: [idOf(0)] };
    assert.deepEqual(cluster.message(0, 1, { type: 'invite', announcement: again }), []);
    assert.equal(
      sends(cluster.message(0, 1, { type: 'invite', announcement: { ...again, round: 2 } }))[0]
        ?.type,
      'bid',
    );
  });
});

describe('an assignment', () => {
  it('that was bid for is on disk, runs and is confirmed', () => {
    const cluster = bidder();
    const effects = cluster.message(0, 1, assigning({ assigns: [first, second] }));
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['persist', 'note', 'run', 'note', 'run', 'send'],
    );
    const executions = [first, second].map(({ record }) => record.body.execution);
    assert.deepEqual(sends(effects), [{ type: 'started', job: id, executions }]);
    const { reserved, holds } = cluster.machine(0).inspect();
    assert.deepEqual([reserved.cpuMillis, holds.length], [2_000, 0]);
  });

  it('that was not bid for is not started', () => {
    const cluster = executor();
    const effects = cluster.message(0, 1, assigning());
    assert.deepEqual(sends(effects), [
      {
        type: 'not-started',
        job: id,
        execution: first.record.body.execution,
        refusals: [{ code: 'expired' }],
      },
    ]);
    assert.deepEqual(cluster.machine(0).inspect().executions, []);
  });

  it('that was turned down once is not started when it comes again, whatever was bid for since', () => {
    const cluster = executor();
    cluster.message(0, 1, assigning());
    cluster.message(0, 1, { type: 'invite', announcement });
    const again = sends(cluster.message(0, 1, assigning()));
    assert.deepEqual(
      again.map(({ type }) => type),
      ['not-started'],
    );
    assert.equal(cluster.effects('run').length, 0);
    const next = sends(cluster.message(0, 1, assigning({ assigns: [second] })));
    assert.deepEqual(
      next.map(({ type }) => type),
      ['started'],
      'what was bid for is still held',
    );
  });

  it('that was turned down once is not started beside a new one either', () => {
    const cluster = executor();
    const [declined] = assigning().assigns;
    assert.ok(declined !== undefined);
    cluster.message(0, 1, assigning());
    cluster.message(0, 1, { type: 'invite', announcement });
    cluster.message(0, 1, assigning({ assigns: [declined, second] }));
    assert.deepEqual(
      cluster.effects('run').map(({ order }) => order.execution),
      [second.record.body.execution],
    );
  });

  it('that another job’s leader shows is not turned down for its own', () => {
    const other = admitted(jobWith(), [1, 2, 3], { nonce: 'e'.repeat(32) });
    const { spec, admission } = other;
    const cluster = executor();
    cluster.message(0, 1, assigning({ spec, admission }));
    cluster.message(0, 1, { type: 'invite', announcement });
    cluster.message(0, 1, assigning());
    assert.equal(cluster.effects('run').length, 1);
  });

  it('is remembered as turned down among the last thousand', () => {
    const large = admitted(jobWith({ Count: 1_100 }), [1, 2, 3], { nonce: 'c'.repeat(32) });
    const { spec, admission } = large;
    const cluster = executor();
    const assigns = Array.from({ length: 1_100 }, (_, partition) =>
      committed(large, assignOf(large, { node: 0, partition })),
    );
    cluster.message(0, 1, assigning({ spec, admission, assigns }));
    assert.equal(cluster.machine(0).sizes()['declined'], 1_024);
  });

  it('that comes again leaves what is held for the next one', () => {
    const cluster = running();
    cluster.message(0, 1, { type: 'invite', announcement });
    cluster.message(0, 1, assigning());
    assert.equal(cluster.machine(0).inspect().holds.length, 1);
    cluster.message(0, 1, assigning({ assigns: [second] }));
    assert.equal(cluster.effects('run').length, 2);
  });

  it('of more than there is room for is taken up as far as there is', () => {
    const many = admitted(jobWith({ Count: 6 }), [1, 2, 3], { nonce: 'd'.repeat(32) });
    const { spec, admission } = many;
    const cluster = executor();
    const about = { ...announcement, job: spec.body.job, spec, admission };
    cluster.message(0, 1, { type: 'invite', announcement: about });
    const assigns = Array.from({ length: 6 }, (_, partition) =>
      committed(many, assignOf(many, { node: 0, partition })),
    );
    cluster.message(0, 1, assigning({ spec, admission, assigns }));
    assert.equal(cluster.effects('run').length, 4);
    const refused = cluster.messages('not-started').map(({ message }) => message.refusals[0]?.code);
    assert.deepEqual(refused, ['busy', 'busy']);
  });

  it('that comes again is confirmed again and runs once', () => {
    const cluster = running();
    const effects = cluster.message(0, 1, assigning());
    assert.deepEqual(
      effects.map(({ type }) => type),
      ['send'],
    );
    assert.equal(cluster.effects('run').length, 1);
  });

  it('that comes after its job was closed is not started', () => {
    const cluster = running();
    cluster.message(0, 1, { type: 'closed', job: id, close: committed(job, closeOf(job)) });
    cluster.message(0, 1, { type: 'invite', announcement });
    assert.deepEqual(cluster.message(0, 1, assigning({ assigns: [second] })), []);
    assert.equal(cluster.effects('run').length, 1);
  });

  const otherSpec = specOf(jobWith({ Count: 3 }), { nonce: 'f'.repeat(32) });
  const bad: Readonly<Record<string, readonly [string, Partial<MessageOf<'assign'>>, number?]>> = {
    'from a keeper that does not lead': ['wrong-signer', {}, 2],
    'from a stranger': ['wrong-signer', {}, 9],
    'with too few votes for its admission': [
      'bad-certificate',
      { admission: certify(job.admission.record, 'admission', [1], job.epoch) },
    ],
    'with the admission of another spec': ['contradiction', { spec: otherSpec }],
    'with a forged spec': [
      'bad-signature',
      { spec: { ...job.spec, body: { ...job.spec.body, spec: jobWith() } } },
    ],
    'with a grant without a majority': [
      'bad-certificate',
      { grant: certify(grantOf(job, later, 2), 'grant', [2], later) },
      2,
    ],
    'with a grant to somebody else': ['wrong-signer', { grant: granted(later, 2) }, 3],
    'with a forged grant': [
      'bad-certificate',
      {
        grant: { ...granted(later, 2), record: forge(grantOf(job, later, 3), nodeKey(2)) },
      },
      2,
    ],
  };
  for (const [what, [code, change, from = 1]] of Object.entries(bad)) {
    it(`${what} is refused and changes nothing`, () => {
      const cluster = bidder();
      const before = state(cluster.machine(0).inspect());
      const effects = cluster.message(0, from, assigning(change));
      assert.deepEqual(refusals(effects), [code]);
      assert.equal(effects.length, 1);
      assert.deepEqual(state(cluster.machine(0).inspect()), before);
    });
  }

  const elsewhere = committed(job, assignOf(job, { node: 5 }));
  const renamed = assignOf(job, { node: 0 });
  const misnamed: Signed<'assign'> = assignOf(job, { node: 0, attempt: 1 });
  const worthless: Readonly<Record<string, readonly [string, Certified<'assign'>]>> = {
    'with too few votes': ['bad-certificate', certify(renamed, 'assign/1/0/0', [1], job.epoch)],
    'voted for in another slot': [
      'bad-certificate',
      certify(renamed, 'assign/1/0/1', [1, 2], job.epoch),
    ],
    'with votes under two epochs': [
      'bad-certificate',
      {
        record: renamed,
        votes: [
          ...certify(renamed, 'assign/1/0/0', [1], job.epoch).votes,
          ...certify(renamed, 'assign/1/0/0', [2], later).votes,
        ],
      },
    ],
    'proposed by a node that is no keeper': [
      'not-keeper',
      committed(job, assignOf(job, { node: 0, by: 7 })),
    ],
    'for another node': ['contradiction', elsewhere],
    'of another job': [
      'contradiction',
      (() => {
        const foreign = admitted(jobWith(), [1, 2, 3], { nonce: 'e'.repeat(32) });
        return committed(foreign, assignOf(foreign, { node: 0 }));
      })(),
    ],
    'whose execution id is not what it says': [
      'contradiction',
      committed(job, resealed(misnamed, first.record)),
    ],
  };
  for (const [what, [code, value]] of Object.entries(worthless)) {
    it(`${what} is refused and not started`, () => {
      const cluster = bidder();
      const effects = cluster.message(0, 1, assigning({ assigns: [value] }));
      assert.deepEqual(refusals(effects), [code]);
      assert.deepEqual(
        sends(effects).map(({ type }) => type),
        ['not-started'],
      );
      assert.equal(cluster.effects('run').length, 0);
      const rows = cluster.effects('persist').flatMap(({ writes }) => writes);
      assert.deepEqual(
        rows.filter(({ table }) => table !== 'counts'),
        [],
      );
    });
  }

  it('of an expired spec is refused without fault', () => {
    const cluster = bidder();
    cluster.now += job.spec.body.notAfter - WALL;
    assert.deepEqual(
      cluster.message(0, 1, assigning()).filter(({ type }) => type === 'refuse'),
      [{ type: 'refuse', from: idOf(1), code: 'expired', fault: false }],
    );
  });

  it('under a lower epoch than one seen before is refused', () => {
    const cluster = running();
    cluster.message(0, 2, { type: 'leads', job: id, epoch: later, grant: granted(later, 2) });
    const again = { ...announcement, leader: idOf(2), grant: granted(later, 2) };
    cluster.message(0, 2, { type: 'invite', announcement: again });
    assert.deepEqual(refusals(cluster.message(0, 1, assigning({ assigns: [second] }))), [
      'outdated-epoch',
    ]);
    assert.equal(cluster.effects('run').length, 1);
    const effects = cluster.message(
      0,
      2,
      assigning({ assigns: [second], grant: granted(later, 2) }),
    );
    assert.deepEqual(
      sends(effects).map(({ type }) => type),
      ['started'],
    );
  });

  it('under a lower epoch is refused also after a restart', () => {
    const cluster = running();
    cluster.message(0, 2, { type: 'leads', job: id, epoch: later, grant: granted(later, 2) });
    cluster.restart(0);
    cluster.message(0, 1, { type: 'invite', announcement });
    assert.deepEqual(refusals(cluster.message(0, 1, assigning({ assigns: [second] }))), [
      'outdated-epoch',
    ]);
  });
});

/** `record` with the execution id of another, signed anew by the same keeper. */
function resealed(record: Signed<'assign'>, other: Signed<'assign'>): Signed<'assign'> {
  const body = { ...record.body, execution: other.body.execution };
  return suiteOf(1).seal('assign', body, record.hlc, 'node');
}

describe('a new leader', () => {
  it('is obeyed with the proof of a majority', () => {
    const cluster = running();
    cluster.message(0, 2, { type: 'leads', job: id, epoch: later, grant: granted(later, 2) });
    assert.deepEqual(cluster.machine(0).inspect().executions[0]?.epoch, later);
  });

  it('is not obeyed without it', () => {
    const cluster = running();
    for (const grant of [null, certify(grantOf(job, later, 2), 'grant', [2], later)]) {
      cluster.message(0, 2, { type: 'leads', job: id, epoch: later, grant });
      assert.deepEqual(cluster.machine(0).inspect().executions[0]?.epoch, job.epoch);
    }
  });
});

describe('a running execution', () => {
  const own = first.record.body.execution;
  const ran = committed(job, acceptOf(job, stateOf(first.record, 0, { phase: 'completed' })));
  const replaced = assignOf(job, { node: 5, attempt: 1 });
  const other = committed(job, acceptOf(job, stateOf(replaced, 5, { phase: 'completed' })));
  const elsewhere = committed(
    job,
    acceptOf(job, stateOf(second.record, 0, { phase: 'completed' })),
  );
  const cancel = (because: MessageOf<'cancel'>['because']): MessageOf<'cancel'> => ({
    type: 'cancel',
    job: id,
    execution: own,
    because,
  });
  const cancels = (because: MessageOf<'cancel'>['because']) => {
    const cluster = running();
    const codes = refusals(cluster.message(0, 9, cancel(because)));
    return { codes, cancelled: cluster.effects('cancel-run').length };
  };

  it('is stopped by the proof that another result was accepted, whoever brings it', () => {
    assert.deepEqual(cancels(other), { codes: [], cancelled: 1 });
  });

  it('is stopped by the proof that its job is closed', () => {
    assert.deepEqual(cancels(committed(job, closeOf(job))), { codes: [], cancelled: 1 });
    const cluster = running();
    cluster.message(0, 9, { type: 'closed', job: id, close: committed(job, closeOf(job)) });
    assert.equal(cluster.effects('cancel-run').length, 1);
  });

  const unjust = {
    'its own accepted result': [ran, 'contradiction'],
    'the result of another partition': [elsewhere, 'contradiction'],
    'an assignment': [committed(job, replaced), 'contradiction'],
    'a close with too few votes': [
      certify(closeOf(job), 'close/1', [1], job.epoch),
      'bad-certificate',
    ],
    'a close that a stranger wrote': [
      committed(job, forge(closeOf(job), nodeKey(9))),
      'not-keeper',
    ],
  } as const;
  for (const [what, [because, code]] of Object.entries(unjust)) {
    it(`is not stopped by ${what}`, () =>
      assert.deepEqual(cancels(because), { codes: [code], cancelled: 0 }));
  }

  it('is not stopped by a false close', () => {
    const cluster = running();
    const close = certify(closeOf(job), 'close/1', [1], job.epoch);
    assert.deepEqual(refusals(cluster.message(0, 9, { type: 'closed', job: id, close })), [
      'bad-certificate',
    ]);
    assert.equal(cluster.effects('cancel-run').length, 0);
  });

  it('reports what it does to the leader and how it ended to every keeper, until W have it', () => {
    const cluster = running();
    const to = (): readonly string[] => cluster.messages('states').map((sent) => sent.to);
    cluster.report(0, own, DONE.slice(0, 1));
    assert.deepEqual(to(), [idOf(1)]);
    cluster.report(0, own, DONE.slice(1));
    assert.deepEqual(to(), [idOf(1), idOf(1), idOf(2), idOf(3)]);
    const seen = [{ execution: own, sequence: 2 }];
    cluster.message(0, 3, { type: 'states-ack', seen });
    cluster.advance(1_000);
    assert.deepEqual(to().slice(4), [idOf(1), idOf(2)]);
    cluster.message(0, 2, { type: 'states-ack', seen });
    const count = to().length;
    cluster.advance(1_900);
    assert.equal(to().length, count);
  });

  it('never goes back in its phases', () => {
    const cluster = running();
    cluster.report(0, own, [
      { type: 'phase', phase: 'publishing' },
      { type: 'phase', phase: 'preparing' },
    ]);
    assert.equal(cluster.machine(0).inspect().executions[0]?.phase, 'publishing');
    cluster.report(0, own, [...DONE, { type: 'cancelled', output: null }]);
    assert.equal(cluster.machine(0).inspect().executions[0]?.phase, 'completed');
  });

  it('renews its lease with one message for all that one leader leads', () => {
    const cluster = bidder();
    cluster.message(0, 1, assigning({ assigns: [first, second] }));
    cluster.advance(5_000);
    const [renewal, ...more] = cluster.messages('renew');
    assert.deepEqual(more, []);
    assert.equal(renewal?.to, idOf(1));
    assert.equal(renewal?.message.executions.length, 2);
  });

  it('asks the keepers in turn when its leader was silent for two renewals, and goes on telling it', () => {
    const cluster = running();
    cluster.advance(30_000);
    const asked = cluster.messages('renew').map((sent) => sent.to);
    assert.deepEqual([...new Set(asked)].sort(), [idOf(1), idOf(2), idOf(3)]);
    // Only the answers may have been lost: without a renewal it would be taken for lost itself.
    assert.equal(asked.filter((node) => node === idOf(1)).length, 6);
  });
});
