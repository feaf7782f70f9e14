import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { ERRNO, WasiError } from '../../../../src/engines/wasm/errno.ts';
import { exists, HostTree, isDirectory, isLink } from '../../../../src/engines/wasm/host-tree.ts';

let directory = '';
let tree: HostTree;

before(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), 'shoal-tree-')));
  mkdirSync(join(directory, 'in/sub'), { recursive: true });
  mkdirSync(join(directory, 'out'));
  writeFileSync(join(directory, 'in/file'), 'x');
  writeFileSync(join(directory, 'secret'), 'x');
  symlinkSync('..', join(directory, 'in/up'));
  symlinkSync('sub/../file', join(directory, 'in/link'));
  symlinkSync('..', join(directory, 'in/sub/above'));
  symlinkSync('round', join(directory, 'in/round'));
  symlinkSync('/', join(directory, 'in/sub/root'));
  symlinkSync('../secret', join(directory, 'out/secret'));
  tree = new HostTree([
    { source: join(directory, 'in'), target: ['inputs'], writable: false, identity: null },
    { source: join(directory, 'out'), target: ['deep', 'outputs'], writable: true, identity: null },
  ]);
});

after(() => rmSync(directory, { recursive: true, force: true }));

function errnoOf(path: string, base: readonly string[] = []): number {
  try {
    tree.resolve(base, path);
  } catch (error) {
    if (error instanceof WasiError) return error.errno;
    throw error;
  }
  return ERRNO.OK;
}

test('a path leads to the mount it lies in', () => {
  assert.equal(tree.resolve([], 'inputs/file').host, join(directory, 'in/file'));
  assert.equal(tree.resolve(['inputs'], 'sub/../file').host, join(directory, 'in/file'));
  assert.equal(tree.resolve([], 'deep/outputs/new').host, join(directory, 'out/new'));
  assert.equal(
    tree.resolve([], 'deep/outputs/../../inputs/./file').host,
    join(directory, 'in/file'),
  );
  assert.equal(exists(tree.resolve([], 'deep/outputs/new')), false);
});

test('a link stands for what it leads to in this tree, never on the host', () => {
  assert.equal(tree.resolve([], 'inputs/link', true).host, join(directory, 'in/file'));
  assert.equal(tree.resolve([], 'inputs/sub/above/file').host, join(directory, 'in/file'));
  assert.equal(isLink(tree.resolve([], 'inputs/link')), true, 'itself where it is not followed');
  // On the host there is a file.
  assert.equal(tree.resolve([], 'deep/outputs/secret', true).host, null);
  assert.equal(tree.resolve([], 'inputs/up/secret').host, null);
});

test('directories above mounts exist without a host path and cannot be moved', () => {
  const deep = tree.resolve([], 'deep');
  assert.equal(isDirectory(deep) && deep.fixed && deep.host === null, true);
  assert.deepEqual(tree.resolve([], '.').mountedBelow, ['inputs', 'deep']);
  assert.equal(tree.resolve([], 'deep/other').host, null);
});

test('every way out is refused with its own error', () => {
  assert.equal(errnoOf('..'), ERRNO.PERM);
  assert.equal(errnoOf('inputs/../../etc'), ERRNO.PERM);
  assert.equal(errnoOf('/etc/passwd'), ERRNO.PERM);
  assert.equal(errnoOf('../file', ['inputs', 'sub']), ERRNO.PERM, 'a descriptor leads no higher');
  assert.equal(errnoOf('up/secret', ['inputs']), ERRNO.PERM);
  assert.equal(errnoOf('inputs/sub/root/etc'), ERRNO.PERM);
  assert.equal(errnoOf('inputs/round/x'), ERRNO.LOOP);
  assert.equal(errnoOf('inputs/file/..'), ERRNO.NOTDIR);
  assert.equal(errnoOf('inputs/none/../file'), ERRNO.NOENT);
  assert.equal(errnoOf('inputs/a\0b'), ERRNO.INVAL);
  assert.equal(errnoOf(`inputs/${'x'.repeat(256)}`), ERRNO.NAMETOOLONG);
});

test('a path at random ends inside a mount, on nothing, or in a WASI error', () => {
  const name = fc.constantFrom(
    '..',
    '.',
    '',
    'inputs',
    'deep',
    'outputs',
    'sub',
    'file',
    'up',
    'root',
    'link',
    'above',
    'round',
    'secret',
    'etc',
    '\\',
    'é',
    '*',
  );
  const path = fc.array(name, { maxLength: 12 }).map((names) => names.join('/'));
  const bases = [[], ['inputs'], ['inputs', 'sub'], ['deep', 'outputs']];
  fc.assert(
    fc.property(fc.constantFrom(...bases), path, fc.boolean(), (base, text, follow) => {
      try {
        const { host } = tree.resolve(base, text, follow);
        const inside = ['in', 'out'].some((mount) =>
          `${host}/`.startsWith(join(directory, mount, '/')),
        );
        assert.ok(host === null || inside, `${text} from ${base.join('/')} leads to ${host}`);
        assert.ok(!host?.split('/').includes('..'), `${text} keeps a .. in ${host}`);
      } catch (error) {
        if (!(error instanceof WasiError)) throw error;
      }
    }),
    { numRuns: 3_000 },
  );
});
