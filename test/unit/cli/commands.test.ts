/** The other commands: what they print, what they refuse, and with which exit code. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { baseUrl } from '../../../src/cli/connection.ts';
import { normaliseSwitches } from '../../../src/cli/main.ts';
import { parseExact } from '../../../src/lib/exact-json.ts';
import { apiKey, SPEC } from '../api/api-server.ts';
import type { FakeJob } from '../api/fake-service.ts';
import { createCli, runAlone, type Cli } from './cli.ts';

async function withJob(
  changes: object = {},
): Promise<{ readonly cli: Cli; readonly job: FakeJob }> {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, ...changes } });
  return { cli, job: cli.api.service.jobs[0] as FakeJob };
}

test('job list is a table, CSV, exact JSON or YAML', async () => {
  const { cli, job } = await withJob({ Name: 'a, "b"' });
  const list = async (...flags: string[]): Promise<string> =>
    (await cli.run(['job', 'list', ...flags])).out;
  assert.equal(
    await list(),
    `CREATED               ID          NAME    JOB     TYPE   STATE\n2026-01-02 03:04:06Z  ${job.id.slice(0, 10)}  a, "b"  docker  batch  Pending\n`,
  );
  assert.equal(
    await list('--output', 'csv', '--hide-header'),
    `2026-01-02 03:04:06Z,${job.id.slice(0, 10)},"a, ""b""",docker,batch,Pending\n`,
  );
  const json = await list('--output', 'json');
  assert.match(json, /"CreateTime":1767323046000000000,/);
  assert.equal((parseExact(json) as { ID: string }[])[0]?.ID, job.id);
  assert.match(await list('--output', 'yaml'), /^- ID: j-[^\n]+\n/);
});

test('long names are shortened unless --wide', async () => {
  const { cli } = await withJob({ Name: 'n'.repeat(60) });
  assert.match((await cli.run(['job', 'list'])).out, / n{31}… /);
  assert.match((await cli.run(['job', 'list', '--wide'])).out, / n{60} /);
});

test('a longer list says how to go on', async () => {
  const cli = await createCli();
  for (const Name of ['a', 'b', 'c'])
    await cli.api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, Name } });
  const first = await cli.run(['job', 'list', '--limit', '2', '--output', 'csv', '--hide-header']);
  const token = /--next-token (\S+)/.exec(first.err)?.[1];
  assert.ok(token);
  const second = await cli.run([
    'job',
    'list',
    '--next-token',
    token,
    '--output',
    'csv',
    '--hide-header',
  ]);
  assert.equal(`${first.out}${second.out}`.trim().split('\n').length, 3);
});

test('describe has its sections, and the reasons of a job that waits', async () => {
  const { cli, job } = await withJob();
  job.waiting = {
    nodesKnown: 1,
    nodesAnswered: 1,
    refusals: [{ refusal: { code: 'draining' }, nodes: 1 }],
    partitionsWaiting: 1,
    keepersReached: 1,
    keepers: 3,
  };
  const waiting = await cli.run(['job', 'describe', job.id]);
  assert.match(
    waiting.out,
    /\nWhy it waits\n- job waits for keepers \(1 of 3\)\n- 1 of 1 node: the node is shutting down/,
  );
  job.complete(0, {
    output: { stdout: 'hello\n', stdoutTruncated: true, stderr: '', stderrTruncated: false },
  });
  job.close('completed');
  const { out } = await cli.run(['job', 'describe', 'hello']);
  const titles = out.split('\n\n').map((part) => part.split('\n')[0]);
  const execution = job.executionId(0, 0).slice(0, 10);
  assert.deepEqual(titles, [
    `ID             ${job.id}`,
    'Summary',
    'Job History',
    'Executions',
    `Execution ${execution} History (partition 0 on n-Aaaaaaaa)`,
    'Logs stay until 2026-01-02 04:04:12Z.',
    'Standard Output',
  ]);
  assert.match(out, /Standard Output\nhello\n\.\.\. Output truncated\n$/);
  assert.equal(
    (
      parseExact((await cli.run(['job', 'describe', job.id, '--output', 'json'])).out) as {
        Job: { ID: string };
      }
    ).Job.ID,
    job.id,
  );
});

test('history and executions list everything', async () => {
  const { cli, job } = await withJob();
  job.complete();
  const history = await cli.run([
    'job',
    'history',
    job.id,
    '--event-type',
    'execution',
    '--output',
    'csv',
    '--hide-header',
  ]);
  assert.equal(history.out.trim().split('\n').length, 4);
  const executions = await cli.run(['job', 'executions', job.id, '--hide-header']);
  assert.match(executions.out, /n-Aaaaaaaa {2}3 +Completed {2}Stopped\n$/);
});

test('stop: running, stopped and completed jobs all end with 0; an unknown one with 3', async () => {
  const { cli, job } = await withJob();
  assert.match((await cli.run(['job', 'stop', job.id])).out, /is being stopped/);
  assert.match((await cli.run(['job', 'stop', job.id])).out, /stopped already/);
  const late = await withJob();
  late.cli.api.service.pendingStop = {
    signed: 1,
    needed: 2,
    notAfter: Date.UTC(2100, 0),
    refused: { refusal: { code: 'wrong-time', notAfter: 0, wall: 86_400_000 }, keepers: 1 },
  };
  const recorded = await late.cli.run(['job', 'stop', late.job.id]);
  assert.match(
    recorded.out,
    /is recorded.*1 of the 2 keepers.*1 keeper refuses it: .*doctor.*until 2100-01-01T/,
  );
  assert.equal(recorded.code, 0);
  const other = await withJob();
  other.job.close('completed');
  const done = await other.cli.run(['job', 'stop', other.job.id]);
  assert.deepEqual([done.code, /already Completed/.test(done.out)], [0, true]);
  assert.equal((await other.cli.run(['job', 'stop', other.job.id, '--quiet'])).out, '');
  assert.equal((await cli.run(['job', 'stop', 'j-ffffffff'])).code, 3);
});

test('logs: both streams apart, errors with their code', async () => {
  const { cli, job } = await withJob();
  job.logLines = [
    { stream: 'stdout', line: '\u001b[31mred\u001b[0m\n' },
    { stream: 'stderr', line: 'oops\n' },
  ];
  const piped = await cli.run(['job', 'logs', job.id]);
  assert.deepEqual([piped.code, piped.out, piped.err], [0, '\u001b[31mred\u001b[0m\n', 'oops\n']);
  assert.equal((await cli.run(['job', 'logs', job.id], { tty: true })).out, 'red\n');
  const missing = await cli.run(['job', 'logs', job.id, '-e', 'e-12345678', '--output=json']);
  assert.equal(missing.code, 2, 'logs have no --output');
  const unknown = await cli.run(['job', 'logs', job.id, '-e', 'e-12345678']);
  assert.equal(unknown.code, 3);
  assert.match(unknown.err, /^Error: execution not found: e-12345678/);
});

test('logs are asked for of one version, of the current one or of all', async () => {
  const { cli, job } = await withJob();
  job.assign();
  for (const flags of [[], ['-v', '1'], ['--all-versions']])
    assert.equal((await cli.run(['job', 'logs', job.id, ...flags])).code, 0);
  assert.deepEqual(
    cli.api.service.logRequests.map(({ version, allVersions }) => [version, allVersions]),
    [
      [0, false],
      [1, false],
      [0, true],
    ],
  );
});

test('following logs ends on Ctrl-C with 130, at the source too', async () => {
  const { cli, job } = await withJob();
  job.assign();
  job.logLines = [{ stream: 'stderr', line: 'begun\n' }];
  const onErr = (text: string, interrupt: () => void): void => {
    if (text === 'begun\n') interrupt();
  };
  const { code, err } = await cli.run(['job', 'logs', '-f', job.id], { onErr });
  assert.equal(code, 130);
  assert.match(err, /goes on/);
});

test('nodes: groups of columns, filters, one node, and a group that does not exist', async () => {
  const cli = await createCli();
  const list = await cli.run([
    'node',
    'list',
    '--labels',
    'region=eu',
    '--hide-header',
    '--show',
    'labels,features',
  ]);
  assert.equal(
    list.out,
    'n-Aaaaaaaa (this)  Compute  APPROVED  CONNECTED  region=eu  docker wasm  ipfs inline  ipfs\n',
  );
  assert.match((await cli.run(['node', 'describe', 'n-Bbbbbbbb'])).out, /NodeID: 12D3KooWB/);
  assert.equal((await cli.run(['node', 'describe', 'nobody'])).code, 3);
  const wrong = await cli.run(['node', 'list', '--show', 'beauty']);
  assert.deepEqual([wrong.code, /Groups: labels/.test(wrong.err)], [2, true]);
});

test('agent, config, doctor and version print what the peer says', async () => {
  const cli = await createCli();
  assert.equal((await cli.run(['agent', 'alive'])).out, 'Status: OK\n');
  assert.match((await cli.run(['agent', 'node', '--output', 'json'])).out, /"NodeType":"Compute"/);
  assert.match((await cli.run(['config'])).out, /swarmKey: "\*{8}"/);
  const doctor = await cli.run(['doctor']);
  assert.deepEqual([doctor.code, /warning +engine docker/.test(doctor.out)], [0, true]);
  cli.api.service.doctor = async () => [
    { subject: 'store', level: 'problem', detail: 'read-only', remedy: 'Free the disk.' },
  ];
  assert.equal((await cli.run(['doctor'])).code, 3);
  assert.match((await cli.run(['version'])).out, /0\.1\.0 {3}0\.1\.0\n$/);
});

test('serve hands its flags on as they were given', async () => {
  const cli = await createCli();
  const { code, err } = await cli.run([
    '--api-port',
    '99',
    'serve',
    '--mdns',
    '--label',
    'a=b',
    '--label',
    'c=d',
    '--noop',
    '--no-docker',
    '--data-dir',
    '/x',
  ]);
  assert.equal(code, 0, err);
  assert.deepEqual(cli.started, [
    {
      '--api-port': '99',
      '--mdns': true,
      '--label': ['a=b', 'c=d'],
      '--noop': true,
      '--no-docker': true,
      '--data-dir': '/x',
    },
  ]);
});

test('wrong usage ends with 2 and a hint', async () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [['job', 'rnu'], /Unknown command 'rnu'[^]*Did you mean run\?/],
    [['job', 'run', '--waitt'], /Unknown option '--waitt'[^]*Did you mean --wait\?/],
    [['jbo'], /Did you mean job\?/],
    [['job', 'get'], /missing required argument 'job'/i],
    [['job', 'get', 'a', 'b'], /too many arguments/i],
    [['job', 'list', '--limit'], /argument missing/i],
    [['job', 'list', '--limit', 'abc'], /whole number/],
    [['job', 'list', '--output', 'xml'], /Allowed choices are table, wide, csv, json, yaml, name/],
    [['job', 'list', '--limit', '1', '--limit', '2'], /--limit is given twice/],
    [['--api-port', '1', 'job', 'list', '--api-port', '2'], /--api-port is given twice/],
    [['job', 'describe', 'j-12345'], /at least 6 digits/],
    [['job', 'describe', ''], /Which job/],
    [['--api-port', '70000', 'job', 'list'], /not a port/],
    [['--api-host', 'ftp://x', 'job', 'list'], /not the address/],
    [['job', 'run', '/does/not/exist.yaml'], /does not exist/],
    [['node', 'drain', '--off', '--detach'], /goes with no other flag/],
    [['node', 'drain', '--deadline', 'soon'], /whole number/],
    [['node', 'label', 'room'], /neither KEY=VALUE nor KEY-/],
    [['node', 'label', '=a'], /neither KEY=VALUE nor KEY-/],
  ];
  for (const [args, expected] of cases) {
    const { code, out, err } = await runAlone(args, '/');
    assert.equal(code, 2, `${args.join(' ')}: ${err}`);
    assert.equal(out, '', args.join(' '));
    assert.match(err, expected);
  }
});

test('help goes to stdout and ends with 0', async () => {
  for (const args of [['--help'], ['job', '--help'], ['job', 'run', '--help'], ['help', 'job']]) {
    const { code, out, err } = await runAlone(args, '/');
    assert.deepEqual([code, err], [0, ''], args.join(' '));
    assert.match(out, /^Usage: shoal/);
  }
});

test('no peer ends with 4 and says how to start one; what is no peer is told apart', async () => {
  const server = createServer((_request, response) => response.end('<html>'));
  after(() => server.close());
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const other = await runAlone(['--api-port', String(address.port), 'job', 'list'], '/');
  assert.deepEqual([other.code, /not a shoal peer/.test(other.err)], [4, true], other.err);
  const nobody = await runAlone(['--api-port', '1', 'job', 'list', '--output', 'json'], '/');
  assert.equal(nobody.code, 4);
  const { error } = JSON.parse(nobody.err);
  assert.deepEqual(
    [error.code, error.retryable, error.path, error.hint],
    ['daemon-unreachable', true, '', ''],
  );
  assert.match(error.message, /shoal serve/);
  assert.match((await runAlone(['--api-port', '1', 'version'], '/')).out, /no peer answers/);
});

test('what the peer refuses keeps its code in JSON and becomes the exit code', async () => {
  const cli = await createCli();
  cli.api.service.fail = new ShoalError({ code: 'draining' });
  const refused = await cli.run(['job', 'run', '--output', 'json'], {
    stdin: JSON.stringify(SPEC),
  });
  assert.equal(refused.code, 4);
  assert.equal(JSON.parse(refused.err).error.retryable, true);
  cli.api.service.fail = new TypeError('a defect');
  assert.equal((await cli.run(['job', 'list'])).code, 1);
});

test('the address comes from flags, then SHOAL_, then BACALHAU_ variables; the key goes with it', async () => {
  const cli = await createCli({ apiKeys: [apiKey('secret-key')] });
  const port = String(cli.port);
  assert.equal((await cli.run(['job', 'list'])).code, 3);
  const env = { SHOAL_API_KEY: 'secret-key' };
  assert.equal((await cli.run(['job', 'list'], { env })).code, 0);
  const logs = await cli.run(['job', 'logs', 'nothing'], { env });
  assert.match(logs.err, /job not found: nothing/, 'the websocket carries the key too');
  assert.equal(
    (await cli.run(['job', 'list', '--api-port', port], { env: { ...env, SHOAL_API_PORT: '1' } }))
      .code,
    0,
  );
  assert.equal(
    (
      await runAlone(['job', 'list'], '/', {
        env: { ...env, BACALHAU_API_PORT: port, BACALHAU_API_HOST: 'localhost' },
      })
    ).code,
    0,
  );
  assert.equal(
    (await runAlone(['job', 'list', '--api-host', `http://127.0.0.1:${port}/`], '/', { env })).code,
    0,
  );
});

test('hosts of every form become a base', () => {
  const cases = {
    '0.0.0.0': 'http://127.0.0.1:1234/',
    '::1': 'http://[::1]:1234/',
    '[::1]': 'http://[::1]:1234/',
    host: 'http://host:1234/',
    'https://h/x': 'https://h/x',
  };
  for (const [host, expected] of Object.entries(cases))
    assert.equal(baseUrl(host, '1234').href, expected, host);
});

test('switches may be written with true and false; what comes after -- is left alone', () => {
  assert.deepEqual(
    normaliseSwitches([
      '--wait=false',
      '--raw=true',
      '--raw=false',
      '--label=true',
      '--',
      '--wait=false',
    ]),
    ['--no-wait', '--raw', '--label=true', '--', '--wait=false'],
  );
});

const PROCESS = new URL('./process.ts', import.meta.url).pathname;

async function spawned(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  read: (out: NodeJS.ReadableStream) => void,
): Promise<number | null> {
  const child = spawn(process.execPath, [PROCESS, ...args], {
    env: { PATH: process.env['PATH'] ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (chunk) => (err += String(chunk)));
  read(child.stdout);
  const [code] = await once(child, 'close');
  assert.equal(err, '');
  return code as number | null;
}

test('a reader that has enough ends the command quietly', async () => {
  const { cli, job } = await withJob();
  job.logLines = Array.from({ length: 20_000 }, (_, index) => ({
    stream: 'stdout' as const,
    line: `${index} ${'x'.repeat(80)}\n`,
  }));
  const code = await spawned(
    ['job', 'logs', job.id],
    { SHOAL_API_PORT: String(cli.port) },
    (out) => {
      out.once('data', () => (out as unknown as { destroy(): void }).destroy());
    },
  );
  assert.equal(code, 0);
});

test('the shell is helped: a script for each, and suggestions for commands, flags, jobs, nodes and files', async () => {
  const { cli, job } = await withJob();
  const env = { SHOAL_API_PORT: String(cli.port) };
  const printed = async (...args: string[]): Promise<string> => {
    let out = '';
    assert.equal(
      await spawned(args, env, (stream) => stream.on('data', (chunk) => (out += String(chunk)))),
      0,
      args.join(' '),
    );
    return out;
  };
  for (const shell of ['bash', 'zsh', 'fish', 'powershell'])
    assert.match(await printed('completion', shell), /complete/i, shell);
  assert.match(await printed('complete', '--', 'job', 'd'), /^describe\t/m);
  assert.match(await printed('complete', '--', 'job', 'run', '--dry'), /^--dry-run/m);
  assert.match(
    await printed('complete', '--', 'job', 'describe', ''),
    new RegExp(`^${job.id}\thello Pending\n:4$`, 'm'),
  );
  assert.match(await printed('complete', '--', 'node', 'describe', 'n-B'), /^n-Bbbbbbbb\t/m);
  assert.match(await printed('completion', 'bash'), /^complete -o default -F \S+ shoal\n$/m);
  // `:0` leaves file names to the shell.
  for (const words of [
    ['job', 'run', ''],
    ['cid', 'add', 'x'],
    ['job', 'get', job.id, '--output-dir', ''],
  ])
    assert.equal(await printed('complete', '--', ...words), ':0\n', words.join(' '));
  const nobody = await spawned(
    ['complete', '--', 'job', 'stop', ''],
    { SHOAL_API_PORT: '1' },
    () => {},
  );
  assert.equal(nobody, 0);
});

test('describe names what becomes of executions that are cut off', async () => {
  const { cli, job } = await withJob();
  assert.match((await cli.run(['job', 'describe', job.id])).out, /^Policy +rerun$/m);
  const Meta = { 'shoal/partition-policy': 'wait', 'shoal/lost-after': '10m' };
  const waiting = await withJob({ Meta });
  const { out } = await waiting.cli.run(['job', 'describe', waiting.job.id]);
  assert.match(out, /^Policy +wait, lost after 10m00s$/m);
});

test('describe of a large job counts its executions and shows the newest; the list has them all', async () => {
  const { cli, job } = await withJob({ Count: 1_200 });
  for (let partition = 0; partition < 1_200; partition += 1) job.assign(partition);
  const { out } = await cli.run(['job', 'describe', job.id]);
  assert.match(out, /^Assigned +1200$/m);
  assert.equal(
    out.match(/^Execution e-[0-9a-f]{8} History \(partition \d+ on n-\S+\)$/gm)?.length,
    20,
  );
  assert.match(
    out,
    /1180 older executions are not shown: shoal job executions j-\S+ --limit 1200\n/,
  );
  const listed = async (limit: number) => {
    const flags = ['--limit', String(limit), '--output', 'csv', '--hide-header'];
    const { out: lines, err } = await cli.run(['job', 'executions', job.id, ...flags]);
    return [lines.trim().split('\n').length, err];
  };
  assert.deepEqual(await listed(1_200), [1_200, '']);
  assert.deepEqual(await listed(1_100), [1_100, 'There are more: raise --limit.\n']);
});

test('labels are set, taken away and shown', async () => {
  const cli = await createCli();
  const { code, out } = await cli.run(['node', 'label', 'room=a=b', 'empty=', 'region-']);
  assert.deepEqual([code, out], [0, 'empty=\nroom=a=b\n']);
  assert.equal((await cli.run(['node', 'label'])).out, 'empty=\nroom=a=b\n');
  assert.equal((await cli.run(['node', 'label', 'ro om=a'])).code, 2);
});
