/**
 * Every command of the program that is shipped, in every form in which it prints: what a test of the sources
 * cannot see is what bundling did to them. The commands and their forms come from the command tree itself.
 */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { before, describe, test } from 'node:test';
import { parse } from 'yaml';
import type { Command } from 'commander';
import type { Io } from '../../src/cli/io.ts';
import { createProgram } from '../../src/cli/program.ts';
import { createMesh, type Ran } from './harness.ts';
import type { Peer } from './peer.ts';
import { noop } from './specs.ts';

const mesh = await createMesh();

/** Commands with nothing below them, by their words. */
function leavesOf(command: Command, words: readonly string[] = []): [string, Command][] {
  if (command.commands.length === 0) return [[words.join(' '), command]];
  return command.commands.flatMap((one) => leavesOf(one, [...words, one.name()]));
}

// Nothing runs here: of the program only the tree of its commands is looked at.
const commands = new Map(leavesOf(createProgram({ io: {} as Io, exitCode: 0, client: null })));

const formsOf = (command: Command): readonly string[] =>
  command.options.find(({ long }) => long === '--output')?.argChoices ?? [];

describe('through the bundle', () => {
  let peer: Peer;
  let job: string;
  let spec: string;
  let file: string;

  /** What each command is given; null for what is no question to a peer, with the reason. */
  const given = (): Readonly<Record<string, readonly string[] | null>> => ({
    serve: null, // the peer itself
    completion: ['bash'],
    ps: [],
    'job run': [spec, '--force'],
    'job diff': [spec],
    'job rerun': [job],
    'job validate': [spec],
    'job list': [],
    'job executions': [job],
    'job history': [job],
    'job versions': [job],
    'job describe': [job],
    'job logs': [job],
    'job stop': [job],
    'job get': [job],
    'node list': [],
    'node describe': [peer.nodeId],
    'node label': [],
    'node drain': ['--off'],
    'cid add': [file],
    'cid get': null, // below, with what was added
    'agent alive': [],
    'agent version': [],
    'agent node': [],
    'agent config': [],
    config: [],
    version: [],
    doctor: [],
  });

  before(async () => {
    peer = await mesh.add();
    spec = mesh.path('job.json');
    file = mesh.path('content');
    await writeFile(spec, JSON.stringify(noop({ Milliseconds: 0 }, { job: { Name: 'forms' } })));
    await writeFile(file, 'some bytes\n');
    job = (await mesh.ok(peer, ['job', 'run', spec, '--id-only'])).trim();
  });

  test('no command is forgotten here', () => {
    assert.deepEqual(Object.keys(given()).sort(), [...commands.keys()].sort());
  });

  /** Reads what was printed as its form says; throws when it is none. */
  const readers: Readonly<Record<string, (text: string) => unknown>> = {
    json: (text) => JSON.parse(text) as unknown,
    yaml: (text) => parse(text) as unknown,
    name: (text) => assert.match(text, /^\S+(\n\S+)*\n$/),
    csv: (text) => assert.match(text, /,/),
  };

  const check = (what: string, form: string, { code, stdout, stderr }: Ran): void => {
    assert.equal(code, 0, `${what}: ${stderr}`);
    assert.doesNotMatch(stderr, /defect/i, what);
    assert.notEqual(stdout.trim(), '', what);
    assert.doesNotThrow(() => readers[form]?.(stdout), `${what} printed ${stdout.slice(0, 500)}`);
  };

  for (const [words, command] of commands) {
    const forms = formsOf(command);
    test(`${words} prints ${forms.length === 0 ? 'what it has to say' : forms.join(', ')}`, async () => {
      const args = given()[words];
      if (args === undefined || args === null) return;
      const line = [...words.split(' '), ...args];
      for (const form of forms.length === 0 ? [''] : forms) {
        const flags = form === '' ? [] : ['-o', form];
        check(`${words} ${flags.join(' ')}`, form, await mesh.cli(peer, [...line, ...flags]));
      }
    });
  }

  test('json and yaml hold the same', async () => {
    for (const [words, command] of commands) {
      const forms = formsOf(command);
      if (!forms.includes('yaml') || !/^(job (list|describe|history)|node list)$/.test(words))
        continue;
      const line = [...words.split(' '), ...(given()[words] ?? [])];
      const json = JSON.parse(await mesh.ok(peer, [...line, '-o', 'json'])) as object;
      const yaml = parse(await mesh.ok(peer, [...line, '-o', 'yaml'])) as object;
      assert.deepEqual(Object.keys(yaml), Object.keys(json), words);
    }
  });

  test('what was added comes back under its CID', async () => {
    const cid = (await mesh.ok(peer, ['cid', 'add', file])).trim();
    const target = mesh.path('back');
    assert.equal((await mesh.cli(peer, ['cid', 'get', cid, target])).code, 0);
  });

  test('help, short names and --version are there', async () => {
    assert.match(await mesh.ok(peer, ['--version']), /^shoal \d+\.\d+\.\d+\n$/);
    assert.match(await mesh.ok(peer, ['help', 'job', 'run']), /^Usage: shoal job run /);
    for (const words of ['ls', 'ps', 'job ls'])
      assert.match(await mesh.ok(peer, words.split(' ')), /forms/, words);
    assert.match(await mesh.ok(peer, ['node', 'ls', '-o', 'name']), new RegExp(peer.nodeId));
    assert.match(await mesh.ok(peer, ['job', 'ps', job]), /Completed/);
  });
});
