/** The story of a job: every event with its reason, the same at each peer that has the records, in pages that miss none. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { ofToken, toToken } from '../../../src/api/history-token.ts';
import { HistoryBook } from '../../../src/api/history.ts';
import type { Place } from '../../../src/api/history.ts';
import type { Told } from '../../../src/api/story.ts';
import type { HistoryJson } from '../../../src/api/types.ts';
import { courseAfter } from '../../../src/core/record/course.ts';
import type { JobRecords } from '../../../src/core/contract/messages.ts';
import type {
  Bodies,
  RecordType,
  ReplacedFor,
  Signed,
  StateBody,
} from '../../../src/core/record/records.ts';
import {
  acceptOf,
  admitted,
  assignOf,
  at,
  closeOf,
  configOf,
  jobWith,
  nextSpec,
  stateOf,
  stopOf,
  suite,
} from '../core/fixtures.ts';

const job = admitted(jobWith(), [1, 2, 3]);

/** The same fact, signed at another moment. */
const timed = <T extends RecordType>({ type, body }: Signed<T>, ms: number): Signed<T> =>
  suite.seal(type, body as Bodies[T], at(ms), 'node');
const recordsWith = (change: Partial<JobRecords>): JobRecords => ({
  spec: job.spec,
  admission: job.admission,
  grant: null,
  commands: [],
  committed: [],
  states: [],
  ...change,
});
const viewOf = (change: Partial<JobRecords>, current?: number): Told => {
  const records = recordsWith(change);
  return { records, current: current ?? records.spec.body.version };
};
const uncertified = (...records: readonly JobRecords['committed'][number]['record'][]) =>
  records.map((record) => ({ record, votes: [] }) as JobRecords['committed'][number]);
const whole = (...views: readonly Told[]): readonly HistoryJson[] => {
  const book = new HistoryBook();
  return book.page(views, book.start, 1_000_000, () => true).items;
};
const texts = (...views: readonly Told[]): readonly string[] =>
  whole(...views).map(({ Event }) => Event.Message);

/** All states of an execution that goes this way, a second after each other. */
function statesOf(
  assign: Signed<'assign'>,
  changes: readonly Partial<StateBody>[],
  fromMs = 1_000,
): readonly [Signed<'state'>, ...Signed<'state'>[]] {
  let last = timed(stateOf(assign, 0, { phase: 'received' }), fromMs);
  const states: [Signed<'state'>, ...Signed<'state'>[]] = [last];
  for (const [index, change] of changes.entries()) {
    const body = { ...last.body, ...change, sequence: index + 1, ...courseAfter(last) };
    last = suite.seal('state', body, at(fromMs + (index + 1) * 1_000), 'node');
    states.push(last);
  }
  return states;
}

const first = timed(assignOf(job, { node: 0 }), 500);
const OOM = { code: 'out-of-memory', class: 'limit', message: 'It used 2 GB.' } as const;
const CRASHES: readonly Partial<StateBody>[] = [
  { phase: 'running' },
  { restarts: 1, retryMs: 1_000, failure: OOM },
  { retryMs: null },
  { restarts: 2, retryMs: 2_000, failure: null, exitCode: 3 },
  { retryMs: null },
];

describe('the story of an execution', () => {
  const runs = statesOf(first, [
    { phase: 'preparing' },
    { phase: 'running' },
    { phase: 'completed', exitCode: 0 },
  ]);
  const view = (state: Signed<'state'> | undefined): Told =>
    viewOf({ committed: uncertified(first), states: state === undefined ? [] : [state] });

  it('has every phase, also for who has its last state alone', () => {
    assert.deepEqual(texts(view(runs.at(-1))), [
      'Job submitted',
      'Job admitted: on disk at 3 of 3 keepers',
      `Assigned to n-${first.body.node.slice(-8)} (attempt 1)`,
      'Job running',
      'Received by the node',
      'Fetching inputs',
      'Running',
      'Completed with exit code 0',
    ]);
  });

  it('says what the result could not hold, before its end', () => {
    const leftOut = ['outputs/pipe: not a file', 'outputs/abs: a link'];
    const ended = statesOf(first, [
      { phase: 'publishing' },
      { phase: 'completed', exitCode: 0, leftOut },
    ]);
    assert.deepEqual(texts(view(ended.at(-1))).slice(-3), [
      'Publishing results',
      'Left out of the result: outputs/pipe: not a file; outputs/abs: a link',
      'Completed with exit code 0',
    ]);
  });

  it('is the same for who asked all the time and for who asks at the end, restarts and their reasons included', () => {
    for (const changes of [CRASHES, [...CRASHES, { phase: 'cancelled' as const }]]) {
      const states = statesOf(first, changes);
      const book = new HistoryBook();
      const heard: HistoryJson[] = [];
      let place: Place = book.start;
      for (const state of states) {
        const { items, next } = book.page([view(state)], place, 100, () => true);
        heard.push(...items);
        place = next;
      }
      assert.deepEqual(heard, whole(view(states.at(-1))));
    }
    const [, , , , , , pause, again] = whole(view(statesOf(first, CRASHES).at(-1)));
    assert.equal(pause?.Event.Message, 'It used 2 GB.; it is started again after 1 s (restart 1)');
    assert.deepEqual(pause?.Event.Details, {
      NodeID: first.body.node,
      Restarts: '1',
      NewState: 'BidAccepted',
      Phase: 'restarting',
      IsError: 'true',
      ErrorCode: 'out-of-memory',
      Hint: 'Raise the limit in the job, or let it use less.',
      Retryable: 'true',
      FailsExecution: 'false',
      Partition: '0',
    });
    assert.equal(again?.Event.Message, 'Started again (restart 1)');
  });

  it('has the last restarts of many, and how many were before', () => {
    const loop = Array.from({ length: 20 }, (_, index) => [
      { restarts: index + 1, retryMs: 1_000, exitCode: 1 },
      { retryMs: null },
    ]).flat();
    const told = texts(view(statesOf(first, [{ phase: 'running' }, ...loop]).at(-1)));
    assert.equal(told.filter((text) => text.startsWith('Its program ended')).length, 8);
    assert.deepEqual(told.slice(6, 8), [
      'Started again 12 times before; no more is told of that',
      'Its program ended with exit code 1; it is started again after 1 s (restart 13)',
    ]);
    assert.equal(told.at(-1), 'Started again (restart 20)');
  });

  it('says why it was told to stop, which is no error', () => {
    const failure = { code: 'job-closed', class: 'node', message: 'job closed' } as const;
    const [end] = whole(view(statesOf(first, [{ phase: 'cancelled', failure }]).at(-1))).slice(-1);
    assert.equal(end?.Event.Message, 'Cancelled: job closed');
    assert.deepEqual(end.Event.Details, {
      NodeID: first.body.node,
      NewState: 'Cancelled',
      Phase: 'cancelled',
      Reason: 'job-closed',
      Partition: '0',
    });
  });
});

describe('an attempt that was given up', () => {
  const second = (replaces: ReplacedFor, adopts?: number) =>
    timed(
      assignOf(job, {
        ...{ node: 4, attempt: 1, replaces },
        ...(adopts === undefined ? {} : { adopts }),
      }),
      9_000,
    );
  const told = (next: Signed<'assign'>, states: readonly Signed<'state'>[] = []) =>
    whole(viewOf({ committed: uncertified(first, next), states })).find(
      ({ ExecutionID, Event }) =>
        ExecutionID === first.body.execution && Event.Topic === 'Execution',
    )?.Event;

  it('is told with the reason that was committed, at that moment', () => {
    const on = `attempt 2 on n-${second('lost').body.node.slice(-8)} takes its place`;
    const reasons: readonly (readonly [ReplacedFor, string, string, string])[] = [
      ['failed', 'Failed', 'failed', 'Given up, as it failed'],
      [
        'lost',
        'Failed',
        'lost',
        `n-${first.body.node.slice(-8)} is lost: nothing was heard of it for a whole lease`,
      ],
      [
        'missed',
        'Cancelled',
        'cancelled',
        'Missed: its node refused it, or did not begin it in time',
      ],
      ['overdue', 'Failed', 'lost', 'Overdue: it ran for longer than it may'],
      ['surplus', 'Cancelled', 'cancelled', 'Surplus: an older replica was back'],
    ];
    for (const [replaces, state, phase, words] of reasons) {
      const event = told(second(replaces));
      assert.equal(event?.Message, `${words}; ${on}`);
      assert.equal(event.Timestamp, new Date(at(9_000)).toISOString());
      assert.deepEqual(
        ['NewState', 'Phase', 'Reason', 'NodeID'].map((name) => event.Details[name]),
        [state, phase, replaces, first.body.node],
      );
    }
  });

  it('is no loss when its node left, but moved', () => {
    const failure = { code: 'draining', class: 'node', message: 'its node is leaving' } as const;
    const states = statesOf(first, [{ phase: 'running' }, { phase: 'cancelled', failure }]);
    const next = second('missed');
    const events = whole(viewOf({ committed: uncertified(first, next), states: states.slice(-1) }));
    const of = events.filter(({ ExecutionID }) => ExecutionID === first.body.execution);
    assert.deepEqual(
      of.slice(-2).map(({ Event }) => Event.Message),
      [
        'Cancelled: its node is leaving',
        `Moved, as its node left; attempt 2 on n-${next.body.node.slice(-8)} takes its place`,
      ],
    );
    assert.ok(of.every(({ Event }) => Event.Details['IsError'] === undefined));
  });

  it('says that one of before is back', () => {
    const third = timed(
      assignOf(job, { node: 0, attempt: 2, replaces: 'surplus', adopts: 0 }),
      12_000,
    );
    const events = whole(viewOf({ committed: uncertified(first, second('lost'), third) }));
    const node = `n-${first.body.node.slice(-8)}`;
    assert.deepEqual(
      events.slice(-2).map(({ Event }) => Event.Message),
      [
        `Surplus: an older replica was back; attempt 1 on ${node} is back and takes its place`,
        `Back on ${node} (attempt 3): it takes its place again`,
      ],
    );
  });
});

describe('the story of a job', () => {
  const joint = timed(configOf(job, [1, 2, 4], [1, 2, 3]), 20_000);
  const alone = timed(configOf(job, [1, 2, 4], []), 21_000);
  const configs = [joint, alone].map((record) => ({ record, votes: [] }));
  const short = (index: number): string =>
    `n-${(assignOf(job, { node: index }).body.node as string).slice(-8)}`;

  it('says who came to keep it and who went, once for each change', () => {
    const [event, ...others] = whole(viewOf({ configs })).slice(2);
    assert.equal(event?.Event.Message, `Keepers changed: ${short(4)} came, ${short(3)} went`);
    assert.deepEqual([event.Time, others], [new Date(at(20_000)).toISOString(), []]);
  });

  it('says when it was re-seeded, and how many of its keepers were gone', () => {
    const next = configOf(job, [3, 4, 5], []);
    const record = timed(
      { ...next, body: { ...next.body, reseeds: { major: 0, minor: 0 } } },
      20_000,
    );
    const [event] = whole(viewOf({ configs: [{ record, votes: [] }] })).slice(2);
    const who = `${short(4)}, ${short(5)} came, ${short(1)}, ${short(2)} went`;
    assert.equal(
      event?.Event.Message,
      `Re-seeded, as too many of its keepers were gone (2 of 3): ${who}`,
    );
  });

  const service = admitted(jobWith({ Type: 'service', Count: 2 }), [1, 2, 3]);
  const later = nextSpec(service.spec, jobWith({ Type: 'service', Count: 2, Labels: { a: 'b' } }));
  const ofLater = { ...service, spec: later };
  const version = suite.seal(
    'version',
    {
      ...{ job: later.body.job, version: 2, fallback: null, message: '' },
      spec: new Uint8Array(),
    },
    at(15_000),
    'node',
  );
  const [olds, news] = [service, ofLater].map((one, index) =>
    [0, 1].map((partition) =>
      timed(assignOf(one, { node: partition, partition }), 1_000 + index * 16_000),
    ),
  ) as [Signed<'assign'>[], Signed<'assign'>[]];
  const upOf = (assigns: readonly Signed<'assign'>[], fromMs: number) =>
    assigns.flatMap((assign, index) =>
      statesOf(assign, [{ phase: 'running' }], fromMs + index * 10_000).slice(-1),
    );
  const base = { admission: service.admission, configs };
  const before = viewOf(
    { ...base, spec: service.spec, committed: uncertified(...olds), states: upOf(olds, 2_000) },
    2,
  );
  const now = viewOf({
    ...base,
    spec: later,
    committed: uncertified(version, ...news),
    states: upOf(news, 18_000),
  });

  it('says of a service when it began to go over to a version, and when that was done', () => {
    const job2 = whole(now).filter(({ Type }) => Type === 'JobLevel');
    assert.deepEqual(
      job2.map(({ Event, Time }) => [Event.Message, Date.parse(Time) - at(0)]),
      [
        ['Version 2 submitted', 2],
        ["Version 2 is the job's", 15_000],
        ['Job running', 17_000],
        [`Keepers changed: ${short(4)} came, ${short(3)} went`, 20_000],
        ['All 2 replicas are of version 2', 29_000],
      ],
    );
    const half = { ...now, records: { ...now.records, states: now.records.states.slice(1) } };
    assert.ok(!texts(half).includes('All 2 replicas are of version 2'));
  });

  it('has each event in one version, also when all are told together', () => {
    const all = whole(before, now);
    assert.deepEqual(whole(now, before), all);
    const messages = all.filter(({ Event }) => Event.Message.startsWith('Keepers changed'));
    assert.deepEqual(
      messages.map(({ JobVersion }) => JobVersion),
      [2],
    );
    assert.ok(all.every(({ SeqNum }, index) => SeqNum === index + 1));
    assert.deepEqual(
      all.map(({ Event }) => Event.Message).toSorted(),
      [...texts(before), ...texts(now)].toSorted(),
    );
  });

  it('tells the stop of the version that it was for', () => {
    const [stop, other] = [2, 1].map((of) =>
      timed(stopOf(service, { version: of, reason: `${of}` }), 40_000),
    );
    assert.ok(stop && other);
    const commands = [stop, other];
    const stopped = (view: Told) =>
      texts({ ...view, records: { ...view.records, commands } }).filter((text) =>
        text.startsWith('Stop'),
      );
    assert.deepEqual(
      [stopped(before), stopped(now)],
      [['Stop requested: 1'], ['Stop requested: 2']],
    );
  });
});

describe('a reader that pages', () => {
  const partitions = [0, 1, 2, 3];
  const assigns = partitions.map((partition) =>
    timed(assignOf(job, { node: partition, partition }), 100 * partition),
  );
  const states = assigns.flatMap((assign) =>
    statesOf(assign, CRASHES, 1_000 + 37 * assign.body.partition),
  );
  const close = timed(closeOf(job), 60_000);
  const values = uncertified(
    ...assigns,
    ...states.slice(0, 3).map((state) => timed(acceptOf(job, state), 50_000)),
    close,
  );
  const all = [...values, ...states];
  type Fact = (typeof all)[number];
  /** Of each execution the latest state. */
  const viewWith = (facts: readonly Fact[]): Told => {
    const latest = new Map<string, Signed<'state'>>();
    for (const fact of facts)
      if (
        'body' in fact &&
        fact.body.sequence >= (latest.get(fact.body.execution)?.body.sequence ?? 0)
      )
        latest.set(fact.body.execution, fact);
    return viewOf({
      committed: facts.filter((fact) => 'record' in fact),
      states: [...latest.values()],
    });
  };
  const complete = viewWith(all);
  const name = ({ ExecutionID, Event }: HistoryJson): string =>
    `${ExecutionID} ${Event.Timestamp} ${Event.Message}`;

  it('hears each event once, in whatever order records come and others read', () => {
    const orders = fc.shuffledSubarray(all, { minLength: all.length });
    const reads = fc.array(fc.record({ facts: fc.nat(5), limit: fc.integer({ min: 1, max: 7 }) }));
    fc.assert(
      fc.property(orders, reads, (order, script) => {
        const book = new HistoryBook();
        const heard: string[] = [];
        let place = book.start;
        let known = 0;
        for (const { facts, limit } of script) {
          known += facts;
          const page = book.page([viewWith(order.slice(0, known))], place, limit, () => true);
          book.page([viewWith(order.slice(0, known))], book.start, 3, () => true);
          heard.push(...page.items.map(name));
          place = ofToken(toToken({ place: page.next, limit })).place;
        }
        for (let isLast = false; !isLast; ) {
          const page = book.page([complete], place, 4, () => true);
          heard.push(...page.items.map(name));
          ({ isLast, next: place } = page);
        }
        assert.deepEqual(heard.toSorted(), whole(complete).map(name).toSorted());
      }),
      { numRuns: 200 },
    );
  });

  it('is told in the order of the story, with the same numbers by every peer that has the records', () => {
    const other = new HistoryBook();
    for (const count of [3, 9, 20])
      other.page([viewWith(all.slice(-count))], other.start, 5, () => true);
    const read: HistoryJson[] = [];
    for (let [place, isLast] = [other.start, false]; !isLast; ) {
      const page = other.page([complete], place, 4, () => true);
      read.push(...page.items);
      ({ isLast, next: place } = page);
    }
    assert.deepEqual(read, whole(complete));
    assert.deepEqual(
      read.map(({ SeqNum }) => SeqNum),
      read.map((_, index) => index + 1),
    );
  });

  it('goes on at a peer that was started again, or another one', () => {
    const before = new HistoryBook();
    const { items, next } = before.page([complete], before.start, 7, () => true);
    const after = new HistoryBook().page([complete], next, 1_000, () => true);
    assert.deepEqual([...items, ...after.items], whole(complete));
    assert.ok(after.isLast);
  });

  it('gets what it wants alone, and never more than it asked for at a time', () => {
    const wanted = ({ Type }: HistoryJson): boolean => Type === 'JobLevel';
    const book = new HistoryBook();
    const page = book.page([complete], book.start, 2, wanted);
    const rest = book.page([complete], page.next, 10, wanted);
    assert.deepEqual([page.items.length, page.isLast], [2, false]);
    assert.deepEqual([...page.items, ...rest.items], whole(complete).filter(wanted));
  });
});

describe('what is remembered of the order', () => {
  const viewFor = (name: string, events: number, first = 0): Told =>
    viewOf({
      spec: { ...job.spec, body: { ...job.spec.body, job: name as never } },
      commands: Array.from(
        { length: events },
        (_, index) =>
          ({ id: `${name}-${first + index}`, hlc: index, body: { reason: 'x' } }) as never,
      ),
    });
  const everything = (book: HistoryBook, view: Told) =>
    book.page([view], book.start, 10, () => true);

  it('is bounded over all jobs', () => {
    const book = new HistoryBook();
    for (let index = 0; index < 20; index += 1) everything(book, viewFor(`job-${index}`, 20_000));
    assert.ok(book.size <= 200_000 + 20_000, `${book.size} events`);
    for (let index = 0; index < 1_200; index += 1) everything(book, viewFor(`small-${index}`, 1));
    assert.ok(book.size <= 3 * 1_000, `${book.size} events of a thousand jobs`);
  });

  it('is bounded for one job of which records come and go for months', () => {
    const book = new HistoryBook();
    for (let month = 0; month < 100; month += 1)
      everything(book, viewFor('long', 1_000, month * 1_000));
    assert.ok(book.size <= 5_000, `${book.size} events`);
    const { next } = book.page([viewFor('long', 1_000, 99_000)], book.start, 2_000, () => true);
    const page = book.page([viewFor('long', 1_000, 99_500)], next, 2_000, () => true);
    assert.equal(page.items.length, 500, 'what is new, once');
  });
});
