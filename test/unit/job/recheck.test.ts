/** A job that came as a record is held to the rules that a text is held to. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Job, Port, Task } from '../../../src/job/model.ts';
import { formatProblem, PROBLEMS_MAX } from '../../../src/job/problem.ts';
import { problemsOfJob } from '../../../src/job/recheck.ts';
import { jobWith } from '../core/fixtures.ts';
import { jobs } from '../p2p/wire/record-arbitraries.ts';

const said = (job: Job): string => problemsOfJob(job).map(formatProblem).join('\n');
/** The parts as they are given, without a word on whether they fit each other. */
const taskWith = (change: Partial<Task>): Job => {
  const job = jobWith();
  return { ...job, Task: { ...job.Task, ...change } };
};
const port = (change: Partial<Port>): Job =>
  taskWith({
    Network: {
      Type: 'Bridge',
      Domains: [],
      Ports: [{ Name: 'p', Static: 0, Target: 80, HostNetwork: '', ...change }],
    },
  });
const docker = (params: Task['Engine']['Params']): Job =>
  taskWith({ Engine: { Type: 'docker', Params: { Image: 'alpine', ...params } } });
const inputAt = (Target: string): Job =>
  taskWith({
    InputSources: [{ Source: { Type: 'inline', Params: { URL: 'data:,x' } }, Alias: '', Target }],
  });
const local = (Type: string): Job =>
  taskWith({
    InputSources: [{ Source: { Type, Params: { SourcePath: '/etc' } }, Alias: '', Target: '/h' }],
  });
const resultAt = (Name: string, Path: string): Job =>
  taskWith({ Publisher: { Type: 'ipfs', Params: {} }, ResultPaths: [{ Name, Path }] });
const timeouts = (ExecutionTimeout: number): Job =>
  taskWith({ Timeouts: { ExecutionTimeout, QueueTimeout: 0, TotalTimeout: 0 } });
const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
const some = jobWith().Task.resources;

/** [what somebody signed, the job, what is said of it]. */
const RAW: readonly (readonly [string, Job, RegExp])[] = [
  ['no resources beside texts that ask for some', taskWith({ resources: nothing }), /normal form/],
  [
    'less memory than its text says',
    taskWith({ resources: { ...some, memoryBytes: 1 } }),
    /normal/,
  ],
  ['less disk than its text says', taskWith({ resources: { ...some, diskBytes: 1 } }), /normal/],
  ['a million replicas', jobWith({ Count: 1_000_000 }), /expected 0 to 10000/],
  ['a port of the system', port({ Static: 80 }), /expected 0 \(any\) or 1024/],
  ['a host name to listen on', port({ HostNetwork: 'eth0' }), /expected an IP address/],
  ['a port name that adds a variable', port({ Name: 'A=1\nLD_PRELOAD=/x' }), /expected a name of/],
  ['a variable with an equals sign', taskWith({ Env: { 'A=B': 'c' } }), /expected a name without/],
  ['a variable of the node', taskWith({ Env: { BACALHAU_JOB_ID: 'x' } }), /are the node's/],
  ['the node’s variable in the list', docker({ EnvironmentVariables: ['SHOAL_X=1'] }), /node's/],
  ['a timeout beyond the ages', timeouts(Number.MAX_SAFE_INTEGER), /10000000000/],
  ['half a second', timeouts(0.5), /whole number/],
  ['an input over everything', inputAt('/'), /hide the whole file system/],
  ['an input that leads out', inputAt('../../x'), /leads out/],
  ['an input in /proc', inputAt('/x/../proc'), /proc/],
  ['an input without a target', inputAt(''), /missing/],
  ['a result over everything', resultAt('x', '/'), /hide the whole file system/],
  ['a result name that leads out', resultAt('../evil', '/outputs'), /a name for a directory/],
  ['an alias that no node writes', local('local'), /normal form/],
  ['a type in another case', local('LocalDirectory'), /normal form/],
  [
    'an engine in another case',
    taskWith({ Engine: { Type: 'Docker', Params: { Image: 'a' } } }),
    /normal/,
  ],
  ['an image in capitals', docker({ Image: 'a/B' }), /no image reference/],
  ['a list that is a text', docker({ Entrypoint: 'sh' }), /expected/],
  ['half a surrogate pair', jobWith({ Name: '\ud800' }), /surrogate/],
  ['no namespace', jobWith({ Namespace: '' }), /normal form/],
  [
    'a constraint that means nothing',
    jobWith({ Constraints: [{ Key: '', Operator: '=', Values: [] }] }),
    /key is empty/,
  ],
  ['a negative zero', jobWith({ Priority: -0 }), /normal form/],
];

describe('a job of a record', () => {
  it('that a text could have made is sound', () => {
    assert.equal(said(jobWith()), '');
    assert.equal(said(port({ HostNetwork: '0.0.0.0', Static: 8080 })), '');
  });

  for (const [what, job, expected] of RAW) {
    it(`with ${what} is refused`, () => assert.match(said(job), expected));
  }

  it('of any shape that the wire carries never makes the check throw', () => {
    fc.assert(
      fc.property(jobs, (job) => {
        assert.ok(problemsOfJob(job).length <= PROBLEMS_MAX + 1);
      }),
      { numRuns: 300 },
    );
  });
});
