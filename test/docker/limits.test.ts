/** What a container may not do, looked at from inside it, and what happens at each limit. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import {
  IMAGE,
  createWorkspace,
  docker,
  dockerMissing,
  engineConfig,
  runOf,
  runOnce,
  shortOf,
  until,
} from './support.ts';

const skip = await dockerMissing();
/** Doubles a text until it needs more memory than there is. */
const MEMORY_HOG = 'x=aaaaaaaa; while true; do x=$x$x; done';

test('a program without memory left fails as out-of-memory, not as a plain kill', {
  skip,
}, async () => {
  const ran = await runOnce({ script: MEMORY_HOG, memoryBytes: 32 * 1024 * 1024 });
  assert.equal(shortOf(ran.outcome), 'failed out-of-memory/limit');
  assert.match(ran.outcome.type === 'failed' ? ran.outcome.failure.message : '', /32 MiB/);
});

test('a program that kills itself is not taken for out-of-memory', { skip }, async () => {
  const ran = await runOnce({ script: "sh -c 'kill -9 $$'; exit $?" });
  assert.equal(shortOf(ran.outcome), 'exited 137');
});

test('a program that copes with a helper killed for memory ends with its own code', {
  skip,
}, async () => {
  const ran = await runOnce({
    script: `sh -c '${MEMORY_HOG}'; echo helper $?; exit 0`,
    memoryBytes: 32 * 1024 * 1024,
  });
  assert.equal(shortOf(ran.outcome), 'exited 0');
  assert.equal(ran.stdout, 'helper 137\n');
});

test('the number of processes is limited', { skip }, async () => {
  const ran = await runOnce(
    { script: 'for i in $(seq 60); do sleep 20 & done; echo all', timeoutMs: 10_000 },
    createDockerEngine(engineConfig({ pidsLimit: 16 })),
  );
  assert.match(ran.stderr, /can't fork/);
  assert.doesNotMatch(ran.stdout, /all/);
});

test('there is no network unless the spec asks for one', { skip }, async () => {
  for (const type of ['Default', 'None'] as const) {
    const ran = await runOnce({ script: 'ls /sys/class/net', network: { Type: type } });
    assert.equal(ran.stdout, 'lo\n', type);
  }
});

test('a job that asks for filtered HTTP is refused, not given more', { skip }, async () => {
  const ran = await runOnce({ network: { Type: 'HTTP', Domains: ['example.com'] } });
  assert.equal(shortOf(ran.outcome), 'failed network-unsupported/node');
});

test('host networking reaches a server on the machine itself', { skip }, async () => {
  const server = createServer((_, response) => response.end('from the host'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const script = `wget -q -O - http://127.0.0.1:${port}/`;
    const ran = await runOnce({ script, network: { Type: 'Host' } });
    assert.equal(ran.stdout, 'from the host');
  } finally {
    server.close();
  }
});

test('a port of a bridged job is bound to loopback and told to the program', { skip }, async () => {
  await using workspace = await createWorkspace();
  const run = runOf(workspace, {
    script:
      'echo $BACALHAU_HOST_PORT_web $BACALHAU_PORT_web; echo ok > /tmp/i; httpd -f -p 8080 -h /tmp',
    network: {
      Type: 'Bridge',
      Ports: [{ Name: 'web', Static: 0, Target: 8080, HostNetwork: '' }],
    },
  });
  const controller = new AbortController();
  const running = createDockerEngine(engineConfig()).run(run, () => undefined, controller.signal);
  try {
    const name = `shoal-${run.order.execution}`;
    const bound = await until('the port is bound', () =>
      docker('port', name, '8080/tcp').catch(() => null),
    );
    assert.match(bound, /^127\.0\.0\.1:2\d{4}$/);
    const page = await until('the server answers', async () => {
      const response = await fetch(`http://${bound}/i`).catch(() => null);
      return response === null ? null : response.text();
    });
    assert.equal(page, 'ok\n');
  } finally {
    controller.abort();
    assert.equal(shortOf(await running), 'failed cancelled/transient');
  }
});

test('what no spec may ask for is refused by the engine, too', { skip }, async () => {
  const port = (change: object) => ({
    network: {
      Type: 'Bridge',
      Ports: [{ Name: 'p', Static: 0, Target: 80, HostNetwork: '', ...change }],
    } as const,
  });
  const cases = [
    [port({ Static: 80 }), 'failed host-port-reserved/spec'],
    [port({ HostNetwork: '0.0.0.0' }), 'failed host-address-not-allowed/node'],
  ] as const;
  for (const [changes, expected] of cases) {
    assert.equal(shortOf((await runOnce(changes)).outcome), expected);
  }
});

test('a run that asks for nothing has limits all the same', { skip }, async () => {
  const script =
    'cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null; ulimit -f';
  const { stdout } = await runOnce({ script, memoryBytes: 0, cpuMillis: 0, diskBytes: 51_200_000 });
  assert.equal(stdout, `${100 * 1024 * 1024}\n100000\n`);
});

test('a container has no capabilities, cannot gain any, and sees only its own', {
  skip,
}, async () => {
  const script = [
    'grep -E "^(CapEff|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status',
    'echo core $(ulimit -c) files $(ulimit -n)',
    'echo processes $(ls -d /proc/[0-9]* | wc -l)',
    'mount -t tmpfs none /mnt 2>/dev/null || mount -t tmpfs none /var 2>/dev/null || echo no mount',
    'chown 1 /etc/passwd 2>/dev/null || echo no chown',
  ].join('\n');
  const { stdout } = await runOnce({ script });
  assert.match(stdout, /CapEff:\s+0{16}\n/);
  assert.match(stdout, /CapBnd:\s+0{16}\n/);
  assert.match(stdout, /NoNewPrivs:\s+1\n/);
  assert.match(stdout, /Seccomp:\s+2\n/);
  assert.match(stdout, /core 0 files 1024\n/);
  const processes = Number(/processes (\d+)/.exec(stdout)?.[1]);
  assert.ok(processes >= 2 && processes < 8, stdout);
  assert.match(stdout, /no mount\nno chown\n/);
});

test('the root file system is writable or not as configured, /tmp always', { skip }, async () => {
  const script = 'touch /etc/x 2>/dev/null && echo root; touch /tmp/x && echo tmp';
  const open = await runOnce({ script });
  assert.equal(open.stdout, 'root\ntmp\n');
  const everywhere =
    'for d in /etc /tmp /var/tmp /run; do touch $d/x 2>/dev/null && echo $d; done; true';
  const locked = await runOnce(
    { script: everywhere },
    createDockerEngine(engineConfig({ readonlyRootfs: true, user: '65534:65534' })),
  );
  assert.equal(locked.stdout, '/tmp\n/var/tmp\n/run\n');
});

test('every way a spec can be wrong is the spec’s fault, and says so', { skip }, async () => {
  const cases: readonly [string, Record<string, string | string[]>][] = [
    ['entrypoint-not-found/spec', { Image: IMAGE, Entrypoint: ['no-such-program'] }],
    ['entrypoint-not-found/spec', { Image: IMAGE, Entrypoint: ['/etc'] }],
    ['no-command/spec', { Image: IMAGE }],
    ['image-reference-invalid/spec', { Image: 'UPPER/case' }],
    ['engine-params-invalid/spec', { Image: IMAGE, WorkingDirectory: 'relative' }],
    ['environment-reserved/spec', { Image: IMAGE, EnvironmentVariables: ['SHOAL_X=1'] }],
  ];
  for (const [expected, params] of cases) {
    const { outcome } = await runOnce({ params });
    assert.equal(shortOf(outcome), `failed ${expected}`, JSON.stringify(params));
  }
});

test('a program’s own exit code 127 is no missing entry point', { skip }, async () => {
  const ran = await runOnce({ script: 'no-such-program' });
  assert.equal(shortOf(ran.outcome), 'exited 127');
});

test('a GPU that the node does not have is the node’s fault', { skip }, async () => {
  const ran = await runOnce({ gpus: 1 });
  assert.equal(shortOf(ran.outcome), 'failed gpu-unavailable/node');
});
