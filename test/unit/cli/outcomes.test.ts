/** How commands tell what came of a job: counts, failures, a peer that is gone, and what is wrong with a spec. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SPEC } from '../api/api-server.ts';
import type { FakeJob } from '../api/fake-service.ts';
import { createCli, runAlone } from './cli.ts';

const stdin = JSON.stringify(SPEC);

test('job get of a failed job fetches what there is, says so and ends with 5', async () => {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, Count: 2 } });
  const job = cli.api.service.jobs[0] as FakeJob;
  job.complete(0, { result: cli.api.service.content.put({ stdout: 'one\n' }) });
  job.close('failed', 'attempts-exhausted', 'partition 1 failed three times');
  const { code, out, err } = await cli.run(['job', 'get', job.id]);
  assert.equal(code, 5);
  assert.match(out, /Results of one execution are in/);
  assert.match(err, /ended Failed: partition 1 failed three times/);
  const empty = await createCli();
  await empty.api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  (empty.api.service.jobs[0] as FakeJob).close('failed', 'spec', 'no such image');
  const none = await empty.run(['job', 'get', SPEC.Name]);
  assert.deepEqual([none.code, /no results/.test(none.out)], [5, true]);
  assert.match(none.err, /no such image/);
});

test('a partition that was tried again counts once', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.complete(0);
    job.assign(1);
    job.report('failed', {}, 1);
    job.assign(1, 1);
  };
  const onErr = (text: string, interrupt: () => void): void => {
    if (/\d\/\d done/.test(text)) interrupt();
  };
  const two = JSON.stringify({ ...SPEC, Count: 2 });
  const { err } = await cli.run(['job', 'run'], { stdin: two, tty: true, onErr });
  assert.match(err, /: 1\/2 done, 1 starting/);
});

test('every variable of a template that has no value is told at once', async () => {
  const spec = 'Name: {{.name}}\nType: batch\nLabels: {a: "{{.one}}{{if .two}}x{{end}}"}\n';
  const { code, err } = await runAlone(['job', 'validate', '-V', 'nam=x'], '/', { stdin: spec });
  assert.equal(code, 2);
  for (const name of ['name', 'one', 'two']) assert.match(err, new RegExp(`-V ${name}=VALUE`));
  assert.match(err, /Did you mean "nam"\?/);
  assert.doesNotMatch(err, /"one"\?/, 'what is missing itself was not meant');
});

test('warnings are told beside errors', async () => {
  const spec = [
    'Name: x',
    'Type: batch',
    'Tasks:',
    '  - Name: main',
    '    Engine: {Type: noop}',
    '    InputSuorces: []',
    '    Timeouts: {ExecutionTimeout: -1}',
  ].join('\n');
  const { code, err } = await runAlone(['job', 'validate'], '/', { stdin: spec });
  assert.equal(code, 2);
  assert.match(err, /ExecutionTimeout/);
  assert.match(err, /InputSuorces/);
});

test('whoever waits at a peer that is gone is told that the job goes on, and how to follow it', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => job.assign();
  const stopped: Promise<unknown>[] = [];
  const onErr = (text: string): void => {
    if (stopped.length === 0 && text.includes('Assigned')) stopped.push(cli.api.server.stop());
  };
  const { code, err } = await cli.run(['job', 'run'], { stdin, onErr });
  await Promise.all(stopped);
  assert.equal(code, 4);
  assert.match(err, /has not answered for 1\d s\. Job j-\S+ goes on without it/);
  assert.match(err, /--api-host HOST job describe j-/);
});

test('run and describe name the CID of each result, and describe how long results and logs stay', async () => {
  const cli = await createCli();
  const results = ['one', 'two'].map((stdout) => cli.api.service.content.put({ stdout }));
  cli.api.service.onSubmit = (job) => {
    for (const [partition, result] of results.entries()) job.complete(partition, { result });
    job.close('completed');
  };
  const ran = await cli.run(['job', 'run'], { stdin: JSON.stringify({ ...SPEC, Count: 2 }) });
  const described = await cli.run(['job', 'describe', SPEC.Name]);
  for (const [partition, { cid }] of results.entries()) {
    assert.match(ran.out, new RegExp(`^Result of partition ${partition}: ${cid}$`, 'm'));
    assert.match(described.out, new RegExp(`^${partition} +${cid} `, 'm'));
  }
  assert.match(described.out, /^Results stay until 2026-01-09 \S+Z\.$/m);
  assert.match(described.out, /^Logs stay until 2026-01-02 04:\S+Z\.$/m);
});

test('events fit a terminal of 80 columns', async () => {
  const cli = await createCli();
  await writeFile(join(cli.cwd, 'job.json'), stdin);
  cli.api.service.onSubmit = (job) => {
    job.assign();
    const failure = { code: 'x', class: 'spec', message: 'so it went, '.repeat(12) } as const;
    job.report('failed', { failure });
    job.close('failed', 'x', 'it failed');
  };
  const flags = { tty: true, columns: 80, env: { NO_COLOR: '1' } };
  const { err } = await cli.run(['job', 'run', 'job.json'], flags);
  const lines = err.split('\n').filter((line) => /^\d\d:|^ {20}/.test(line));
  assert.ok(lines.length > 5, err);
  for (const line of lines) assert.ok(line.length <= 80, `${line.length}: ${line}`);
});
