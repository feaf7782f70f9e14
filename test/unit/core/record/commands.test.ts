/** Commands: a bound for each kind, whatever order they come in, and no effect of a kind that nobody here knows. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { COMMANDS_MAX, keptOf, stopAmong } from '../../../../src/core/record/commands.ts';
import {
  createLedger,
  ledgerOf,
  mergeCommand,
  recordsOf,
} from '../../../../src/core/record/ledger.ts';
import { checkCommand } from '../../../../src/core/record/verify.ts';
import type { Signed } from '../../../../src/core/record/records.ts';
import { Cluster, DONE, refusals } from '../cluster.ts';
import { WALL, admitted, jobWith, stopOf, suite, suiteOf } from '../fixtures.ts';

const job = admitted(jobWith(), [0, 1, 2]);
const id = job.spec.body.job;
/** One of a later version. */
const other = (sequence: number, change: object = {}): Signed<'command'> =>
  stopOf(job, { command: 'rerun', sequence, ...change });

const merged = (commands: readonly Signed<'command'>[]): readonly string[] => {
  const ledger = createLedger(job.spec, job.admission);
  for (const command of commands) mergeCommand(ledger, command);
  return [...ledger.commands.keys()];
};

describe('the commands of a job', () => {
  it('are the same whatever order they come in, and however often', () => {
    const commands = Array.from({ length: 40 }, (_, at) =>
      at % 8 === 0 ? stopOf(job, { sequence: at % 5 }) : other(at % 7, { reason: String(at) }),
    );
    const all = merged(commands);
    assert.equal(all.length, COMMANDS_MAX);
    const orders = fc.shuffledSubarray(commands, { minLength: commands.length });
    fc.assert(fc.property(orders, (order) => assert.deepEqual(merged([...order, ...order]), all)));
  });

  it('are one stop, which thousands of another kind do not push out, and as many others as there is room for', () => {
    const stop = stopOf(job, { sequence: 1 });
    const others = Array.from({ length: 1_000 }, (_, at) => other(at + 2));
    const kept = keptOf([stop, ...others, stopOf(job, { sequence: 0, reason: 'earlier' })]);
    assert.equal(kept.length, COMMANDS_MAX);
    assert.equal(stopAmong(kept, 1), stop);
    assert.deepEqual(
      kept.filter(({ body }) => body.command === 'rerun').map(({ body }) => body.sequence),
      Array.from({ length: COMMANDS_MAX - 1 }, (_, at) => 1_001 - at),
    );
  });

  it('are handed over with its ledger, also those of kinds that nobody here knows', () => {
    const ledger = createLedger(job.spec, job.admission);
    for (const command of [stopOf(job), other(4)]) mergeCommand(ledger, command);
    assert.deepEqual(recordsOf(ledgerOf(recordsOf(ledger))).commands, recordsOf(ledger).commands);
  });
});

describe('a command of an unknown kind', () => {
  it('is believed from the owner alone, and only when it is small', () => {
    assert.equal(checkCommand(suite, job.spec, other(1), WALL), 'good');
    const stranger = stopOf(job, { command: 'rerun' }, suiteOf(3, 3));
    assert.deepEqual(checkCommand(suite, job.spec, stranger, WALL), {
      code: 'wrong-signer',
      fault: true,
    });
    const large = other(1, { reason: 'x'.repeat(4_000) });
    assert.deepEqual(checkCommand(suite, job.spec, large, WALL), {
      code: 'over-limit',
      fault: false,
    });
    assert.equal(
      checkCommand(suite, job.spec, stopOf(job, { reason: 'x'.repeat(4_000) }), WALL),
      'good',
    );
  });

  it('is kept on disk and handed on, and the job goes on', () => {
    const cluster = new Cluster({ nodes: 1, program: () => DONE });
    const own = admitted(jobWith(), [1, 0, 2]);
    const command = stopOf(own, { command: 'drain-softly', sequence: 7 });
    cluster.message(0, 1, { type: 'activate', spec: own.spec, admission: own.admission });
    const effects = cluster.message(0, 9, { type: 'command', command });
    assert.deepEqual(
      effects.flatMap((effect) => (effect.type === 'send' ? [effect.message.type] : [])),
      ['command', 'command-ack'],
    );
    cluster.restart(0);
    assert.deepEqual(cluster.job(0).records.commands, [command]);
    cluster.message(0, 1, { type: 'not-leading', jobs: [own.spec.body.job] });
    cluster.until('it stands', () => cluster.messages('prepare').length > 0, 10_000);
    assert.notEqual(cluster.job(0).state, 'Stopped');
  });

  it('does not prove that its owner stopped the job', () => {
    const ledger = createLedger(job.spec, job.admission);
    mergeCommand(ledger, other(3));
    assert.equal(stopAmong(ledger.commands.values(), 1), null);
    assert.equal(id, ledger.job);
  });

  it('beyond the bound is acknowledged and not kept, so that nobody sends it for ever', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.message(0, 1, { type: 'activate', spec: job.spec, admission: job.admission });
    for (let sequence = 100; sequence > 0; sequence -= 1)
      assert.deepEqual(
        refusals(cluster.message(0, 9, { type: 'command', command: other(sequence) })),
        [],
      );
    assert.equal(cluster.messages('command-ack').length, 100);
    assert.equal(cluster.job(0).records.commands.length, COMMANDS_MAX - 1);
    const rows = cluster
      .store(0)
      .rows('records')
      .filter(({ key, value }) => key.startsWith('command/') && value !== null);
    assert.equal(rows.length, COMMANDS_MAX - 1);
  });
});
