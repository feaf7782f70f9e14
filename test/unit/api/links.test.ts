/** Results of the publisher `local`: an address that downloads them, with and without keys. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { createLinks } from '../../../src/api/links.ts';
import { apiKey, createTestApi, SPEC, type Loose, type TestApi } from './api-server.ts';
import { NODE_A, NODE_B } from './fake-service.ts';

const KEY = { authorization: 'Bearer first-key' };

async function published(api: TestApi, publisher: string): Promise<string> {
  const Tasks = [{ ...SPEC.Tasks[0], Publisher: { Type: publisher } }];
  const submitted = await api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, Tasks } }, KEY);
  assert.equal(submitted.status, 200, submitted.text);
  const result = api.service.content.put(
    { stdout: 'hello\n', exitCode: '0', 'out/run': '#!/bin/sh\n', 'out/link': { link: 'run' } },
    { 'out/run': 0o755 },
  );
  api.service.jobs.at(-1)?.complete(0, { result });
  return `/orchestrator/jobs/${api.service.jobs.at(-1)?.id}`;
}

const resultOf = async (api: TestApi, path: string, headers = {}): Promise<Loose | undefined> =>
  (await api.call('GET', `${path}/results`, undefined, { ...KEY, ...headers })).json['Items']?.[0];

const pathIn = (url: unknown): string => {
  const { pathname, search } = new URL(String(url));
  return pathname + search;
};

test('a result is named by its CID and by an address of the peer as its client reached it', async () => {
  const api = await createTestApi({ allowedHosts: ['peer.example'] });
  const path = await published(api, 'local');
  const result = await resultOf(api, path, { host: 'peer.example:8080' });
  assert.equal(result?.['Type'], 'urlDownload');
  const { URL: url, CID, Holders } = (result?.['Params'] ?? {}) as Record<string, unknown>;
  assert.deepEqual(Holders, [NODE_A, NODE_B]);
  assert.match(
    String(url),
    new RegExp(
      `^http://peer\\.example:8080/api/v1/shoal/content/${String(CID)}/archive/e-[0-9a-f-]{36}\\.tar\\.gz\\?`,
    ),
  );
  const executions = await api.call('GET', `${path}/executions`, undefined, {
    host: 'peer.example:8080',
  });
  assert.deepEqual(executions.json['Items']?.[0]?.['PublishedResult'], result);
  const behind = await resultOf(api, path, { 'x-forwarded-proto': 'https' });
  assert.match(String(behind?.['Params']?.['URL']), /^https:/);
});

test('what the address gives is unpacked by tar: the result at its root, links and modes included', async () => {
  const api = await createTestApi();
  const result = await resultOf(api, await published(api, 'local'));
  const answer = await api.server.app.inject({
    method: 'GET',
    url: pathIn(result?.['Params']?.['URL']),
    headers: { host: '127.0.0.1:1234' },
  });
  assert.deepEqual([answer.statusCode, answer.headers['content-type']], [200, 'application/gzip']);
  const list = (...flags: string[]) =>
    execFileSync('tar', [...flags, '-zf', '-'], { input: answer.rawPayload, encoding: 'utf8' });
  assert.deepEqual(list('-t').trim().split('\n').sort(), [
    'exitCode',
    'out/link',
    'out/run',
    'stdout',
  ]);
  assert.match(list('-tv'), /^-rwxr-xr-x .*out\/run$/m);
  assert.match(list('-tv'), /out\/link -> run$/m);
});

test('results of the publisher ipfs are named by their CID alone', async () => {
  const api = await createTestApi();
  const result = await resultOf(api, await published(api, 'ipfs'));
  assert.equal(result?.['Type'], 'ipfs');
  assert.equal(result?.['Params']?.['URL'], undefined);
});

test('an archive of content that is nowhere, or by another name, is refused', async () => {
  const api = await createTestApi();
  const missing = await api.call('GET', '/shoal/content/bafynone/archive/a.tar.gz');
  assert.deepEqual([missing.status, missing.json['Details']?.['code']], [404, 'content-not-found']);
  const wrong = await api.call('GET', '/shoal/content/bafynone/archive/a.zip');
  assert.equal(wrong.status, 400);
});

test('with keys the address downloads without one, for an hour, and opens nothing else', async () => {
  const api = await createTestApi({ apiKeys: [apiKey('first-key')] });
  const result = await resultOf(api, await published(api, 'local'));
  const path = pathIn(result?.['Params']?.['URL']);
  const cid = String(result?.['Params']?.['CID']);
  const status = async (url: string, method = 'GET'): Promise<number> =>
    (await api.call(method, url)).status;
  assert.equal(await status(path), 200);
  assert.equal(await status(path.replace(cid, 'bafyother')), 401);
  assert.equal(await status(path.replace(/&proof=.*/, '')), 401);
  assert.equal(await status(path.replace(/until=\d+/, 'until=99999999999999')), 401);
  assert.equal(await status(path.replace(/archive\/.*\.tar\.gz/, 'file')), 401);
  assert.equal(await status(`${path}&path=../../x`), 401);
});

test('a proof is good for its path, until its time is over, and in this process', () => {
  let now = 1_000;
  const links = createLinks(() => now);
  const url = links.signed('/a?holder=b');
  assert.ok(links.isGood(url));
  assert.ok(!createLinks(() => now).isGood(url), 'another process has another secret');
  assert.ok(!links.isGood(url.replace('/a', '/b')));
  now += 3_600_001;
  assert.ok(!links.isGood(url));
});
