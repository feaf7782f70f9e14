/**
 * Ends the programs of exclusive jobs whose time is over while this process cannot: it is stopped (SIGSTOP), hangs, or
 * was killed while its containers run on. A process of its own watches over them, by the uptime of the machine, which
 * goes on while the machine sleeps. When each has to end stands in a file of the execution, so a later process of this
 * node extends it as well, and whoever is told of it anew finds it. Who ends all processes of the peer at
 * once ends the warden, too: then what it left running ends when the peer is started again.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { uptime } from 'node:os';
import { dirname, join } from 'node:path';
import { asExecutionId } from '../../core/record/ids.ts';
import type { ExecutionId } from '../../core/record/ids.ts';
import type { Remains } from '../../engines/engine.ts';
import type { Log } from '../../lib/log.ts';
import { isExecutionDirectory } from './files.ts';

/** In the directory of an execution: the uptime of the machine in milliseconds at which its program must be over. */
const FILE = 'tenure';
/** From the end of the time on: what the program has to say goodbye when its node is well. */
const GOODBYE_MS = 5_000;
/** Between two looks. */
const LOOK_MS = 500;
/** What cannot be ended within this is stuck in the kernel, or its Docker is away for good. */
const GIVE_UP_MS = 600_000;

export interface Warden {
  /** It must be over `leftMs` from now, unless it is told again. Resolves once that is certain. */
  watch(execution: ExecutionId, leftMs: number): Promise<void>;
  /** It is over. */
  release(execution: ExecutionId): Promise<void>;
  /** Watches over what an earlier process of this node has left. */
  adopt(): Promise<void>;
  /** It goes on by itself with what is not over. */
  leave(): void;
}

export interface WardenOptions {
  readonly executionsDir: string;
  /** What there may be of an execution besides this process. */
  readonly remainsOf: (execution: ExecutionId) => readonly Remains[];
  readonly log: Log;
}

/** Reads lines of `[file, remains]`; ends with its input, when nothing is left to watch over. Uses no file of ours. */
const PROGRAM = `
const { readFileSync, readdirSync } = require('node:fs');
const { request } = require('node:http');
const { uptime } = require('node:os');
const [goodbyeMs, lookMs, giveUpMs] = JSON.parse(process.argv[1]);
const watched = new Map();
let told = '';
let isOpen = true;
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text) => {
  const lines = (told + text).split('\\n');
  told = lines.pop();
  for (const line of lines) {
    const [file, remains] = JSON.parse(line);
    if (!watched.has(file)) watched.set(file, { remains, endsAt: Infinity });
  }
});
const close = () => { isOpen = false; };
process.stdin.on('end', close).on('error', close);
process.on('SIGTERM', () => {}).on('SIGINT', () => {}).on('SIGHUP', () => {});
function endProcesses(commandLine) {
  const wanted = commandLine.join('\\0') + '\\0';
  for (const pid of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(pid) || Number(pid) === process.pid) continue;
    try {
      if (readFileSync('/proc/' + pid + '/cmdline', 'utf8').includes(wanted)) process.kill(Number(pid), 'SIGKILL');
    } catch {}
  }
}
function endContainer({ socketPath, name }) {
  const path = '/containers/' + encodeURIComponent(name) + '/kill?signal=KILL';
  request({ socketPath, path, method: 'POST', timeout: 5000 }, (answer) => answer.resume())
    .on('error', () => {}).on('timeout', function () { this.destroy(); }).end();
}
function look() {
  const now = uptime() * 1000;
  for (const [file, one] of watched) {
    let text;
    try { text = readFileSync(file, 'latin1'); } catch { watched.delete(file); continue; }
    one.endsAt = Number(text) + goodbyeMs;
    if (!(one.endsAt <= now)) continue;
    if (now > one.endsAt + giveUpMs) { watched.delete(file); continue; }
    for (const what of one.remains) {
      try { if (what.type === 'process') endProcesses(what.commandLine); else endContainer(what); } catch {}
    }
  }
  if (!isOpen && watched.size === 0) process.exit(0);
}
setInterval(look, lookMs);
`;

export function createWarden({ executionsDir, remainsOf, log }: WardenOptions): Warden {
  let child: ChildProcess | null = null;
  /** One after the other: of two that write to one file the later one counts. */
  let turn: Promise<unknown> = Promise.resolve();
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const done = turn.then(work);
    turn = done.catch(() => undefined);
    return done;
  };
  const fileOf = (execution: ExecutionId): string => join(executionsDir, execution, FILE);

  /** Begun when it is first needed: few nodes ever run such a job. */
  const started = (): ChildProcess => {
    if (child !== null && child.exitCode === null && child.signalCode === null) return child;
    const times = JSON.stringify([GOODBYE_MS, LOOK_MS, GIVE_UP_MS]);
    // A group of its own: what stops or ends the group of this process does not end it.
    child = spawn(process.execPath, ['--max-old-space-size=32', '-e', PROGRAM, times], {
      detached: true,
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {},
      cwd: '/',
    });
    child.on('error', (error) => log.error({ error }, 'warden.not-started'));
    child.stdin?.on('error', () => {});
    child.unref();
    return child;
  };

  const tell = (execution: ExecutionId): Promise<void> => {
    const line = `${JSON.stringify([fileOf(execution), remainsOf(execution)])}\n`;
    return new Promise((resolve) => {
      const { stdin } = started();
      if (stdin === null) return resolve();
      stdin.write(line, () => resolve());
    });
  };

  return {
    watch(execution, leftMs) {
      const endsAt = uptime() * 1_000 + leftMs;
      const file = fileOf(execution);
      return inTurn(async () => {
        await mkdir(dirname(file), { recursive: true, mode: 0o700 });
        await writeFile(`${file}.new`, String(Math.floor(endsAt)), { mode: 0o600 });
        await rename(`${file}.new`, file);
        await tell(execution);
      });
    },
    release: (execution) => inTurn(() => rm(fileOf(execution), { force: true })),
    async adopt() {
      const names = await readdir(executionsDir).catch(() => []);
      for (const name of names) {
        if (!isExecutionDirectory(name)) continue;
        const execution = asExecutionId(name);
        if ((await stat(fileOf(execution)).catch(() => null)) !== null) await tell(execution);
      }
    },
    leave() {
      child?.stdin?.end();
    },
  };
}
