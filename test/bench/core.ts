/**
 * The core and the wire in this process alone: encoding, decoding and verifying what a job makes
 * peers send most, and the simulator, which is the core with nothing around it.
 */
import { createHash } from 'node:crypto';
import { createMessageCodec } from '../../p2p/wire/messages.ts';
import { createSuite } from '../../p2p/wire/suite.ts';
import { asExecutionId, asHlc, asJobId, asStoreId, uuidOf } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { Signed } from '../../src/core/record/records.ts';
import type { Suite } from '../../src/core/record/suite.ts';
import { jobIdOf } from '../../src/core/record/verify.ts';
import { parseJobValue } from '../../src/job/parse.ts';
import { createCrypto } from '../../src/store/crypto.ts';
import { quietOptions } from '../simulation/options.ts';
import { simulate } from '../simulation/run.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { noopJob } from './jobs.ts';
import { row } from './statistics.ts';

const crypto = createCrypto();
const NET = 'shoal';
/** A new one each time: codecs remember the records they have decoded. */
const freshCodec = () => createMessageCodec({ net: NET, sha256: crypto.sha256 });
const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
const freshSuite = (): Suite =>
  createSuite({ net: NET, nodeSeed: digest('node'), ownerSeed: digest('owner'), crypto });

/** What a keeper gets for each job: the spec and its admission. */
function admitMessage(suite: Suite, index: number): Extract<Message, { type: 'admit' }> {
  const parsed = parseJobValue(noopJob());
  if (!parsed.ok) throw new Error('the job is not valid');
  const nonce = digest(`nonce ${index}`).toString('hex').slice(0, 32);
  const job = jobIdOf(suite, suite.owner, nonce);
  const notAfter = Date.now() + 600_000;
  const sponsor = suite.nodeOf(suite.owner);
  const body = { job, owner: suite.owner, version: 1, nonce, sponsor, spec: parsed.job, notAfter };
  const spec = suite.seal('spec', body, asHlc(Date.now()), 'owner');
  const keepers = [0, 1, 2].map((keeper) => ({
    node: suite.nodeOf(suite.owner),
    store: asStoreId(digest(`store ${keeper}`).toString('hex').slice(0, 32)),
  }));
  const admission = { job, version: 1, spec: spec.id, keepers, sponsor };
  return {
    type: 'admit',
    spec,
    admission: suite.seal('admission', admission, asHlc(Date.now()), 'node'),
  };
}

/** What an executor reports of each phase. */
function stateRecord(suite: Suite, index: number): Signed<'state'> {
  const id = uuidOf(digest(`execution ${index}`).toString('hex'));
  const body = {
    job: asJobId(`j-${id}`),
    version: 1,
    partition: 0,
    attempt: 0,
    execution: asExecutionId(`e-${id}`),
    node: suite.nodeOf(suite.owner),
    sequence: 3,
    phase: 'running' as const,
    restarts: 0,
    retryMs: null,
    exitCode: null,
    result: null,
    failure: null,
    output: null,
    usage: null,
  };
  return suite.seal('state', body, asHlc(Date.now()), 'node');
}

/** Times `work` over `rounds` batches of `count` and returns how many per second each batch did. */
function perSecond(rounds: number, count: number, batch: () => void): number[] {
  const rates: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    const began = performance.now();
    batch();
    // The first batch compiles the code.
    if (round >= 0) rates.push(count / ((performance.now() - began) / 1_000));
  }
  return rates;
}

export async function core({ quick }: BenchContext): Promise<BenchResult> {
  const rounds = quick ? 5 : 15;
  const count = 500;
  const own = freshSuite();
  const { encodeMessage } = freshCodec();
  const indexes = Array.from({ length: count }, (_, index) => index);
  const admits = indexes.map((index) => encodeMessage(admitMessage(own, index)));
  const states = indexes.map((index) =>
    encodeMessage({ type: 'states', states: [stateRecord(own, index)] }),
  );
  const decode = (all: readonly Uint8Array[]): Message[] => {
    const codec = freshCodec();
    return all.map((bytes) => {
      const read = codec.decodeMessage(bytes);
      if (!read.ok) throw new Error(`refused: ${read.code}`);
      return read.message;
    });
  };
  const recordsOf = (): Signed<'state'>[] =>
    decode(states).flatMap((message) => (message.type === 'states' ? [...message.states] : []));
  const seal = perSecond(rounds, count, () => {
    for (const index of indexes) stateRecord(own, index);
  });
  const encode = perSecond(rounds, count, () => {
    // Decoded anew: what was encoded once is remembered by the record.
    for (const message of decode(admits)) encodeMessage(message);
  });
  const verify = perSecond(rounds, count, () => {
    const suite = freshSuite();
    for (const record of recordsOf())
      if (!suite.verify(record)) throw new Error('a good record was refused');
  });
  const jobs = quick ? 50 : 100;
  let inputs = 0;
  const simulator = perSecond(quick ? 2 : 5, 1, () => {
    ({ inputs } = simulate(quietOptions(7, 50, jobs)));
  });
  return {
    rows: [
      row(
        'messages decoded and checked: `admit` (spec and admission)',
        'per s',
        perSecond(rounds, count, () => decode(admits)),
      ),
      row(
        'messages decoded and checked: `states` (one record)',
        'per s',
        perSecond(rounds, count, () => decode(states)),
      ),
      row('`admit` decoded and encoded again', 'per s', encode),
      row('records decoded and their signatures verified', 'per s', verify),
      row('records sealed', 'per s', seal),
      row(
        'jobs simulated, 50 nodes',
        'per s',
        simulator.map((rate) => rate * jobs),
        null,
        `${(inputs / jobs).toFixed(0)} inputs a job; stand-in cryptography, no disk, no network`,
      ),
    ],
  };
}
