/** Which nodes could run a job, before anybody submits it; and what `job validate` makes of that. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCli, runAlone } from '../cli/cli.ts';
import { SPEC } from './api-server.ts';

const withCpu = (CPU: string): string =>
  JSON.stringify({ ...SPEC, Tasks: [{ ...SPEC.Tasks[0], Resources: { CPU } }] });

test('validate says OK to what a node can run, and gives the reasons when none can', async () => {
  const cli = await createCli();
  const small = await cli.run(['job', 'validate'], { stdin: withCpu('1') });
  assert.deepEqual([small.code, small.out], [0, 'OK\n'], small.err);
  const large = await cli.run(['job', 'validate'], { stdin: withCpu('1000') });
  assert.deepEqual([large.code, large.out], [3, '']);
  assert.match(large.err, /of \d+ nodes?: cpu: wants 1000 cores, the largest has 4 cores in all/);
  const json = await cli.run(['job', 'validate', '-o', 'json'], { stdin: withCpu('1000') });
  assert.deepEqual([json.code, JSON.parse(json.out).fit], [3, 0]);
});

test('what is missing is named by its kind', async () => {
  const cli = await createCli();
  const spec = {
    ...SPEC,
    Constraints: [{ Key: 'region', Operator: '=', Values: ['mars'] }],
    Tasks: [
      {
        ...SPEC.Tasks[0],
        Engine: { Type: 'noop', Params: {} },
        InputSources: [
          { Source: { Type: 's3', Params: { Bucket: 'b', Key: 'k' } }, Target: '/in' },
        ],
      },
    ],
  };
  const { err, code } = await cli.run(['job', 'validate'], { stdin: JSON.stringify(spec) });
  assert.equal(code, 3, err);
  for (const reason of [
    /noop: the engine is not available/,
    /region = mars does not hold/,
    /s3: the input source is not available/,
  ])
    assert.match(err, reason);
});

test('validate needs no peer', async () => {
  const { code, out } = await runAlone(['--api-port', '1', 'job', 'validate'], '/', {
    stdin: withCpu('1000'),
  });
  assert.deepEqual([code, out], [0, 'OK\n']);
});
