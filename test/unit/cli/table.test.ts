/** Tables on terminals of any width, times with their zone, states with their exit codes. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import fc from 'fast-check';
import { tableLines, wrapped, type Shape } from '../../../src/cli/table.ts';
import { dateTime, timeOfDay } from '../../../src/cli/text.ts';
import { createCli, type Cli } from './cli.ts';
import { SPEC } from '../api/api-server.ts';
import type { FakeJob } from '../api/fake-service.ts';

const zone = process.env['TZ'];
afterEach(() => {
  process.env['TZ'] = zone ?? 'UTC';
});

const plain = (text: string): string => text;
const COLUMNS: readonly Shape[] = [
  { title: 'Created', spare: 1 },
  { title: 'ID' },
  { title: 'Name', maxWidth: 32 },
  { title: 'Rev.', spare: 2 },
  { title: 'Comment', wraps: true },
];

test('no line is wider than its terminal, whatever the cells hold', () => {
  const cell = fc.oneof(fc.constant(''), fc.stringMatching(/^[a-z ]{0,60}$/));
  const row = fc.tuple(cell, fc.stringMatching(/^[a-f0-9]{1,10}$/), cell, cell, cell);
  fc.assert(
    fc.property(
      fc.array(row, { maxLength: 6 }),
      fc.integer({ min: 60, max: 200 }),
      (rows, width) => {
        const titles = COLUMNS.map(({ title }) => title);
        for (const line of tableLines(COLUMNS, rows, titles, width, plain))
          assert.ok(line.length <= width, `${line.length} of ${width}: ${line}`);
      },
    ),
  );
});

test('what is spare goes first, then texts are shortened, and what wraps loses nothing', () => {
  const row = ['2026-01-02 03:04:06Z', 'j-12345678', 'n'.repeat(30), '7', 'so it was '.repeat(6)];
  const titles = COLUMNS.map(({ title }) => title);
  const lines = (width: number): string[] => tableLines(COLUMNS, [row], titles, width, plain);
  assert.equal(lines(Number.POSITIVE_INFINITY).length, 2);
  assert.match(lines(100)[0] ?? '', /^Created +ID +Name +Rev\. +Comment$/);
  assert.match(lines(72)[0] ?? '', /^Created +ID +Name +Comment$/);
  assert.match(lines(60)[0] ?? '', /^ID +Name +Comment$/);
  assert.match(lines(60)[1] ?? '', /n…/);
  const words =
    lines(60)
      .join(' ')
      .match(/\b(so|it|was)\b/g) ?? [];
  assert.equal(words.length, 18);
});

test('a word longer than its line is cut, not lost', () => {
  assert.deepEqual(wrapped('ab cdefghij', 4), ['ab', 'cdef', 'ghij']);
  assert.deepEqual(wrapped('', 4), ['']);
});

test('a time is that of the clocks here, and says how far they are from UTC', () => {
  const at = Date.UTC(2026, 0, 2, 3, 4, 6);
  const shown = (name: string): string => {
    process.env['TZ'] = name;
    return dateTime(at);
  };
  assert.equal(shown('UTC'), '2026-01-02 03:04:06Z');
  assert.equal(shown('Europe/Berlin'), '2026-01-02 04:04:06+01');
  assert.equal(shown('Asia/Kolkata'), '2026-01-02 08:34:06+05:30');
  assert.equal(shown('America/New_York'), '2026-01-01 22:04:06-05');
  assert.equal(timeOfDay(at), '22:04:06-05');
  assert.equal(dateTime(Number.NaN), '-');
});

async function ended(exitCode: number): Promise<{ readonly cli: Cli; readonly job: FakeJob }> {
  const cli = await createCli();
  await cli.api.call('PUT', '/orchestrator/jobs', { Job: SPEC });
  const job = cli.api.service.jobs[0] as FakeJob;
  job.complete(0, { exitCode });
  job.close('completed', 'completed', 'All partitions have a result.', exitCode);
  return { cli, job };
}

test('a program that ended with another code than 0 is told in every table, in red', async () => {
  const { cli, job } = await ended(7);
  for (const args of [
    ['job', 'list'],
    ['job', 'describe', job.id],
    ['job', 'executions', job.id],
  ]) {
    assert.match((await cli.run(args)).out, /Completed \(exit 7\)/, args.join(' '));
    const { out } = await cli.run(args, { tty: true });
    assert.match(out, /\u001b\[31mCompleted \(exit 7\)/, args.join(' '));
  }
  const good = await ended(0);
  const { out } = await good.cli.run(['job', 'list'], { tty: true });
  assert.match(out, /\u001b\[32mCompleted\u001b/);
});

test('every list of a peer fits 80 columns', async () => {
  const { cli, job } = await ended(7);
  const lists = [
    ['job', 'list'],
    ['job', 'executions', job.id],
    ['job', 'history', job.id],
    ['job', 'versions', job.id],
    ['job', 'describe', job.id],
    ['node', 'list'],
    ['node', 'list', '--show', 'labels,version,features,capacity'],
    ['doctor'],
  ];
  for (const args of lists) {
    const { out } = await cli.run(args, { tty: true, columns: 80, env: { NO_COLOR: '1' } });
    for (const line of out.split('\n'))
      assert.ok(line.length <= 80, `${args.join(' ')} (${line.length}): ${line}`);
  }
});
