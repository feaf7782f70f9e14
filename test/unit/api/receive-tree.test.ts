/** Where trees are received: what a process leaves there that dies, and a spool that is not there. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { clearSpool } from '../../../src/api/receive-tree.ts';

test('uploads that a process left in the middle are removed, and the spool stays', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'shoal-spool-'));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  const spool = join(directory, 'spool');
  await clearSpool(spool);
  assert.ok(!existsSync(spool));
  mkdirSync(join(spool, 'upload-a/deep'), { recursive: true });
  writeFileSync(join(spool, 'upload-a/deep/file'), 'x');
  await clearSpool(spool);
  assert.deepEqual(readdirSync(spool), []);
});
