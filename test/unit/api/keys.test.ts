/** Who may do what: API keys with a scope, and the Unix socket that needs none. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { neededScope, readApiKeys, type Scope } from '../../../src/api/keys.ts';
import { apiKey, createTestApi, SPEC } from './api-server.ts';

let directory = '';
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-keys-'));
});
after(() => rm(directory, { recursive: true, force: true }));

const KEYS = [apiKey('looks', 'read'), apiKey('sends', 'submit'), apiKey('rules', 'admin')];

function keyFile(name: string, text: string, mode = 0o600): Promise<string> {
  const path = join(directory, name);
  return writeFile(path, text, { mode })
    .then(() => chmod(path, mode))
    .then(() => path);
}

const invalidKeys = (why: RegExp) => (error: unknown) =>
  error instanceof ShoalError && error.failure.code === 'key-invalid' && why.test(error.message);

test('a key does what its scope says and no more', async () => {
  const api = await createTestApi({ apiKeys: KEYS });
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC }, { authorization: 'Bearer sends' });
  const requests: readonly (readonly [string, string, unknown, Scope])[] = [
    ['GET', '/orchestrator/jobs', undefined, 'read'],
    ['GET', '/agent/config', undefined, 'read'],
    ['PUT', '/orchestrator/jobs', { Job: SPEC }, 'submit'],
    ['PUT', '/orchestrator/jobs/diff', { Job: SPEC }, 'submit'],
    ['DELETE', '/orchestrator/jobs/hello', {}, 'submit'],
    ['PUT', '/orchestrator/nodes/x', {}, 'admin'],
  ];
  const scopes = ['read', 'submit', 'admin'];
  for (const [method, path, body, needed] of requests)
    for (const [given, scope] of [
      ['looks', 'read'],
      ['sends', 'submit'],
      ['rules', 'admin'],
    ] as const) {
      const answer = await api.call(method, path, body, { authorization: `Bearer ${given}` });
      const may = scopes.indexOf(scope) >= scopes.indexOf(needed);
      const code = answer.json['Details']?.['code'] as unknown;
      assert.equal(code === 'key-scope', !may, `${method} ${path} with ${scope}: ${answer.text}`);
      if (!may) assert.equal(answer.status, 403);
    }
});

test('what no rule knows needs the highest scope', () => {
  for (const path of ['/', '/api/v1/', '/api/v1/orchestrator/%6aobs', '/api/v2/orchestrator/jobs'])
    assert.equal(neededScope('PUT', path), 'admin', path);
  assert.equal(neededScope('PROPFIND', '/api/v1/agent/alive'), 'admin');
});

test('a file of keys is read whole or refused with its line, and never shown', async () => {
  const [one, two] = [randomBytes(32).toString('hex'), randomBytes(32).toString('base64')];
  const good = await keyFile('good', `# people\nread ${one}\n\n  admin   ${two}  \n`);
  assert.deepEqual(
    readApiKeys(good).map(({ scope }) => scope),
    ['read', 'admin'],
  );
  const cases: readonly (readonly [string, string, number, RegExp])[] = [
    ['shared', `read ${one}`, 0o644, /mode 0644.*chmod 600/],
    ['written', `read ${one}`, 0o620, /mode 0620/],
    ['scope', `read ${one}\nwrite ${two}`, 0o600, /line 2 is not "read KEY"/],
    ['bare', one, 0o600, /line 1 is not/],
    ['short', 'read 12345', 0o600, /line 1 has not 20 to 255/],
    ['empty', '# nobody\n', 0o600, /holds no key/],
  ];
  for (const [name, text, mode, why] of cases) {
    const path = await keyFile(name, text, mode);
    assert.throws(() => readApiKeys(path), invalidKeys(why), name);
    try {
      readApiKeys(path);
    } catch (error) {
      assert.ok(!String(error).includes(one) && !String(error).includes(two), name);
    }
  }
  assert.throws(() => readApiKeys(join(directory, 'missing')), invalidKeys(/ENOENT/));
});

function ask(
  socketPath: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, headers, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode ?? 0);
    }).on('error', reject);
  });
}

test("the Unix socket is this user's alone, needs no key, and is gone with the peer", async () => {
  const path = join(directory, 'own.sock');
  const api = await createTestApi({ apiKeys: KEYS, socket: { path, required: true } });
  const { port, socket } = await api.server.start();
  assert.equal(socket, path);
  assert.equal((await lstat(path)).mode & 0o777, 0o600);
  assert.equal(await ask(path, '/api/v1/orchestrator/jobs'), 200);
  assert.equal(await ask(path, '/api/v1/orchestrator/jobs', { host: 'anything' }), 200);
  const page = { origin: 'https://evil.example' };
  assert.equal(await ask(path, '/api/v1/orchestrator/jobs', page), 403, 'not even for a page');
  const tcp = await fetch(`http://127.0.0.1:${port}/api/v1/orchestrator/jobs`);
  assert.equal(tcp.status, 401);
  await api.server.stop();
  await assert.rejects(lstat(path), /ENOENT/);
});

test('600 half-sent heads over TCP leave the socket as it was', async () => {
  const path = join(directory, 'apart.sock');
  const api = await createTestApi({ socket: { path, required: true }, connectionsMax: 8 });
  const { port } = await api.server.start();
  after(() => api.server.stop());
  const own = connect({ path });
  after(() => own.destroy());
  let closed = false;
  own.on('close', () => (closed = true));
  for (let index = 0; index < 50; index += 1) {
    const socket = connect(port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\n'));
    socket.on('error', () => {});
    after(() => socket.destroy());
  }
  assert.equal((await fetch(`http://127.0.0.1:${port}/api/v1/agent/alive`)).status, 200);
  assert.equal(await ask(path, '/api/v1/agent/alive'), 200);
  assert.equal(closed, false);
});

const listening = (path: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.end());
    server.listen({ path }, () => resolve(server));
  });

test('a socket of a dead peer is replaced; a live one, a file and a link are left alone', async () => {
  const start = async (path: string, required = true) => {
    const api = await createTestApi({ socket: { path, required } });
    after(() => api.server.stop());
    return api.server.start();
  };
  const code = (wanted: string) => (error: unknown) =>
    error instanceof ShoalError && error.failure.code === wanted;
  const live = join(directory, 'live.sock');
  const server = await listening(live);
  after(() => server.close());
  await assert.rejects(start(live), code('port-in-use'));
  assert.ok((await lstat(live)).isSocket());

  // What a killed peer leaves: the name of a socket that nobody listens at.
  const left = join(directory, 'left.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(left)}, () => process.kill(process.pid, 'SIGKILL'))`;
  spawnSync(process.execPath, ['-e', script]);
  assert.ok((await lstat(left)).isSocket());
  assert.equal((await start(left)).socket, left);
  assert.equal(await ask(left, '/api/v1/agent/alive'), 200);

  const file = join(directory, 'file');
  await writeFile(file, 'precious');
  await assert.rejects(start(file), code('config-invalid'));
  const link = join(directory, 'link.sock');
  await symlink(file, link);
  await assert.rejects(start(link), code('config-invalid'));
  assert.equal((await lstat(file)).size, 8);
});

test('a path that no socket can have is an error when it was asked for, else a note', async () => {
  const long = join(directory, 'x'.repeat(120));
  const asked = await createTestApi({ socket: { path: long, required: true } });
  await assert.rejects(
    asked.server.start(),
    (error) => error instanceof ShoalError && /at most 10\d/.test(error.message),
  );
  const open = join(directory, 'open');
  await mkdir(open);
  await chmod(open, 0o777);
  for (const path of [long, join(open, 'api.sock')]) {
    const api = await createTestApi({ socket: { path, required: false } });
    const { port, socket, socketProblem } = await api.server.start();
    assert.equal(socket, null);
    assert.match(socketProblem, /at most 10\d|others can write/);
    assert.equal((await fetch(`http://127.0.0.1:${port}/livez`)).status, 200);
    await api.server.stop();
  }
});
