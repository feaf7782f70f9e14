/** Results that are laid down where other users write, too. */
import assert from 'node:assert/strict';
import {
  chown,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { checkTarget, openPartial } from '../../../src/cli/partial.ts';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { isRoot, treePlace } from '../lib/trees.ts';

const NOBODY = 65_534;

const refused = (code: string) => (error: unknown) =>
  error instanceof ShoalError && error.failure.code === code;

describe('a directory that is filled beside its place', () => {
  it('is closed to all others, and is taken up again by the same content only', async () => {
    await using here = await treePlace();
    const target = join(here.path, 'deep/out');
    const first = await openPartial(target, 'one');
    await writeFile(join(first.path, 'half'), 'half');
    await first.close();
    const [name = ''] = await readdir(join(here.path, 'deep'));
    assert.equal((await stat(join(here.path, 'deep', name))).mode & 0o777, 0o700);
    const again = await openPartial(target, 'one');
    assert.equal(await readFile(join(again.path, 'half'), 'utf8'), 'half');
    await again.close();
    const other = await openPartial(target, 'two');
    assert.deepEqual((await readdir(other.path)).length, 1, 'only its own mark');
    await mkdir(join(other.path, 'merged'));
    await other.complete(join(other.path, 'merged'));
    await other.close();
    assert.deepEqual(await readdir(join(here.path, 'deep')), ['out']);
  });

  it('is gone again when no file came to lie in it', async () => {
    await using here = await treePlace();
    const partial = await openPartial(join(here.path, 'out'), 'one');
    await mkdir(join(partial.path, 'content/empty'), { recursive: true });
    await partial.close();
    assert.deepEqual(await readdir(here.path), []);
  });

  it('is filled and put in place though its name is exchanged meanwhile', async () => {
    await using here = await treePlace();
    await mkdir(join(here.path, 'victim'));
    const target = join(here.path, 'out');
    const partial = await openPartial(target, 'one');
    const [name = ''] = (await readdir(here.path)).filter((each) => each !== 'victim');
    await rename(join(here.path, name), join(here.path, 'away'));
    await symlink('victim', join(here.path, name));
    await mkdir(join(partial.path, 'merged'));
    await writeFile(join(partial.path, 'merged/stdout'), 'mine');
    await partial.complete(join(partial.path, 'merged'));
    await partial.close();
    assert.equal(await readFile(join(target, 'stdout'), 'utf8'), 'mine');
    assert.deepEqual(await readdir(join(here.path, 'victim')), []);
  });

  it('replaces a link and not what it leads to', async () => {
    await using here = await treePlace();
    await mkdir(join(here.path, 'victim'));
    await writeFile(join(here.path, 'victim/file'), 'x');
    const target = join(here.path, 'out');
    await symlink('victim', target);
    await assert.rejects(checkTarget(target, '/', false), refused('output-exists'));
    await checkTarget(target, '/', true);
    const partial = await openPartial(target, 'one');
    await mkdir(join(partial.path, 'merged'));
    await partial.complete(join(partial.path, 'merged'));
    await partial.close();
    assert.equal((await stat(target)).isDirectory(), true);
    assert.deepEqual(await readdir(target), []);
    assert.deepEqual(await readdir(join(here.path, 'victim')), ['file']);
  });

  it('is not one that somebody else laid there, and replaces nothing of theirs', {
    skip: !isRoot && 'needs root',
  }, async () => {
    await using here = await treePlace();
    const target = join(here.path, 'out');
    const first = await openPartial(target, 'one');
    await writeFile(join(first.path, 'half'), 'half');
    await first.close();
    const [planted = ''] = await readdir(here.path);
    await chown(join(here.path, planted), NOBODY, NOBODY);
    const partial = await openPartial(target, 'one');
    assert.deepEqual((await readdir(here.path)).length, 2, 'a new one was made');
    await mkdir(target);
    await chown(target, NOBODY, NOBODY);
    await assert.rejects(checkTarget(target, '/', true), refused('path-unsafe'));
    await mkdir(join(partial.path, 'merged'));
    await assert.rejects(
      partial.complete(join(partial.path, 'merged')),
      refused('path-unsafe'),
      'also when it came to lie there meanwhile',
    );
    await partial.close();
  });
});
