/** Whatever a job may grow to, what the core says of it fits a frame, and nothing of it is left out. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { MESSAGE_MAX_BYTES } from '../../../../p2p/wire/messages.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { asExecutionId, asHlc, asNodeId } from '../../../../src/core/record/ids.ts';
import { fitting } from '../../../../src/core/node/fitting.ts';
import type { Message, MessageType } from '../../../../src/core/contract/messages.ts';
import type { Bodies, Certified, RecordType, Signed } from '../../../../src/core/record/records.ts';
import { messages, suite } from '../../p2p/wire/fixtures.ts';
import { messageArbitraries } from '../../p2p/wire/message-arbitraries.ts';
import { jobWith, specOf, storeOf } from '../fixtures.ts';

/** Partitions of the largest job, and items of each list about it. */
const COUNT = 10_000;
/** A character of three bytes. */
const WIDE = '€';

type MessageOf<T extends MessageType> = Extract<Message, { readonly type: T }>;

const seal = <T extends RecordType>(type: T, body: Bodies[T]): Signed<T> =>
  suite.seal(type, body, asHlc(1_800_000_000_000), type === 'spec' ? 'owner' : 'node');

const long = jobWith({
  Name: 'n'.repeat(256),
  Count: COUNT,
  Meta: Object.fromEntries(Array.from({ length: 60 }, (_, at) => [`k${at}`, 'm'.repeat(1_000)])),
});
const { spec } = specOf(long).body;
const owner = suite.owner;
const node = suite.nodeOf(owner);
const peer = asNodeId(`12D3KooW${'Z'.repeat(44)}`);
const job = specOf(long).body.job;
const epoch = { config: { major: 0, minor: 0 }, number: 99_999, leader: peer };
const largestSpec = seal('spec', { ...specOf(long).body, owner, spec, sponsor: node });
const voted = (record: Signed<RecordType>, slot: Bodies['vote']['slot']): Signed<'vote'> =>
  seal('vote', { job, of: record.id, slot, epoch, store: storeOf(1) });

function certified<T extends 'admission' | 'assign' | 'accept' | 'close'>(
  record: Signed<T>,
): Certified<T> {
  const slot = record.type === 'admission' ? 'admission' : slotOf(record as Signed<'close'>);
  return { record, votes: Array.from({ length: 5 }, () => voted(record as never, slot)) };
}

const keepers = Array.from({ length: 5 }, (_, at) => ({ node: peer, store: storeOf(at) }));
const about = { job, version: 1, partition: COUNT - 1, attempt: 19, node: peer } as const;
const execution = asExecutionId(`e-${'0'.repeat(8)}-0000-8000-8000-${'0'.repeat(12)}`);
const result = {
  cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi',
  bytes: 2 ** 40,
};
const admission = certified(
  seal('admission', { job, version: 1, spec: largestSpec.id, keepers, sponsor: peer }),
);
const assign = seal('assign', { ...about, replaces: 'overdue', adopts: null, execution, epoch });
const accept = seal('accept', {
  ...about,
  execution,
  exitCode: 0,
  result,
  holders: [peer, peer, peer, peer],
});
const head = 'o'.repeat(2_048);
const stateOf = (of: typeof execution): Signed<'state'> =>
  seal('state', {
    ...about,
    execution: of,
    sequence: 2 ** 31 - 1,
    phase: 'failed',
    restarts: 0,
    retryMs: null,
    exitCode: 255,
    result,
    failure: { code: 'execution-timeout', class: 'limit', message: WIDE.repeat(1_000) },
    output: { stdout: head, stdoutTruncated: true, stderr: head, stderrTruncated: true },
    usage: { cpuMs: 2 ** 31, peakMemoryBytes: 2 ** 40, wallMs: 2 ** 31 },
  });
const state = stateOf(execution);
const close = seal('close', {
  job,
  version: 1,
  outcome: 'failed',
  code: 'attempts-exhausted',
  message: WIDE.repeat(1_000),
  evidence: [state.id],
});

const many = <T>(item: T): readonly T[] => Array.from({ length: COUNT }, () => item);

/** The lists that grow with a job, as long as the largest job makes them. */
const grown: { readonly [T in MessageType]?: Partial<MessageOf<T>> } = {
  propose: {
    values: [...many({ slot: slotOf(accept), value: accept }), { slot: 'close/1', value: close }],
    states: [state],
  },
  voted: { votes: many(voted(assign, slotOf(assign))) },
  commit: { values: [...many(certified(assign)), ...many(certified(accept)), certified(close)] },
  'commit-ack': { slots: many(slotOf(assign)) },
  assign: { assigns: many(certified(assign)) },
  started: { executions: many(execution) },
  states: { states: many(state).slice(0, 2_000) },
  'states-ack': { seen: many({ execution, sequence: 2 ** 31 - 1 }) },
  renew: { executions: many({ job, execution }) },
  renewed: { executions: many(execution) },
};

/** A message with the largest records that it may have, and lists as the largest job makes them. */
function largest<T extends MessageType>(type: T): MessageOf<T> {
  const [sample] = fc.sample(messageArbitraries[type], { seed: 1, numRuns: 1 });
  const message = { ...sample, ...grown[type] } as MessageOf<T> & Record<string, unknown>;
  return {
    ...message,
    ...('spec' in message ? { spec: largestSpec } : {}),
    ...('admission' in message && type !== 'admit' ? { admission } : {}),
  };
}

describe('what is said of the largest job', () => {
  for (const type of Object.keys(messageArbitraries) as MessageType[]) {
    it(`fits its frames, and all of it is in them: ${type}`, () => {
      const message = largest(type);
      const parts = fitting(suite, message);
      for (const part of parts) {
        const frame = messages.encodeMessage(part);
        assert.ok(frame.length <= MESSAGE_MAX_BYTES, `${frame.length} bytes`);
        assert.ok(messages.decodeMessage(frame).ok, 'it can be read');
      }
      for (const [key, list] of Object.entries(message)) {
        if (!Array.isArray(list) || (type === 'propose' && key !== 'values')) continue;
        const told = parts.flatMap((part) => (part as Record<string, unknown>)[key] as unknown[]);
        if (key in (grown[type] ?? {})) assert.deepEqual(told.length, list.length, key);
      }
    });
  }
});

describe('a proposal in several parts', () => {
  const values = Array.from({ length: 400 }, (_, partition) => {
    const own = asExecutionId(
      `e-${String(partition).padStart(8, '0')}-0000-8000-8000-${'0'.repeat(12)}`,
    );
    const told = stateOf(own);
    const value = seal('accept', { ...accept.body, partition, execution: own });
    return { told, proposed: { slot: slotOf(value), value } };
  });
  const parts = fitting(suite, {
    type: 'propose',
    job,
    epoch,
    values: [...values.map(({ proposed }) => proposed), { slot: 'close/1', value: close }],
    states: [state, ...values.map(({ told }) => told)],
    commands: [],
  });

  it('has each value together with what it rests on, and the end last', () => {
    assert.ok(parts.length > 1);
    for (const part of parts) {
      assert.ok(part.type === 'propose');
      const states = new Set(part.states.map(({ body }) => body.execution));
      for (const { value } of part.values)
        if (value.type === 'accept') assert.ok(states.has(value.body.execution));
    }
    const last = parts.at(-1);
    assert.ok(last?.type === 'propose' && last.values.at(-1)?.slot === 'close/1');
    assert.ok(last.states.some(({ id }) => id === state.id));
  });
});

describe('jobs that keepers ask each other about', () => {
  const named = Array.from({ length: 600 }, () => job);
  for (const message of [
    { type: 'status-wanted', jobs: named },
    { type: 'not-leading', jobs: named },
    { type: 'leading', jobs: named.map((one) => ({ job: one, epoch })) },
  ] as const satisfies readonly Message[])
    it(`are as many in each message of type ${message.type} as it carries`, () => {
      const parts = fitting(suite, message) as readonly (typeof message)[];
      assert.deepEqual(
        parts.map(({ jobs }) => jobs.length),
        [256, 256, 88],
      );
      for (const part of parts)
        assert.deepEqual(messages.decodeMessage(messages.encodeMessage(part)), {
          ok: true,
          message: part,
        });
    });
});
