/** The server around the routes: guards, bodies, errors, logs, content. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import fc from 'fast-check';
import type { DrainJson, LabelsJson } from '../../../src/api/types.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { createApiServer } from '../../../src/api/server.ts';
import { encodeTree, type TreeItem } from '../../../src/lib/tree-stream.ts';
import { apiKey, apiOptions, createTestApi, SPEC, type TestApi } from './api-server.ts';
import { FakeService } from './fake-service.ts';

const ROUTES = ['/agent/alive', '/orchestrator/jobs', '/orchestrator/nodes', '/shoal/status'];

test('a Host that is not this machine is refused before anything is looked up', async () => {
  const api = await createTestApi();
  for (const host of [
    'evil.example',
    '127.0.0.1.evil.example',
    'localhost.evil.example:1234',
    '10.0.0.5',
    '[fe80::1]',
    'a b',
  ]) {
    const answer = await api.call('GET', '/orchestrator/jobs', undefined, { host });
    assert.ok(answer.status === 403 || answer.status === 400, `${host}: ${answer.status}`);
  }
  for (const host of ['localhost', 'LOCALHOST:99', '127.0.0.1:1234', '[::1]:1234']) {
    assert.equal(
      (await api.call('GET', '/orchestrator/jobs', undefined, { host })).status,
      200,
      host,
    );
  }
});

test('pages of other sites are refused, the own origin and listed ones are not', async () => {
  const api = await createTestApi({ allowedOrigins: ['https://dash.example'] });
  const cases: readonly (readonly [Readonly<Record<string, string>>, number])[] = [
    [{ origin: 'https://evil.example' }, 403],
    [{ origin: 'http://127.0.0.1:9999' }, 403],
    [{ origin: 'null' }, 403],
    [{ 'sec-fetch-site': 'cross-site' }, 403],
    [{ 'sec-fetch-site': 'same-site' }, 403],
    [{ 'sec-fetch-site': 'none' }, 200],
    [{ 'sec-fetch-site': 'same-origin', origin: 'http://127.0.0.1:1234' }, 200],
    [{ 'sec-fetch-site': 'cross-site', origin: 'https://dash.example' }, 200],
  ];
  for (const [headers, status] of cases) {
    const answer = await api.call('GET', '/orchestrator/jobs', undefined, headers);
    assert.equal(answer.status, status, JSON.stringify(headers));
    const listed = headers['origin'] === 'https://dash.example' ? headers['origin'] : undefined;
    assert.equal(answer.headers['access-control-allow-origin'], listed);
  }
});

test('a browser is told before it asks what a page of a listed origin may send, and of another nothing', async () => {
  const api = await createTestApi({
    allowedOrigins: ['https://dash.example'],
    apiKeys: [apiKey('first-key')],
  });
  const ask = (origin: string, method = 'OPTIONS') =>
    api.call(method, '/orchestrator/jobs', undefined, {
      origin,
      'access-control-request-method': 'PUT',
      'sec-fetch-site': 'cross-site',
    });
  const listed = await ask('https://dash.example');
  assert.equal(listed.status, 204);
  assert.match(String(listed.headers['access-control-allow-headers']), /authorization/);
  assert.equal(listed.headers['access-control-allow-origin'], 'https://dash.example');
  for (const origin of ['https://evil.example', 'https://dash.example.evil', 'null']) {
    const other = await ask(origin);
    assert.equal(other.status, 403, origin);
    assert.equal(other.headers['access-control-allow-origin'], undefined);
  }
  assert.equal((await ask('https://dash.example', 'GET')).status, 401, 'the request needs its key');
});

test('a host that is allowed is taken in any case, with any port, and no other because of it', async () => {
  const api = await createTestApi({ allowedHosts: ['peer.example'] });
  const status = async (host: string): Promise<number> =>
    (await api.call('GET', '/agent/alive', undefined, { host })).status;
  for (const host of ['peer.example', 'PEER.example:8080']) assert.equal(await status(host), 200);
  for (const host of ['other.example', 'peer.example.evil', 'sub.peer.example'])
    assert.equal(await status(host), 403, host);
});

test('a node is approved already, and found by the beginning of its short id', async () => {
  const api = await createTestApi();
  const path = '/orchestrator/nodes/n-Aaaa';
  const approved = await api.call('PUT', path, {
    Action: 'approve',
    Message: '',
    NodeID: 'n-Aaaa',
  });
  assert.deepEqual([approved.status, approved.json['Component']], [409, 'NodesManager']);
  assert.match(String(approved.json['Message']), /^node n-Aaaaaaaa already approved/);
  assert.equal((await api.call('PUT', path, { Action: 'reject' })).status, 501);
  assert.equal(
    (await api.call('PUT', '/orchestrator/nodes/n-zzzz', { Action: 'approve' })).status,
    404,
  );
  assert.equal((await api.call('GET', '/orchestrator/nodes/n-a')).status, 404, 'too short');
});

test('with API keys every request needs one, liveness and the login exchange excepted', async () => {
  const api = await createTestApi({
    apiKeys: ['first-key', 'second-key'].map((key) => apiKey(key)),
  });
  for (const path of ROUTES.slice(1)) {
    assert.equal((await api.call('GET', path)).status, 401, path);
    assert.equal(
      (await api.call('GET', path, undefined, { authorization: 'Bearer wrong' })).status,
      401,
      path,
    );
    assert.equal(
      (await api.call('GET', path, undefined, { authorization: 'Bearer second-key' })).status,
      200,
      path,
    );
  }
  assert.equal((await api.call('GET', '/agent/alive')).status, 200);
  assert.equal((await api.call('GET', '/auth')).status, 200);
});

test('a server open to other machines needs keys or a word that it is meant', async () => {
  await assert.rejects(
    createApiServer(new FakeService(), apiOptions({ host: '0.0.0.0' })),
    (error) => {
      return error instanceof ShoalError && error.failure.code === 'config-invalid';
    },
  );
  const open = await createTestApi({ host: '0.0.0.0', insecure: true });
  assert.equal(
    (await open.call('GET', '/agent/alive', undefined, { host: '192.168.1.5:1234' })).status,
    200,
  );
  assert.equal(
    (await open.call('GET', '/agent/alive', undefined, { host: 'rebound.example' })).status,
    403,
  );
});

test('every answer carries the versions and the request id', async () => {
  const api = await createTestApi();
  for (const path of [...ROUTES, '/nowhere']) {
    const { headers } = await api.call('GET', path, undefined, { 'x-request-id': 'abc-1' });
    assert.match(String(headers['x-bacalhau-git-version']), /^v1\.\d+\.\d+$/, path);
    assert.equal(headers['x-request-id'], 'abc-1', path);
    assert.equal(headers['x-content-type-options'], 'nosniff', path);
  }
  const odd = await api.call('GET', '/agent/alive', undefined, { 'x-request-id': 'a b<script>' });
  assert.match(String(odd.headers['x-request-id']), /^[0-9a-f-]{36}$/);
});

test('bad bodies are told apart and never a defect', async () => {
  const defects: unknown[] = [];
  const api = await createTestApi({ onDefect: (error) => defects.push(error) });
  const json = { 'content-type': 'application/json' };
  const put = (body: string, headers: Readonly<Record<string, string>> = json) =>
    api.call('PUT', '/orchestrator/jobs', body, headers);
  const deep = `{"Job":${'['.repeat(100)}${']'.repeat(100)}}`;
  const cases: readonly (readonly [
    string,
    Promise<{ status: number; text: string }>,
    number,
    RegExp?,
  ])[] = [
    ['not JSON', put('{"Job":'), 400],
    ['an array', put('[]'), 400],
    ['a text', put('"x"'), 400],
    ['nothing', put(''), 400],
    ['too deep', put(deep), 400, /at most 64 levels/],
    ['far too deep', put(`{"Job":${'['.repeat(100_000)}`), 400, /at most 64 levels/],
    ['too many values', put(`{"Job":[${'1,'.repeat(300_000)}1]}`), 400, /at most 50000 values/],
    ['commas in a text', put(`{"Job":"${',\\"'.repeat(60_000)}"}`), 400, /expected a map/],
    ['a text without end', put(`{"Job":"${'\\\\'.repeat(60_000)}`), 400, /expected JSON/],
    ['a prototype key', put('{"__proto__":{"x":1},"Job":{}}'), 400, /no key of that name/],
    ['a constructor key', put('{"constructor":{"prototype":{}}}'), 400, /no key of that name/],
    ['a form', put('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
    ['plain text', put('{}', { 'content-type': 'text/plain' }), 415],
    ['bytes', put('{}', { 'content-type': 'application/octet-stream' }), 415],
    ['too large', put(`{"Job":"${'x'.repeat(10_000_001)}"}`), 413],
  ];
  for (const [name, answer, status, words] of cases) {
    assert.equal((await answer).status, status, name);
    assert.match((await answer).text, words ?? /"Status":4/, name);
  }
  assert.deepEqual(defects, []);
});

test('unknown members of a body are ignored', async () => {
  const api = await createTestApi();
  const answer = await api.call('PUT', '/orchestrator/jobs', {
    job: SPEC,
    Namespace: 'x',
    Foo: { bar: 1 },
  });
  assert.equal(answer.status, 200, answer.text);
});

test('unknown paths, other methods and bad parameters are answered in the error shape', async () => {
  const api = await createTestApi();
  const cases: readonly (readonly [string, string, number])[] = [
    ['GET', '/nowhere', 404],
    ['GET', '/orchestrator/jobs/j-00000000', 404],
    ['PATCH', '/orchestrator/jobs/j-00000000', 405],
    ['DELETE', '/agent/alive', 405],
    ['GET', '/orchestrator/jobs?next_token=%00%00', 400],
    ['GET', '/orchestrator/jobs?next_token=bm90OmE6dG9rZW4', 400],
    ['GET', `/orchestrator/jobs?${'labels=a&'.repeat(65)}`, 400],
    ['GET', `/orchestrator/nodes?labels=${'a,'.repeat(70)}a`, 400],
    ['GET', '/orchestrator/jobs?limit=-1', 400],
    ['GET', '/orchestrator/jobs?limit=1e3', 400],
    ['GET', '/orchestrator/jobs?limit=1&limit=2', 400],
    ['GET', '/orchestrator/jobs?order_by=id', 400],
    ['GET', '/orchestrator/jobs?order_by=constructor', 400],
    ['GET', '/orchestrator/jobs?reverse=maybe', 400],
    ['GET', '/orchestrator/jobs?labels=a%3D%3D%3D', 400],
    ['GET', '/orchestrator/nodes?order_by=beauty', 400],
    ['GET', '/orchestrator/nodes?filter-status=odd', 400],
    ['GET', '/orchestrator/nodes/nobody', 404],
    ['GET', '/orchestrator/jobs/%zz', 400],
    ['GET', '/shoal/content/nonsense/list', 400],
    ['GET', '/shoal/content/bafyunknown/list', 404],
    ['GET', '/shoal/content/bafyunknown/list?holder=somebody', 400],
    ['GET', '/shoal/content/bafyunknown/file?path=../x', 400],
  ];
  for (const [method, path, status] of cases) {
    const answer = await api.call(method, path);
    assert.equal(answer.status, status, `${method} ${path}: ${answer.text}`);
    assert.equal(answer.json['Status'], status, path);
    for (const part of ['Message', 'RequestID', 'Code', 'Component'])
      assert.equal(typeof answer.json[part], 'string', `${path} ${part}`);
    assert.ok(!/\bat .*\.ts/.test(answer.text), `no stack: ${answer.text}`);
  }
  assert.equal((await api.call('DELETE', '/agent/alive')).headers['allow'], 'GET, HEAD');
});

test('any query and any reference gives an answer below 500', async () => {
  const api = await createTestApi();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const name = fc.constantFrom(
    'limit',
    'next_token',
    'order_by',
    'reverse',
    'labels',
    'include',
    'since',
    'event_type',
    'job_version',
    'execution_id',
    'namespace',
  );
  const tail = fc.constantFrom('', '/history', '/executions', '/results', '/versions');
  await fc.assert(
    fc.asyncProperty(
      fc.string({ maxLength: 20 }),
      tail,
      name,
      fc.string({ maxLength: 20 }),
      async (ref, path, key, value) => {
        const url = `/orchestrator/jobs/${encodeURIComponent(ref) || 'hello'}${path}?${key}=${encodeURIComponent(value)}`;
        const answer = await api.call('GET', url);
        assert.ok(
          answer.status < 500 && answer.status >= 200,
          `${url}: ${answer.status} ${answer.text}`,
        );
      },
    ),
    { numRuns: 150 },
  );
});

test('a limit beyond the maximum is cut, and the answer says so', async () => {
  const api = await createTestApi();
  const { headers } = await api.call('GET', '/orchestrator/jobs?limit=1000000000');
  assert.equal(headers['x-shoal-limit'], '1000');
});

test('a flood is answered with 429 and a time to wait, while liveness goes on answering', async () => {
  const api = await createTestApi({ requestsPerSecond: 5 });
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => api.call('GET', '/orchestrator/nodes')),
  );
  const limited = answers.filter(({ status }) => status === 429);
  assert.ok(limited.length > 0);
  assert.ok(limited.every(({ headers }) => Number(headers['retry-after']) >= 1));
  assert.equal((await api.call('GET', '/agent/alive')).status, 200);
});

test('a defect is answered with 500 and no word of what is inside', async () => {
  const defects: unknown[] = [];
  const api = await createTestApi({ onDefect: (error) => defects.push(error) });
  api.service.fail = new TypeError('secret /home/someone/path');
  const answer = await api.call('GET', '/orchestrator/jobs');
  assert.equal(answer.status, 500);
  assert.ok(!answer.text.includes('secret'));
  assert.equal(defects.length, 1);
});

test('agent, login and redirects answer as Bacalhau does', async () => {
  const api = await createTestApi();
  assert.deepEqual((await api.call('GET', '/agent/alive')).json, { Status: 'OK' });
  assert.equal((await api.call('GET', '/agent/version')).json['Shoal'], '0.1.0');
  assert.equal((await api.call('GET', '/agent/node')).json['NodeType'], 'Compute');
  const settings = (await api.call('GET', '/agent/config')).json;
  assert.equal(settings['Settings']?.['swarmKey'], '********');
  assert.equal(settings['config']?.['API']?.['Port'], 1_234);
  assert.equal(
    settings['config']?.['JobDefaults']?.['Batch']?.['Task']?.['Resources']?.['CPU'],
    '500m',
  );
  assert.deepEqual(settings['config']?.['Labels'], { region: 'eu' });
  const root = await api.server.app.inject({ url: '/', headers: { host: 'localhost' } });
  assert.deepEqual([root.statusCode, root.headers['location']], [301, '/api/v1/agent/version']);
  assert.equal((await api.call('GET', '/agent/authconfig')).json['Version'], '1.0.0');
  assert.equal((await api.call('GET', '/agent/debug')).status, 200);
  const methods = (await api.call('GET', '/auth')).json['Methods'];
  assert.equal(methods?.['ClientKey']?.['type'], 'challenge');
  const token = await api.call('POST', '/auth/ClientKey', { MethodData: 'e30=' });
  assert.equal(token.json['Authentication']?.['success'], true);
  assert.ok(String(token.json['Authentication']?.['token']).length > 20);
  const redirect = await api.server.app.inject({ url: '/livez', headers: { host: 'localhost' } });
  assert.deepEqual([redirect.statusCode, redirect.headers.location], [301, '/api/v1/agent/alive']);
  const metrics = await api.server.app.inject({ url: '/metrics', headers: { host: 'localhost' } });
  assert.match(metrics.body, /^shoal_jobs_total 3$/m);
  assert.match((await api.call('GET', '/agent/version?pretty')).text, /^\{\n {2}"Major"/);
});

test('nodes have what a scheduler offers, and are found by id, beginning and short name', async () => {
  const api = await createTestApi();
  const list = await api.call('GET', '/orchestrator/nodes?order_by=available_cpu');
  assert.deepEqual(
    (list.json['Nodes'] as never as { Connection: string }[]).map((node) => node.Connection),
    ['DISCONNECTED', 'CONNECTED'],
  );
  const id = String(list.json['Nodes']?.[1]?.['Info']?.['NodeID']);
  for (const ref of [id, id.slice(0, 20), `n-${id.slice(-8)}`]) {
    assert.equal(
      (await api.call('GET', `/orchestrator/nodes/${ref}`)).json['Node']?.['Info']?.['NodeID'],
      id,
      ref,
    );
  }
  const some = await api.call(
    'GET',
    '/orchestrator/nodes?labels=region%3Dus&filter-status=disconnected',
  );
  assert.equal(some.json['Nodes']?.length, 1);
  assert.equal(some.json['Nodes']?.[0]?.['ConnectionState']?.['LastError'], 'no answer');
  assert.deepEqual(some.json['Nodes']?.[0]?.['Info']?.['ComputeNodeInfo']?.['AvailableCapacity'], {
    CPU: 7.5,
    Memory: 8e9,
    Disk: 1e11,
  });
});

async function listening(
  changes: Parameters<typeof createTestApi>[0] = {},
): Promise<TestApi & { readonly port: number }> {
  const api = await createTestApi(changes);
  const { port } = await api.server.start();
  after(() => api.server.stop());
  return { ...api, port };
}

interface Heard {
  readonly frames: {
    readonly error?: string;
    readonly code?: string;
    readonly value: { readonly Type: number; readonly Line: string };
  }[];
  readonly code: number;
}

function listen(url: string, onOpen: (socket: WebSocket) => void = () => {}): Promise<Heard> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    const frames: Heard['frames'] = [];
    socket.onopen = () => onOpen(socket);
    socket.onmessage = ({ data }) => frames.push(JSON.parse(String(data)));
    socket.onclose = ({ code }) => resolve({ frames, code });
    socket.onerror = () => reject(new Error(`no websocket at ${url}`));
  });
}

test('logs come as frames over a real socket and end with a normal close; errors are frames too', async () => {
  const api = await listening();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.logLines = [
    { stream: 'stdout', line: 'one\n' },
    { stream: 'stderr', line: 'two\n' },
  ];
  const base = `ws://127.0.0.1:${api.port}/api/v1/orchestrator/jobs`;
  const heard = await listen(`${base}/${job.id}/logs`);
  assert.deepEqual(heard.frames, [
    { value: { Type: 1, Line: 'one\n' } },
    { value: { Type: 2, Line: 'two\n' } },
  ]);
  assert.equal(heard.code, 1000);
  const missing = await listen(`${base}/j-ffffffff/logs`);
  assert.equal(missing.frames[0]?.code, 'job-not-found');
  assert.match(String(missing.frames[0]?.error), /^job not found: /);
  assert.equal(missing.code, 1000);
});

test('a client that leaves ends the log stream at its source', async () => {
  const api = await listening();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.assign();
  job.logLines = [{ stream: 'stdout', line: 'one\n' }];
  await listen(
    `ws://127.0.0.1:${api.port}/api/v1/orchestrator/jobs/${job.id}/logs?follow=true`,
    (socket) => socket.close(1000),
  );
  const deadline = Date.now() + 5000;
  while (api.service.logsClosed < api.service.logsOpened || api.service.logsOpened === 0) {
    assert.ok(Date.now() < deadline, 'the stream must end');
    await new Promise(setImmediate);
  }
});

test('stopping the server ends followed logs and frees the port', async () => {
  const api = await createTestApi();
  const { port } = await api.server.start();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.assign();
  job.logLines = [{ stream: 'stdout', line: 'one\n' }];
  const heard = listen(
    `ws://127.0.0.1:${port}/api/v1/orchestrator/jobs/${job.id}/logs?follow=true`,
    (socket) => {
      socket.addEventListener('message', () => void api.server.stop(), { once: true });
    },
  );
  assert.equal((await heard).frames.length, 1);
});

test('a websocket from a page of another site is refused', async () => {
  const api = await listening();
  const status = await new Promise<string>((resolve, reject) => {
    const socket = connect(api.port, '127.0.0.1', () => {
      socket.write(
        'GET /api/v1/orchestrator/jobs/x/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: https://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      );
    });
    socket.once('data', (data) => {
      resolve(data.toString().split('\r\n', 1)[0] ?? '');
      socket.destroy();
    });
    socket.once('error', reject);
  });
  assert.match(status, /403/);
});

test('a port in use is named', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  after(() => other.close());
  const address = other.address();
  assert.ok(typeof address === 'object' && address !== null);
  const server = await createApiServer(new FakeService(), apiOptions({ port: address.port }));
  await assert.rejects(
    server.start(),
    (error) => error instanceof ShoalError && error.failure.code === 'port-in-use',
  );
});

async function* items(tree: Readonly<Record<string, string>>): AsyncGenerator<TreeItem> {
  for (const [path, text] of Object.entries(tree)) {
    const data = Buffer.from(text);
    yield {
      path,
      kind: 'file',
      bytes: data.length,
      data: (async function* () {
        yield data;
      })(),
    };
  }
}

async function treeBytes(tree: Readonly<Record<string, string>>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeTree(items(tree))) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('content goes in as a tree or a stream and comes out by path', async () => {
  const spoolDir = await mkdtemp(join(tmpdir(), 'shoal-spool-'));
  after(() => rm(spoolDir, { recursive: true, force: true }));
  const api = await listening({ spoolDir });
  const url = `http://127.0.0.1:${api.port}/api/v1/shoal/content`;
  const post = (type: string, body: Uint8Array) =>
    fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  const tree = await post(
    'application/x-shoal-tree',
    await treeBytes({ 'a.txt': 'A', 'dir/b.txt': 'BB' }),
  );
  assert.equal(tree.status, 200);
  const { CID, Bytes } = (await tree.json()) as { CID: string; Bytes: number };
  assert.equal(Bytes, 3);
  const lines = (await (await fetch(`${url}/${CID}/list`)).text())
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(lines.at(-1), { end: { entries: 4, bytes: 3 } });
  assert.ok(lines.some((line) => line.entry?.path === 'dir/b.txt' && line.entry.bytes === 2));
  assert.equal(await (await fetch(`${url}/${CID}/file?path=dir/b.txt`)).text(), 'BB');
  assert.equal((await fetch(`${url}/${CID}/file?path=missing`)).status, 404);
  const single = (await (await post('application/octet-stream', Buffer.from('hello'))).json()) as {
    CID: string;
  };
  assert.equal(await (await fetch(`${url}/${single.CID}/file`)).text(), 'hello');
  assert.deepEqual(await readdir(spoolDir), [], 'nothing is left behind');
});

/** A tree of a symlink and files that are named after it. */
async function linkBytes(path: string, link: string, files: readonly string[]): Promise<Buffer> {
  const data = (): AsyncIterable<Uint8Array> => Readable.from([]);
  const items = async function* (): AsyncGenerator<TreeItem> {
    yield { path, kind: 'symlink', bytes: 0, link, data: data() };
    for (const file of files) yield { path: file, kind: 'file', bytes: 0, data: data() };
  };
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeTree(items())) chunks.push(chunk);
  return Buffer.concat(chunks);
}

test('uploads that would escape, repeat, break off or be too large are refused and leave nothing', async () => {
  const spoolDir = await mkdtemp(join(tmpdir(), 'shoal-spool-'));
  after(() => rm(spoolDir, { recursive: true, force: true }));
  const api = await listening({ spoolDir, uploadMaxBytes: 1000 });
  const whole = await treeBytes({ 'a.txt': 'AAAA' });
  const cases: readonly (readonly [string, Uint8Array, number])[] = [
    ['..', await treeBytes({ '../x': 'x' }), 400],
    ['absolute', await treeBytes({ '/etc/x': 'x' }), 400],
    ['out by a link', await linkBytes('l', '../x', []), 400],
    ['absolute link', await linkBytes('l', '/etc', []), 400],
    ['through a link', await linkBytes('l', 'a', ['a/x', 'l/x']), 400],
    ['below a file', await treeBytes({ a: 'x', 'a/b': 'y' }), 400],
    ['broken off', whole.subarray(0, -5), 400],
    ['garbage', Buffer.from('ffffffffffff'), 400],
    ['too large', await treeBytes({ big: 'x'.repeat(8_000_000) }), 413],
  ];
  for (const [name, body, status] of cases) {
    const answer = await fetch(`http://127.0.0.1:${api.port}/api/v1/shoal/content`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-shoal-tree' },
      body,
    });
    assert.equal(answer.status, status, `${name}: ${await answer.text()}`);
  }
  const stream = await fetch(`http://127.0.0.1:${api.port}/api/v1/shoal/content`, {
    method: 'POST',
    headers: { 'content-type': 'application/octet-stream' },
    body: Buffer.alloc(8_000_000),
  });
  assert.equal(stream.status, 413, 'the refusal arrives although the body was not read');
  assert.deepEqual(await readdir(spoolDir), []);
});

test('a file that breaks off while it is sent is cut off, not ended', async () => {
  const api = await listening();
  const { cid } = api.service.content.put({ 'a.bin': 'x'.repeat(100_000) });
  api.service.content.breakAt = 'a.bin';
  const answer = await fetch(
    `http://127.0.0.1:${api.port}/api/v1/shoal/content/${cid}/file?path=a.bin`,
  );
  assert.equal(answer.status, 200);
  await assert.rejects(answer.text());
});

test('a peer is told to leave, by when, and that it stays after all', async () => {
  const api = await createTestApi();
  const { status, text } = await api.call('PUT', '/shoal/drain', { DeadlineSeconds: 60 });
  assert.equal(status, 200);
  const begun = JSON.parse(text) as DrainJson;
  assert.equal(begun.Draining, true);
  assert.match(begun.LeavesBy, /^\d{4}-\d\d-\d\dT/);
  assert.deepEqual(begun.OnlyHere, ['j-only']);
  for (const wrong of [-1, 1.5, '60', 7 * 86_400 + 1]) {
    const refused = await api.call('PUT', '/shoal/drain', { DeadlineSeconds: wrong });
    assert.equal(refused.status, 400, String(wrong));
    assert.match(refused.text, /DeadlineSeconds/);
  }
  await api.call('DELETE', '/shoal/drain');
  const later = await api.call('GET', '/shoal/drain');
  assert.equal((JSON.parse(later.text) as DrainJson).Draining, false);
});

test('labels of a peer are set and taken away, or what is wrong with them is told', async () => {
  const api = await createTestApi();
  const put = (body: unknown) => api.call('PUT', '/shoal/labels', body);
  const { status, text } = await put({ Set: { room: 'a', 'x/y': '' }, Remove: ['region'] });
  assert.equal(status, 200);
  assert.deepEqual((JSON.parse(text) as LabelsJson).Labels, { room: 'a', 'x/y': '' });
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ Set: { 'a b': 'c' } }, /Label: "a b"/],
    [{ Set: { a: 1 } }, /Label a: 1/],
    [{ Set: { a: 'x'.repeat(257) } }, /Label a/],
    [{ Set: [] }, /an object of labels/],
    [{ Remove: 'a' }, /Remove: "a"/],
    [{ Remove: ['-'] }, /Label: "-"/],
    [{ Set: { a: 'b' }, Remove: ['a'] }, /Remove: a/],
  ];
  for (const [body, expected] of wrong) {
    const refused = await put(body);
    assert.equal(refused.status, 400, JSON.stringify(body));
    assert.match(refused.text.replaceAll('\\', ''), expected);
  }
  const { text: still } = await api.call('GET', '/shoal/labels');
  assert.deepEqual((JSON.parse(still) as LabelsJson).Labels, { room: 'a', 'x/y': '' });
});
