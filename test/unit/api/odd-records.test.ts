/** Records, lists and adverts of others, as odd as the wire lets them be and odder: the API and the command line show them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import fc from 'fast-check';
import { HistoryBook } from '../../../src/api/history.ts';
import { executionsJson } from '../../../src/api/job-json.ts';
import { nanosOf, rfc3339 } from '../../../src/api/times.ts';
import type { JobView, NodeView } from '../../../src/api/service.ts';
import { parseExact } from '../../../src/lib/exact-json.ts';
import { asHlc } from '../../../src/core/record/ids.ts';
import type { Answer, ListedJob, Message } from '../../../src/core/contract/messages.ts';
import type { Signed } from '../../../src/core/record/records.ts';
import { dateTime, msOfNanos } from '../../../src/cli/text.ts';
import { createCli } from '../cli/cli.ts';
import { messageArbitraries } from '../p2p/wire/message-arbitraries.ts';

const odd = fc.constantFrom(0, -0, -1, 0.5, NaN, Infinity, -Infinity, 2 ** 53, 8.64e15 + 1, 1e300);
const names = fc.constantFrom('__proto__', 'constructor', 'toString', 'hasOwnProperty', '', '0');
/** What `JSON.parse` makes of a map with such keys: its own members, whatever they are called. */
const labels = fc
  .dictionary(fc.oneof(names, fc.string()), fc.string({ unit: 'binary' }), { maxKeys: 5 })
  .map((map): Readonly<Record<string, string>> => {
    const entries = Object.entries(map).map(
      ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
    );
    return JSON.parse(`{"__proto__":"x",${['"constructor":"y"', ...entries].join(',')}}`) as Record<
      string,
      string
    >;
  });

const ofType =
  <T extends Answer['type']>(type: T) =>
  (answer: Answer): answer is Extract<Answer, { readonly type: T }> =>
    answer.type === type;
const answers = messageArbitraries.found.map((found: Message) =>
  found.type === 'found' ? found.answer : assert.fail(found.type),
);
const views: fc.Arbitrary<JobView> = fc
  .tuple(answers.filter(ofType('job')), fc.oneof(odd, fc.nat()), labels)
  .map(([{ records, waiting }, time, Labels]) => {
    const spec = records.spec.body.spec;
    return {
      waiting,
      keepers: null,
      current: 2_147_483_647,
      keepersWanted: 0,
      state: 'Running',
      records: {
        ...records,
        spec: {
          ...records.spec,
          hlc: asHlc(time),
          body: {
            ...records.spec.body,
            spec: { ...spec, Labels, Task: { ...spec.Task, Env: Labels, Name: '__proto__' } },
          },
        },
      },
    };
  });
const summaries: fc.Arbitrary<ListedJob[]> = fc
  .array(
    fc
      .tuple(answers.filter(ofType('jobs')), odd, labels)
      .map(([{ jobs }, time, own]) =>
        jobs.map((job) => ({ ...job, createdAt: time, count: time, labels: own, vouched: false })),
      ),
    { maxLength: 3 },
  )
  .map((lists) => lists.flat());
const nodes: fc.Arbitrary<NodeView[]> = fc.array(
  fc.tuple(messageArbitraries.advert, odd, labels).map(([message, number, own]): NodeView => {
    const { body } = message.type === 'advert' ? message.advert : assert.fail(message.type);
    const free = { cpuMillis: number, memoryBytes: number, diskBytes: number, gpus: number };
    return {
      advert: { ...body, labels: own, free, capacity: free },
      self: false,
      connected: true,
      lastSeen: number,
      connectedSince: number,
      latencyMs: number,
      problem: '\u001b[2J',
    } as NodeView;
  }),
  { maxLength: 3 },
);

test('every route and command shows odd records without a defect', async () => {
  const defects: unknown[] = [];
  const cli = await createCli({ onDefect: (error) => defects.push(error) });
  const { service } = cli.api;
  await fc.assert(
    fc.asyncProperty(views, summaries, nodes, async (view, jobs, members) => {
      service.getJob = async () => view;
      service.versions = async () => [view];
      service.listJobs = async () => jobs;
      service.nodes = async () => members;
      const job = '/orchestrator/jobs/j-1234567';
      for (const path of [
        `${job}?include=executions,history`,
        `${job}/executions?order_by=modified_at`,
        `${job}/executions?order_by=__proto__`,
        `${job}/history?limit=1000&since=1`,
        `${job}/results`,
        `${job}/versions`,
        '/orchestrator/jobs?order_by=created_at&labels=__proto__,constructor%3Dy',
        '/orchestrator/jobs?labels=!toString',
        '/orchestrator/nodes?order_by=available_cpu&labels=constructor',
        '/orchestrator/nodes/constructor',
      ]) {
        const answer = await cli.api.call('GET', path);
        assert.ok(answer.status < 500, `${path}: ${answer.text.slice(0, 300)}`);
        parseExact(answer.text);
      }
      for (const args of [
        ['job', 'describe', 'j-1234567'],
        ['job', 'list'],
        ['job', 'executions', 'j-1234567', '--output', 'yaml'],
        ['node', 'list', '--show', 'labels,version,features,capacity'],
      ]) {
        const { code, err } = await cli.run(args);
        assert.equal(code, 0, `${args.join(' ')}: ${err}`);
      }
    }),
    { numRuns: 25, endOnFailure: true },
  );
  assert.deepEqual(defects, []);
});

test('times are shown whatever number they are', () => {
  for (const time of [NaN, Infinity, -Infinity, -1, -0, 0.5, 2 ** 53, 8.64e15 + 1, 1e300]) {
    assert.equal(typeof nanosOf(time), 'bigint');
    assert.match(rfc3339(time), /^\d{4}-\d\d-\d\dT/);
    assert.match(dateTime(time), /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(Z|[+-]\d\d(:\d\d)?)|-)$/);
    assert.match(dateTime(msOfNanos(time)), /^(\d{4}-|-$)/);
  }
});

test('a failure code that is no code of ours ends a command with 1, not with a function', async () => {
  const cli = await createCli();
  for (const code of ['constructor', '__proto__', 'toString', 'no-such-code']) {
    const details = { Message: 'odd', Details: { code, retryable: 'false' } };
    const server = createServer((_request, response) => {
      response.statusCode = 400;
      response.end(JSON.stringify(details));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const ran = await cli.run(['job', 'list', '--api-port', String(address.port)]);
    server.close();
    assert.equal(ran.code, 1, code);
  }
});

test('thirty thousand executions are listed in time that grows with their number', async () => {
  const [view] = fc.sample(views, { numRuns: 1, seed: 1 });
  assert.ok(view);
  const assigned = (partition: number, attempt: number): Signed<'assign'> => {
    const execution = `e-${partition}-${attempt}`;
    return {
      type: 'assign',
      id: execution,
      hlc: 1,
      body: {
        execution,
        node: 'n',
        version: 1,
        partition,
        attempt,
        adopts: null,
        replaces: 'lost',
      },
    } as unknown as Signed<'assign'>;
  };
  const committed = Array.from({ length: 30_000 }, (_, at) => ({
    record: assigned(Math.floor(at / 3), at % 3),
    votes: [],
  }));
  const records = { ...view.records, committed, states: [], commands: [] };
  const from = performance.now();
  const listed = executionsJson({ records, current: 1 } as never);
  const book = new HistoryBook();
  const told = [{ records, current: 1 }] as never;
  for (let poll = 0; poll < 5; poll += 1) book.page(told, book.start, 1_000, () => true);
  // A look at all for each of them takes minutes.
  assert.ok(performance.now() - from < 30_000, `${performance.now() - from} ms`);
  assert.equal(listed.length, 30_000);
  assert.deepEqual(
    listed.slice(0, 3).map((one) => [one.PreviousExecution, one.NextExecution]),
    [
      ['', 'e-0-1'],
      ['e-0-0', 'e-0-2'],
      ['e-0-1', ''],
    ],
  );
});
