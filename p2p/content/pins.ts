/**
 * Pins: one record for each root. Helia's own pins count references per block: 2,000 small files are 2,000
 * records, and removing one of two pins that share a block can leave the other one's block unprotected.
 */
import { Key } from 'interface-datastore';
import type { Datastore } from 'interface-datastore';
import type { CID } from 'multiformats/cid';
import { parseCid } from './dag.ts';

const PIN_PREFIX = '/shoal/pins';

export const pinKey = (cid: CID): Key => new Key(`${PIN_PREFIX}/${cid.toString()}`);

export async function* pinnedRoots(datastore: Datastore): AsyncGenerator<CID> {
  for await (const key of datastore.queryKeys({ prefix: PIN_PREFIX })) yield parseCid(key.name());
}
