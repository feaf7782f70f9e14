/** Jobs over HTTP: shapes that Bacalhau's clients read, bad input, paging, the history contract. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { asJobId, asPublicKey } from '../../../src/core/record/ids.ts';
import { parseJob } from '../../../src/job/parse.ts';
import { createTestApi, SPEC, type Loose, type TestApi } from './api-server.ts';
import { NODE_A, NODE_B, type FakeJob } from './fake-service.ts';

const RESULT = { cid: 'bafyresult', bytes: 12 };
const OUTPUT = { stdout: 'hello\n', stdoutTruncated: false, stderr: '', stderrTruncated: false };

async function submitted(api: TestApi, changes: object = {}): Promise<FakeJob> {
  const answer = await api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, ...changes } });
  assert.equal(answer.status, 200, answer.text);
  return api.service.jobs.at(-1) as FakeJob;
}

test('a submitted job is answered with its id and the signed receipt, on PUT and on POST', async () => {
  const api = await createTestApi();
  for (const method of ['PUT', 'POST']) {
    const { status, json } = await api.call(method, '/orchestrator/jobs', {
      Job: SPEC,
      Force: false,
      Credential: 'x',
    });
    assert.equal(status, 200);
    assert.match(String(json['JobID']), /^j-[0-9a-f-]{36}$/);
    assert.deepEqual(json['Receipt'], { Keepers: 2, Wanted: 5, Signed: 0, Again: false });
    assert.deepEqual(json['Warnings'], []);
  }
  assert.equal(api.service.submitted[0]?.Task.Engine.Type, 'docker');
});

test('the same idempotency token gives the same job, from the header and from the body', async () => {
  const api = await createTestApi();
  const first = await api.call(
    'PUT',
    '/orchestrator/jobs',
    { Job: SPEC },
    { 'idempotency-key': 'once' },
  );
  const again = await api.call('PUT', '/orchestrator/jobs', {
    Job: SPEC,
    IdempotencyToken: 'once',
  });
  assert.equal(again.json['JobID'], first.json['JobID']);
  const query = await api.call('PUT', '/orchestrator/jobs?idempotency_token=once', { Job: SPEC });
  assert.equal(query.json['JobID'], first.json['JobID']);
  assert.equal(again.json['Receipt']?.['Again'], true);
  assert.equal(api.service.jobs.length, 1);
});

test('the keepers that a job shall have at least are a whole number up to five', async () => {
  const api = await createTestApi();
  for (const MinKeepers of [-1, 1.5, 6, '3', {}]) {
    const { status, json } = await api.call('PUT', '/orchestrator/jobs', { Job: SPEC, MinKeepers });
    assert.deepEqual(
      [status, json['Details']?.['code']],
      [400, 'request-invalid'],
      JSON.stringify(MinKeepers),
    );
    assert.match(String(json['Message']), /^MinKeepers: /);
  }
  assert.equal(api.service.jobs.length, 0);
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC, MinKeepers: 5 });
  assert.deepEqual(api.service.demanded, [5]);
});

test('a spec with several mistakes is refused with all of them and the code of Bacalhau', async () => {
  const api = await createTestApi();
  const { status, json } = await api.call('PUT', '/orchestrator/jobs', {
    Job: { Type: 'cron', Tasks: [] },
  });
  assert.equal(status, 400);
  assert.equal(json['Code'], 'ValidationError');
  assert.equal(json['Component'], 'APIServer');
  assert.equal(json['Details']?.['code'], 'spec-invalid');
  assert.match(String(json['Message']), /Type/);
  assert.match(String(json['Message']), /Tasks/);
  assert.equal(api.service.jobs.length, 0);
});

test('one job has exact nanoseconds, a state in words, and a task that clients may dereference', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const { text, json } = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  assert.match(text, /"CreateTime":1767323046000000000,/);
  const shown = json['Job'];
  assert.equal(shown?.['State']?.['StateType'], 'Pending');
  assert.equal(shown?.['Tasks']?.[0]?.['Engine']?.['Type'], 'docker');
  assert.equal(shown?.['Tasks']?.[0]?.['Publisher']?.['Type'], 'ipfs');
  assert.equal(json['History'], undefined);
  const whole = await api.call('GET', `/orchestrator/jobs/hello?include=history,executions`);
  assert.equal(whole.json['History']?.['NextToken'], '');
  assert.deepEqual(whole.json['Executions'], { NextToken: '', Items: [] });
});

test('a nameless job is shown under its id', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Name: '' });
  const one = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  const list = await api.call('GET', '/orchestrator/jobs');
  assert.equal(one.json['Job']?.['Name'], job.id);
  assert.equal(list.json['Items']?.[0]?.['Name'], job.id);
});

test('what is shown of a job can be submitted again', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const shown = (await api.call('GET', `/orchestrator/jobs/${job.id}`)).json['Job'];
  const again = await api.call('PUT', '/orchestrator/jobs', { Job: shown });
  assert.equal(again.status, 200, again.text);
  assert.deepEqual(api.service.submitted[1]?.Task, api.service.submitted[0]?.Task);
});

test('executions have integer states, output, results and the attempt they replaced', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  job.assign(0, 0, NODE_A);
  job.report('running');
  job.assign(0, 1, NODE_B);
  job.report('completed', { exitCode: 3, result: RESULT, output: OUTPUT }, 0, 1, NODE_B);
  job.accept(0, 1, { exitCode: 3, result: RESULT }, NODE_B);
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/executions`);
  const [first, second] = json['Items'] as never as Record<string, never>[];
  assert.equal(first?.['ComputeState']?.['StateType'], 11);
  assert.equal(first?.['DesiredState']?.['StateType'], 2);
  assert.equal(first?.['NextExecution'], second?.['ID']);
  assert.equal(second?.['ComputeState']?.['StateType'], 9);
  assert.equal(second?.['PreviousExecution'], first?.['ID']);
  assert.equal(second?.['RunOutput']?.['ExitCode'], 3);
  assert.equal(second?.['RunOutput']?.['Stdout'], 'hello\n');
  assert.equal(second?.['PublishedResult']?.['Type'], 'ipfs');
  assert.deepEqual(second?.['AllocatedResources'], {
    Tasks: { main: { CPU: 0.5, Memory: 512000000 } },
  });
});

test('an execution has its job beside it, the evaluation that its submission named, and a result of no type', async () => {
  const api = await createTestApi();
  const answer = await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs.at(-1) as FakeJob;
  job.assign();
  const path = `/orchestrator/jobs/${job.id}`;
  const listed = (await api.call('GET', `${path}/executions`)).json['Items']?.[0];
  const told = (await api.call('GET', `${path}?include=executions`)).json;
  for (const one of [listed, told['Executions']?.['Items']?.[0]]) {
    assert.deepEqual(one?.['Job'], told['Job']);
    assert.equal(one?.['EvalID'], answer.json['EvaluationID']);
    assert.match(String(one?.['EvalID']), /^[0-9a-f-]{36}$/);
    assert.deepEqual(one?.['PublishedResult'], { Type: '' });
  }
});

test('many executions of a large job are listed without it', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Count: 20, Meta: { note: 'x'.repeat(60_000) } });
  for (let partition = 0; partition < 20; partition += 1) job.assign(partition);
  const path = `/orchestrator/jobs/${job.id}/executions`;
  const { json, text } = await api.call('GET', path);
  assert.equal(json['Items']?.length, 20);
  assert.ok(text.length < 100_000, `${text.length} characters`);
  const few = (await api.call('GET', `${path}?limit=2`)).json;
  assert.equal(few['Items']?.[1]?.['Job']?.['ID'], job.id);
});

test('an execution that ran out of the time of its job has failed, in the words of Bacalhau', async () => {
  const api = await createTestApi();
  const Tasks = [{ ...SPEC.Tasks[0], Timeouts: { TotalTimeout: 1 } }];
  const job = await submitted(api, { Tasks });
  job.assign();
  job.report('running');
  job.close('failed', 'total-timeout', 'The job took longer than its TotalTimeout of 1 s.');
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/executions`);
  const state = json['Items']?.[0]?.['ComputeState'];
  assert.equal(state?.['StateType'], 10);
  assert.match(String(state?.['Message']), /^Execution timed out after 1s/);
});

test('the history says in the words of Bacalhau when a job runs and how it ended', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  job.complete();
  job.close('completed');
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/history`);
  const items = json['Items'] as never as readonly {
    readonly Type: string;
    readonly Event: { readonly Details: { readonly NewState?: string } };
  }[];
  const states = (type: string) =>
    items.flatMap((item) => (item.Type === type ? (item.Event.Details.NewState ?? []) : []));
  assert.deepEqual(states('JobLevel'), ['Running', 'Completed']);
  assert.deepEqual(states('ExecutionLevel'), ['AskForBidAccepted', 'Running', 'Completed']);
});

test('what is not found is told in the words and under the component of Bacalhau', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['/orchestrator/jobs/nothing', 'JobStore', /^job not found: nothing/],
    ['/orchestrator/jobs/nothing/executions', 'JobStore', /^job not found: nothing/],
    [
      `/orchestrator/jobs/${job.id}/history?execution_id=e-1234`,
      'JobStore',
      /^execution not found: e-1234/,
    ],
    ['/orchestrator/nodes/nobody', 'NodesManager', /^node not found: nobody/],
  ];
  for (const [path, component, words] of cases) {
    const { status, json } = await api.call('GET', path);
    assert.deepEqual([status, json['Code'], json['Component']], [404, 'NotFound', component]);
    assert.match(String(json['Message']), words);
  }
});

test('a program that fails for want of the network is told so with its end, and no other is', async () => {
  const api = await createTestApi();
  const stderr = "wget: bad address 'example.com'\n";
  const cases = [
    ['Default', 1, stderr, true],
    ['None', 1, stderr, true],
    ['Bridge', 1, stderr, false],
    ['Default', 0, stderr, false],
    ['Default', 1, 'no such file\n', false],
  ] as const;
  for (const [Type, exitCode, text, told] of cases) {
    const job = await submitted(api, { Tasks: [{ ...SPEC.Tasks[0], Network: { Type } }] });
    job.assign();
    job.report('completed', { exitCode, output: { ...OUTPUT, stderr: text } });
    const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/history`);
    const end = json['Items']?.at(-1)?.['Event'];
    const words = new RegExp(
      `exit code 1: it had no network, as .*${Type}\\. Ask for it with Network`,
    );
    assert.equal(words.test(String(end?.['Message'])), told, `${Type} ${exitCode}`);
    assert.equal(end?.['Details']?.['Hint'] !== undefined, told);
  }
});

test('a list has whole jobs in pages of up to 50, and the outline of one that nobody tells of in time', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Priority: 7 });
  const silent = await submitted(api, { Name: 'silent', Priority: 7 });
  job.assign();
  job.close('failed', 'out-of-memory', 'It used 2 GB.');
  const getJob = api.service.getJob.bind(api.service);
  api.service.getJob = (ref, namespace) =>
    ref === silent.id ? new Promise<never>(() => {}) : getJob(ref, namespace);
  const listed = async (): Promise<Loose> =>
    (await api.call('GET', '/orchestrator/jobs')).json['Items'] as Loose;
  const [whole, outline] = await listed();
  assert.deepEqual(whole, (await api.call('GET', `/orchestrator/jobs/${job.id}`)).json['Job']);
  assert.equal(whole?.['State']?.['Message'], 'It used 2 GB.');
  assert.deepEqual([whole?.['Priority'], outline?.['Priority']], [7, 0]);
  assert.equal(outline?.['ID'], silent.id);
  for (let more = 0; more < 49; more += 1) await submitted(api, { Name: `job-${more}` });
  assert.deepEqual(
    [...(await listed())].map(({ Priority }) => Number(Priority)).filter(Boolean),
    [],
  );
});

test('of a daemon a place is shown whose node is away, or does not match it any more', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Type: 'daemon', Count: 0 });
  job.assign(0, 0, NODE_A);
  job.assign(1, 0, NODE_B);
  job.report('running', {}, 0, 0, NODE_A);
  job.report('running', {}, 1, 0, NODE_B);
  const whys = async (): Promise<readonly string[]> => {
    const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/executions`);
    const items = json['Items'] as never as readonly {
      readonly ComputeState: { Message: string };
    }[];
    return items.map(({ ComputeState }) => ComputeState.Message).sort();
  };
  const away = 'nothing is heard of its node; it goes on when the node is back';
  assert.deepEqual(await whys(), ['', away]);
  const failure = { code: 'not-matching', class: 'node', message: 'no match' } as const;
  job.report('running', { retryMs: 0, failure }, 0, 0, NODE_A);
  assert.deepEqual(await whys(), ['no match', away]);
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/executions`);
  const items = json['Items'] as never as readonly { readonly Phase: string }[];
  const phases = items.map(({ Phase }) => Phase);
  assert.ok(phases.includes('resting'), `told as ${phases.join(', ')}`);
});

test('an execution that was replaced without a word counts as failed, one of a stopped job as cancelled', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  job.assign(0, 0);
  job.assign(0, 1);
  const stateOf = async (index: number): Promise<unknown> => {
    const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/executions`);
    return json['Items']?.[index]?.['ComputeState'];
  };
  assert.deepEqual(await stateOf(0), {
    StateType: 10,
    Message: 'nothing was heard of it; attempt 2 replaced it',
  });
  job.stop('enough');
  assert.deepEqual(await stateOf(1), { StateType: 11, Message: 'the job is stopped' });
});

test('results name the accepted CIDs by partition and who holds them', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Count: 2 });
  job.complete(1, { result: { cid: 'bafytwo', bytes: 2 } });
  job.complete(0, { result: { cid: 'bafyone', bytes: 1 } });
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}/results`);
  assert.deepEqual(
    (json['Items'] as never as Record<string, Record<string, unknown>>[]).map((item) => [
      item['Type'],
      item['Params']?.['CID'],
    ]),
    [
      ['ipfs', 'bafyone'],
      ['ipfs', 'bafytwo'],
    ],
  );
  assert.deepEqual(json['Items']?.[0]?.['Params']?.['Holders'], [NODE_A, NODE_B]);
});

test('a service job has no results to list', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Type: 'service' });
  assert.equal((await api.call('GET', `/orchestrator/jobs/${job.id}/results`)).status, 400);
});

test('history keeps its token until all is told and the job is over', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const path = `/orchestrator/jobs/${job.id}/history?limit=2`;
  const first = await api.call('GET', path);
  assert.deepEqual(
    (first.json['Items'] as never as { SeqNum: number }[]).map((item) => item.SeqNum),
    [1, 2],
  );
  const token = String(first.json['NextToken']);
  const empty = await api.call('GET', `${path}&next_token=${token}`);
  assert.deepEqual(empty.json['Items'], []);
  assert.notEqual(empty.json['NextToken'], '', 'nothing new, but the job is not over');
  job.complete();
  job.close('completed');
  const seen: number[] = [];
  let next = String(empty.json['NextToken']);
  for (let page = 0; next !== ''; page += 1) {
    assert.ok(page < 10, 'the token must come to an end');
    const { json } = await api.call('GET', `${path}&next_token=${next}`);
    seen.push(...(json['Items'] as never as { SeqNum: number }[]).map((item) => item.SeqNum));
    next = String(json['NextToken']);
  }
  assert.deepEqual(seen, [3, 4, 5, 6, 7, 8]);
});

test('an event whose record arrives late is told at the end, not lost between pages', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  job.assign();
  const view = job.view();
  const early = job.view().records.committed;
  job.report('running');
  const getJob = api.service.getJob.bind(api.service);
  api.service.getJob = async () => ({ ...view, records: { ...job.view().records, committed: [] } });
  const before = await api.call('GET', `/orchestrator/jobs/${job.id}/history`);
  api.service.getJob = getJob;
  const after = await api.call(
    'GET',
    `/orchestrator/jobs/${job.id}/history?next_token=${String(before.json['NextToken'])}`,
  );
  assert.equal(early.length, 1);
  assert.equal(after.json['Items']?.length, 2);
  assert.equal(after.json['Items']?.[0]?.['Event']?.['Topic'], 'Scheduling');
});

test('history of one execution ends with that execution; types are told apart', async () => {
  const api = await createTestApi();
  const job = await submitted(api, { Count: 2 });
  const execution = job.assign(0);
  job.assign(1);
  job.report('failed', {
    failure: { code: 'out-of-memory', class: 'limit', message: 'It used more than 512 MB.' },
  });
  const one = await api.call(
    'GET',
    `/orchestrator/jobs/${job.id}/history?execution_id=${execution.slice(0, 12)}`,
  );
  assert.equal(one.json['NextToken'], '');
  assert.equal(one.json['Items']?.length, 2);
  const failed = one.json['Items']?.[1]?.['Event'];
  assert.equal(failed?.['Details']?.['IsError'], 'true');
  assert.equal(failed?.['Details']?.['ErrorCode'], 'out-of-memory');
  assert.match(String(failed?.['Details']?.['Hint']), /limit/);
  const jobLevel = await api.call('GET', `/orchestrator/jobs/${job.id}/history?event_type=job`);
  assert.ok(
    (jobLevel.json['Items'] as never as { Type: string }[]).every(
      (item) => item.Type === 'JobLevel',
    ),
  );
});

test('jobs are listed oldest first, filtered by labels, and paged by tokens that carry the order', async () => {
  const api = await createTestApi();
  for (let index = 0; index < 5; index += 1) {
    await submitted(api, { Name: `job-${index}`, Labels: { even: String(index % 2 === 0) } });
  }
  const names = (answer: { json: { Items?: unknown } }): string[] =>
    (answer.json.Items as { Name: string }[]).map((item) => item.Name);
  const all = await api.call('GET', '/orchestrator/jobs?namespace=*');
  assert.deepEqual(names(all as never), ['job-0', 'job-1', 'job-2', 'job-3', 'job-4']);
  assert.equal(all.json['NextToken'], '');
  const even = await api.call(
    'GET',
    '/orchestrator/jobs?labels=even%3Dtrue&labels=bacalhau_canary!%3Dtrue',
  );
  assert.deepEqual(names(even as never), ['job-0', 'job-2', 'job-4']);
  const page = await api.call('GET', '/orchestrator/jobs?limit=2&reverse=true&order_by=created_at');
  assert.deepEqual(names(page as never), ['job-4', 'job-3']);
  const token = String(page.json['NextToken']);
  assert.equal(Buffer.from(token, 'base64url').toString(), 'created_at:Y:2:2');
  const rest = await api.call(
    'GET',
    `/orchestrator/jobs?next_token=${token}&limit=100&reverse=false`,
  );
  assert.deepEqual(names(rest as never), ['job-2', 'job-1']);
});

test('a job that waits says why in words', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const constraint = { Key: 'region', Operator: '=', Values: ['us-west-2'] } as const;
  job.waiting = {
    nodesKnown: 3,
    nodesAnswered: 3,
    refusals: [
      { refusal: { code: 'busy', resource: 'memory', wanted: 4e9, free: 2.1e9 }, nodes: 1 },
      { refusal: { code: 'constraint', constraint, actual: 'eu-central-1' }, nodes: 2 },
    ],
    partitionsWaiting: 1,
    keepersReached: 3,
    keepers: 3,
  };
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  assert.deepEqual(json['Waiting']?.['Explanation'], [
    '2 of 3 nodes: constraint region = us-west-2 does not hold (eu-central-1)',
    '1 of 3 nodes: memory: wants 4 GB, at most 2.1 GB free (busy)',
  ]);
  assert.match(String(json['Job']?.['State']?.['Message']), /us-west-2/);
});

test('a stop that too few keepers have is told with what is missing', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  api.service.pendingStop = {
    signed: 1,
    needed: 2,
    notAfter: Date.UTC(2100, 0),
    refused: { refusal: { code: 'wrong-time', notAfter: 0, wall: 86_400_000 }, keepers: 1 },
  };
  const { json } = await api.call('DELETE', `/orchestrator/jobs/${job.id}`);
  const { Refused, ...pending } = json['Pending'] as Record<string, unknown>;
  assert.deepEqual(pending, { Signed: 1, Needed: 2, Until: '2100-01-01T00:00:00.000Z' });
  assert.match(
    String(Refused),
    /^1 keeper refuses it: .* 1970-01-01 .* over by the clock there, 1970-01-02 /,
  );
});

test('a job whose keepers are away says so, with those that are silent', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const silent = [NODE_A, NODE_B];
  const reseedAfterMs = 60_000;
  job.keepers = { total: 3, nodes: [NODE_A], silent, leader: NODE_A, reseedAfterMs };
  const { json } = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  const keepers = json['Keepers'] ?? assert.fail();
  assert.deepEqual(
    [keepers['Total'], keepers['Wanted'], keepers['Answering'], keepers['Silent']],
    [3, 5, 1, silent],
  );
  const { Message } = json['Job']?.['State'] ?? assert.fail();
  assert.match(String(Message), /waits for keepers: 1 of 3 .* n-Aaaaaaaa \(its leader\)/);
  assert.match(String(Message), /others take over when they stay away for 1m00s$/);
  assert.equal(keepers['Explanation'], Message);
  job.keepers = { ...job.keepers, reseedAfterMs: null };
  const bound = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  assert.match(String(bound.json['Keepers']?.['Explanation']), /policy lets no others take/);
  job.keepers = { ...job.keepers, silent: [NODE_A], reseedAfterMs };
  const other = await api.call('GET', `/orchestrator/jobs/${job.id}`);
  assert.match(String(other.json['Keepers']?.['Explanation']), /another one will lead/);
});

test('stopping: a stopped job again succeeds, a completed one is refused, a reason is kept', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const first = await api.call('DELETE', `/orchestrator/jobs/${job.id}`, { reason: 'enough' });
  assert.equal(first.status, 200);
  assert.notEqual(first.json['EvaluationID'], '');
  assert.equal(job.view().records.commands[0]?.body.reason, 'enough');
  const again = await api.call('DELETE', `/orchestrator/jobs/${job.id}`);
  assert.deepEqual([again.status, again.json['EvaluationID']], [200, '']);
  const other = await submitted(api);
  other.close('completed');
  const refused = await api.call('DELETE', `/orchestrator/jobs/${other.id}`);
  assert.equal(refused.status, 409);
  assert.equal(refused.json['Details']?.['code'], 'job-terminal');
});

test('a dry run shows what would change and submits nothing', async () => {
  const api = await createTestApi();
  const fresh = await api.call('PUT', '/orchestrator/jobs/diff', { Job: SPEC });
  assert.deepEqual(
    [fresh.status, fresh.json['Code']],
    [404, 'NotFound'],
    'clients print the spec then',
  );
  assert.match(String(fresh.json['Message']), /^job not found: hello/);
  await submitted(api);
  const changed = await api.call('PUT', '/orchestrator/jobs/diff', { Job: { ...SPEC, Count: 7 } });
  assert.match(String(changed.json['Diff']), /^- {3}"Count": 1,\n\+ {3}"Count": 7,$/m);
  assert.equal(api.service.jobs.length, 1);
});

test('failures of the node keep their code, status and retry hint', async () => {
  const cases = [
    [
      { code: 'keepers-unreachable', job: asJobId('j-1'), reached: 1, needed: 2 },
      503,
      'ServiceUnavailable',
      'true',
    ],
    [
      { code: 'not-owner', job: asJobId('j-1'), owner: asPublicKey('ff'.repeat(32)) },
      403,
      'Forbidden',
      'false',
    ],
    [{ code: 'job-not-found', ref: 'j-1', asked: 0, silent: [] }, 404, 'NotFound', 'false'],
    [
      { code: 'job-unreachable', job: asJobId('j-1'), asked: 0, silent: [] },
      503,
      'ServiceUnavailable',
      'true',
    ],
    [{ code: 'draining' }, 503, 'ServiceUnavailable', 'true'],
    [{ code: 'store-full' }, 503, 'ResourceExhausted', 'true'],
  ] as const;
  for (const [failure, status, code, retryable] of cases) {
    const api = await createTestApi();
    api.service.fail = new ShoalError(failure);
    const answer = await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
    assert.equal(answer.status, status, failure.code);
    assert.equal(answer.json['Code'], code, failure.code);
    assert.equal(answer.json['Details']?.['code'], failure.code);
    assert.equal(answer.json['Details']?.['retryable'], retryable, failure.code);
  }
});

test('a version that is not known is refused by its number, and running once more answers as Bacalhau does', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const versions = await api.call('GET', `/orchestrator/jobs/${job.id}/versions`);
  assert.equal(versions.json['Items']?.[0]?.['Version'], 1);
  for (const part of ['?', '/executions?', '/history?', '/results?']) {
    const { status, json } = await api.call(
      'GET',
      `/orchestrator/jobs/${job.id}${part}job_version=2`,
    );
    assert.equal(status, 404);
    assert.ok(String(json['Message']).startsWith(`job version 2 not found for job ${job.id}.`));
    assert.deepEqual([json['Code'], json['Component']], ['NotFound', 'JobStore']);
  }
  const path = `/orchestrator/jobs/${job.id}/rerun`;
  const again = await api.call('PUT', path, { JobVersion: 1, Reason: 'why not', Namespace: '' });
  assert.deepEqual(Object.keys(again.json).sort(), [
    'EvaluationID',
    'JobID',
    'JobVersion',
    'Warnings',
  ]);
  assert.deepEqual([again.json['JobID'], again.json['JobVersion']], [job.id, 2]);
  assert.deepEqual(api.service.reruns, [{ version: 1, reason: 'why not' }]);
  assert.equal((await api.call('PUT', path, { JobVersion: 'x' })).status, 400);
});

test('a version or a namespace that no other peer could read is refused before it is asked for', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const path = `/orchestrator/jobs/${job.id}`;
  for (const query of ['job_version=10001', `namespace=${'n'.repeat(1_025)}`])
    for (const part of ['', '/history', '/results']) {
      const answer = await api.call('GET', `${path}${part}?${query}`);
      assert.equal(answer.status, 400);
      assert.match(answer.text, /at most 10000|at most 1024/);
    }
  for (const body of [{ JobVersion: 10_001 }, { Namespace: 'n'.repeat(1_025) }])
    assert.equal((await api.call('PUT', `${path}/rerun`, body)).status, 400);
  assert.equal(api.service.reruns.length, 0);
});

test('the spec of a text is the spec of its JSON', async () => {
  const api = await createTestApi();
  const job = await submitted(api);
  const parsed = parseJob(JSON.stringify(SPEC), { sourceName: 'x' });
  assert.ok(parsed.ok);
  assert.deepEqual(job.view().records.spec.body.spec, parsed.job);
});
