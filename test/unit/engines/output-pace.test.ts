/** How fast output is taken in. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { openOutputFiles } from '../../../src/engines/docker/output.ts';
import { createOutputPace } from '../../../src/engines/output-pace.ts';
import { capture } from '../../../src/engines/wasm/output.ts';

const MB = 1_000_000;

/** A clock that only waiting moves. */
function paceOf(): {
  readonly took: (bytes: number) => Promise<void>;
  readonly clock: { ms: number };
} {
  const clock = { ms: 0 };
  const wait = async (ms: number): Promise<void> => void (clock.ms += ms);
  return { took: createOutputPace({ now: () => clock.ms, wait }).took, clock };
}

test('output comes as fast as it can until there is a lot of it, then at a pace', async () => {
  const { took, clock } = paceOf();
  for (let at = 0; at < 256; at += 1) await took(MB);
  assert.equal(clock.ms, 0);
  for (let at = 0; at < 320; at += 1) await took(MB);
  assert.ok(Math.abs(clock.ms - 10_000) < 1, String(clock.ms));
  // Who prints nothing for a while may print at any speed again.
  clock.ms += 60_000;
  for (let at = 0; at < 256; at += 1) await took(MB);
  assert.ok(Math.abs(clock.ms - 70_000) < 1, String(clock.ms));
});

test('both engines read at that pace, also what they drop', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-pace-'));
  try {
    const paces: number[] = [];
    const pace = { took: async (bytes: number) => void paces.push(bytes) };
    const path = join(directory, 'stdout');
    await capture(Readable.from([Buffer.alloc(7), Buffer.alloc(5)]), path, 8, pace);
    assert.deepEqual(paces.splice(0), [7, 5]);
    const files = await openOutputFiles(path, join(directory, 'stderr'), 1, pace);
    await files.copy(Readable.from([Buffer.from([1, 0, 0, 0, 0, 0, 0, 2, 65, 66])]));
    await files.close();
    assert.deepEqual(paces, [10]);
    assert.equal(await readFile(path, 'utf8'), 'A');
  } finally {
    await rm(directory, { recursive: true });
  }
});
