/** What programs leave behind on a node that is not root. */
import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { connectDocker } from '../../src/engines/docker/api.ts';
import { createDockerEngine } from '../../src/engines/docker/docker-engine.ts';
import { handOver } from '../../src/engines/docker/hand-over.ts';
import { removeTree } from '../../src/lib/remove-tree.ts';
import { measureTree, walkTree } from '../../src/lib/walk-tree.ts';
import { checkResult } from '../../src/storage/results.ts';
import { asNobody, isRoot } from '../unit/lib/trees.ts';
import {
  IMAGE,
  containersOf,
  createWorkspace,
  dockerMissing,
  engineConfig,
  runOf,
  shortOf,
} from './support.ts';

const skip = (await dockerMissing()) || (!isRoot && 'needs root');
const NOBODY = { inContainer: '65534:65534', uid: 65_534 };
const signal = new AbortController().signal;
const everything = { bytesMax: Number.POSITIVE_INFINITY, entriesMax: Number.POSITIVE_INFINITY };

/** Directories that are closed, that are deep, and a link to what is nobody's business. */
const LEAVES = `cd /outputs; mkdir -p closed/sub; head -c 300000 /dev/zero > closed/sub/big; chmod 700 closed
  ln -s /etc/passwd link; mkdir none; chmod 0 none
  name=$(printf 'd%.0s' $(seq 200)); for level in $(seq 30); do mkdir $name; cd $name; done; echo x > bottom`;

test('what a program left is given to a node that is not root, which can then read and remove it', {
  skip,
}, async () => {
  await using workspace = await createWorkspace();
  const config = engineConfig();
  const input = join(workspace.directory, 'input');
  await mkdir(input);
  await writeFile(join(input, 'theirs'), 'not a result');
  const shared = { identity: 'any', exchangeable: false };
  const inputs = [{ source: input, target: '/in', writable: true, shared }];
  const run = runOf(workspace, { script: LEAVES, inputs });
  const outcome = await createDockerEngine(config).run(run, () => undefined, signal);
  assert.equal(shortOf(outcome), 'exited 0');
  await chmod(workspace.directory, 0o711);
  await chown(workspace.results, NOBODY.uid, NOBODY.uid);
  const measured = () => asNobody(() => measureTree(workspace.results, everything, signal));
  assert.equal((await measured()).closed, 2);
  await assert.rejects(asNobody(() => removeTree(workspace.results)));
  const left = (await readdir(workspace.results)).length;
  await handOver(await connectDocker(null), run, IMAGE, config, NOBODY);
  const { bytes, closed } = await measured();
  assert.ok(bytes >= 300_000, `${bytes} bytes of ${left} entries`);
  assert.equal(closed, 0);
  for await (const { stat, path } of walkTree(workspace.results, signal))
    assert.equal(Number(stat.uid), NOBODY.uid, path().toString().slice(0, 100));
  for await (const { stat } of walkTree(input, signal))
    assert.equal(Number(stat.uid), 0, 'what the operator opened stays whose it is');
  await asNobody(async () => {
    for (const name of await readdir(workspace.results))
      await removeTree(join(workspace.results, name));
  });
  assert.deepEqual(await readdir(workspace.results), []);
  assert.deepEqual(await containersOf(config.nodeLabel), []);
});

test('an ordinary user of the group docker publishes private files and removes them', {
  skip,
}, async () => {
  const groups = process.getgroups?.() ?? [];
  process.setgroups?.([(await stat('/var/run/docker.sock')).gid]);
  try {
    await asNobody(async () => {
      const workspace = await createWorkspace();
      const script =
        'umask 077; mkdir /outputs/d; echo k > /outputs/d/key; echo s > /outputs/secret';
      const run = runOf(workspace, { script });
      const outcome = await createDockerEngine(engineConfig()).run(run, () => undefined, signal);
      assert.equal(shortOf(outcome), 'exited 0');
      const limits = { entriesMax: 100, depthMax: 10, bytesMax: 1_000 };
      const { entries, bytes } = await checkResult(workspace.results, limits, signal);
      assert.deepEqual({ entries, bytes }, { entries: 3, bytes: 4 });
      assert.equal(await readFile(join(workspace.results, 'd/key'), 'utf8'), 'k\n');
      await removeTree(workspace.directory);
    });
  } finally {
    process.setgroups?.(groups);
  }
});
