/** Directories that others write to, while somebody exchanges what is in them for links. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { wasi } from '@bjorn3/browser_wasi_shim';
import { ERRNO } from '../../../../src/engines/wasm/errno.ts';
import { HostDirectory } from '../../../../src/engines/wasm/host-directory.ts';
import { HostFile, inodeOf } from '../../../../src/engines/wasm/host-file.ts';
import { HostTree } from '../../../../src/engines/wasm/host-tree.ts';
import { Quota } from '../../../../src/engines/wasm/quota.ts';

const START = process.cwd();
const READ = BigInt(wasi.RIGHTS_FD_READ);
const WRITE = BigInt(wasi.RIGHTS_FD_WRITE);

let directory = '';
const at = (path: string): string => join(directory, path);

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'shoal-shared-')));
  for (const path of ['area/sub/deep', 'area/other', 'secret/deep'])
    mkdirSync(at(path), { recursive: true });
  for (const path of ['area/sub', 'area/sub/deep']) writeFileSync(at(`${path}/file`), 'mine');
  for (const path of ['secret', 'secret/deep']) writeFileSync(at(`${path}/file`), 'SECRET');
});
afterEach(() => {
  process.chdir(START);
  rmSync(directory, { recursive: true, force: true });
});

/** What a program sees of `area`, which it has at `/area`. */
function open(isShared = true): HostDirectory {
  const identity = isShared ? inodeOf(statSync(at('area'))) : null;
  const mount = { source: at('area'), target: ['area'], writable: true, identity };
  return new HostDirectory(new HostTree([mount]), new Quota(1e6, 1e6), [], '/');
}

function read(root: HostDirectory, path: string): string | number {
  const { ret, fd_obj: file } = root.path_open(0, path, 0, READ, 0n, 0);
  if (!(file instanceof HostFile)) return ret;
  const { data } = file.fd_read(100);
  file.fd_close();
  return new TextDecoder().decode(data);
}

function create(root: HostDirectory, path: string): number {
  const opened = root.path_open(0, path, wasi.OFLAGS_CREAT | wasi.OFLAGS_EXCL, WRITE, 0n, 0);
  opened.fd_obj?.fd_close();
  return opened.ret;
}

function list(root: HostDirectory, path: string): string[] {
  const opened = root.path_open(0, path, wasi.OFLAGS_DIRECTORY, READ, 0n, 0).fd_obj;
  const names: string[] = [];
  for (let cookie = 0n; opened !== null; ) {
    const { dirent } = opened.fd_readdir_single(cookie);
    if (dirent === null) return names.sort();
    names.push(new TextDecoder().decode(dirent.dir_name));
    cookie = dirent.d_next;
  }
  return names;
}

describe('a directory that others write to', () => {
  it('is read, written, listed, made and removed in as any other', () => {
    const root = open();
    assert.equal(read(root, 'area/sub/deep/file'), 'mine');
    assert.equal(read(root, 'area/sub/deep/../file'), 'mine');
    assert.deepEqual(list(root, 'area'), ['.', '..', 'other', 'sub']);
    assert.deepEqual(list(root, 'area/sub/deep/..'), ['.', '..', 'deep', 'file']);
    assert.equal(create(root, 'area/sub/deep/new'), ERRNO.OK);
    assert.equal(root.path_create_directory('area/sub/made'), ERRNO.OK);
    assert.equal(root.path_filestat_get(0, 'area').ret, ERRNO.OK);
    assert.equal(root.rename('area/sub/made', root, 'area/sub/moved'), ERRNO.OK);
    assert.equal(root.rename('area/sub/moved', root, 'area/moved'), ERRNO.OK);
    assert.equal(root.rename('area/moved', root, 'area/sub/moved'), ERRNO.OK);
    assert.equal(root.rename('area/sub/moved', root, 'area/other/moved'), ERRNO.XDEV);
    assert.equal(root.path_remove_directory('area/sub/moved'), ERRNO.OK);
    assert.equal(root.path_unlink_file('area/sub/deep/new'), ERRNO.OK);
    assert.deepEqual(readdirSync(at('area/sub/deep')), ['file']);
    const file = root.path_open(0, 'area/sub/file', 0, READ | WRITE, 0n, 0).fd_obj;
    assert.equal(read(root, 'area/sub/deep/file'), 'mine', 'the walk is elsewhere meanwhile');
    assert.equal(file?.fd_filestat_set_times(0n, 5_000_000_000n, wasi.FSTFLAGS_MTIM), ERRNO.OK);
    assert.equal(statSync(at('area/sub/file')).mtimeMs, 5_000);
  });

  it('is refused when it is another one than at the start, and so is a link in it', () => {
    const root = open();
    renameSync(at('area/sub'), at('area/kept'));
    symlinkSync('../secret', at('area/sub'));
    for (const path of ['area/sub/file', 'area/sub/deep/file', 'area/sub'])
      assert.equal(read(root, path), ERRNO.LOOP, path);
    renameSync(at('area'), at('away'));
    symlinkSync('secret', at('area'));
    assert.equal(read(root, 'area/file'), ERRNO.LOOP);
    rmSync(at('area'));
    mkdirSync(at('area'));
    writeFileSync(at('area/file'), 'of somebody else');
    assert.equal(read(root, 'area/file'), ERRNO.LOOP);
  });

  it('leads nowhere else when it is exchanged between looking and using', () => {
    const { dev, ino } = statSync(at('area'));
    const mount = {
      source: at('area'),
      target: ['area'],
      writable: true,
      identity: `${dev}:${ino}`,
    };
    const tree = new HostTree([mount]);
    const exchangeAfter = (path: string): string => {
      const { host } = path === '.' ? tree.resolveInside(['area', 'sub']) : tree.resolve([], path);
      renameSync(at('area/sub'), at('area/kept'));
      symlinkSync('../secret', at('area/sub'));
      return host ?? '';
    };
    const back = (): void => {
      rmSync(at('area/sub'));
      renameSync(at('area/kept'), at('area/sub'));
    };
    assert.equal(readFileSync(exchangeAfter('area/sub/file'), 'utf8'), 'mine');
    back();
    assert.equal(readFileSync(exchangeAfter('area/sub/deep/file'), 'utf8'), 'mine');
    back();
    mkdirSync(exchangeAfter('area/sub/made'));
    back();
    unlinkSync(exchangeAfter('area/sub/file'));
    back();
    assert.deepEqual(readdirSync(exchangeAfter('.')).sort(), ['deep', 'made']);
    assert.deepEqual(readdirSync(at('secret')).sort(), ['deep', 'file']);
  });

  it('leads nowhere else while its directories are exchanged again and again', async () => {
    const swapper = swapping();
    const found = { secret: 0, mine: 0 };
    try {
      const root = open();
      const end = performance.now() + 1_500;
      while (performance.now() < end) {
        const text = read(root, 'area/sub/deep/file');
        if (text === 'SECRET') found.secret += 1;
        if (text === 'mine') found.mine += 1;
      }
    } finally {
      swapper.kill('SIGKILL');
    }
    assert.ok(found.mine > 0, 'nothing was ever read');
    assert.equal(found.secret, 0);
  });
});

/** Puts a link to `secret` into the place of `area/sub`, and back, as fast as it can. */
function swapping(): ChildProcess {
  symlinkSync('../secret', at('area/sub-link'));
  const places = ['area/sub', 'area/sub-link', 'area/sub-kept'].map(at);
  const swap = `const { renameSync: mv } = require('node:fs');
    const [sub, link, kept] = ${JSON.stringify(places)};
    const pause = () => { for (const end = performance.now() + Math.random() * 0.2; performance.now() < end; ); };
    for (;;) { mv(sub, kept); mv(link, sub); pause(); mv(sub, link); mv(kept, sub); pause(); }`;
  return spawn(process.execPath, ['-e', swap], { stdio: 'ignore' });
}
