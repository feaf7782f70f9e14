import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLog, limited } from '../../../src/lib/log.ts';

function sink(isTTY: boolean): {
  readonly lines: string[];
  readonly isTTY: boolean;
  write(text: string): void;
} {
  const lines: string[] = [];
  return { lines, isTTY, write: (text) => void lines.push(text) };
}

describe('the log', () => {
  it('writes one JSON object per line with the event as a name', () => {
    const out = sink(false);
    createLog('info', out)
      .child({ component: 'runner', node: '12D3' })
      .info({ execution: 'e-1', ms: 5 }, 'execution.ended');
    assert.equal(out.lines.length, 1);
    const { time, ...entry } = JSON.parse(out.lines[0] ?? '') as Record<string, unknown>;
    assert.deepEqual(entry, {
      level: 'info',
      component: 'runner',
      node: '12D3',
      execution: 'e-1',
      ms: 5,
      event: 'execution.ended',
    });
    assert.match(String(time), /^\d{4}-\d\d-\d\dT.*Z$/);
  });

  it('writes one readable line on a terminal, whatever is in the data', () => {
    const out = sink(true);
    const log = createLog('debug', out).child({ component: 'runner' });
    log.warn(
      { execution: 'e-1', detail: 'two\nlines \u001b[31m "red"', error: new Error('broken\npipe') },
      'engine.warning',
    );
    const line = out.lines.join('');
    assert.match(
      line,
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}runner {3}engine\.warning execution=e-1 detail=".*" error="broken pipe"\n$/,
    );
    assert.ok(!line.slice(0, -1).includes('\n') && !line.includes('\u001b'), JSON.stringify(line));
  });

  it('leaves out what is below its level', () => {
    const out = sink(false);
    const log = createLog('warn', out);
    log.info({}, 'job.closed');
    log.error({}, 'job.lost');
    assert.equal(out.lines.length, 1);
    const silent = sink(false);
    createLog('silent', silent).error({}, 'job.lost');
    assert.equal(silent.lines.length, 0);
  });

  it('cuts and cleans the texts of others', () => {
    assert.equal(limited('a\u0000\u0007b\nc', 10), 'a b c');
    assert.equal(limited('x'.repeat(300), 5), 'xxxxx…');
  });
});
