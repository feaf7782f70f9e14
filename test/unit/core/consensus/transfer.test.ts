/** A keeper that missed much of a large job gets it page by page, and believes in no end without its results. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MESSAGE_FILL_BYTES } from '../../../../src/core/contract/limits.ts';
import type { Certified } from '../../../../src/core/record/records.ts';
import { closeSlot, slotOf } from '../../../../src/core/record/slot.ts';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import { Cluster, refusals } from '../cluster.ts';
import type { MessageOf } from '../cluster.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  closeOf,
  committed,
  idOf,
  jobWith,
  stateOf,
  suite,
} from '../fixtures.ts';
import { pageFor, snapshotWith, wantedOf } from '../promising.ts';

const COUNT = 200;
const END = closeSlot(1);
/** Nodes 1, 0 and 2 keep the job; node 0 is the machine under test. */
const job = admitted(jobWith({ Count: COUNT }), [1, 0, 2]);
const id = job.spec.body.job;
const close = committed(job, closeOf(job, { outcome: 'completed', code: 'completed' }));
const results = Array.from({ length: COUNT }, (_, partition) => {
  const assign = assignOf(job, { node: 7, partition });
  const ended = stateOf(assign, 7, { phase: 'completed', sequence: 4, exitCode: 0 });
  return [committed(job, assign), committed(job, acceptOf(job, ended))] as const;
});
const all: readonly CertifiedValue[] = [...results.flat(), close];
const whole = snapshotWith(job, { committed: all });
const ledger: MessageOf<'ledger'> = { type: 'ledger', job: id, digest: whole.digest };

function keeper(known: readonly CertifiedValue[] = []): Cluster {
  const cluster = new Cluster({ nodes: 1, program: () => [] });
  cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
  if (known.length > 0) cluster.message(0, 1, { type: 'commit', job: id, values: known });
  return cluster;
}

const slots = (cluster: Cluster): readonly string[] =>
  cluster.job(0).records.committed.map(({ record }) => slotOf(record));

/** The slots of the commits that a keeper was sent. */
const toldTo = (cluster: Cluster, node: number): readonly string[] =>
  cluster.sent
    .flatMap(({ to, message }) =>
      message.type === 'commit' && to === idOf(node) ? message.values : [],
    )
    .map(({ record }) => slotOf(record));

/** Keeper 2 answers what it is asked for. @returns how many pages it gave */
function serve(cluster: Cluster, from = 2, given = 0, snapshot = whole): number {
  for (let count = given; ; count += 1) {
    const wanted = wantedOf(cluster, from)[count];
    if (wanted === undefined) return count - given;
    cluster.message(0, from, pageFor(snapshot, wanted));
  }
}

describe('the end of a completed job', () => {
  it('is not believed before all results that it rests on are here', () => {
    const cluster = keeper(all.slice(0, -3));
    cluster.message(0, 1, { type: 'commit', job: id, values: [close] });
    assert.ok(!slots(cluster).includes(END));
    assert.ok(
      !cluster.messages('commit-ack').some(({ message }) => message.slots.includes(END)),
      'it is told again',
    );
    cluster.message(0, 1, { type: 'commit', job: id, values: all.slice(-3) });
    assert.ok(slots(cluster).includes(END));
  });
});

describe('a keeper that missed a large job', () => {
  it('pulls all of it from another keeper, and its end last', () => {
    const cluster = keeper();
    cluster.message(0, 2, ledger);
    assert.ok(serve(cluster) > 3);
    assert.deepEqual(new Set(slots(cluster)), new Set(all.map(({ record }) => slotOf(record))));
    assert.equal(slots(cluster).at(-1), END);
  });

  it('asks only for what differs', () => {
    const cluster = keeper(results.slice(0, -1).flat());
    cluster.message(0, 2, ledger);
    assert.equal(serve(cluster), 2, 'the last partitions, and the end');
    assert.ok(slots(cluster).includes(END));
  });

  it('goes on where it was when it is told again', () => {
    const cluster = keeper();
    cluster.message(0, 2, ledger);
    const [first] = wantedOf(cluster, 2);
    cluster.message(0, 2, pageFor(whole, first ?? assert.fail('a page is wanted')));
    const lost = wantedOf(cluster, 2).at(-1);
    cluster.message(0, 2, ledger);
    assert.deepEqual(wantedOf(cluster, 2).at(-1), lost);
  });

  it('turns to another keeper when the one that it asks is silent', () => {
    const cluster = keeper();
    cluster.message(0, 2, ledger);
    cluster.message(0, 1, ledger);
    assert.deepEqual(wantedOf(cluster, 1), [], 'one at a time');
    cluster.advance(5_000);
    cluster.message(0, 1, ledger);
    serve(cluster, 1);
    assert.ok(slots(cluster).includes(END));
  });

  it('takes nothing that it did not ask for', () => {
    const cluster = keeper();
    const { snapshot } = whole.digest;
    const page = pageFor(whole, { type: 'page-wanted', job: id, snapshot, chunk: 0, from: 0 });
    for (const from of [2, 9]) cluster.message(0, from, page);
    assert.deepEqual(slots(cluster), []);
    assert.deepEqual(refusals(cluster.message(0, 9, ledger)), ['not-keeper']);
  });

  it('asks for no more than this job can have', () => {
    const cluster = keeper();
    const chunks = whole.digest.chunks.slice(1);
    const other = { ...ledger, digest: { ...whole.digest, chunks } };
    assert.deepEqual(refusals(cluster.message(0, 2, other)), ['contradiction']);
    assert.deepEqual(wantedOf(cluster, 2), []);
  });
});

describe('a keeper that heard of nothing but the end of a job that failed', () => {
  const failure = committed(job, closeOf(job)) as Certified<'close'>;
  const known: readonly CertifiedValue[] = results.slice(1).flat();
  function hearer(): Cluster {
    const cluster = keeper();
    cluster.message(0, 7, { type: 'closed', job: id, close: failure });
    assert.deepEqual(slots(cluster), [END]);
    return cluster;
  }
  /** How often it asked keeper 1 and keeper 2. */
  const asked = (cluster: Cluster): readonly number[] =>
    [1, 2].map(
      (node) => cluster.messages('status-wanted').filter(({ to }) => to === idOf(node)).length,
    );

  it('asks each keeper until that one has told, and not for ever', () => {
    const cluster = hearer();
    cluster.advance(20_000);
    const [first = 0, second = 0] = asked(cluster);
    assert.ok(first >= 3 && second >= 3, `${first} and ${second} times in 20 s`);
    cluster.message(0, 2, { type: 'commit', job: id, values: [...known.slice(0, 2), failure] });
    cluster.advance(20_000);
    const [more = 0, same] = asked(cluster);
    assert.ok(more > first, 'a question or its answer may be lost');
    assert.equal(same, second);
    cluster.advance(60_000);
    const last = asked(cluster);
    cluster.advance(60_000);
    assert.deepEqual(asked(cluster), last);
  });

  it('tells another of the end alone until it has asked, so that the other one asks, too', () => {
    const cluster = hearer();
    const told = (): readonly string[] => {
      const mark = cluster.sent.length;
      cluster.message(0, 1, { type: 'status-wanted', jobs: [id] });
      const answers = cluster.sent.slice(mark).filter(({ to }) => to === idOf(1));
      return answers.map(({ message }) => message.type);
    };
    assert.deepEqual(told(), ['closed']);
    for (const node of [1, 2])
      cluster.message(0, node, {
        type: 'commit',
        job: id,
        values: [...known.slice(0, 2), failure],
      });
    cluster.advance(5_000);
    assert.deepEqual(told(), ['commit']);
  });

  it('tells what it has apart from the end until then: nobody else may have it', () => {
    const cluster = keeper(known.slice(0, 3));
    cluster.message(0, 7, { type: 'closed', job: id, close: failure });
    const mark = cluster.sent.length;
    cluster.message(0, 1, { type: 'status-wanted', jobs: [id] });
    const answers = cluster.sent.slice(mark).filter(({ to }) => to === idOf(1));
    const slots = answers.flatMap(({ message }) =>
      message.type === 'commit' ? message.values.map(({ record }) => slotOf(record)) : [],
    );
    assert.deepEqual(
      slots,
      known.slice(0, 3).map(({ record }) => slotOf(record)),
    );
    assert.equal(answers.at(-1)?.message.type, 'closed');
  });

  it('tells the others what they lack, until they tell of it themselves', () => {
    const cluster = keeper(known.slice(0, 3));
    cluster.message(0, 7, { type: 'closed', job: id, close: failure });
    /** What keeper 2 was told in answer, as slots. */
    const answers = (values: readonly CertifiedValue[]): readonly string[] => {
      const before = toldTo(cluster, 2).length;
      cluster.message(0, 2, { type: 'commit', job: id, values: [...values, failure] });
      return toldTo(cluster, 2).slice(before);
    };
    const slotsOf = (values: readonly CertifiedValue[]): readonly string[] =>
      values.map(({ record }) => slotOf(record));
    const lacks = slotsOf(known.slice(0, 2));
    // What it is told may be lost.
    for (let time = 0; time < 2; time += 1) assert.deepEqual(answers(known.slice(2, 4)), lacks);
    const [, before = 0] = asked(cluster);
    cluster.advance(5_000);
    assert.equal(asked(cluster)[1], before + 1);
    assert.deepEqual(answers(known.slice(0, 4)), []);
    cluster.advance(20_000);
    assert.equal(asked(cluster)[1], before + 1, 'it knows all now');
  });

  it('asks again after a restart, as it has still not heard the rest', () => {
    const cluster = hearer();
    cluster.crash(0);
    cluster.restart(0);
    const before = asked(cluster);
    cluster.advance(5_000);
    assert.deepEqual(
      asked(cluster),
      before.map((times) => times + 1),
    );
    for (const node of [1, 2])
      cluster.message(0, node, {
        type: 'commit',
        job: id,
        values: [...known.slice(0, 2), failure],
      });
    assert.equal(slots(cluster).length, 3);
    cluster.advance(10_000);
    const last = asked(cluster);
    // It is a job like any other that is over now: on the disk, and not asked for after the next start.
    cluster.crash(0);
    cluster.restart(0);
    cluster.advance(20_000);
    assert.deepEqual(asked(cluster), last);
    assert.equal(cluster.machine(0).inspect().jobs.length, 0);
  });

  it('asks on while nobody has told, for a day, and at once who connects', () => {
    const cluster = hearer();
    cluster.advance(600_000);
    const slow = asked(cluster);
    cluster.advance(30_000);
    assert.ok((asked(cluster)[0] ?? 0) <= (slow[0] ?? 0) + 1, 'once in a minute');
    const before = asked(cluster)[1] ?? 0;
    for (let second = 0; second < 20; second += 1) {
      cluster.input(0, { type: 'peer-disconnected', node: idOf(2) });
      cluster.input(0, { type: 'peer-connected', node: idOf(2) });
      cluster.advance(1_000);
    }
    const times = (asked(cluster)[1] ?? 0) - before;
    assert.ok(times >= 3 && times <= 5, `${times} times in 20 s`);
    cluster.advance(86_400_000);
    const last = asked(cluster);
    cluster.advance(600_000);
    assert.deepEqual(asked(cluster), last);
    assert.equal(cluster.machine(0).inspect().jobs.length, 0, 'it is not kept in memory for that');
  });

  it('pulls from another what it misses of a large one', () => {
    const cluster = hearer();
    const all = snapshotWith(job, { committed: [...known, failure] });
    const told: MessageOf<'ledger'> = { type: 'ledger', job: id, digest: all.digest };
    cluster.message(0, 2, told);
    serve(cluster, 2, 0, all);
    assert.equal(slots(cluster).length, known.length + 1);
    const [, before] = asked(cluster);
    cluster.advance(20_000);
    assert.equal(asked(cluster)[1], before, 'it has told');
    // The other one has nothing else to tell.
    cluster.message(0, 1, told);
    const last = asked(cluster);
    cluster.advance(20_000);
    assert.deepEqual(asked(cluster), last);
  });

  it('tells another what that lacks of a large one, until it is known there', () => {
    const cluster = keeper([...known.slice(0, 1), ...known.slice(-1)]);
    cluster.message(0, 7, { type: 'closed', job: id, close: failure });
    const theirs = known.slice(1);
    const few = snapshotWith(job, { committed: [...theirs, failure] });
    const told: MessageOf<'ledger'> = { type: 'ledger', job: id, digest: few.digest };
    cluster.message(0, 2, told);
    const pages = serve(cluster, 2, 0, few);
    assert.equal(slots(cluster).length, known.length + 1);
    const [first = assert.fail()] = known.map(({ record }) => slotOf(record));
    assert.deepEqual(toldTo(cluster, 2), [first]);
    // It was lost, and nothing is fetched for that.
    cluster.message(0, 2, told);
    assert.deepEqual(toldTo(cluster, 2), [first, first]);
    assert.equal(wantedOf(cluster, 2).length, pages);
    const both = snapshotWith(job, { committed: [...known, failure] });
    cluster.message(0, 2, { ...told, digest: both.digest });
    const [, last] = asked(cluster);
    cluster.advance(20_000);
    assert.equal(asked(cluster)[1], last, 'it has told');
  });
});

describe('a keeper that is asked for a page', () => {
  /** It has everything, and told so. */
  function holder(): { cluster: Cluster; snapshot: string } {
    const cluster = keeper(all);
    cluster.message(0, 2, { type: 'status-wanted', jobs: [id] });
    const [told] = cluster.messages('ledger');
    return { cluster, snapshot: told?.message.digest.snapshot ?? assert.fail('it tells') };
  }
  const ask = (snapshot: string, from = 0): MessageOf<'page-wanted'> => ({
    type: 'page-wanted',
    job: id,
    snapshot,
    ...{ chunk: 0, from },
  });
  const pages = (cluster: Cluster) => cluster.messages('page').map(({ message }) => message);

  it('gives no more than fits a message', () => {
    const { cluster, snapshot } = holder();
    cluster.message(0, 2, ask(snapshot));
    const [page] = pages(cluster);
    const bytes = (page?.committed ?? []).flatMap(({ record, votes }) => [record, ...votes]);
    assert.ok(bytes.length > 100);
    assert.ok(bytes.reduce((sum, record) => sum + suite.sizeOf(record), 0) <= MESSAGE_FILL_BYTES);
  });

  it('gives none of another snapshot, to no stranger, and none that there is not', () => {
    const { cluster, snapshot } = holder();
    cluster.message(0, 2, ask('f'.repeat(32)));
    assert.deepEqual(refusals(cluster.message(0, 9, ask(snapshot))), ['not-keeper']);
    assert.deepEqual(refusals(cluster.message(0, 2, ask(snapshot, 100_000))), ['contradiction']);
    assert.deepEqual(pages(cluster), []);
  });

  it('gives so many pages a second, and forgets what nobody asks for any more', () => {
    const { cluster, snapshot } = holder();
    for (let turn = 0; turn < 500; turn += 1) cluster.message(0, 2, ask(snapshot));
    assert.ok(pages(cluster).length <= 400, `${pages(cluster).length} pages`);
    const given = pages(cluster).length;
    cluster.advance(40_000);
    cluster.message(0, 2, ask(snapshot));
    assert.equal(pages(cluster).length, given);
  });
});

describe('a mesh with a large job', () => {
  it('is of one mind about it after a keeper was away', () => {
    const cluster = new Cluster({ nodes: 5 });
    cluster.advance(60_000);
    const small = { cpuMillis: 1, memoryBytes: 1, diskBytes: 0, gpus: 0 };
    cluster.lose = ({ message }) => message.type === 'propose';
    cluster.submit(0, jobWith({ Count: COUNT }, { resources: small }));
    const away = [1, 2, 3, 4].find((node) => cluster.job(node).leading === null) ?? assert.fail();
    cluster.crash(away);
    cluster.lose = () => false;
    cluster.until('it is completed', () => cluster.job(0).state === 'Completed', 60_000);
    // Its leader has given up telling, and the others have it on their disks alone.
    cluster.advance(90_000);
    cluster.restart(away);
    const state = () => cluster.inspect(away).jobs[0]?.state;
    cluster.until('it knows', () => state() === 'Completed', 60_000);
    assert.ok(cluster.job(away).records.committed.length > 2 * COUNT);
    assert.ok(cluster.sent.some(({ to, message }) => to === idOf(away) && message.type === 'page'));
  });
});
