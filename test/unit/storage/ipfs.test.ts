import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { asNodeId } from '../../../src/core/record/ids.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { createIpfsSource } from '../../../src/storage/ipfs-source.ts';
import { createIpfsPublisher, createNoopPublisher } from '../../../src/storage/publishers.ts';
import { publisherOf, sourceOf } from '../../../src/storage/source.ts';
import { createFakeContent } from './fake-content.ts';
import { failureOf, inputOf, orderOf, place } from './support.ts';

const signal = new AbortController().signal;

describe('inputs by CID', () => {
  it('are written for one execution alone and mounted read-only, asking the likely holders first', async () => {
    await using here = await place();
    const content = createFakeContent();
    await mkdir(join(here.path, 'data/sub'), { recursive: true });
    await writeFile(join(here.path, 'data/sub/x'), 'hello');
    const { cid } = await content.add(join(here.path, 'data'), signal);
    const holders = [asNodeId('12D3KooWA')];
    const staged = await createIpfsSource(content).stage(
      inputOf('ipfs', { CID: cid }, '/inputs'),
      here.context('a', { order: orderOf('e-1', {}, { holders }), maxBytes: 77 }),
    );
    assert.deepEqual(staged.mounts, [
      { source: join(here.path, 'a'), target: '/inputs', writable: true },
    ]);
    assert.equal(staged.bytes, 5);
    assert.equal(await readFile(join(here.path, 'a/sub/x'), 'utf8'), 'hello');
    assert.deepEqual(
      content.fetches.map(({ holders: asked, maxBytes }) => ({ asked, maxBytes })),
      [{ asked: holders, maxBytes: 77 }],
    );
  });

  it('spend what they take when they are written, directories and empty files included', async () => {
    await using here = await place();
    const content = createFakeContent();
    await mkdir(join(here.path, 'data/sub'), { recursive: true });
    await writeFile(join(here.path, 'data/sub/x'), 'hello');
    const { cid } = await content.add(join(here.path, 'data'), signal);
    let spent = 0;
    const spend = (bytes: number): void => void (spent += bytes);
    const input = inputOf('ipfs', { CID: cid }, '/inputs');
    await createIpfsSource(content).stage(input, here.context('a', { spend }));
    assert.equal(spent, 3 * 4_096 + 5);
  });

  it('fail in the class that says whether another try can help', async () => {
    await using here = await place();
    const content = createFakeContent();
    const source = createIpfsSource(content);
    const { cid } = await content.addStream(
      (async function* () {
        yield Buffer.alloc(100);
      })(),
      signal,
    );
    const cases: readonly [string, Record<string, string>, number, string][] = [
      ['nobody has it', { CID: 'bafy00' }, 1_000, 'transient input-not-found'],
      ['more than allowed', { CID: cid }, 99, 'limit input-too-large'],
      ['no CID', { CID: 'nonsense' }, 1_000, 'spec input-invalid'],
      ['not named', {}, 1_000, 'spec input-invalid'],
    ];
    for (const [what, params, maxBytes, expected] of cases) {
      const work = source.stage(inputOf('ipfs', params), here.context('x', { maxBytes }));
      assert.equal(await failureOf(work), expected, what);
    }
  });

  it('that no node can write are the fault of their job, and no defect of this node', async () => {
    await using here = await place();
    const why = 'more than 100000 entries';
    const writeTo = () => Promise.reject(new ShoalError({ code: 'path-unsafe', path: '…', why }));
    const source = createIpfsSource({ ...createFakeContent(), writeTo });
    const work = source.stage(inputOf('ipfs', { CID: 'bafy00' }), here.context('x', {}));
    assert.equal(await failureOf(work), 'spec input-invalid');
  });

  it('give way to the signal, without calling that a failure of the input', async () => {
    await using here = await place();
    const why = new Error('cancelled');
    const context = here.context('x', { signal: AbortSignal.abort(why) });
    await assert.rejects(
      createIpfsSource(createFakeContent()).stage(inputOf('ipfs', { CID: 'bafy00' }), context),
      why,
    );
  });
});

describe('publishers', () => {
  it('by CID keep the whole directory', async () => {
    await using here = await place();
    const content = createFakeContent();
    await mkdir(join(here.path, 'result'));
    await writeFile(join(here.path, 'result/stdout'), 'hello');
    const { result } = await createIpfsPublisher(content).publish(
      join(here.path, 'result'),
      signal,
    );
    assert.equal(result?.bytes, 5);
    assert.deepEqual(content.filesOf(result.cid), { stdout: 'hello' });
  });

  it('of jobs that name none keep nothing', async () => {
    assert.deepEqual(await createNoopPublisher('').publish('/nowhere', signal), {
      result: null,
      dropped: [],
    });
  });
});

it('what this node does not support is a failure of the node, so that another one is tried', async () => {
  const sources = new Map([['ipfs', createIpfsSource(createFakeContent())]]);
  const publishers = new Map([['', createNoopPublisher('')]]);
  assert.equal(await failureOf((async () => sourceOf(sources, 's3'))()), 'node source-unsupported');
  assert.equal(
    await failureOf((async () => publisherOf(publishers, 's3'))()),
    'node publisher-unsupported',
  );
  assert.equal(sourceOf(sources, 'ipfs').type, 'ipfs');
});
