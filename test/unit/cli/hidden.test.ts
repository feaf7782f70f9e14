/** What others wrote reaches no terminal with characters that it would obey or hide. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parse } from 'yaml';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { escapeHidden, escapeHiddenInYaml } from '../../../src/lib/hidden-text.ts';
import { stringifyExact } from '../../../src/lib/exact-json.ts';
import { printValue } from '../../../src/cli/output.ts';
import type { Io } from '../../../src/cli/io.ts';
import { StatusLine } from '../../../src/cli/status-line.ts';
import { plainText } from '../../../src/cli/text.ts';
import { SPEC } from '../api/api-server.ts';
import { createCli, runAlone } from './cli.ts';

const CODES = [
  0x00, 0x07, 0x08, 0x0b, 0x0d, 0x1b, 0x7f, 0x80, 0x85, 0x9b, 0x9f, 0xad, 0x061c, 0x200b, 0x200e,
  0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2060, 0x2066, 0x2069, 0xfeff, 0xe0041,
];
const EVIL = `a${CODES.slice(1)
  .map((code) => String.fromCodePoint(code))
  .join('b')}c\n  State: mine`;
const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

test('a line that tells of somebody else’s name is one line', () => {
  let told = '';
  const stderr = { write: (text: string) => (told += text) };
  const io = { env: {}, terminal: { stderr: false }, stderr } as unknown as Io;
  new StatusLine(io, false).say('Left out: a\nResults are in /tmp/mine');
  assert.equal(told, 'Left out: a Results are in /tmp/mine\n');
});

test('no command prints what others wrote with hidden characters, in no format', async () => {
  const cli = await createCli();
  cli.api.service.onSubmit = (job) => {
    job.assign();
    job.report('failed', {
      failure: { class: 'spec', code: 'program-failed', message: EVIL, retryAfterMs: 0 } as never,
    });
    job.close('failed', 'attempts-exhausted', EVIL);
  };
  const stdin = JSON.stringify({ ...SPEC, Name: EVIL, Labels: { team: EVIL } });
  const ran = await cli.run(['job', 'run'], { stdin });
  const id = cli.api.service.jobs[0]?.id ?? '';
  const all = [ran];
  for (const command of [
    ['job', 'list'],
    ['job', 'describe', id],
    ['job', 'history', id],
    ['job', 'executions', id],
    ['node', 'list', '--show', 'labels'],
    ['job', 'run', '--dry-run'],
  ]) {
    const formats = command.includes('--dry-run') ? ['json'] : ['json', 'yaml'];
    all.push(await cli.run(command, { tty: true, env: { NO_COLOR: '1' }, stdin }));
    for (const format of formats)
      all.push(await cli.run([...command, '--output', format], { stdin }));
  }
  cli.api.service.fail = new ShoalError({ code: 'content-corrupt', cid: EVIL, why: EVIL });
  all.push(await cli.run(['job', 'list']), await cli.run(['job', 'list', '--output', 'json']));
  for (const { out, err } of all) {
    assert.ok(out !== '' || err !== '');
    assert.doesNotMatch(out.replaceAll('\u001b[K', ''), HIDDEN);
    assert.doesNotMatch(err.replaceAll(/\r?\u001b\[\d*[Km]/g, ''), HIDDEN);
  }
  const described = await cli.run(['job', 'describe', id]);
  assert.doesNotMatch(described.out, /^ {0,4}State: mine/m, 'a name is no line of its own');
});

test('the API itself answers in JSON that a terminal may be shown', async () => {
  const cli = await createCli();
  cli.api.service.fail = new ShoalError({ code: 'content-corrupt', cid: EVIL, why: EVIL });
  const answer = await cli.api.call('GET', '/orchestrator/jobs?pretty');
  assert.doesNotMatch(answer.text, HIDDEN);
  assert.ok(String(answer.json['Message']).includes(EVIL));
});

const texts = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc
    .array(
      fc.oneof(
        fc.constantFrom(...CODES).map((code) => String.fromCodePoint(code)),
        fc.string(),
      ),
    )
    .map((parts) => parts.join('')),
);

test('JSON and YAML with escapes mean what they meant without', async () => {
  const printed = async (value: unknown, format: 'json' | 'yaml'): Promise<string> => {
    let text = '';
    const stdout = { write: (piece: string) => Boolean((text += piece)) };
    await printValue({ stdout } as never, value, format, true);
    return text;
  };
  await fc.assert(
    fc.asyncProperty(fc.dictionary(texts, fc.array(texts)), async (value) => {
      const json = await printed(value, 'json');
      assert.doesNotMatch(json, HIDDEN);
      assert.deepEqual(JSON.parse(json), { ...value });
      const yaml = await printed(value, 'yaml');
      assert.doesNotMatch(yaml, HIDDEN);
      assert.deepEqual(JSON.stringify(parse(yaml)), JSON.stringify(value));
    }),
    { numRuns: 100 },
  );
  assert.equal(escapeHidden('"\u{e0041}\u202e"'), '"\\udb40\\udc41\\u202e"');
  assert.equal(escapeHiddenInYaml('"\u{e0041}\u202e"'), '"\\U000e0041\\u202e"');
  assert.equal(stringifyExact({ a: '\u009b' }, 0), '{"a":"\\u009b"}');
});

test('a text without them stays as it is', () => {
  for (const text of ['', 'a b', 'ä ö 漢字 🦀\n\tx', 'עברית', '"\\'])
    assert.equal(plainText(text), text);
});

test('an error about a spec shows no hidden character either', async () => {
  const ran = await runAlone(['job', 'validate'], '/', {
    stdin: JSON.stringify({ ...SPEC, [EVIL]: 1, Type: EVIL }),
  });
  assert.equal(ran.code, 2);
  assert.doesNotMatch(ran.err, HIDDEN);
});
