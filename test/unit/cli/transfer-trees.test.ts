/** Trees as others make them: any names, symlinks, modes and sizes. What is held comes whole; what is not is named. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SPEC } from '../api/api-server.ts';
import type { FakeJob } from '../api/fake-service.ts';
import { createCli, runAlone, type Cli } from './cli.ts';

type Tree = Readonly<Record<string, string | null | { readonly link: string }>>;

/** A completed job that produced this tree. */
async function finished(tree: Tree, modes: Readonly<Record<string, number>> = {}) {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = cli.api.service.jobs[0] as FakeJob;
  job.complete(0, { result: cli.api.service.content.put(tree, modes) });
  job.close('completed');
  return { cli, job, dir: join(cli.cwd, `job-${job.id.slice(0, 10)}`) };
}

const left = async (cli: Cli): Promise<readonly string[]> =>
  (await readdir(cli.cwd)).filter((name) => name.includes('partial'));

const ODD = ['Notes', 'notes', 'caf\u00e9', 'cafe\u0301', 'aux.c', 'c:', 'back\\slash', 'nul'];

test('names that differ in case or form, and those of devices elsewhere, are added and fetched', async () => {
  const { cli, job, dir } = await finished(Object.fromEntries(ODD.map((name) => [name, name])));
  const got = await cli.run(['job', 'get', job.id]);
  assert.equal(got.code, 0, got.err);
  assert.deepEqual((await readdir(dir)).sort(), [...ODD].sort());
  const added = await cli.run(['cid', 'add', dir]);
  assert.deepEqual([added.code, added.err.includes('Left out')], [0, false], added.err);
  const back = await cli.run(['cid', 'get', added.out.trim(), 'copy']);
  assert.equal(back.code, 0, back.err);
  for (const name of ODD) assert.equal(await readFile(join(cli.cwd, 'copy', name), 'utf8'), name);
});

test('a name that is not UTF-8 is left out by name, and the rest is added', async () => {
  const cli = await createCli();
  await mkdir(join(cli.cwd, 'in'));
  await writeFile(join(cli.cwd, 'in/plain'), 'ok');
  await writeFile(Buffer.concat([Buffer.from(`${cli.cwd}/in/caf`), Buffer.of(0xe9)]), 'x');
  const added = await cli.run(['cid', 'add', 'in']);
  assert.equal(added.code, 0, added.err);
  assert.match(added.err, /Left out: caf\\xe9: its name is not UTF-8/);
  await cli.run(['cid', 'get', added.out.trim(), 'copy']);
  assert.deepEqual(await readdir(join(cli.cwd, 'copy')), ['plain']);
});

test('a file that cannot be read is named, and nobody says that there is no peer', {
  skip: process.geteuid?.() === 0 && 'root may read everything',
}, async () => {
  const cli = await createCli();
  await mkdir(join(cli.cwd, 'in'));
  await writeFile(join(cli.cwd, 'in/closed'), 'x', { mode: 0 });
  const { code, err } = await cli.run(['cid', 'add', 'in']);
  assert.equal(code, 3);
  assert.match(err, /in\/closed.*may not be read/);
});

test('names that lead out of the directory refuse the whole and leave nothing behind', async () => {
  for (const name of ['../x', '/etc/x', 'a/../../x', 'a//b', 'nul\0l', '../../../escaped']) {
    for (const node of ['evil', null]) {
      const { cli, job } = await finished({ stdout: '', [name]: node });
      const { code, err } = await cli.run(['job', 'get', job.id]);
      assert.equal(code, 3, `${JSON.stringify(name)}: ${err}`);
      assert.match(err, /refused/);
      assert.deepEqual(await left(cli), [], name);
    }
  }
});

test('a list that breaks off after it was refused ends the command with its reason', async (t) => {
  // The peer goes on with the list, and its connection breaks when nobody reads it any more.
  const server = createServer((_request, response) => {
    const line = (entry: object): string => `${JSON.stringify({ entry })}\n`;
    response.write(line({ path: '', kind: 'directory', bytes: 0 }));
    response.write(line({ path: '../x', kind: 'file', bytes: 1 }));
    response.write(`${JSON.stringify({ end: { entries: 2, bytes: 1 } })}\n`);
    const more = setInterval(() => response.write('\n'.repeat(1_000)), 1);
    response.once('close', () => clearInterval(more));
    setTimeout(() => response.socket?.resetAndDestroy(), 200);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const { port } = server.address() as AddressInfo;
  const cwd = await mkdtemp(join(tmpdir(), 'shoal-list-'));
  t.after(() => rm(cwd, { recursive: true }));
  const got = await runAlone(['cid', 'get', 'bafyx', 'out', '--api-port', String(port)], cwd);
  assert.equal(got.code, 3, got.err);
  assert.match(got.err, /"\.\.\/x" is refused/);
  assert.deepEqual(await readdir(cwd), []);
});

test('links that stay inside come along, whatever they lead to; others are left out and named', async () => {
  const tree: Tree = {
    stdout: 'x',
    'outputs/run-1/a': 'A',
    'outputs/latest': { link: 'run-1' },
    'outputs/run-1/up': { link: '../latest/a' },
    'outputs/nowhere': { link: 'gone' },
    'outputs/abs': { link: '/etc/passwd' },
    'outputs/out': { link: '../../x' },
    'outputs/maybe': { link: 'latest/../../x' },
  };
  const { cli, job, dir } = await finished(tree);
  const got = await cli.run(['job', 'get', job.id]);
  assert.equal(got.code, 0, got.err);
  for (const name of ['abs', 'out', 'maybe'])
    assert.match(got.err, new RegExp(`Left out: outputs/${name}: a symbolic link`));
  assert.deepEqual((await readdir(join(dir, 'outputs'))).sort(), ['latest', 'nowhere', 'run-1']);
  assert.equal(await readlink(join(dir, 'outputs/latest')), 'run-1');
  assert.equal(await readFile(join(dir, 'outputs/run-1/up'), 'utf8'), 'A');
  await symlink('/etc', join(dir, 'outputs/away'));
  const added = await cli.run(['cid', 'add', `${dir}/outputs`]);
  assert.match(added.err, /Left out: away: a symbolic link to an absolute path/);
  const back = await cli.run(['cid', 'get', added.out.trim(), 'copy']);
  assert.equal(back.code, 0, back.err);
  assert.equal(await readlink(join(cli.cwd, 'copy/latest')), 'run-1');
});

test('nothing is written through a link of the tree', async () => {
  const tree: Tree = { 'a/x': 'A', l: { link: 'a' }, 'l/x': 'evil' };
  const { cli, job, dir } = await finished(tree);
  await cli.run(['job', 'get', job.id]);
  assert.equal(await readFile(join(dir, 'a/x'), 'utf8').catch(() => 'A'), 'A');
});

test('a link as the whole content is refused, not an empty directory', async () => {
  const cli = await createCli();
  const { cid } = cli.api.service.content.put({ '': { link: 'a.txt' } });
  const got = await cli.run(['cid', 'get', cid, 'out']);
  assert.equal(got.code, 3);
  assert.match(got.err, /it is a symbolic link, not a file or directory/);
  assert.deepEqual(await readdir(cli.cwd), []);
});

test('modes come and go with the content, without what lets others write', async () => {
  const cli = await createCli();
  await mkdir(join(cli.cwd, 'in/closed'), { recursive: true });
  const modes = { run: 0o755, key: 0o600, plain: 0o644, shared: 0o666, 'closed/in': 0o444 };
  for (const [name, mode] of Object.entries(modes)) {
    await writeFile(join(cli.cwd, 'in', name), name);
    await chmod(join(cli.cwd, 'in', name), mode);
  }
  await chmod(join(cli.cwd, 'in/closed'), 0o500);
  const added = await cli.run(['cid', 'add', 'in']);
  assert.equal(added.code, 0, added.err);
  const got = await cli.run(['cid', 'get', added.out.trim(), 'out']);
  assert.equal(got.code, 0, got.err);
  const modeOf = async (name: string) => (await lstat(join(cli.cwd, 'out', name))).mode & 0o777;
  for (const [name, mode] of Object.entries(modes))
    assert.equal(await modeOf(name), mode & ~0o022, name);
  assert.equal(await modeOf('closed'), 0o500);
  const file = await cli.run(['cid', 'add', 'in/run']);
  await cli.run(['cid', 'get', file.out.trim(), 'one']);
  assert.equal((await lstat(join(cli.cwd, 'one'))).mode & 0o777, 0o755);
  const { job, cli: other, dir } = await finished({ x: 'x' }, { x: 0o711 });
  await other.run(['job', 'get', job.id]);
  assert.equal((await lstat(join(dir, 'x'))).mode & 0o777, 0o711);
});

test('how large the list says a file is decides nothing', async () => {
  for (const wrong of [0, 3, 999]) {
    const cli = await createCli();
    const { content } = cli.api.service;
    content.wrongSizes.set('a.txt', wrong);
    const { cid } = content.put({ 'a.txt': 'eleven byte' });
    const got = await cli.run(['cid', 'get', cid, 'out']);
    assert.equal(got.code, 0, `${wrong}: ${got.err}`);
    assert.equal(await readFile(join(cli.cwd, 'out/a.txt'), 'utf8'), 'eleven byte');
  }
});
