/** Blocks that are being written, and what a crash left of some. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import { test } from 'node:test';
import { CID } from 'multiformats/cid';
import * as raw from 'multiformats/codecs/raw';
import { sha256 } from 'multiformats/hashes/sha2';
import { createBlockFiles } from '../../../../p2p/content/blockstore.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

test('who looks through the blocks removes what a crash left just now, and nothing that is being written', async (context) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'shoal-blocks-'));
  context.after(() => rm(directory, { recursive: true, force: true }));
  const blocks = createBlockFiles(directory, quiet);
  await blocks.open();
  const bytes = Array.from({ length: 40 }, () => randomBytes(200_000));
  const cids = await Promise.all(
    bytes.map(async (one) => CID.createV1(raw.code, await sha256.digest(one))),
  );
  const [first = assert.fail(), ...others] = cids;
  await blocks.write(first, bytes[0] ?? assert.fail());
  const [shard = assert.fail()] = await readdir(directory);
  const left = path.join(directory, shard, 'BLOCK.data.1-1.tmp');
  await writeFile(left, 'half a block');
  let writing = true;
  const look = async (): Promise<void> => {
    do for await (const _ of blocks.files());
    while (writing);
  };
  const looking = Promise.all(Array.from({ length: 8 }, look));
  await Promise.all(others.map((cid, at) => blocks.write(cid, bytes[at + 1] ?? assert.fail())));
  writing = false;
  await looking;
  for (const cid of cids) assert.ok(await blocks.has(cid), cid.toString());
  assert.ok(!(await readdir(path.join(directory, shard))).includes(path.basename(left)));
});
