import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { readIfThere, writeDurably } from '../../../src/lib/durable-file.ts';

it('a durable file is replaced as a whole, is private and leaves nothing beside it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-durable-'));
  const path = join(directory, 'fact.json');
  assert.equal(await readIfThere(path), null);
  await writeDurably(path, 'a longer first text');
  await writeDurably(path, 'second');
  assert.equal(await readIfThere(path), 'second');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
  assert.deepEqual(await readdir(directory), ['fact.json']);
  await rm(directory, { recursive: true });
});
