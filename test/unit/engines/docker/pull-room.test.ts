/** The room that a pull takes is seen while it takes it. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { watchPullRoom } from '../../../../src/engines/docker/pull-room.ts';
import { pause } from '../../../../src/lib/abort.ts';

test('a directory that shrinks the room of its disk by too much is told of', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-room-'));
  const room = watchPullRoom(directory, 20_000_000);
  try {
    // Again and again, as others may give back room on the same disk meanwhile.
    for (let file = 0; file < 20 && !room.signal.aborted; file += 1) {
      await writeFile(join(directory, String(file)), Buffer.alloc(30_000_000, 1));
      await pause(500, room.signal);
    }
    assert.ok(room.signal.aborted);
  } finally {
    room.stop();
    await rm(directory, { recursive: true, force: true });
  }
});
