/** Content in and out: `cid add`, `cid get`, `job get`; what is refused, and what goes on where it stopped. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { SPEC } from '../api/api-server.ts';
import { NODE_A, NODE_B } from '../api/fake-service.ts';
import type { FakeJob } from '../api/fake-service.ts';
import { whyNoSpace } from '../../../src/cli/transfer.ts';
import { createCli, type Cli } from './cli.ts';

type Tree = Readonly<Record<string, string | null>>;

/** A completed job whose partitions produced these trees. */
async function finished(
  trees: readonly Tree[],
): Promise<{ readonly cli: Cli; readonly job: FakeJob; readonly dir: string }> {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, Count: trees.length } });
  const job = cli.api.service.jobs[0] as FakeJob;
  trees.forEach((tree, partition) =>
    job.complete(partition, { result: cli.api.service.content.put(tree) }),
  );
  job.close('completed');
  return { cli, job, dir: join(cli.cwd, `job-${job.id.slice(0, 10)}`) };
}

async function treeOf(directory: string): Promise<Record<string, string>> {
  const names = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = names
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const texts = await Promise.all(
    files
      .sort()
      .map(
        async (file) => [file.slice(directory.length + 1), await readFile(file, 'utf8')] as const,
      ),
  );
  return Object.fromEntries(texts);
}

test('a file, a directory and stdin become content and come back the same', async () => {
  const cli = await createCli();
  await mkdir(join(cli.cwd, 'tree/sub/empty'), { recursive: true });
  await writeFile(join(cli.cwd, 'tree/a.txt'), 'A');
  await writeFile(join(cli.cwd, 'tree/sub/b.bin'), 'B'.repeat(300_000));
  await symlink('/etc/passwd', join(cli.cwd, 'tree/link'));
  const added = await cli.run(['cid', 'add', 'tree']);
  assert.equal(added.code, 0, added.err);
  assert.match(added.out, /^bafy[0-9a-f]+\n$/);
  assert.match(added.err, /Left out: link: a symbolic link to an absolute path/);
  const got = await cli.run(['cid', 'get', `ipfs://${added.out.trim()}`, 'copy']);
  assert.deepEqual([got.code, got.out], [0, `${join(cli.cwd, 'copy')}\n`], got.err);
  assert.deepEqual(await treeOf(join(cli.cwd, 'copy')), {
    'a.txt': 'A',
    'sub/b.bin': 'B'.repeat(300_000),
  });
  assert.deepEqual(await readdir(join(cli.cwd, 'copy/sub')), ['b.bin', 'empty']);
  const single = await cli.run(['cid', 'add', '-', '--output', 'json'], { stdin: 'from stdin' });
  const { CID, Bytes } = JSON.parse(single.out);
  assert.equal(Bytes, 10);
  assert.equal((await cli.run(['cid', 'get', CID])).code, 0);
  assert.equal(await readFile(join(cli.cwd, CID), 'utf8'), 'from stdin');
  const file = await cli.run(['cid', 'add', 'tree/a.txt']);
  assert.equal((await cli.run(['cid', 'get', file.out.trim(), 'one.txt'])).code, 0);
  assert.equal(await readFile(join(cli.cwd, 'one.txt'), 'utf8'), 'A');
  assert.deepEqual(
    (await readdir(cli.cwd)).filter((name) => name.endsWith('.partial')),
    [],
  );
});

test('wrong paths and CIDs are told apart', async () => {
  const cli = await createCli();
  assert.equal((await cli.run(['cid', 'add', 'missing'])).code, 2);
  assert.equal((await cli.run(['cid', 'get', 'nonsense'])).code, 2);
  const unknown = await cli.run(['cid', 'get', 'bafyunknown', '--overwrite']);
  assert.equal(unknown.code, 4);
  assert.match(unknown.err, /Nobody/);
});

test('one result is its directory', async () => {
  const { cli, job, dir } = await finished([
    { stdout: 'hi\n', stderr: '', exitCode: '0', outputs: null, 'outputs/x.txt': 'X' },
  ]);
  const { code, out, err } = await cli.run(['job', 'get', job.id]);
  assert.deepEqual([code, out], [0, `Results of one execution are in ${dir}\n`], err);
  assert.deepEqual(await treeOf(dir), {
    stdout: 'hi\n',
    stderr: '',
    exitCode: '0',
    'outputs/x.txt': 'X',
  });
});

test('a file whose name is as long as a name can be is fetched, and so is one named like a part', async () => {
  const long = `outputs/${'n'.repeat(255)}`;
  const tree = {
    'outputs/.shoal-part': 'A',
    'outputs/a': 'B',
    'outputs/a.shoal-part': 'C',
    [long]: 'D',
  };
  const { cli, job, dir } = await finished([tree]);
  const { code, err } = await cli.run(['job', 'get', job.id]);
  assert.equal(code, 0, err);
  assert.deepEqual(await treeOf(dir), tree);
});

test('the results of an ops job lie in one directory for each node', async () => {
  const cli = await createCli();
  const spec = { ...SPEC, Type: 'ops', Count: 0 };
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: spec });
  const job = cli.api.service.jobs[0] as FakeJob;
  for (const [place, node] of [NODE_A, NODE_B].entries()) {
    const result = cli.api.service.content.put({ stdout: `${place}\n`, 'outputs/same': 'x' });
    job.assign(place, 0, node);
    job.report('completed', { exitCode: 0, result }, place, 0, node);
    job.accept(place, 0, { result }, node);
  }
  // Others may run it yet.
  const early = await cli.run(['job', 'get', job.id]);
  assert.equal(early.code, 3);
  assert.match(early.err, /Running/);
  job.close('completed');
  const { code, err } = await cli.run(['job', 'get', job.id]);
  assert.equal(code, 0, err);
  const dir = join(cli.cwd, `job-${job.id.slice(0, 10)}`);
  const [a, b] = [NODE_A, NODE_B].map((node) => `n-${node.slice(-8)}`);
  assert.deepEqual(await treeOf(dir), {
    [`${a}/stdout`]: '0\n',
    [`${a}/outputs/same`]: 'x',
    [`${b}/stdout`]: '1\n',
    [`${b}/outputs/same`]: 'x',
  });
  const history = await cli.run(['job', 'history', job.id]);
  assert.match(history.out, new RegExp(`Taken up by ${b}`));
});

test('several results are merged: output appended by partition, directories laid together', async () => {
  const { cli, job, dir } = await finished([
    { stdout: 'first\n', exitCode: '0', 'outputs/0.txt': 'zero' },
    { stdout: 'second\n', exitCode: '1', 'outputs/1.txt': 'one' },
  ]);
  assert.equal((await cli.run(['job', 'get', job.id])).code, 0);
  assert.deepEqual(await treeOf(dir), {
    stdout: 'first\nsecond\n',
    exitCode: '01',
    'outputs/0.txt': 'zero',
    'outputs/1.txt': 'one',
  });
});

test('two files of one name are refused with both owners; --raw keeps them apart without fetching again', async () => {
  const trees = [
    { stdout: 'a', 'outputs/x.txt': '1' },
    { stdout: 'b', 'outputs/x.txt': '2' },
  ];
  const { cli, job, dir } = await finished(trees);
  const refused = await cli.run(['job', 'get', job.id]);
  assert.equal(refused.code, 3);
  const [first, second] = [job.executionId(0, 0), job.executionId(1, 0)];
  assert.match(
    refused.err,
    new RegExp(
      `Both ${first.slice(0, 10)} \\(partition 0\\) and ${second.slice(0, 10)} \\(partition 1\\) contain outputs/x\\.txt`,
    ),
  );
  const raw = await cli.run(['job', 'get', job.id, '--raw']);
  assert.equal(raw.code, 0, raw.err);
  assert.deepEqual(await treeOf(dir), {
    [`${first}/stdout`]: 'a',
    [`${first}/outputs/x.txt`]: '1',
    [`${second}/stdout`]: 'b',
    [`${second}/outputs/x.txt`]: '2',
  });
  assert.equal(cli.api.service.content.reads.get('outputs/x.txt'), 2);
});

test('a directory that is not empty is kept unless --overwrite, and the working directory always', async () => {
  const { cli, job } = await finished([{ stdout: 'new' }]);
  await mkdir(join(cli.cwd, 'mine'));
  await mkdir(join(cli.cwd, 'empty'));
  await writeFile(join(cli.cwd, 'mine/old'), 'old');
  const into = (dir: string, ...flags: string[]) =>
    cli.run(['job', 'get', job.id, '--output-dir', dir, ...flags]);
  assert.equal((await into('mine')).code, 3);
  assert.deepEqual(await treeOf(join(cli.cwd, 'mine')), { old: 'old' });
  assert.equal((await into('mine', '--overwrite')).code, 0);
  assert.deepEqual(await treeOf(join(cli.cwd, 'mine')), { stdout: 'new' });
  assert.equal((await into('empty')).code, 0);
  for (const dir of ['.', '..', '/']) assert.equal((await into(dir, '--overwrite')).code, 3, dir);
  assert.ok((await readdir(cli.cwd)).includes('mine'));
});

test('a transfer that broke off leaves no directory, and goes on where it stopped', async () => {
  const { cli, job, dir } = await finished([
    { 'a.txt': 'A'.repeat(1000), 'b.txt': 'B'.repeat(200_000) },
  ]);
  cli.api.service.content.breakAt = 'b.txt';
  const broken = await cli.run(['job', 'get', job.id]);
  assert.equal(broken.code, 4, broken.err);
  assert.match(broken.err, /goes on where it stopped/);
  await assert.rejects(readdir(dir));
  cli.api.service.content.breakAt = null;
  assert.equal((await cli.run(['job', 'get', job.id])).code, 0);
  assert.equal((await treeOf(dir))['b.txt']?.length, 200_000);
  assert.equal(
    cli.api.service.content.reads.get('a.txt'),
    1,
    'what was complete is not fetched again',
  );
});

test('what an earlier try of another job left behind is not taken for this one', async () => {
  const { cli, job, dir } = await finished([{ stdout: 'right' }]);
  await mkdir(`${dir}.partial/raw/${job.executionId(0, 0)}`, { recursive: true });
  await writeFile(`${dir}.partial/raw/${job.executionId(0, 0)}/stdout`, 'wrong');
  assert.equal((await cli.run(['job', 'get', job.id])).code, 0);
  assert.deepEqual(await treeOf(dir), { stdout: 'right' });
});

test('what others laid beside the place of the results is not written through', async () => {
  const { cli, job, dir } = await finished([{ stdout: 'right' }]);
  const { cid } = cli.api.service.content.put({ stdout: 'right' });
  const victim = join(cli.cwd, 'victim');
  await writeFile(victim, 'of great worth');
  const raw = `${dir}.partial/raw/${job.executionId(0, 0)}`;
  await mkdir(raw, { recursive: true });
  await writeFile(
    `${dir}.partial/.shoal-partial.json`,
    JSON.stringify([[job.executionId(0, 0), cid]]),
  );
  await symlink(victim, `${raw}.shoal-part`);
  assert.equal((await cli.run(['job', 'get', job.id])).code, 0);
  assert.equal(await readFile(victim, 'utf8'), 'of great worth');
  assert.deepEqual(await treeOf(dir), { stdout: 'right' });
});

test('what is fetched does not fill the disk to its last byte', () => {
  const disk = { bavail: 1_000_000, blocks: 10_000_000, bsize: 1_000 };
  assert.equal(whyNoSpace(disk, 800_000_000), null);
  assert.match(whyNoSpace(disk, 800_000_001) ?? '', /800.0 MB are needed and 1.0 GB are free/);
  assert.equal(
    whyNoSpace({ ...disk, blocks: 1_000_000 }, 980_000_000),
    null,
    'of a small disk less',
  );
});

test('a job that is not over says so, a job without results too, and --wait waits', async () => {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = cli.api.service.jobs[0] as FakeJob;
  job.assign();
  const early = await cli.run(['job', 'get', job.id]);
  assert.equal(early.code, 3);
  assert.match(early.err, /is Running/);
  const onErr = (text: string): void => {
    if (!text.includes('Assigned') || job.state !== 'Running') return;
    job.report('completed', { exitCode: 0 });
    job.accept(0, 0, { result: cli.api.service.content.put({ stdout: 'late' }) });
    job.close('completed');
  };
  const late = await cli.run(['job', 'get', job.id, '--wait'], { onErr });
  assert.equal(late.code, 0, late.err);
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: { ...SPEC, Name: 'none' } });
  cli.api.service.jobs[1]?.complete();
  cli.api.service.jobs[1]?.close('completed');
  const none = await cli.run(['job', 'get', 'none']);
  assert.deepEqual([none.code, /has no results\./.test(none.out)], [0, true]);
});

test('job run --download fetches into the directory asked for', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.complete(0, { result: cli.api.service.content.put({ stdout: 'done' }) });
    job.close('completed');
  };
  const { code, err } = await cli.run(['job', 'run', '--download', '--output-dir', 'out'], {
    stdin: JSON.stringify(SPEC),
  });
  assert.equal(code, 0, err);
  assert.deepEqual(await treeOf(join(cli.cwd, 'out')), { stdout: 'done' });
});
