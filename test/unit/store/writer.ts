/**
 * A process that writes to a store until it is killed, and says after each commit that it returned.
 * With `hold` it only opens the directory's lock and waits.
 */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { lockDataDir } from '../../../src/store/lock.ts';
import { openStore } from '../../../src/store/store.ts';
import { acceptedWrite, codec, promiseWrite, recordWrite } from './fixtures.ts';

const [dir = '', mode = 'write'] = process.argv.slice(2);

if (mode === 'hold') {
  lockDataDir(dir);
  // Nobody refers to the lock any more; it is held all the same.
  for (let count = 0; count < 3; count += 1) {
    globalThis.gc?.();
    await turn();
  }
  writeSync(1, 'held\n');
  process.stdin.resume();
} else {
  const store = openStore(dir, { codec, random: randomBytes });
  for (let number = 0; ; number += 1) {
    store.apply([recordWrite(number), promiseWrite(number % 5, number), acceptedWrite(number, 1)]);
    // Synchronous, so that what was acknowledged is with the reader before the next commit begins.
    writeSync(1, `${number} ${store.id}\n`);
  }
}
