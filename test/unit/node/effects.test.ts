/** An effect that cannot be performed costs that effect: not the ones behind it, and not the process. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asMillis } from '../../../src/core/record/ids.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Gossip, Message } from '../../../src/core/contract/messages.ts';
import { createLog } from '../../../src/lib/log.ts';
import { createDefects } from '../../../src/node/defects.ts';
import { perform } from '../../../src/node/effects.ts';
import type { EffectPorts } from '../../../src/node/effects.ts';
import { idOf, jobWith, specOf } from '../core/fixtures.ts';
import { messages } from '../p2p/wire/fixtures.ts';
import { orderOf } from '../storage/support.ts';

interface World {
  readonly hands: EffectPorts;
  readonly sent: Uint8Array[];
  readonly pushed: Input[];
  readonly counted: string[];
  readonly oversized: string[];
  readonly log: string[];
  now: number;
}

/** Everything throws but what is sent. */
function world(): World {
  const broken = (): never => {
    throw new Error('broken');
  };
  const w: World = {
    now: 0,
    sent: [],
    pushed: [],
    counted: [],
    oversized: [],
    log: [],
    hands: {
      host: {
        messages: { send: (_: unknown, frame: Uint8Array) => w.sent.push(frame) > 0 },
        gossip: { publish: broken },
      } as unknown as EffectPorts['host'],
      codec: messages,
      log: createLog('error', { write: (line) => w.log.push(line) }),
      metrics: {
        sent() {},
        refused() {},
        noted: broken,
        oversized: (type: string) => w.oversized.push(type),
      } as unknown as EffectPorts['metrics'],
      runner: broken,
      replicate: broken,
      closed: broken,
      push: (input) => w.pushed.push(input),
      defects: createDefects({
        log: createLog('error', { write: (line) => w.log.push(line) }),
        count: (where) => w.counted.push(where),
        now: () => w.now,
      }),
    },
  };
  return w;
}

const job = specOf(jobWith()).body.job;
const to = idOf(1);
/** What an encoder has no form for, in a field that the types say is a text. */
const odd = {
  type: 'not-admitted',
  job,
  refusal: { code: 'image-not-allowed', image: Object },
} as unknown as Message;
const order = orderOf('e-1', {});
const effects: { readonly [T in Exclude<Effect['type'], 'persist' | 'reply'>]?: unknown } = {
  send: { type: 'send', to, message: odd },
  gossip: { type: 'gossip', gossip: { type: 'announce', announcement: {} } },
  run: { type: 'run', order, resume: false },
  'extend-run': { type: 'extend-run', execution: order.execution, until: asMillis(1) },
  'cancel-run': { type: 'cancel-run', execution: order.execution, why: '' },
  'forget-run': { type: 'forget-run', execution: order.execution },
  replicate: {
    type: 'replicate',
    execution: order.execution,
    cid: 'bafy',
    holders: [],
    maxBytes: 1,
  },
  note: { type: 'note', event: 'job.closed', data: { job } },
};

describe('an effect that fails', () => {
  for (const [type, effect] of Object.entries(effects)) {
    it(`is counted and logged, and the next one is performed: ${type}`, () => {
      const w = world();
      perform(w.hands, effect as Parameters<typeof perform>[1]);
      perform(w.hands, { type: 'send', to, message: { type: 'ping', nonce: 1 } });
      assert.deepEqual(w.counted, [`effect.${type}`]);
      assert.equal(w.log.filter((line) => line.includes('node.defect')).length, 1);
      assert.equal(w.sent.length, 1);
    });
  }

  it('is reported to the core where the core waits for it', () => {
    const w = world();
    perform(w.hands, effects.run as Parameters<typeof perform>[1]);
    perform(w.hands, effects.replicate as Parameters<typeof perform>[1]);
    const [failed, copied] = w.pushed;
    assert.ok(failed?.type === 'run-event' && failed.event.type === 'failed');
    assert.equal(failed.execution, order.execution);
    assert.deepEqual(copied, {
      type: 'replicated',
      execution: order.execution,
      cid: 'bafy',
      outcome: 'refused',
    });
  });
});

describe('a message that no frame holds', () => {
  it('is not sent, but counted by its type and logged with its size', () => {
    const w = world();
    const refusal = { code: 'image-not-allowed', image: 'x'.repeat(2 ** 20) } as const;
    perform(w.hands, { type: 'send', to, message: { type: 'not-admitted', job, refusal } });
    assert.deepEqual(w.sent, []);
    assert.deepEqual(w.oversized, ['not-admitted']);
    const logged: unknown = JSON.parse(w.log[0] ?? assert.fail('a line'));
    assert.partialDeepStrictEqual(logged, { event: 'message.oversized', type: 'not-admitted' });
  });

  it('and a gossip that no topic takes is told of as well', () => {
    const w = world();
    const gossip = { type: 'announce' } as Gossip;
    const codec = { ...w.hands.codec, encodeGossip: () => new Uint8Array(2 ** 15 + 1) };
    perform({ ...w.hands, codec }, { type: 'gossip', gossip });
    assert.deepEqual(w.oversized, ['announce']);
  });
});

describe('the log of contained faults', () => {
  it('has the first of each kind, and a minute later how often it came again', () => {
    const w = world();
    const fail = (where: string): boolean =>
      w.hands.defects.contain(where, () => {
        throw new Error(`words of a stranger ${Math.random()}`);
      });
    for (let count = 0; count < 1_000; count += 1) fail('a');
    fail('b');
    assert.equal(w.log.length, 2);
    assert.equal(w.counted.length, 1_001);
    w.now = 60_000;
    fail('a');
    assert.equal(w.log.length, 3);
    assert.equal((JSON.parse(w.log[2] ?? '') as { again: number }).again, 999);
  });

  it('has a bound, whatever is thrown', () => {
    const w = world();
    for (let count = 0; count < 1_000; count += 1) w.hands.defects.report(`kind ${count}`, count);
    assert.equal(w.log.length, 200);
  });
});
