/** What `job logs` prints of several partitions, and of what failed before it printed anything. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { createMesh } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** Lines of any order. */
const lines = (text: string): readonly string[] => text.trimEnd().split('\n').sort();

describe('the logs of a job', () => {
  let first: Peer;
  let second: Peer;

  before(async () => {
    [first, second] = (await mesh.grow(2)) as [Peer, Peer];
  });

  test('say of each line which partition it is of, where there are several', async () => {
    const id = await mesh.submit(first, noop({ Milliseconds: 0 }, { job: { Count: 3 } }));
    await mesh.reaches(first, id, 'Completed');
    for (const flags of [[], ['--follow']]) {
      const all = lines(await mesh.ok(second, ['job', 'logs', id, ...flags]));
      assert.equal(all.length, 3, all.join('\n'));
      for (const [index, line] of all.entries())
        assert.match(line, new RegExp(`^\\[partition ${index}\\] noop e-\\S+ partition ${index}$`));
    }
    const one = await mesh.ok(second, ['job', 'logs', id, '--partition', '1']);
    assert.match(one, /^noop e-\S+ partition 1\n$/);
    const none = await mesh.cli(second, ['job', 'logs', id, '--partition', '7']);
    assert.equal(none.code, 3);
    assert.match(none.stderr, /execution not found: partition 7 of job/);
  });

  test('are followed of every partition, those that begin later among them', async () => {
    // More than both peers have room for at once.
    const job = noop(
      { Milliseconds: 700 },
      { job: { Count: 6 }, task: { Resources: { CPU: '2' } } },
    );
    const { code, stdout } = await mesh.cli(first, ['job', 'run', '--follow'], JSON.stringify(job));
    assert.equal(code, 0);
    const said = lines(stdout).filter((line) => line.startsWith('[partition '));
    assert.equal(said.length, 6, stdout);
  });

  test('have the failure of what printed nothing, at every peer', async () => {
    const broken = {
      Type: 'batch',
      Count: 1,
      Tasks: [
        {
          Name: 'main',
          Engine: { Type: 'wasm', Params: { EntryModule: '/program.wasm' } },
          InputSources: [
            {
              Source: { Type: 'inline', Params: { URL: 'data:;base64,bm8gbW9kdWxl' } },
              Target: '/program.wasm',
            },
          ],
        },
      ],
    };
    const id = await mesh.submit(first, broken);
    await mesh.reaches(first, id, 'Failed');
    for (const peer of [first, second]) {
      for (const flags of [[], ['-f']]) {
        const { code, stderr } = await mesh.cli(peer, ['job', 'logs', id, ...flags]);
        assert.equal(code, 3, stderr);
        assert.match(stderr, /it printed nothing and failed: .*module/i);
      }
    }
    const { code, stderr } = await mesh.cli(first, ['job', 'run', '-f'], JSON.stringify(broken));
    assert.equal(code, 5);
    assert.match(stderr, /printed nothing and failed/);
  });
});
