/** What ends the programs of exclusive jobs in place of a peer that cannot. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import type { ExecutionId } from '../../../../src/core/record/ids.ts';
import { createLog } from '../../../../src/lib/log.ts';
import { createWarden } from '../../../../src/node/runner/warden.ts';
import { eventually, shell, world } from '../support.ts';

const MARK = '--shoal-warden-test';

/** A directory of executions, and programs that outlive the process that began them. */
class Machine {
  readonly executionsDir: string;
  readonly #programs: ChildProcess[] = [];

  constructor(executionsDir: string) {
    this.executionsDir = executionsDir;
  }

  static async create(): Promise<Machine> {
    return new Machine(await mkdtemp(join(tmpdir(), 'shoal-warden-')));
  }

  warden() {
    const { executionsDir } = this;
    const remainsOf = (execution: ExecutionId) =>
      [{ type: 'process', commandLine: [MARK, execution] }] as const;
    return createWarden({ executionsDir, remainsOf, log: createLog('error', { write: () => {} }) });
  }

  program(execution: ExecutionId): ChildProcess {
    const args = ['-e', 'setInterval(() => {}, 1000)', '--', MARK, execution, 'more'];
    const program = spawn(process.execPath, args, { stdio: 'ignore' });
    this.#programs.push(program);
    return program;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const program of this.#programs) program.kill('SIGKILL');
    await rm(this.executionsDir, { recursive: true, force: true });
  }
}

async function over(program: ChildProcess): Promise<void> {
  if (program.signalCode === null)
    await once(program, 'exit', { signal: AbortSignal.timeout(30_000) });
  assert.equal(program.signalCode, 'SIGKILL');
}

const [one, other] = [asExecutionId('e-1'), asExecutionId('e-2')];

describe('a warden', () => {
  it('ends a program some seconds after its time, though its peer does nothing, and no other', async () => {
    await using machine = await Machine.create();
    const [late, early] = [machine.program(one), machine.program(other)];
    const warden = machine.warden();
    await warden.watch(one, 0);
    await warden.watch(other, 60_000);
    warden.leave();
    await over(late);
    assert.equal(early.signalCode, null);
    await warden.release(other);
  });

  it('lets a program run on that a later process of the peer takes up', async () => {
    await using machine = await Machine.create();
    const [program, left] = [machine.program(one), machine.program(other)];
    const before = machine.warden();
    await before.watch(one, 0);
    await before.watch(other, 0);
    before.leave();
    const later = machine.warden();
    await later.watch(one, 6_000);
    later.leave();
    await over(left);
    assert.equal(program.signalCode, null);
    await over(program);
  });

  it('finds what an earlier process has left, and forgets what is over', async () => {
    await using machine = await Machine.create();
    const program = machine.program(one);
    const before = machine.warden();
    await before.watch(other, 0);
    await before.release(other);
    await before.watch(one, 0);
    assert.deepEqual(await readdir(join(machine.executionsDir, other)), []);
    const later = machine.warden();
    await later.adopt();
    before.leave();
    later.leave();
    await over(program);
  });
});

describe('a runner of an exclusive job', () => {
  it('ends the program when its time is over, and sooner than that only when it is told to', async () => {
    await using w = await world();
    w.runner.start(shell('sleep 60'), false, performance.now() + 700);
    w.runner.extend(one, performance.now() + 1_500);
    const began = performance.now();
    assert.equal((await w.last()).type, 'cancelled');
    assert.ok(performance.now() - began >= 1_400);
  });

  it('begins nothing whose time is over already', async () => {
    await using w = await world();
    w.runner.start(shell('touch "$HOME/begun"; sleep 60'), false, performance.now() - 1);
    assert.equal((await w.last()).type, 'cancelled');
    assert.deepEqual(
      w.told().filter((event) => event === 'running'),
      [],
    );
    await eventually('it is over', () => w.runner.keep().size === 0);
  });
});
