/** Specs written for Bacalhau, as they are: they validate, run, and say what they wait for. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { docker, dockerMissing, IMAGE } from '../docker/support.ts';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { root } from './program.ts';

/** Images of that name, with a program in them that does as the spec expects. */
interface Stand {
  readonly image: string;
  readonly program: string;
  readonly script: string;
  readonly change: string;
}
const BATCH: Stand = {
  image: 'alek5eyk/batchjobexample:1.1',
  program: 'python',
  script: '[ "$1" = supercalc.py ] && cat /data > /dev/null && echo "$2 is calculated" > "$3"',
  change: 'ENV PATH=/bin',
};
const OPS: Stand = {
  image: 'expanso/nginx-access-log-processor:1.0.0',
  program: 'process',
  script: '[ "$1" = --query ] && grep -c "$2" /logs/access.log > /outputs/count.txt',
  change: 'ENTRYPOINT ["/bin/process"]',
};
const DAEMON: Stand = {
  image: 'expanso/nginx-access-log-agent:1.0.0',
  program: 'agent',
  script:
    '[ "$1" = --query ] && [ "$AGGREGATE_DURATION" = 10 ] && wc -l < /app/logs/access.log > /app/state/lines; sleep 3600',
  change: 'ENTRYPOINT ["/bin/agent"]',
};
const SERVICE: Stand = {
  image: 'my-kinesis-consumer:latest',
  program: 'consumer',
  script:
    '[ "$1" = -stream-arn ] && [ "$DEFAULT_USER_NAME" = root ] && hostname >> /app/state/runs; sleep 3600',
  change: 'ENTRYPOINT ["/bin/consumer"]',
};
const BATCH_CID = 'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V';
/** The promise of the mesh, from the death of a node until its replica runs elsewhere. */
const REPLACED_MS = 30_000;
const specPath = (name: string): string => join(root, 'test/fixtures/specs', name);

const mesh = await createMesh();

test('the four specs validate with values for their template variables, and no peer is needed', async () => {
  const vars = [
    'query',
    'start-time',
    'end-time',
    'OpenSearchEndpoint',
    'AccessLogBucket',
    'AWSRegion',
  ];
  const values = vars.flatMap((name) => ['-V', `${name}=some-${name.toLowerCase()}`]);
  for (const name of ['batch.yaml', 'ops.yaml', 'daemon.yaml', 'service.yaml']) {
    const { code, stderr } = await mesh.cli(null, ['job', 'validate', specPath(name), ...values]);
    assert.equal(code, 0, `${name}: ${stderr}`);
  }
});

test('a spec whose template variable has no value is refused with the name of the variable', async () => {
  const { code, stderr } = await mesh.cli(null, ['job', 'validate', specPath('ops.yaml')]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /query/);
});

/** @returns how to undo it */
async function importImage(
  directory: string,
  { image, program, script, change }: Stand,
): Promise<() => Promise<void>> {
  const present = await docker('images', '--quiet', image);
  if (present !== '') return async () => {};
  const tar = join(directory, `${program}.tar`);
  const container = await docker('create', IMAGE, 'true');
  try {
    await docker('export', '--output', tar, container);
  } finally {
    await docker('rm', container);
  }
  await mkdir(join(directory, 'image/bin'), { recursive: true });
  const path = join(directory, 'image/bin', program);
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
  await promisify(execFile)('tar', [
    '--append',
    '--file',
    tar,
    '--directory',
    join(directory, 'image'),
    `bin/${program}`,
  ]);
  await docker('import', '--change', change, tar, image);
  return async () => {
    await docker('rmi', image);
  };
}

const offline = (text: string): string =>
  text.replace(/ {4}Network:[\s\S]*?Type: (?:HTTP|Full)\n/, '    Network:\n      Type: None\n');

describe('the batch spec', { skip: await dockerMissing() }, () => {
  let first: Peer;
  let spec: string;
  before(async () => {
    mesh.watchContainers();
    mesh.defer(await importImage(mesh.directory, BATCH));
    first = (await mesh.grow(3))[0] ?? assert.fail('no peer');
    const cid = await first.addContent('some data\n');
    spec = (await readFile(specPath('batch.yaml'), 'utf8')).replace(BATCH_CID, cid);
  });
  test('runs as it is written when it asks for no network', async () => {
    const printed = await mesh.ok(first, ['job', 'run', '-'], offline(spec));
    const id = /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);
    const results = await mesh.results(first, id);
    assert.deepEqual(
      results.map(({ Params }) => [Params.Partition, Params.ExitCode]),
      [
        [0, 0],
        [1, 0],
      ],
    );
    // Both partitions write a file of the same name, so they are kept apart.
    const target = mesh.path('batch');
    await mesh.ok(first, ['job', 'get', id, '--raw', '--output-dir', target]);
    for (const { Params } of results) {
      const file = join(target, Params.ExecutionID, 'outputs/result.txt');
      assert.equal(await readFile(file, 'utf8'), '5 is calculated\n');
    }
  });

  test('with a network that is not offered it waits, says so, and can be stopped', async () => {
    const id = (await mesh.ok(first, ['job', 'run', '-', '--id-only', '--no-wait'], spec)).trim();
    await mesh.until('the description names the network', async () =>
      /3 of 3 nodes: network HTTP is not allowed there/.test(
        await mesh.ok(first, ['job', 'describe', id]),
      ),
    );
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
  });

  test('with a network that is not offered it fails at once when it may not queue', async () => {
    const impatient = spec.replace('QueueTimeout: 101', 'QueueTimeout: 0');
    const { code, stderr } = await mesh.cli(first, ['job', 'run', '-'], impatient);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /3 of 3 nodes: network HTTP is not allowed there/);
  });
});

describe('the ops spec', { skip: await dockerMissing() }, () => {
  test('runs on every peer with the label that it asks for, and on no other', async () => {
    mesh.watchContainers();
    mesh.defer(await importImage(mesh.directory, OPS));
    const logs = mesh.path('logs');
    await mkdir(logs);
    await writeFile(join(logs, 'access.log'), 'GET /a\nGET /b\nPUT /a\n');
    const flags = ['--label', 'service=WebService', '--allow-path', logs];
    const first = mesh.peers[0] ?? (await mesh.add());
    const servers = await Promise.all([mesh.add({ flags }), mesh.add({ flags })]);
    await mesh.joined();
    const text = offline(await readFile(specPath('ops.yaml'), 'utf8'));
    const spec = text.replace('/data/log-orchestration/logs', logs);
    const printed = await mesh.ok(first, ['job', 'run', '-', '-V', 'query=GET'], spec);
    assert.match(printed, /is Completed: All 2 nodes completed it\./);
    const id = /j-[0-9a-f-]{36}/.exec(printed)?.[0] ?? assert.fail(printed);
    const target = mesh.path('ops');
    await mesh.ok(first, ['job', 'get', id, '--output-dir', target]);
    for (const { nodeId } of servers) {
      const file = join(target, `n-${nodeId.slice(-8)}`, 'outputs/count.txt');
      assert.equal(await readFile(file, 'utf8'), '2\n');
    }
  });
});

describe('the daemon spec', { skip: await dockerMissing() }, () => {
  test('runs on a peer with the label that it asks for, on one that is started later, and until it is stopped', async () => {
    mesh.watchContainers();
    const first = mesh.peers[0] ?? (await mesh.add());
    mesh.defer(await importImage(mesh.directory, DAEMON));
    const logs = mesh.path('agent-logs');
    await mkdir(logs);
    await writeFile(join(logs, 'access.log'), 'GET /a\nGET /b\n');
    const state = mesh.path('agent-state');
    await mkdir(state);
    await chmod(state, 0o777);
    const text = offline(await readFile(specPath('daemon.yaml'), 'utf8'))
      .replace('/data/log-orchestration/logs', logs)
      .replace('/data/log-orchestration/state', state);
    // A room of its own: peers of other tests have the label of the spec.
    const spec = text.replace('WebService', 'LogAgent');
    const flags = [
      ...['--label', 'service=LogAgent'],
      ...['--allow-path', logs, '--allow-path', `${state}:rw`],
    ];
    await mesh.add({ flags });
    await mesh.joined();
    const values = ['query', 'OpenSearchEndpoint', 'AccessLogBucket', 'AWSRegion'].flatMap(
      (name) => ['-V', `${name}=some`],
    );
    const id = (await mesh.ok(first, ['job', 'run', '-', '--id-only', ...values], spec)).trim();
    await mesh.inPhase(first, id, 'running', 1);
    await mesh.add({ flags });
    await mesh.joined();
    await mesh.inPhase(first, id, 'running', 2);
    await mesh.until(
      'it has read the logs',
      async () => (await readFile(join(state, 'lines'), 'utf8').catch(() => '')).trim() === '2',
    );
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
    await mesh.inPhase(first, id, 'cancelled', 2);
  });
});

describe('the service spec', { skip: await dockerMissing() }, () => {
  test('waits for a peer with the labels that it asks for, runs there, and elsewhere when that peer is killed', async () => {
    mesh.watchContainers();
    const first = mesh.peers[0] ?? (await mesh.add());
    mesh.defer(await importImage(mesh.directory, SERVICE));
    const logs = mesh.path('consumer-logs');
    await mkdir(logs);
    const state = mesh.path('consumer-state');
    await mkdir(state);
    await chmod(state, 0o777);
    const spec = offline(await readFile(specPath('service.yaml'), 'utf8'))
      .replace('/data/log-orchestration/logs', logs)
      .replace('/data/log-orchestration/state', state);
    const flags = [
      ...['--label', 'Architecture=arm64', '--label', 'region=us-west-2', '--memory', '4GB'],
      ...['--allow-path', logs, '--allow-path', `${state}:rw`],
    ];
    const runs = async (): Promise<number> =>
      (await readFile(join(state, 'runs'), 'utf8').catch(() => '')).split('\n').length - 1;
    const id = (await mesh.ok(first, ['job', 'run', '-', '--id-only', '--no-wait'], spec)).trim();
    await mesh.until('the description says what no node has', async () => {
      const text = await mesh.ok(first, ['job', 'describe', id]);
      return /Architecture = arm64/.test(text) && /region = us-west-2/.test(text);
    });
    await mesh.add({ flags });
    await mesh.joined();
    await mesh.inPhase(first, id, 'running', 1);
    await mesh.until('its program runs', async () => (await runs()) === 1);
    await mesh.add({ flags });
    await mesh.joined();
    const [execution] = await mesh.executions(first, id);
    const { NodeID } = execution ?? assert.fail('nothing runs');
    await mesh.peerOf(NodeID).kill();
    await mesh.until(
      'it runs elsewhere',
      async () =>
        (await mesh.executions(first, id)).some(
          (one) => one.Phase === 'running' && one.NodeID !== NodeID,
        ) && (await runs()) === 2,
      REPLACED_MS,
    );
    await mesh.ok(first, ['job', 'stop', id]);
    await mesh.reaches(first, id, 'Stopped');
    // Its container outlived it: who comes back to a job that was stopped ends it.
    await mesh.peerOf(NodeID).start();
    await mesh.until(
      'nothing of it is left',
      async () => (await docker('ps', '--quiet', '--filter', `ancestor=${SERVICE.image}`)) === '',
    );
  });
});
