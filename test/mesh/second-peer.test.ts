/** Peers that somebody starts one after the other on one machine, with no more than what they are told to type. */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createProgram } from './program.ts';
import { until } from './wait.ts';

const program = await createProgram();
const home = await mkdtemp(join(tmpdir(), 'shoal-home-'));
const children: Served[] = [];

class Served {
  text = '';
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;

  constructor(args: readonly string[]) {
    const env = { PATH: process.env['PATH'], HOME: home };
    const flags = ['--no-docker', '--log-level', 'warn'];
    this.child = spawn(program.command, ['serve', ...args, ...flags], { env, stdio: 'pipe' });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => (this.text += text));
    this.ended = new Promise((resolve) => this.child.once('exit', resolve));
    children.push(this);
  }

  says(expected: RegExp): Promise<RegExpExecArray> {
    const describe = (): string => this.text;
    return until(`it says ${expected}`, () => expected.exec(this.text), {
      deadlineMs: 60_000,
      describe,
    });
  }
}

after(async () => {
  for (const { child } of children) child.kill('SIGTERM');
  await Promise.all(children.map(({ ended }) => ended));
  await rm(home, { recursive: true, force: true });
  await program.remove();
});

test('a second peer is refused with the very words that start it, and then joins the first', async () => {
  const first = new Served([]);
  await first.says(/^ready /m);
  const [, name] = await first.says(/^peer id +\S+ \((n-\S{8})\)$/m);
  const refused = new Served([]);
  assert.equal(await refused.ended, 3, refused.text);
  const typed = /shoal serve (--data-dir \S+ --bootstrap \S+)/.exec(refused.text)?.[1];
  assert.ok(typed, refused.text);
  const second = new Served(typed.split(' '));
  await second.says(/^ready /m);
  await second.says(new RegExp(`^joined +the mesh through ${name}$`, 'm'));
  const [, socket] = await second.says(/^commands +SHOAL_API_SOCKET=(\S+) shoal/m);
  assert.equal(socket, `${home}/.shoal-2/api.sock`);
  assert.notEqual(/^api +(\S+)/m.exec(second.text)?.[1], /^api +(\S+)/m.exec(first.text)?.[1]);
});

test('who names a peer that is not there is told so after it is ready', async () => {
  const peer = '12D3KooWF6ToyQNJyQWitNzYWrJHL5utRqGN94hactTbgB8Hdcr5';
  const lost = new Served([
    '--data-dir',
    join(home, 'lost'),
    '--bootstrap',
    `/ip4/127.0.0.1/tcp/1/p2p/${peer}`,
  ]);
  await lost.says(/^ready /m);
  await lost.says(/^alone +no bootstrap peer is reached \(n-gB8Hdcr5: /m);
});

test('a bootstrap address that is none is answered with one as it must be', async () => {
  for (const wrong of ['foo', '/ip4/127.0.0.1/tcp/4711']) {
    const peer = new Served(['--data-dir', join(home, 'wrong'), '--bootstrap', wrong]);
    assert.equal(await peer.ended, 2, peer.text);
    assert.match(peer.text, /\/p2p\//);
    assert.match(peer.text, /shoal serve/);
  }
});
