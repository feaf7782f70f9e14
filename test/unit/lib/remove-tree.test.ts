import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { chmod, mkdir, readdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { removeTree, TreeRemainsError } from '../../../src/lib/remove-tree.ts';
import { asNobody, isRoot, makeDeep, treePlace } from './trees.ts';

describe('removing a tree', () => {
  it('takes what lies below paths that no call takes, and leaves no descriptor open', async () => {
    await using here = await treePlace();
    const root = join(here.path, 'deep');
    await mkdir(root);
    makeDeep(root, 500, 1);
    const before = readdirSync('/proc/self/fd').length;
    await removeTree(root);
    assert.equal(existsSync(root), false);
    assert.equal(readdirSync('/proc/self/fd').length, before);
  });

  it('removes links, files and names of any bytes, and nothing behind a link', async () => {
    await using here = await treePlace();
    const at = (path: string): string => join(here.path, path);
    await mkdir(at('out/a/b'), { recursive: true });
    await mkdir(at('kept/sub'), { recursive: true });
    await writeFile(at('kept/sub/file'), 'x');
    await symlink(at('kept'), at('out/link'));
    await symlink(at('kept'), at('out/a/b/link'));
    await writeFile(Buffer.concat([Buffer.from(at('out/a/')), Buffer.from([0xff, 0x0a])]), 'x');
    for (const wide of ['p', 'q', 'r']) {
      await mkdir(at(`out/${wide}/s/t`), { recursive: true });
      for (let index = 0; index < 100; index += 1) await writeFile(at(`out/${wide}/${index}`), '');
    }
    await symlink(at('kept'), at('root-link'));
    for (const root of ['out', 'root-link', 'never-there']) await removeTree(at(root));
    assert.deepEqual(await readdir(here.path), ['kept']);
    assert.ok(existsSync(at('kept/sub/file')));
  });

  it('removes directories of this user that are closed to it, and names those of others that remain', {
    skip: !isRoot && 'needs root',
  }, async () => {
    await using here = await treePlace();
    await chmod(here.path, 0o777);
    const root = join(here.path, 'mine');
    await asNobody(async () => {
      for (const [name, mode] of [
        ['none', 0],
        ['read', 0o500],
        ['list', 0o400],
      ] as const) {
        await mkdir(join(root, name, 'sub/sub'), { recursive: true });
        await writeFile(join(root, name, 'sub/file'), 'x');
        await chmod(join(root, name, 'sub'), mode);
        await chmod(join(root, name), mode);
      }
      await removeTree(root);
      assert.equal(existsSync(root), false);
      await mkdir(join(root, 'a'), { recursive: true });
      await chmod(root, 0o777);
    });
    await mkdir(join(root, 'theirs'), { mode: 0o700 });
    await writeFile(join(root, 'theirs/file'), 'x');
    await asNobody(() =>
      assert.rejects(removeTree(root), (error) => {
        assert.ok(error instanceof TreeRemainsError);
        assert.equal(error.left, 1);
        return true;
      }),
    );
    assert.equal((await readdir(root)).length, 1, 'a file beside it would be gone');
  });
});
