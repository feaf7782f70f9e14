import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, realpath, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Json } from '../../../src/job/model.ts';
import { createLocalSource } from '../../../src/storage/local-source.ts';
import { failureOf, inputOf, place } from './support.ts';
import type { Place } from './support.ts';

/** A machine with `open` (readable), `area` (writable) and `secret` (closed). */
async function machine(): Promise<
  Place & { stage(params: Readonly<Record<string, Json>>): Promise<string> }
> {
  const here = await place();
  for (const name of ['open/deep', 'area', 'secret'])
    await mkdir(join(here.path, name), { recursive: true });
  await writeFile(join(here.path, 'open/data.txt'), 'data');
  await writeFile(join(here.path, 'secret/key'), 'key');
  const source = createLocalSource('localdirectory', [
    `${here.path}/open/**`,
    `${here.path}/area/**:rw`,
  ]);
  return {
    ...here,
    async stage(params) {
      const staged = await source.stage(
        inputOf('localdirectory', params, '/in'),
        here.context('unused'),
      );
      assert.equal(staged.bytes, 0);
      const mount = staged.mounts[0];
      return `${mount?.source} ${mount?.target} ${mount?.writable ? 'rw' : 'ro'}`;
    },
  };
}

describe('local inputs', () => {
  it('are mounted as they are, for reading unless writing was asked for and is allowed', async () => {
    await using here = await machine();
    const at = (path: string): string => join(here.path, path);
    assert.equal(await here.stage({ SourcePath: at('open') }), `${at('open')} /in ro`);
    assert.equal(
      await here.stage({ SourcePath: at('open/data.txt') }),
      `${at('open/data.txt')} /in ro`,
    );
    assert.equal(await here.stage({ SourcePath: at('area') }), `${at('area')} /in ro`);
    for (const ReadWrite of [true, 'true']) {
      assert.equal(
        await here.stage({ SourcePath: `${at('area')}/`, ReadWrite }),
        `${at('area')} /in rw`,
      );
    }
    assert.ok(!existsSync(at('unused')));
  });

  it('are refused outside of what the operator opened', async () => {
    await using here = await machine();
    const cases: readonly Readonly<Record<string, Json>>[] = [
      { SourcePath: join(here.path, 'secret') },
      { SourcePath: `${here.path}/open/../secret` },
      { SourcePath: here.path },
      { SourcePath: `${here.path}/opener` },
      { SourcePath: '/' },
      { SourcePath: join(here.path, 'open'), ReadWrite: true },
    ];
    for (const params of cases) {
      assert.equal(
        await failureOf(here.stage(params)),
        'node path-not-allowed',
        JSON.stringify(params),
      );
    }
    for (const SourcePath of ['open', '', 7, `${here.path}/open/\0`]) {
      assert.equal(
        await failureOf(here.stage({ SourcePath })),
        'spec input-invalid',
        String(SourcePath),
      );
    }
  });

  it('do not lead out through symlinks, wherever in the path they are', async () => {
    await using here = await machine();
    await symlink('../secret', join(here.path, 'open/way-out'));
    await symlink(join(here.path, 'secret/key'), join(here.path, 'open/file-out'));
    await symlink(join(here.path, 'open'), join(here.path, 'area/to-open'));
    await symlink(join(here.path, 'open/deep'), join(here.path, 'open/inside'));
    for (const path of ['open/way-out', 'open/way-out/key', 'open/file-out']) {
      assert.equal(
        await failureOf(here.stage({ SourcePath: join(here.path, path) })),
        'node path-not-allowed',
        path,
      );
    }
    // A link in a writable place to a readable one must not make that one writable.
    const params = { SourcePath: join(here.path, 'area/to-open'), ReadWrite: true };
    assert.equal(await failureOf(here.stage(params)), 'node path-not-allowed');
    assert.equal(
      await here.stage({ SourcePath: join(here.path, 'open/inside') }),
      `${join(here.path, 'open/deep')} /in ro`,
    );
  });

  it('carry their device and inode where other jobs may write as well', async () => {
    await using here = await machine();
    const at = (path: string): string => join(here.path, path);
    await mkdir(at('area/mine'));
    const source = createLocalSource('local', [`${at('open')}/**`, `${at('area')}/**:rw`]);
    const sharedOf = async (SourcePath: string): Promise<unknown> =>
      (await source.stage(inputOf('local', { SourcePath }), here.context('unused'))).mounts[0]
        ?.shared;
    const identityOf = async (path: string): Promise<string> => {
      const { dev, ino } = await stat(at(path));
      return `${dev}:${ino}`;
    };
    const mine = { identity: await identityOf('area/mine'), exchangeable: true };
    assert.deepEqual(await sharedOf(at('area/mine')), mine);
    const area = { identity: await identityOf('area'), exchangeable: false };
    assert.deepEqual(await sharedOf(at('area')), area, 'its name is the operator’s');
    assert.equal(await sharedOf(at('open/deep')), undefined);
  });

  it('do not follow a rule through a link that a job may have made', async () => {
    await using here = await machine();
    const at = (path: string): string => join(here.path, path);
    await symlink('area', at('also-area'));
    await symlink(at('secret'), at('area/sub'));
    await symlink(at('area/sub'), at('operators'));
    for (const [open, rule] of [
      ['area', 'area/sub'],
      ['also-area', 'area/sub'],
      ['area', 'also-area/sub'],
      ['area', 'operators'],
    ] as const) {
      const source = createLocalSource('local', [`${at(rule)}/**`, `${at(open)}/**:rw`]);
      const staged = source.stage(
        inputOf('local', { SourcePath: at(`${rule}/key`) }),
        here.context('unused'),
      );
      assert.equal(await failureOf(staged), 'node path-not-allowed', `${rule} below ${open}`);
    }
  });

  it('follow a symlink that the operator put into the rule', async () => {
    await using here = await place();
    await mkdir(join(here.path, 'disk1/data'), { recursive: true });
    await symlink('disk1', join(here.path, 'disk'));
    for (const rule of [`${here.path}/disk/**`, `${here.path}/disk/data`]) {
      const source = createLocalSource('local', [rule]);
      const staged = await source.stage(
        inputOf('local', { SourcePath: `${here.path}/disk/data` }),
        here.context('unused'),
      );
      assert.equal(staged.mounts[0]?.source, await realpath(join(here.path, 'disk1/data')), rule);
    }
  });

  it('are created only when that was asked for, and only where it is allowed', async () => {
    await using here = await machine();
    const at = (path: string): string => join(here.path, path);
    await symlink('../secret', at('area/way-out'));
    assert.equal(
      await failureOf(here.stage({ SourcePath: at('area/new') })),
      'node path-not-found',
    );
    assert.equal(
      await failureOf(
        here.stage({ SourcePath: at('area/way-out/new'), ReadWrite: true, CreateAs: 'dir' }),
      ),
      'node path-not-allowed',
    );
    assert.ok(!existsSync(at('secret/new')));
    assert.equal(
      await here.stage({ SourcePath: at('area/a/b'), ReadWrite: true, CreateAs: 'dir' }),
      `${at('area/a/b')} /in rw`,
    );
    assert.ok((await stat(at('area/a/b'))).isDirectory());
    assert.equal(
      await here.stage({ SourcePath: at('area/c/f'), ReadWrite: true, CreateAs: 'file' }),
      `${at('area/c/f')} /in rw`,
    );
    assert.ok((await stat(at('area/c/f'))).isFile());
    assert.equal(
      await failureOf(here.stage({ SourcePath: at('area/c/f'), CreateAs: 'dir' })),
      'spec input-kind',
    );
    assert.equal(
      await failureOf(here.stage({ SourcePath: at('area/a'), CreateAs: 'file' })),
      'spec input-kind',
    );
  });
});
