/** What was set of a peer's labels: kept over restarts, beside its configuration, within a bound. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { createLog } from '../../../src/lib/log.ts';
import { openLabels } from '../../../src/node/labels.ts';

const LOG = createLog('silent', process.stderr);

async function directory(context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'shoal-labels-'));
  context.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

const open = (path: string, configured: Readonly<Record<string, string>> = {}) =>
  openLabels(path, configured, LOG);

describe('labels of a peer', () => {
  it('are those of its configuration, and what was set and taken away since, over restarts', async (context) => {
    const path = await directory(context);
    const labels = await open(path, { region: 'eu', room: 'a' });
    await labels.change({ set: { room: 'b', disk: 'ssd' }, remove: ['region'] });
    assert.deepEqual(labels.now(), { room: 'b', disk: 'ssd' });
    const again = await open(path, { region: 'us', room: 'c', rack: '7' });
    assert.deepEqual(again.now(), { room: 'b', disk: 'ssd', rack: '7' });
    await again.change({ set: { region: 'us' }, remove: ['disk'] });
    assert.deepEqual(again.now(), { region: 'us', room: 'b', rack: '7' });
  });

  it('are changed one after the other', async (context) => {
    const labels = await open(await directory(context));
    const sets = ['a', 'b', 'c'].map((key) => labels.change({ set: { [key]: '1' }, remove: [] }));
    await Promise.all(sets);
    assert.deepEqual(labels.now(), { a: '1', b: '1', c: '1' });
  });

  it('are a hundred at most, and a change that makes more changes nothing', async (context) => {
    const path = await directory(context);
    const labels = await open(path, { a: '1' });
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, at) => [`k${at}`, 'v']));
    await assert.rejects(labels.change({ set: many, remove: [] }), /101 labels/);
    assert.deepEqual(labels.now(), { a: '1' });
    await labels.change({ set: many, remove: ['a'] });
    assert.equal(Object.keys(labels.now()).length, 100);
  });

  it('are those of the configuration when what was set cannot be read', async (context) => {
    const path = await directory(context);
    for (const text of ['{"a":', '[]', '{"a b":"c","d":7}']) {
      await writeFile(join(path, 'labels.json'), text);
      assert.deepEqual((await open(path, { region: 'eu' })).now(), { region: 'eu' });
    }
    const labels = await open(path);
    await labels.change({ set: { a: 'b' }, remove: [] });
    assert.equal(await readFile(join(path, 'labels.json'), 'utf8'), '{"a":"b"}\n');
  });

  it('are no more than an advert has room for, and what others would read in another way is no value', async (context) => {
    const path = await directory(context);
    const labels = await open(path, { a: '1' });
    const large = Object.fromEntries(
      Array.from({ length: 90 }, (_, at) => [`k${at}`, '漢'.repeat(256)]),
    );
    await assert.rejects(labels.change({ set: large, remove: [] }), /69\d\d\d bytes/);
    assert.deepEqual(labels.now(), { a: '1' });
    const text = JSON.stringify({ b: 'x\0', c: '\ud800', d: '1' });
    await writeFile(join(path, 'labels.json'), text);
    assert.deepEqual((await open(path)).now(), { d: '1' });
  });

  it('are those of the configuration alone when it has grown so that there would be too many', async (context) => {
    const path = await directory(context);
    const many = (name: string, count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, at) => [`${name}${at}`, 'v']));
    await (await open(path)).change({ set: many('k', 60), remove: [] });
    assert.deepEqual((await open(path, many('c', 60))).now(), many('c', 60));
    assert.equal(Object.keys((await open(path, many('c', 40))).now()).length, 100);
  });
});
