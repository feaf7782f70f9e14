import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { abortable, pause, withDeadline } from '../../../src/lib/abort.ts';

describe('waiting that can be given up', () => {
  it('tells whether the time passed or the signal came first', async () => {
    assert.equal(await pause(1, new AbortController().signal), true);
    const abort = new AbortController();
    const waiting = pause(60_000, abort.signal);
    abort.abort();
    assert.equal(await waiting, false);
    assert.equal(await pause(60_000, abort.signal), false);
  });

  it('gives up work that does not heed its signal', async () => {
    const abort = new AbortController();
    const endless = new Promise<never>(() => {});
    const work = abortable(endless, abort.signal);
    abort.abort(new Error('enough'));
    await assert.rejects(work, /enough/);
    await assert.rejects(abortable(endless, abort.signal), /enough/);
  });

  it('ends work at its deadline and passes on what it returns before', async () => {
    assert.equal(await withDeadline(60_000, null, async () => 7), 7);
    await assert.rejects(
      withDeadline(1, null, () => new Promise<never>(() => {})),
      { name: 'TimeoutError' },
    );
    const parent = new AbortController();
    const work = withDeadline(60_000, parent.signal, () => new Promise<never>(() => {}));
    parent.abort(new Error('parent'));
    await assert.rejects(work, /parent/);
  });
});
