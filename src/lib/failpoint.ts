/**
 * Places at which a test may break the process: wherever a peer writes something down or lets something out.
 * Nothing of it is in the shipped program: only a build with `SHOAL_FAILPOINTS` looks at the environment.
 *
 *     TEST_FAILPOINT='commit.after=kill'        ends as by kill -9 when it gets there
 *     TEST_FAILPOINT='commit.before=enospc@3'   the third time: as on a full disk; also `throw`, `sleep`
 */
import { writeSync } from 'node:fs';

/** Set by the build; a test of this file sets it as a global. */
declare const SHOAL_FAILPOINTS: boolean | undefined;

/** @param kind of what, where one place serves several. */
export function failpoint(place: string, kind?: string): void {
  if (typeof SHOAL_FAILPOINTS === 'boolean' && SHOAL_FAILPOINTS) reach(place, kind);
}

/** A stall long enough to be noticed by nobody but the inputs that wait, milliseconds. */
const SLEEP_MS = 2_000;
/** SQLite's and the system's word for a full disk. */
const FULL = { code: 'ENOSPC', errcode: 13 };
let times = 0;

function reach(place: string, kind: string | undefined): void {
  const name = kind === undefined ? place : `${place} ${kind}`;
  const [wanted, action = '', at = '1'] = (process.env['TEST_FAILPOINT'] ?? '').split(/[=@]/);
  if (wanted !== name) return;
  times += 1;
  if (times !== Number(at)) return;
  // At once, as nothing is flushed any more.
  writeSync(2, `failpoint ${name}: ${action}\n`);
  if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  if (action === 'sleep') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLEEP_MS);
  if (action === 'throw') throw new Error(`failpoint ${name}`);
  if (action === 'enospc') throw Object.assign(new Error(`failpoint ${name}`), FULL);
}
