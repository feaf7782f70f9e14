/** Directories, stores and rows for the store's tests. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { createRowCodec } from '../../../p2p/wire/rows.ts';
import { createSuite } from '../../../p2p/wire/suite.ts';
import { asExecutionId, asHlc, asJobId, asNodeId, uuidOf } from '../../../src/core/record/ids.ts';
import type { JobId } from '../../../src/core/record/ids.ts';
import type { StoreWrite } from '../../../src/core/contract/stored.ts';
import type { Signed } from '../../../src/core/record/records.ts';
import { createCrypto } from '../../../src/store/crypto.ts';
import { openStore } from '../../../src/store/store.ts';
import type { Store } from '../../../src/store/store.ts';

const crypto = createCrypto();
export const codec = createRowCodec({ net: 'test', sha256: crypto.sha256 });
const suite = createSuite({
  net: 'test',
  nodeSeed: new Uint8Array(32).fill(1),
  ownerSeed: new Uint8Array(32).fill(2),
  crypto,
});

/** A directory that is gone after the test. */
export function temporary(context: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'shoal-store-'));
  context.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

/** A store that is closed after the test. */
export function opened(context: TestContext, dir: string): Store {
  const store = openStore(dir, { codec, random: randomBytes });
  context.after(() => store.close());
  return store;
}

const hex = (number: number): string => number.toString(16).padStart(32, '0');
export const jobNumber = (number: number): JobId => asJobId(`j-${uuidOf(hex(number))}`);
const leader = asNodeId(suite.nodeOf(suite.owner));
const epoch = { config: { major: 0, minor: 0 }, number: 0, leader };

export function grant(job: JobId, number = 0): Signed<'grant'> {
  return suite.seal('grant', { job, epoch: { ...epoch, number } }, asHlc(1_000 + number), 'node');
}

function assign(job: JobId, partition: number): Signed<'assign'> {
  const execution = asExecutionId(`e-${uuidOf(hex(partition))}`);
  const place = { job, version: 1, partition, attempt: 0, replaces: null, adopts: null };
  const body = { ...place, execution, node: leader, epoch };
  return suite.seal('assign', body, asHlc(1_000), 'node');
}

export const recordWrite = (number: number): StoreWrite => {
  const job = jobNumber(number);
  return { table: 'records', job, key: 'grant', value: { record: grant(job, number), votes: [] } };
};

export const promiseWrite = (number: number, ballot: number): StoreWrite => ({
  table: 'promises',
  job: jobNumber(number),
  key: 'promise',
  value: { ...epoch, number: ballot },
});

export const acceptedWrite = (number: number, partition: number): StoreWrite => ({
  table: 'accepted',
  job: jobNumber(number),
  key: `assign/1/${partition}/0`,
  value: { epoch, value: assign(jobNumber(number), partition) },
});
