/**
 * A process under the watchdog, for the tests. Arguments: how long it may stand, milliseconds, and
 * what it does: `stand` loops for ever once it was told so on stdin, `throw` throws what is named
 * third outside of everything, `reject` leaves a promise alone. Says `ready`, then `alive` each 50 ms.
 */
import { createLog } from '../../../src/lib/log.ts';
import { createDefects } from '../../../src/node/defects.ts';
import { catchTheUncaught } from '../../../src/node/last-resort.ts';
import { startWatchdog } from '../../../src/node/watchdog.ts';

const [stallText = '', what = '', name = ''] = process.argv.slice(2);
const defects = createDefects({
  log: createLog('error', process.stderr),
  count: () => {},
  now: () => performance.now(),
});
startWatchdog({ stallMs: Number(stallText), lookMs: 50 });
catchTheUncaught(defects, () => {
  process.stdout.write('ended\n');
  process.exitCode = 1;
  clearInterval(alive);
  process.stdin.destroy();
});
const alive = setInterval(() => process.stdout.write('alive\n'), 50);

const named = (): Error => Object.assign(new Error('out of nowhere'), { name });
process.stdin.once('data', () => {
  if (what === 'throw') throw named();
  if (what === 'reject') void Promise.reject(named());
  while (what === 'stand');
});
process.stdout.write('ready\n');
