/** Which peer a command finds: the socket of the default data directory, or what it is told. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { apiKey, createTestApi, SPEC, type TestApi } from '../api/api-server.ts';
import { runAlone, type Ran } from './cli.ts';

interface Home {
  readonly path: string;
  readonly socket: string;
  readonly api: TestApi;
  run(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<Ran>;
}

/** A home directory with a peer that listens at its socket; its TCP port asks for a key. */
async function home(): Promise<Home> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-home-'));
  await mkdir(join(path, '.shoal'), { mode: 0o700 });
  const socket = join(path, '.shoal', 'api.sock');
  const api = await createTestApi({
    socket: { path: socket, required: true },
    apiKeys: [apiKey('a-key-of-this-peer')],
  });
  await api.server.start();
  after(async () => {
    await api.server.stop();
    await rm(path, { recursive: true, force: true });
  });
  const run: Home['run'] = (args, env = {}) =>
    runAlone(args, path, { env: { HOME: path, ...env } });
  return { path, socket, api, run };
}

test('without a word a command uses the socket in the default data directory', async () => {
  const { api, run, socket } = await home();
  assert.equal((await run(['job', 'list'])).code, 0);
  await run(['job', 'run', '--no-wait']);
  const elsewhere = { HOME: '/nonexistent' };
  assert.equal((await run(['job', 'list'], { ...elsewhere, SHOAL_API_SOCKET: socket })).code, 0);
  const dataDir = socket.replace(/\/api\.sock$/, '');
  assert.equal(
    (await run(['job', 'list'], { ...elsewhere, SHOAL_NODE_DATA_DIR: dataDir })).code,
    0,
  );
  assert.deepEqual(api.service.jobs, []);
});

test('logs and transfers go through the socket as well', async () => {
  const { api, run, path } = await home();
  await writeFile(join(path, 'job.json'), JSON.stringify(SPEC));
  assert.equal((await run(['job', 'run', '--no-wait', 'job.json'])).code, 0);
  const job = api.service.jobs[0];
  assert.ok(job);
  job.logLines = [
    { stream: 'stdout', line: `${'x'.repeat(70_000)}\n` },
    { stream: 'stdout', line: 'two\n' },
  ];
  assert.equal((await run(['job', 'logs', job.id])).out, `${'x'.repeat(70_000)}\ntwo\n`);
  const added = await run(['cid', 'add', 'job.json']);
  assert.equal(added.code, 0, added.err);
});

test('an address that is given is used, whatever lies in the data directory', async () => {
  const { run, socket } = await home();
  for (const env of [{ SHOAL_API_PORT: '1' }, { BACALHAU_API_HOST: '127.0.0.1:1' }] as const)
    assert.notEqual((await run(['job', 'list'], { ...env })).code, 0);
  assert.equal((await run(['job', 'list', '--api-port', '1'])).code, 4);
  const other = await run(['job', 'list', '--api-port', '1'], { SHOAL_API_SOCKET: socket });
  assert.match(other.err, /127\.0\.0\.1:1\b/);
});

test('a socket where nobody listens is passed over, unless it was named', async () => {
  const { api, run, socket, path } = await home();
  await api.server.stop();
  await writeFile(socket, '');
  assert.match((await run(['job', 'list'])).err, /127\.0\.0\.1:1234|shoal/);
  const named = await run(['job', 'list'], { SHOAL_API_SOCKET: join(path, 'none.sock') });
  assert.equal(named.code, 4);
  assert.match(named.err, /none\.sock/);
});

test('a key comes from a file or the environment; a log without one says so', async () => {
  const api = await createTestApi({
    apiKeys: [apiKey('looks-only', 'read'), apiKey('sends', 'submit')],
  });
  const { port } = await api.server.start();
  const directory = await mkdtemp(join(tmpdir(), 'shoal-key-'));
  after(async () => {
    await api.server.stop();
    await rm(directory, { recursive: true, force: true });
  });
  await writeFile(join(directory, 'key'), 'looks-only\n');
  await writeFile(join(directory, 'job.json'), JSON.stringify(SPEC));
  const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
    runAlone(args, directory, { env: { SHOAL_API_PORT: String(port), ...env } });
  const file = ['--api-key-file', join(directory, 'key')];
  assert.equal((await run(['job', 'list', ...file])).code, 0);
  const submitted = await run(['job', 'run', '--no-wait', 'job.json', ...file]);
  assert.equal(submitted.code, 3);
  assert.match(submitted.err, /may read, and this needs one that may submit/);
  const enough = await run(['job', 'run', '--no-wait', 'job.json'], { SHOAL_API_KEY: 'sends' });
  assert.equal(enough.code, 0, enough.err);
  const logs = await run(['job', 'logs', 'hello']);
  assert.equal(logs.code, 3);
  assert.match(logs.err, /wants an API key/);
  assert.equal((await run(['job', 'list', '--api-key-file', '/nonexistent'])).code, 2);
});
