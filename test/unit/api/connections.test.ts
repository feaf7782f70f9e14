/** Clients that keep the server waiting: they never keep out one that asks and listens. */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { connect, type Socket } from 'node:net';
import { after, test } from 'node:test';
import { until as poll } from '../../mesh/wait.ts';
import { createTestApi, SPEC, type TestApi } from './api-server.ts';

const until = (what: string, probe: () => boolean | Promise<boolean>): Promise<true> =>
  poll(what, probe, { deadlineMs: 10_000, describe: () => '' });

const sockets: Socket[] = [];
after(() => {
  for (const socket of sockets) socket.destroy();
});

async function listening(changes: Parameters<typeof createTestApi>[0] = {}): Promise<{
  readonly api: TestApi;
  readonly port: number;
}> {
  const api = await createTestApi(changes);
  const { port } = await api.server.start();
  after(() => api.server.stop());
  return { api, port };
}

function open(port: number, text: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(text, () => resolve(socket));
    });
    socket.on('error', reject);
    socket.on('connect', () => socket.on('error', () => {}));
    sockets.push(socket);
  });
}

/** Status of a request on a connection of its own, and how long it took. */
function ask(port: number): Promise<{ readonly status: number; readonly ms: number }> {
  const from = performance.now();
  return new Promise((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/api/v1/agent/alive', agent: false }, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode ?? 0, ms: performance.now() - from });
    }).on('error', reject);
  });
}

const HALF_HEAD = 'GET /api/v1/agent/alive HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half: ';
const HALF_BODY =
  'PUT /api/v1/orchestrator/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{';

const upgrade = (path: string): string =>
  `GET /api/v1${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;

for (const [what, text] of [
  ['half-sent heads', HALF_HEAD],
  ['half-sent bodies', HALF_BODY],
  ['websockets that nobody closes', upgrade('/orchestrator/jobs/j-ffffffff/logs')],
  ['upgrades of what is no websocket', upgrade('/agent/alive')],
  ['requests that say no more', 'GET /api/v1/agent/alive HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'],
] as const) {
  test(`a request is answered beside 600 ${what}`, async () => {
    const { port } = await listening();
    for (let at = 0; at < 600; at += 50)
      await Promise.all(Array.from({ length: 50 }, () => open(port, text)));
    const { status, ms } = await ask(port);
    assert.equal(status, 200);
    assert.ok(ms < 2_000, `${ms} ms`);
  });
}

test('a head that is not finished ends with 408 within seconds', async () => {
  const { port } = await listening({ headersMaxMs: 200 });
  const socket = await open(port, HALF_HEAD);
  const answer = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(data.toString()));
  });
  assert.match(answer, /^HTTP\/1\.1 408 /);
});

test('at the bound a client that waits for its answer stays, one that keeps us waiting goes', async () => {
  const { api, port } = await listening({ connectionsMax: 3 });
  const answer = Promise.withResolvers<string>();
  api.service.metrics = () => answer.promise;
  const served = await open(port, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  let text = '';
  served.on('data', (data: Buffer) => (text += data.toString()));
  const idle = [await open(port, HALF_HEAD), await open(port, HALF_HEAD)];
  const closed = idle.map(() => false);
  idle.forEach((socket, at) => socket.on('close', () => (closed[at] = true)));
  await open(port, HALF_HEAD);
  await until('the first of those that wait is gone', () => closed[0] === true);
  assert.equal(closed[1], false);
  answer.resolve('shoal_up 1\n');
  await until('the answer came', () => text.includes('shoal_up 1'));
});

test('among stalled bodies two requests that come at once both get in', async () => {
  const { port } = await listening({ connectionsMax: 20 });
  for (let at = 0; at < 30; at += 1) await open(port, HALF_BODY);
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all([ask(port), ask(port), ask(port)]);
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200],
    );
  }
});

test('an upload that moves stays, however long it has been there', async () => {
  const { port } = await listening({ connectionsMax: 4 });
  const upload = await open(
    port,
    'POST /api/v1/shoal/content HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nx',
  );
  let closed = false;
  upload.on('close', () => (closed = true));
  for (let at = 0; at < 40; at += 1) {
    await new Promise<void>((resolve) => upload.write('x', () => resolve()));
    assert.equal((await ask(port)).status, 200);
    await open(port, HALF_HEAD);
  }
  assert.equal(closed, false);
});

test('an upload that does not move is cut off, and so is a reader that does not read', async () => {
  const { api, port } = await listening({ stalledMs: 300 });
  api.service.metrics = async () => 'x'.repeat(50_000_000);
  const upload = await open(
    port,
    'POST /api/v1/shoal/content HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nx',
  );
  const reader = await open(port, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
  reader.pause();
  const gone = [upload, reader].map((socket) => {
    const seen = { closed: false };
    socket.on('close', () => (seen.closed = true));
    return seen;
  });
  upload.resume();
  await until('the upload is cut off', () => gone[0]?.closed === true);
  // The end shows only once what came before it is read.
  reader.resume();
  await until('the reader is cut off', () => gone[1]?.closed === true);
  assert.ok(reader.bytesRead < 50_000_000, `${reader.bytesRead} bytes were read`);
});

test('the 65th follower of logs is told to come again, and a place is free when one leaves', async () => {
  const { api, port } = await listening();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.assign();
  job.logLines = [{ stream: 'stdout', line: 'one\n' }];
  const url = `ws://127.0.0.1:${port}/api/v1/orchestrator/jobs/${job.id}/logs?follow=true`;
  const follow = async (): Promise<{ readonly socket: WebSocket; readonly code: string }> => {
    const socket = new WebSocket(url);
    const first = await new Promise<string>((resolve, reject) => {
      socket.onmessage = ({ data }) => resolve(String(data));
      socket.onerror = () => reject(new Error('no websocket'));
    });
    const frame = JSON.parse(first) as { readonly code?: string };
    return { socket, code: frame.code ?? '' };
  };
  const followers = await Promise.all(Array.from({ length: 64 }, follow));
  assert.ok(followers.every(({ code }) => code === ''));
  assert.equal((await follow()).code, 'rate-limited');
  followers[0]?.socket.close();
  await until('its stream has ended', () => api.service.logsClosed === 1);
  const again = await follow();
  assert.equal(again.code, '');
  for (const { socket } of [...followers, again]) socket.close();
});

test('a follower that talks without end is cut off', async () => {
  const { api, port } = await listening();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.assign();
  const socket = new WebSocket(
    `ws://127.0.0.1:${port}/api/v1/orchestrator/jobs/${job.id}/logs?follow=true`,
  );
  const closed = new Promise<number>((resolve) => {
    socket.onclose = ({ code }) => resolve(code);
  });
  socket.onopen = () => {
    for (let word = 0; word < 200; word += 1) socket.send('and another thing');
  };
  assert.equal(await closed, 1006);
});

test('a follower that pings without end and reads no answer is cut off', async () => {
  const { api, port } = await listening();
  await api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = api.service.jobs[0];
  assert.ok(job);
  job.assign();
  const socket = await open(port, upgrade(`/orchestrator/jobs/${job.id}/logs?follow=true`));
  await until('the log is followed', () => api.service.logsOpened === 1);
  const ping = Buffer.concat([Buffer.from([0x89, 0xfd, 0, 0, 0, 0]), Buffer.alloc(125)]);
  const many = Buffer.concat(Array.from({ length: 8_000 }, () => ping));
  for (let sent = 0; sent < 40 && !socket.destroyed; sent += 1)
    await new Promise<void>((resolve) => socket.write(many, () => resolve()));
  await until('its stream has ended', () => api.service.logsClosed === 1);
});

test('answers that nobody reads take no more memory than they may', async () => {
  const { api, port } = await listening({ unreadMaxBytes: 50_000_000 });
  api.service.metrics = async () => 'x'.repeat(20_000_000);
  let closed = 0;
  for (let at = 0; at < 10; at += 1) {
    const reader = await open(port, 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    reader.pause();
    // Whether the other side is gone shows only when it is written to.
    reader.on('close', () => (closed += 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal((await ask(port)).status, 200);
  }
  const kept = await new Promise<number>((resolve, reject) => {
    api.server.app.server.getConnections((error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
  assert.ok(kept <= 4, `${kept} connections, ${closed} closed`);
});

test('large bodies that never end are refused together, and a small one is read beside them', async () => {
  const { api, port } = await listening();
  const head = (bytes: number): string =>
    `PUT /api/v1/orchestrator/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n`;
  const answers: string[] = [];
  for (let at = 0; at < 12; at += 1) {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (data) => answers.push(data.toString().slice(0, 12)));
    socket.write(`${head(9_500_000)}"${'x'.repeat(9_000_000)}`);
  }
  await until('some are refused', () => answers.includes('HTTP/1.1 429'));
  const body = JSON.stringify({ Job: SPEC });
  const small = await open(port, `${head(body.length)}${body}`);
  const answer = await new Promise<string>((resolve) => {
    small.once('data', (data) => resolve(data.toString()));
  });
  assert.match(answer, /^HTTP\/1\.1 200 /);
  assert.equal(api.service.jobs.length, 1);
});

test('beyond 16 uploads and 64 fetches at once the next are told to come again', async () => {
  const { api, port } = await listening();
  const upload =
    'POST /api/v1/shoal/content HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\nContent-Length: 1000\r\n\r\nx';
  // More than fit: which of them the server sees first is open.
  for (let at = 0; at < 20; at += 1) await open(port, upload);
  await until('the next upload is refused', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/shoal/content`, {
      method: 'POST',
      headers: { 'content-type': 'application/octet-stream' },
      body: 'x',
    });
    return answer.status === 429;
  });
  api.service.content.read = async function* () {
    yield await new Promise<Uint8Array>(() => {});
  };
  const path = '/api/v1/shoal/content/bafkqaaa/file';
  for (let at = 0; at < 70; at += 1)
    await open(port, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
  const tooMany = async (): Promise<boolean> => {
    const signal = AbortSignal.timeout(1_000);
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal }).catch(() => null);
    return answer?.status === 429;
  };
  await until('the next fetch is refused', tooMany);
});

test('a follower that does not say goodbye delays the end of the server by no more than a moment', async () => {
  const api = await createTestApi();
  const { port } = await api.server.start();
  for (const path of ['/orchestrator/jobs/j-ffffffff/logs', '/agent/alive'])
    await open(port, upgrade(path));
  assert.equal((await ask(port)).status, 200);
  const from = performance.now();
  await api.server.stop();
  assert.ok(performance.now() - from < 5_000, `${performance.now() - from} ms`);
});
