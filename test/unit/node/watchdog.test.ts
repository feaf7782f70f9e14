/** A process that stands is ended from within; one that was only stopped is not. Real processes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { until } from '../../contract/p2p/nodes.ts';

const CHILD = join(import.meta.dirname, 'stall-child.ts');

async function start(context: TestContext, ...args: readonly string[]) {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: 'pipe' });
  context.after(() => child.kill('SIGKILL'));
  const said = { out: '', err: '' };
  child.stdout.on('data', (data: Buffer) => (said.out += data.toString()));
  child.stderr.on('data', (data: Buffer) => (said.err += data.toString()));
  const exit = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
  await until('it is ready', () => said.out.includes('ready'));
  const lives = (): number => said.out.split('alive').length;
  return { child, said, exit, lives, go: () => child.stdin.write('go\n') };
}

describe('a process whose loop stands', () => {
  it('is ended by SIGKILL, with one line that says why', async (context) => {
    const { said, exit, go } = await start(context, '1000', 'stand');
    go();
    assert.deepEqual(await exit, [null, 'SIGKILL']);
    const lines = said.err.split('\n').filter((line) => line !== '');
    assert.equal(lines.length, 1, said.err);
    assert.match(lines[0] ?? '', /event loop has stood for 1 s.*137/);
  });

  it('is not ended when it was stopped from outside for longer than that', async (context) => {
    const { child, lives, exit } = await start(context, '500', 'nothing');
    child.kill('SIGSTOP');
    // What is stopped says nothing; the time it stands is measured by a clock that goes on.
    const begun = performance.now();
    await until('it stood four times as long as it may', () => performance.now() - begun > 2_000);
    const before = lives();
    child.kill('SIGCONT');
    await until('it goes on', () => lives() > before + 20);
    child.stdin.end();
    child.kill('SIGTERM');
    assert.deepEqual(await exit, [null, 'SIGTERM']);
  });
});

describe('a throw that nobody caught', () => {
  for (const how of ['throw', 'reject']) {
    it(`is logged and costs nothing when it says that a stream broke (${how})`, async (context) => {
      const { said, go, lives } = await start(context, '30000', how, 'StreamResetError');
      go();
      await until('it is logged', () => said.err.includes('out of nowhere'));
      const before = lives();
      await until('it goes on', () => lives() > before + 3);
      assert.ok(!said.out.includes('ended'));
    });

    it(`ends the peer in order when it says anything else (${how})`, async (context) => {
      const { said, exit, go } = await start(context, '30000', how, 'TypeError');
      go();
      assert.deepEqual(await exit, [1, null]);
      assert.match(said.err, /out of nowhere.*node\.defect/);
      assert.ok(said.out.includes('ended'));
    });
  }
});
