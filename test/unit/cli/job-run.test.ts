/** `job run` and `job validate` against a real port: waiting, exit codes, templates, Ctrl-C. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { FakeJob } from '../api/fake-service.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { asJobId } from '../../../src/core/record/ids.ts';
import { createApiServer } from '../../../src/api/server.ts';
import { apiOptions, SPEC } from '../api/api-server.ts';
import { createCli, runAlone } from './cli.ts';

const stdin = JSON.stringify(SPEC);
const OUT_OF_MEMORY = {
  code: 'out-of-memory',
  class: 'limit',
  message: 'It used more than 512 MB.',
} as const;

test('a job that is completed ends with 0, tells its events on stderr and the outcome on stdout', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.complete();
    job.close('completed');
  };
  const { code, out, err } = await cli.run(['job', 'run'], { stdin });
  const { id } = cli.api.service.jobs[0] as FakeJob;
  assert.equal(code, 0, err);
  assert.match(out, new RegExp(`^Job ${id} is submitted\\.\nJob ${id} is Completed`));
  assert.match(out, /partition 0 on n-Aaaaaaaa: exit code 0/);
  assert.match(err, /^03:04:0\dZ {2}e-[0-9a-f]{8} \[0\] {2}Running Execution {5}Running$/m);
  assert.ok(!err.includes('\u001b'), 'no escape sequence where there is no terminal');
});

test('a program that ends with another code than 0, a failed and a stopped job end with 5 and say why', async () => {
  const cases: readonly (readonly [(job: FakeJob) => void, RegExp])[] = [
    [
      (job) => {
        job.complete(0, { exitCode: 7 });
        job.close('completed');
      },
      /program-failed.*exit code 7/,
    ],
    [
      (job) => {
        job.assign();
        job.report('failed', { failure: OUT_OF_MEMORY });
        job.close('failed', 'attempts-exhausted', 'partition 0: It used more than 512 MB.');
      },
      /job-failed.*512 MB/,
    ],
    [(job) => job.stop('enough'), /job-failed.*Stopped.*enough/],
  ];
  for (const [scenario, expected] of cases) {
    const cli = await createCli();
    cli.api.service.onSubmit = scenario;
    const { code, err } = await cli.run(['job', 'run', '--output', 'json'], { stdin });
    assert.equal(code, 5, err);
    assert.match(err.trim().split('\n').at(-1) ?? '', expected);
  }
});

test('--min-keepers is handed to the peer, whose refusal names the remedy and ends with 4', async () => {
  const cli = await createCli();
  const args = ['job', 'run', '--no-wait', '--min-keepers'];
  assert.equal((await cli.run([...args, '3'], { stdin })).code, 0);
  assert.deepEqual(cli.api.service.demanded, [3]);
  for (const wrong of ['0', '-1', 'many'])
    assert.equal((await cli.run([...args, wrong], { stdin })).code, 2, wrong);
  assert.equal((await cli.run([...args, '6'], { stdin })).code, 2);
  const failure = {
    code: 'too-few-keepers',
    job: null,
    keepers: 1,
    minKeepers: 3,
    peers: 2,
  } as const;
  cli.api.service.fail = new ShoalError(failure);
  const { code, err } = await cli.run([...args, '3'], { stdin });
  assert.equal(code, 4);
  assert.match(err, /would have 1 keepers.*2 peers.*node list/s);
});

test('the exit code of an attempt that was replaced does not count', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.assign(0, 0);
    job.assign(0, 1);
    job.report('completed', { exitCode: 0 }, 0, 1);
    job.accept(0, 1);
    job.report('completed', { exitCode: 9 }, 0, 0);
    job.close('completed');
  };
  assert.equal((await cli.run(['job', 'run'], { stdin })).code, 0);
});

test('--id-only prints the id and nothing else; --wait=false and --no-wait do not wait', async () => {
  const cli = await createCli();
  for (const flags of [
    ['--id-only', '--no-wait'],
    ['--id-only', '--wait=false'],
    ['--id-only=true', '--wait=false'],
  ]) {
    const { code, out, err } = await cli.run(['job', 'run', ...flags], { stdin });
    assert.deepEqual(
      [code, out, err],
      [0, `${cli.api.service.jobs.at(-1)?.id}\n`, ''],
      flags.join(' '),
    );
  }
});

test('JSON gives the state, the exit codes and the results', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.complete(0, { result: { cid: 'bafyone', bytes: 1 } });
    job.close('completed');
  };
  const { code, out } = await cli.run(['job', 'run', '--output', 'json'], { stdin });
  const value = JSON.parse(out);
  assert.equal(code, 0);
  assert.equal(value.State.StateType, 'Completed');
  assert.equal(value.Executions[0].ExitCode, 0);
  assert.equal(value.Results[0].Params.CID, 'bafyone');
});

test('Ctrl-C while waiting names the job, leaves it running and ends with 130', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => job.assign();
  const onErr = (text: string, interrupt: () => void): void => {
    if (text.includes('Assigned')) interrupt();
  };
  const { code, err } = await cli.run(['job', 'run'], { stdin, onErr });
  const job = cli.api.service.jobs[0] as FakeJob;
  assert.equal(code, 130);
  assert.match(err, new RegExp(`${job.id} goes on.*shoal job stop ${job.id}`));
  assert.equal(job.state, 'Running');
});

test('a wait that is too long ends with 4 and the job goes on', async () => {
  const cli = await createCli();
  const { code, err } = await cli.run(['job', 'run', '--wait-timeout', '1', '--output', 'json'], {
    stdin,
  });
  assert.equal(code, 4, err);
  assert.equal(JSON.parse(err).error.code, 'timeout');
  assert.equal(cli.api.service.jobs[0]?.state, 'Pending');
});

test('without a terminal the reason to wait is a line, said once', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.waiting = {
      nodesKnown: 2,
      nodesAnswered: 2,
      refusals: [
        {
          refusal: { code: 'engine-missing', engine: 'docker', detail: 'not installed' },
          nodes: 2,
        },
      ],
      partitionsWaiting: 1,
      keepersReached: 2,
      keepers: 2,
    };
  };
  const onErr = (text: string, interrupt: () => void): void => {
    if (text.includes('Waiting:')) interrupt();
  };
  const { err } = await cli.run(['job', 'run'], { stdin, onErr });
  assert.match(
    err,
    /^Waiting: 2 of 2 nodes: does not support docker: the engine is not available \(not installed\)$/m,
  );
});

test('on a terminal progress is one line that is rewritten and taken away', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => job.assign();
  const onErr = (text: string, interrupt: () => void): void => {
    if (text.includes('Running: 0/1 done, 1 starting')) interrupt();
  };
  const { err } = await cli.run(['job', 'run'], {
    stdin,
    tty: true,
    env: { NO_COLOR: '1' },
    onErr,
  });
  assert.match(err, /\r\u001b\[KRunning: 0\/1 done/);
  assert.match(err, /\r\u001b\[KError: No longer waiting/);
  assert.ok(!err.includes('\u001b[2m'), 'NO_COLOR is heeded');
});

test('escape sequences in what a peer says reach no terminal', async () => {
  const cli = await createCli();
  const evil = 'x\u001b]0;owned\u0007\u001b[2Jy\u202ez';
  cli.api.service.onSubmit = (job) => {
    job.assign();
    job.report('failed', { failure: { ...OUT_OF_MEMORY, message: evil } });
    job.close('failed', 'attempts-exhausted', evil);
  };
  const ran = await cli.run(['job', 'run'], { stdin });
  const described = await cli.run(['job', 'describe', 'hello'], {
    tty: true,
    env: { NO_COLOR: '1' },
  });
  for (const text of [ran.out, ran.err, described.out, described.err]) {
    assert.ok(!/[\u0007\u001b\u202e]/.test(text), JSON.stringify(text));
  }
  assert.match(ran.err, /xyz/);
});

test('a service job is let go when it runs', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.assign();
    job.report('running');
  };
  const { code, out } = await cli.run(['job', 'run'], {
    stdin: JSON.stringify({ ...SPEC, Type: 'service' }),
  });
  assert.equal(code, 0);
  assert.match(out, /is running\. It ends when it is stopped/);
});

test('--follow prints the output of the program and ends with its exit code', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.logLines = [
      { stream: 'stdout', line: 'out\n' },
      { stream: 'stderr', line: 'err\n' },
    ];
    job.complete(0, { exitCode: 3 });
    job.close('completed');
  };
  const { code, out, err } = await cli.run(['job', 'run', '--follow'], { stdin });
  assert.equal(code, 5);
  assert.match(out, /submitted\.\nout\n$/);
  assert.match(err, /^err\n/);
});

test('--dry-run submits nothing and shows the difference', async () => {
  const cli = await createCli();
  const { code, out } = await cli.run(['job', 'run', '--dry-run'], { stdin });
  assert.equal(code, 0);
  assert.match(out, /^\+ {3}"Type": "batch",?$/m);
  assert.equal(cli.api.service.jobs.length, 0);
});

test('templates take -V over -E, name the place of what is missing, and can be left alone', async () => {
  const cli = await createCli();
  const file = 'job.yaml';
  const spec = 'Name: {{.name}}\nType: batch\nTasks:\n  - Name: main\n    Engine: {Type: noop}\n';
  await writeFile(join(cli.cwd, file), spec);
  const both = ['job', 'run', file, '--no-wait', '-E', 'na*', '-V', 'name=from-flag'];
  assert.equal((await cli.run(both, { env: { name: 'from-env' } })).code, 0);
  assert.equal((await cli.run(both.slice(0, -2), { env: { name: 'from-env' } })).code, 0);
  assert.deepEqual(
    cli.api.service.submitted.map(({ Name }) => Name),
    ['from-flag', 'from-env'],
  );
  const two =
    'Name: {{.a}} {{.b}}\nType: batch\nTasks:\n  - Name: main\n    Engine: {Type: noop}\n';
  for (const [words, name] of Object.entries({ 'a=1,b=2,x': '1 2,x', 'a=1,2,b=3=4': '1,2 3=4' })) {
    const run = ['job', 'run', '--no-wait', '--template-vars', words];
    assert.equal((await cli.run(run, { stdin: two })).code, 0, words);
    assert.equal(cli.api.service.submitted.at(-1)?.Name, name);
  }
  const missing = await cli.run(['job', 'run', file]);
  assert.equal(missing.code, 2);
  assert.match(missing.err, /job\.yaml:1:\d+.*name/);
  const literal = {
    stdin: 'Name: "{{.x}}"\nType: batch\nTasks: [{Name: main, Engine: {Type: noop}}]\n',
  };
  assert.equal((await cli.run(['job', 'run', '--no-template', '--no-wait'], literal)).code, 0);
  assert.equal(cli.api.service.submitted.at(-1)?.Name, '{{.x}}');
});

test('validate needs no peer: OK, or every problem with its place, and 2', async () => {
  const good = await runAlone(['job', 'validate'], '/', { stdin });
  assert.deepEqual([good.code, good.out], [0, 'OK\n']);
  const bad = await runAlone(['job', 'validate', '--output', 'json'], '/', {
    stdin: 'Type: cron\nConut: 3\n',
  });
  assert.equal(bad.code, 2);
  const { error } = JSON.parse(bad.err);
  assert.equal(error.code, 'spec-invalid');
  assert.match(error.message, /<stdin>:1:\d+ Type/);
  assert.match(error.message, /<stdin>:2:\d+ Conut/);
});

test('a peer that is restarted is waited for, and the job is seen to its end', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => job.assign();
  const steps: Promise<unknown>[] = [];
  const comeBack = async (): Promise<void> => {
    const job = cli.api.service.jobs[0] as FakeJob;
    job.report('completed', { exitCode: 0 });
    job.accept();
    job.close('completed');
    const again = await createApiServer(cli.api.service, apiOptions({ port: cli.port }));
    after(() => again.stop());
    await again.start();
  };
  const onErr = (text: string): void => {
    if (steps.length === 0 && text.includes('Assigned')) steps.push(cli.api.server.stop());
    if (steps.length === 1 && text.includes('is away')) steps.push(comeBack());
  };
  const { code, err } = await cli.run(['job', 'run'], { stdin, onErr, tty: true });
  assert.equal(code, 0, err);
  assert.equal(steps.length, 2, 'it was away in between');
  await Promise.all(steps);
});

test('a job that nobody who answers knows, or keeps, for a while is waited for', async () => {
  const id = asJobId('j-00000000-0000-8000-8000-000000000000');
  const unanswered = { asked: 1, silent: [] };
  for (const passing of [
    { code: 'job-not-found', ref: id, ...unanswered },
    { code: 'job-unreachable', job: id, ...unanswered },
  ] as const) {
    const cli = await createCli();
    const { service } = cli.api;
    service.onSubmit = (job) => job.assign();
    let steps = 0;
    const onErr = (text: string): void => {
      if (steps === 0 && text.includes('Assigned')) {
        steps = 1;
        service.fail = new ShoalError(passing);
      }
      if (steps !== 1 || !text.includes('Nobody who keeps the job answers')) return;
      steps = 2;
      service.fail = null;
      const job = service.jobs[0] as FakeJob;
      job.report('completed', { exitCode: 0 });
      job.accept();
      job.close('completed');
    };
    const { code, err } = await cli.run(['job', 'run'], { stdin, onErr, tty: true });
    assert.deepEqual([code, steps], [0, 2], err);
  }
});

test('an answer that is lost on the way is asked for again, and makes no second job', async () => {
  const cli = await createCli();
  let connections = 0;
  const proxy = createServer((client: Socket) => {
    connections += 1;
    const peer = connect(cli.port, '127.0.0.1');
    client.pipe(peer);
    client.on('error', () => peer.destroy());
    if (connections > 1) peer.pipe(client);
    else peer.once('data', () => client.destroy());
  });
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  after(() => proxy.close());
  const address = proxy.address();
  assert.ok(typeof address === 'object' && address !== null);
  const args = ['--api-port', String(address.port), 'job', 'run', '--no-wait'];
  const { code, out, err } = await cli.run(args, { stdin });
  assert.equal(code, 0, err);
  assert.match(out, /submitted \(it was already\)/);
  assert.deepEqual([connections, cli.api.service.jobs.length], [2, 1]);
});
