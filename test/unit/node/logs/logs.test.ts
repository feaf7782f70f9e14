import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { asExecutionId } from '../../../../src/core/record/ids.ts';
import { ShoalError } from '../../../../src/failures/shoal-error.ts';
import { LINE_MAX_BYTES, decodeLogLines, encodeLogLine } from '../../../../src/node/logs/frames.ts';
import type { LogLine } from '../../../../src/node/logs/frames.ts';
import { readLogs } from '../../../../src/node/logs/logs.ts';
import type { LogOptions, LogSource } from '../../../../src/node/logs/logs.ts';
import { createFakeContent } from '../../storage/fake-content.ts';
import { eventually, shell, world } from '../support.ts';

const e1 = asExecutionId('e-1');
const never = new AbortController().signal;

interface Files extends AsyncDisposable {
  readonly source: LogSource;
  readonly stdout: string;
  readonly stderr: string;
  active: boolean;
  /** Aborts when the test is over, so that a failed one ends. */
  readonly signal: AbortSignal;
  read(options: LogOptions, signal?: AbortSignal): Promise<LogLine[]>;
}

/** The log files of e-1, written by the test itself. */
async function logFiles(cid: string | null = null): Promise<Files> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-logs-'));
  const logs = join(directory, 'e-1', 'logs');
  await mkdir(logs, { recursive: true });
  const content = createFakeContent();
  const over = new AbortController();
  const files: Files = {
    signal: over.signal,
    stdout: join(logs, 'stdout'),
    stderr: join(logs, 'stderr'),
    active: false,
    source: {
      executionsDir: directory,
      isActive: () => files.active,
      content,
      outputMaxBytes: 1_000_000,
    },
    read: (options, signal = over.signal) => {
      const result = cid === null ? null : { cid, holders: [] };
      return collected(readLogs(files.source, e1, options, result, signal));
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await rm(directory, { recursive: true, force: true });
    },
  };
  return files;
}

async function collected<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const all = { tail: false, follow: false };
const textOf = (lines: readonly LogLine[], stream: string): string =>
  lines
    .filter((line) => line.stream === stream)
    .map((line) => line.line)
    .join('');

describe('reading logs', () => {
  it('gives every line of both streams, the unfinished last one too', async () => {
    await using files = await logFiles();
    await writeFile(files.stdout, 'one\n\ntwo ü\nrest');
    await writeFile(files.stderr, 'problem\n');
    assert.deepEqual(await files.read(all), [
      { stream: 'stdout', line: 'one\n' },
      { stream: 'stdout', line: '\n' },
      { stream: 'stdout', line: 'two ü\n' },
      { stream: 'stderr', line: 'problem\n' },
      { stream: 'stdout', line: 'rest' },
    ]);
    assert.deepEqual(await files.read({ tail: true, follow: false }), []);
  });

  it('loses nothing of any text, whatever its lines', async () => {
    await using files = await logFiles();
    const piece = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constant('\n'),
      fc.constant('x'.repeat(20_000)),
      fc.constant('😀'.repeat(6_000)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        await writeFile(files.stdout, pieces.join(''));
        const lines = await files.read(all);
        assert.equal(textOf(lines, 'stdout'), pieces.join(''));
        for (const { line } of lines)
          assert.ok(Buffer.byteLength(line) <= LINE_MAX_BYTES && line.isWellFormed());
      }),
      { numRuns: 50 },
    );
  });

  it('loses nothing of what is no text either, over the wire and into frames', async () => {
    await using files = await logFiles();
    const every = Buffer.from(Array.from({ length: 256 }, (_, at) => at));
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40_000 }), async (random) => {
        const written = Buffer.concat([every, random]);
        await writeFile(files.stdout, written);
        const lines = await files.read(all);
        const sent = lines.map(encodeLogLine);
        const read = await collected(decodeLogLines(sent, 'e-1'));
        for (const some of [lines, read])
          assert.ok(
            written.equals(
              Buffer.concat(some.map(({ line, bytes }) => bytes ?? Buffer.from(line))),
            ),
          );
      }),
      { numRuns: 20 },
    );
  });

  it('follows a program to its end, each stream in the order in which it is printed', async () => {
    await using w = await world();
    w.runner.start(
      shell('for i in 1 2 3; do echo out $i; sleep 0.2; echo err $i >&2; sleep 0.2; done'),
      false,
    );
    const source: LogSource = {
      executionsDir: w.executionsDir,
      isActive: (id) => w.runner.isActive(id),
      content: w.content,
      outputMaxBytes: 1_000,
    };
    const lines = await collected(readLogs(source, e1, { tail: false, follow: true }, null, never));
    assert.equal(textOf(lines, 'stdout'), 'out 1\nout 2\nout 3\n');
    assert.equal(textOf(lines, 'stderr'), 'err 1\nerr 2\nerr 3\n');
    await w.last();
  });

  it('shows an unfinished line soon, and only what is new when asked to', async () => {
    await using files = await logFiles();
    await writeFile(files.stdout, 'old\n');
    files.active = true;
    const seen: LogLine[] = [];
    const following = (async () => {
      for await (const line of readLogs(
        files.source,
        e1,
        { tail: true, follow: true },
        null,
        files.signal,
      ))
        seen.push(line);
    })();
    await appendFile(files.stderr, 'name? ');
    await eventually('the prompt is shown', () => seen.length === 1);
    await appendFile(files.stderr, 'Ada\n');
    files.active = false;
    await following;
    assert.deepEqual(seen, [
      { stream: 'stderr', line: 'name? ' },
      { stream: 'stderr', line: 'Ada\n' },
    ]);
  });

  it('begins again with an execution that is begun again', async () => {
    await using files = await logFiles();
    await writeFile(files.stdout, 'first try\n');
    files.active = true;
    const seen: LogLine[] = [];
    const following = (async () => {
      for await (const line of readLogs(
        files.source,
        e1,
        { tail: false, follow: true },
        null,
        files.signal,
      ))
        seen.push(line);
    })();
    await eventually('the first try is read', () => seen.length === 1);
    await rm(files.stdout);
    await writeFile(files.stdout, 'second try, longer than the first\n');
    await eventually('the second try is read', () => seen.length === 2);
    files.active = false;
    await following;
    assert.equal(textOf(seen, 'stdout'), 'first try\nsecond try, longer than the first\n');
  });

  it('stops when the reader goes away', async () => {
    await using files = await logFiles();
    files.active = true;
    const abort = new AbortController();
    const reading = files.read({ tail: false, follow: true }, abort.signal);
    abort.abort();
    assert.deepEqual(await reading, []);
  });

  it('takes the published result when the files are gone', async () => {
    await using files = await logFiles('bafy1');
    const content = createFakeContent();
    const directory = join(files.source.executionsDir, 'result');
    await mkdir(directory);
    await writeFile(join(directory, 'stdout'), 'kept\n');
    await writeFile(join(directory, 'stderr'), '');
    const { cid } = await content.add(directory, never);
    const source = { ...files.source, content };
    const result = { cid, holders: ['12D3KooWA'] };
    const options = { tail: false, follow: true };
    assert.deepEqual(await collected(readLogs(source, e1, options, result, never)), [
      { stream: 'stdout', line: 'kept\n' },
    ]);
    assert.deepEqual(content.fetches[0]?.holders, ['12D3KooWA']);
    const without = readLogs(source, e1, all, null, never);
    await assert.rejects(
      collected(without),
      (error) => error instanceof ShoalError && error.failure.code === 'logs-unavailable',
    );
  });
});

describe('log frames', () => {
  const line = fc.record(
    {
      stream: fc.constantFrom('stdout' as const, 'stderr' as const),
      line: fc.string({ unit: 'grapheme' }),
    },
    { noNullPrototype: true },
  );

  it('survive being cut into chunks of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.integer({ min: 1, max: 50 }), async (lines, size) => {
        const bytes = Buffer.concat(lines.map(encodeLogLine));
        const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
          bytes.subarray(index * size, (index + 1) * size),
        );
        assert.deepEqual(await collected(decodeLogLines(chunks, 'e-1')), lines);
      }),
    );
  });

  it('that are damaged are refused, never believed', async () => {
    const good = encodeLogLine({ stream: 'stdout', line: 'hello' });
    const huge = Buffer.alloc(5);
    huge.writeUInt8(1, 0);
    huge.writeUInt32BE(LINE_MAX_BYTES + 1, 1);
    for (const bytes of [good.subarray(0, 7), Buffer.from([3, 0, 0, 0, 0]), huge]) {
      await assert.rejects(collected(decodeLogLines([bytes], 'e-1')), { name: 'ShoalError' });
    }
  });
});
