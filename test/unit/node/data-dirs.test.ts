import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { createLog } from '../../../src/lib/log.ts';
import { closeDataDirs, makeDataDirs } from '../../../src/node/data-dirs.ts';
import { isRoot, treePlace } from '../lib/trees.ts';

function prepared(dataDir: string): string {
  const out = new PassThrough();
  closeDataDirs(dataDir, createLog('warn', out));
  makeDataDirs(dataDir);
  return String(out.read() ?? '');
}

const modeOf = async (path: string): Promise<string> =>
  ((await stat(path)).mode & 0o777).toString(8);

describe('a data directory', () => {
  it('is made with all above it, and only its user may enter', async () => {
    await using here = await treePlace();
    const dataDir = join(here.path, 'a/data');
    assert.equal(prepared(dataDir), '');
    assert.deepEqual((await readdir(dataDir)).sort(), ['blocks', 'executions', 'spool']);
    for (const path of ['.', 'executions', 'spool'])
      assert.equal(await modeOf(join(dataDir, path)), '700', path);
  });

  it('that others may enter is closed to them, with a word in the log, once', async () => {
    await using here = await treePlace();
    for (const mode of [0o755, 0o750, 0o777, 0o711]) {
      await chmod(here.path, mode);
      await mkdir(join(here.path, 'spool'), { recursive: true });
      await chmod(join(here.path, 'spool'), mode);
      assert.equal(prepared(here.path).split('data.closed').length - 1, 2, mode.toString(8));
      assert.equal(await modeOf(here.path), '700');
      assert.equal(await modeOf(join(here.path, 'spool')), '700');
      assert.equal(prepared(here.path), '');
    }
  });

  it('of another user is refused, and stays as it is', {
    skip: !isRoot && 'needs root',
  }, async () => {
    await using here = await treePlace();
    prepared(here.path);
    for (const path of ['.', 'executions']) {
      await chown(join(here.path, path), 65_534, 65_534);
      assert.throws(
        () => prepared(here.path),
        (error) =>
          error instanceof ShoalError &&
          error.failure.code === 'path-unsafe' &&
          /uid 65534.*chown 0 /.test(error.message),
      );
      await chown(join(here.path, path), 0, 0);
    }
    assert.equal(prepared(here.path), '');
  });
});
