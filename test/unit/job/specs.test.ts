/** The four sample specs, one per job type, go through as written. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { Job } from '../../../src/job/model.ts';
import { parseJob, parseJobValue } from '../../../src/job/parse.ts';
import { formatProblem } from '../../../src/job/problem.ts';
import { renderTemplate } from '../../../src/job/template.ts';
import { jobToBacalhau } from '../../../src/job/to-bacalhau.ts';

const VARIABLES = new Map([
  ['query', 'SELECT 1'],
  ['start-time', '2024-01-01'],
  ['end-time', ''],
  ['OpenSearchEndpoint', 'https://search.example.com'],
  ['AccessLogBucket', 'access-logs'],
  ['AWSRegion', 'us-west-2'],
]);

function readSpec(name: string): Job {
  const text = readFileSync(new URL(`../../fixtures/specs/${name}`, import.meta.url), 'utf8');
  const rendered = renderTemplate(text, VARIABLES, name);
  assert.ok(rendered.ok, rendered.ok ? '' : rendered.problems.map(formatProblem).join('\n'));
  const result = parseJob(rendered.text, { sourceName: name });
  assert.ok(result.ok, result.ok ? '' : result.problems.map(formatProblem).join('\n'));
  assert.deepEqual(result.warnings, []);
  return result.job;
}

describe('sample specs', () => {
  for (const name of ['batch.yaml', 'ops.yaml', 'daemon.yaml', 'service.yaml']) {
    it(`${name} is accepted without a warning and comes back from JSON as it was`, () => {
      const job = readSpec(name);
      const again = parseJobValue(JSON.parse(JSON.stringify(jobToBacalhau(job))));
      assert.deepEqual(again, { ok: true, job, warnings: [] });
    });
  }

  it('gives the batch job in full', () => {
    assert.deepEqual(readSpec('batch.yaml'), {
      Name: 'Batch Job Example',
      Namespace: 'default',
      Type: 'batch',
      Priority: 100,
      Count: 2,
      Constraints: [{ Key: 'Operating-System', Operator: '=', Values: ['linux'] }],
      Meta: {
        'Job purpose': 'Provide detailed example of the batch job',
        'Meta purpose': 'Describe the job',
      },
      Labels: { 'Some option': 'Some text', 'Some other option': 'Some other text' },
      Task: {
        Name: 'Important Calculations',
        Engine: {
          Type: 'docker',
          Params: {
            Image: 'alek5eyk/batchjobexample:1.1',
            Parameters: ['python', 'supercalc.py', '5', '/outputs/result.txt'],
            EnvironmentVariables: ['DEFAULT_USER_NAME=root', 'API_KEY=none'],
          },
        },
        Publisher: { Type: 'ipfs', Params: {} },
        Env: {},
        Meta: { 'Task goal': 'show how to create declarative descriptions' },
        InputSources: [
          {
            Source: {
              Type: 'ipfs',
              Params: { CID: 'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V' },
            },
            Alias: '',
            Target: '/data',
          },
        ],
        ResultPaths: [{ Name: 'outputs', Path: '/outputs' }],
        ResourcesConfig: { CPU: '250m', Memory: '1gb', Disk: '100mb', GPU: '0' },
        resources: { cpuMillis: 250, memoryBytes: 1e9, diskBytes: 1e8, gpus: 0 },
        Network: { Type: 'HTTP', Domains: ['example.com', 'ghcr.io'], Ports: [] },
        Timeouts: { ExecutionTimeout: 0, QueueTimeout: 101, TotalTimeout: 301 },
      },
    });
  });

  it('keeps an empty item that a template leaves behind as the empty argument', () => {
    const { Params } = readSpec('ops.yaml').Task.Engine;
    const expected = ['--query', 'SELECT 1', '--start-time', '2024-01-01', '--end-time', ''];
    assert.deepEqual(Params['Parameters'], expected);
  });

  it('normalises == to = and the source that may be written to', () => {
    const daemon = readSpec('daemon.yaml');
    assert.deepEqual(daemon.Constraints, [
      { Key: 'service', Operator: '=', Values: ['WebService'] },
    ]);
    assert.equal(daemon.Count, 0);
    assert.deepEqual(daemon.Task.InputSources[1]?.Source, {
      Type: 'localdirectory',
      Params: { SourcePath: '/data/log-orchestration/state', ReadWrite: true },
    });
  });
});
