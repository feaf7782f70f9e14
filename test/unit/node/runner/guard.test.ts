/** What the guard of a running program makes of what it sees, and of what it cannot see. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { pause } from '../../../../src/lib/abort.ts';
import { createLog } from '../../../../src/lib/log.ts';
import { createGuard } from '../../../../src/node/runner/guard.ts';
import type { Filled, Guard } from '../../../../src/node/runner/guard.ts';

const log = createLog('silent', { write: () => {} });

/** A guard that sees these one after the other, then the last of them again and again. */
function guardOf(looks: readonly Filled[]): {
  readonly guard: Guard;
  readonly looked: () => number;
} {
  let look = 0;
  const measure = async (): Promise<Filled> => {
    look += 1;
    return looks[Math.min(look, looks.length) - 1] ?? { bytes: 0, closed: 0 };
  };
  const guard = createGuard({ timeoutMs: 0, diskBytes: 1_000, measure, diskPollMs: 1, log });
  guard.begin(0);
  return { guard, looked: () => look };
}

async function broken(guard: Guard): Promise<string | undefined> {
  await pause(20_000, guard.signal);
  await guard.end();
  return guard.broken()?.code;
}

const open = { bytes: 10, closed: 0 };
const closed = { bytes: 10, closed: 1 };

describe('the guard of a program', () => {
  it('leaves it no time when it fills more than its disk', async () => {
    const { guard } = guardOf([open, { bytes: 1_001, closed: 0 }]);
    assert.equal(await broken(guard), 'disk-limit-exceeded');
    assert.ok(guard.atOnce.aborted);
  });

  it('ends one that keeps a directory closed to it, as anything may lie there', async () => {
    assert.equal(await broken(guardOf([closed]).guard), 'disk-closed');
  });

  it('bears with one that closes a directory for a moment', async () => {
    const moment = [...Array.from({ length: 9 }, () => closed), open];
    const { guard, looked } = guardOf([...moment, ...moment, open]);
    while (looked() < 30) await pause(1, new AbortController().signal);
    await guard.end();
    assert.equal(guard.broken(), null);
  });
});
