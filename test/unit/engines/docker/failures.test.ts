import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  initFailure,
  pullFailure,
  readApiError,
  startFailure,
} from '../../../../src/engines/docker/failures.ts';
import { statusOf, unavailableStatus } from '../../../../src/engines/docker/probe.ts';

const answered = (status: number, text: string) => ({ status, errno: null, text });

test('what registries answer is classed by whose fault it is', () => {
  const cases: readonly [number, string, string][] = [
    [
      404,
      'manifest for a/b:1 not found: manifest unknown: manifest unknown',
      'image-not-found/spec',
    ],
    [
      404,
      "pull access denied for a/b, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
      'image-not-found/spec',
    ],
    [404, 'anything a registry may say', 'image-not-found/spec'],
    [500, 'unauthorized: authentication required', 'image-not-found/spec'],
    [
      500,
      'toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating',
      'image-pull-failed/transient',
    ],
    [429, 'Too Many Requests', 'image-pull-failed/transient'],
    [
      500,
      'received unexpected HTTP status: 503 Service Unavailable',
      'image-pull-failed/transient',
    ],
    [
      500,
      'Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host',
      'image-pull-failed/transient',
    ],
    [
      500,
      'Get "https://x/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded)',
      'image-pull-failed/transient',
    ],
    [
      200,
      'no matching manifest for linux/amd64 in the manifest list entries',
      'image-platform/node',
    ],
    [200, 'write /var/lib/docker/tmp/x: no space left on device', 'disk-full/node'],
    [400, 'invalid reference format', 'image-reference-invalid/spec'],
  ];
  for (const [status, text, expected] of cases) {
    const failure = pullFailure('a/b:1', answered(status, text));
    assert.equal(`${failure.code}/${failure.class}`, expected, text);
    assert.ok(failure.message.includes('a/b:1'), text);
  }
});

test('no word of what answered as a registry is told, only its status and a reason of ours', () => {
  const secret = 'SECRET-of-169.254';
  const cases: readonly [number, string, RegExp | null][] = [
    [500, `error parsing HTTP 404 response body: invalid character: "${secret}"`, null],
    [500, `received unexpected HTTP status: 503 ${secret}`, /answered with status 503/],
    [500, `Get "http://127.0.0.1/v2/": dial tcp ${secret}: connect: connection refused`, /refused/],
    [404, `manifest unknown: ${secret}`, null],
    [404, secret, null],
    [429, `toomanyrequests: ${secret}`, null],
    [200, secret, null],
  ];
  for (const [status, text, expected] of cases) {
    const { message } = pullFailure('a/b:1', answered(status, text));
    assert.doesNotMatch(message, /SECRET/, text);
    if (expected !== null) assert.match(message, expected);
  }
});

test('what Docker says when it will not start a container is classed by whose fault it is', () => {
  const cases: readonly [number, string, string][] = [
    [400, 'No command specified', 'no-command/spec'],
    [
      400,
      'OCI runtime create failed: container_linux.go:380: starting container process caused: exec: "nosuch": executable file not found in $PATH: unknown',
      'entrypoint-not-found/spec',
    ],
    [500, 'could not select device driver "" with capabilities: [[gpu]]', 'gpu-unavailable/node'],
    [
      500,
      'driver failed programming external connectivity: Bind for 127.0.0.1:80 failed: port is already allocated',
      'host-port-taken/node',
    ],
    [
      400,
      'Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available',
      'docker-refused/node',
    ],
    [
      400,
      'invalid mount config for type "bind": bind source path does not exist: /x',
      'docker-refused/node',
    ],
    [400, 'unable to find user x: no matching entries in passwd file', 'docker-refused/spec'],
    [500, 'something new', 'docker-refused/node'],
  ];
  for (const [status, text, expected] of cases) {
    const failure = startFailure(answered(status, text));
    assert.equal(`${failure.code}/${failure.class}`, expected, text);
  }
  const away = startFailure({ status: null, errno: 'ECONNREFUSED', text: 'connect ECONNREFUSED' });
  assert.equal(`${away.code}/${away.class}`, 'docker-unavailable/node');
});

test('a path of a job where a container has something else is its own fault, and nobody learns this machine’s paths', () => {
  const mounting =
    'runc create failed: error during container init: error mounting "/home/jo e/.shoal/executions/e-1/outputs/out" to rootfs at "/proc/self/fd": "/var/lib/docker/overlay2/222e6a8d/merged/proc/1/fd" cannot be mounted because it is inside /proc: unknown';
  const texts = {
    [mounting]: 'docker-refused/spec',
    'unable to setup user: stat /dev/null: no such file or directory: unknown':
      'docker-refused/spec',
    'bind source path does not exist: /home/joe/.shoal/executions/e-1/inputs/0':
      'docker-refused/node',
    'chdir to cwd: /var/lib/docker/overlay2/222e6a8d/merged/work: not a directory':
      'docker-refused/node',
  };
  for (const [text, expected] of Object.entries(texts)) {
    const failure = startFailure(answered(500, text));
    assert.equal(`${failure.code}/${failure.class}`, expected, text);
    assert.doesNotMatch(failure.message, /home|\/var\/lib|executions|222e/, text);
  }
  assert.match(startFailure(answered(500, mounting)).message, /"\/proc\/1\/fd" cannot be mounted/);
});

test('only Docker’s init process is believed about a missing command', () => {
  const tini = (why: string): string => `[FATAL tini (7)] exec /x failed: ${why}\n`;
  assert.equal(initFailure(127, tini('No such file or directory'))?.code, 'entrypoint-not-found');
  assert.equal(initFailure(126, tini('Permission denied'))?.code, 'entrypoint-not-found');
  assert.equal(initFailure(126, tini('Exec format error'))?.code, 'image-platform');
  assert.equal(initFailure(1, tini('No such file or directory')), null);
  assert.equal(initFailure(127, 'sh: x: not found\n'), null);
});

test('anything thrown can be read, and messages stay within a record', () => {
  fc.assert(
    fc.property(fc.anything(), (thrown) => {
      const error = readApiError(thrown);
      assert.equal(error.status === null, error.errno !== null);
      assert.equal(typeof error.text, 'string');
    }),
  );
  const long = answered(500, 'x'.repeat(5000));
  assert.ok(pullFailure('a', long).message.length <= 1000);
  assert.ok(startFailure(long).message.length <= 1000);
});

test('a Docker that cannot be used comes with its remedy', () => {
  const detail = (errno: string): string =>
    unavailableStatus({ status: null, errno, text: 'text' }, '/run/x.sock').detail;
  assert.match(detail('EACCES'), /\/run\/x\.sock.*group "docker"/);
  assert.match(detail('ENOENT'), /start it/);
  assert.match(detail('ECONNREFUSED'), /start it/);
  assert.match(detail('timeout'), /restart it/);
  assert.match(detail('EPROTO'), /text/);
});

test('an operator is warned of an old engine, cgroup version 1 and root that is root', () => {
  const facts = {
    version: '29.5.1',
    os: 'linux',
    architecture: 'amd64',
    cgroupVersion: '2',
    rootless: false,
    userns: true,
    rootDir: '/var/lib/docker',
    warnings: [],
  };
  assert.deepEqual(statusOf(facts, true).warnings, []);
  assert.equal(statusOf({ ...facts, version: '29.5.1-rc.1+dfsg' }, true).warnings.length, 0);
  assert.equal(statusOf({ ...facts, version: '30.0.0' }, true).warnings.length, 0);
  for (const version of ['29.5.0', '29.4.9', '20.10.24+dfsg1', 'dev']) {
    assert.match(statusOf({ ...facts, version }, true).warnings[0] ?? '', /known holes/, version);
  }
  assert.match(statusOf({ ...facts, cgroupVersion: '1' }, true).warnings[0] ?? '', /cgroup/);
  assert.match(statusOf(facts, false).warnings[0] ?? '', /counted by Docker/);
  assert.match(statusOf({ ...facts, userns: false }, true).warnings[0] ?? '', /userns-remap/);
  assert.equal(statusOf({ ...facts, userns: false, rootless: true }, true).warnings.length, 0);
});
