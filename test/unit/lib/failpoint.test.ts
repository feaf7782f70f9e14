/** Places at which tests break a peer: only where a build asks for it, only the one that is named, once. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildAll } from '../../../scripts/build.ts';
import { failpoint } from '../../../src/lib/failpoint.ts';
import { FAILPOINTS } from '../../mesh/failpoint-places.ts';

function armed(at: string, work: () => void): void {
  process.env['TEST_FAILPOINT'] = at;
  Object.assign(globalThis, { SHOAL_FAILPOINTS: true });
  try {
    work();
  } finally {
    delete process.env['TEST_FAILPOINT'];
    Reflect.deleteProperty(globalThis, 'SHOAL_FAILPOINTS');
  }
}

test('a place that is named fails as it is told to, when its turn has come, and no other does', () => {
  armed('effect.before send=throw@2', () => {
    failpoint('effect.before', 'send');
    failpoint('effect.before', 'gossip');
    failpoint('effect.after', 'send');
    assert.throws(() => failpoint('effect.before', 'send'), /failpoint effect\.before send/);
    failpoint('effect.before', 'send');
  });
});

test('where no build asks for it nothing is looked at', () => {
  process.env['TEST_FAILPOINT'] = 'commit.before=throw';
  failpoint('commit.before');
  delete process.env['TEST_FAILPOINT'];
});

test('the shipped program has none of the places, and the one for tests has all', async () => {
  for (const failpoints of [false, true]) {
    const directory = mkdtempSync(join(tmpdir(), 'shoal-build-'));
    try {
      await buildAll(directory, failpoints);
      const files = (await readdir(directory)).filter((name) => name.endsWith('.js'));
      const all = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')));
      const text = all.join('\n');
      assert.equal(text.includes('TEST_FAILPOINT'), failpoints);
      const there = (place: string) => text.includes(`"${place.split(' ')[0]}"`);
      const found = FAILPOINTS.filter(there);
      assert.deepEqual(found, failpoints ? FAILPOINTS : []);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  }
});
