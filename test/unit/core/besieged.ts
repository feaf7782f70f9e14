/**
 * One machine with the real keys and codecs, among parties that sign whatever they like: two of them
 * are the majority of the keepers of its jobs. Deterministic; time moves when a test moves it.
 */
import { firstConfiguration } from '../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { createMessageCodec } from '../../../p2p/wire/messages.ts';
import { firstEpoch } from '../../../src/core/record/ballot.ts';
import { asHlc, asMillis, asRequestId } from '../../../src/core/record/ids.ts';
import type { JobId, NodeId } from '../../../src/core/record/ids.ts';
import { DEFAULT_LIMITS } from '../../../src/core/contract/limits.ts';
import { createMachine } from '../../../src/core/machine.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Input } from '../../../src/core/contract/input.ts';
import type { Machine } from '../../../src/core/contract/machine.ts';
import type { Gossip, Message } from '../../../src/core/contract/messages.ts';
import { executionIdOf } from '../../../src/core/record/execution-id.ts';
import type { AnyRecord, Certified, Signed, Slot } from '../../../src/core/record/records.ts';
import { jobIdOf } from '../../../src/core/record/verify.ts';
import type { Job } from '../../../src/job/model.ts';
import { profileOf } from '../../simulation/profile.ts';
import { WALL, jobWith } from './fixtures.ts';
import { createParty, crypto } from './odd.ts';
import type { Aim, Party } from './odd.ts';

const NET = 'test';
const codec = createMessageCodec({ net: NET, sha256: crypto.sha256 });
const parties = [1, 2, 3].map((seed) => createParty(NET, seed));
const [first, second, third] = parties as [Party, Party, Party];
const target = createParty(NET, 0);

export interface Besieged {
  readonly machine: Machine;
  readonly records: AnyRecord[];
  /** Milliseconds that each input took. */
  readonly took: { readonly type: string; readonly ms: number }[];
  readonly defects: string[];
  readonly refusedByWire: () => number;
  readonly aim: () => Aim;
  now: number;
  input(input: Input, type?: string): readonly Effect[];
  /** By the codec, as it would come: what the wire refuses is not handled. */
  message(from: NodeId, message: Message): void;
  gossip(from: NodeId, gossip: Gossip): void;
  advance(ms: number): void;
}

export function besieged(): Besieged {
  const machine = createMachine(
    { node: target.id, store: target.store, limits: DEFAULT_LIMITS, countedMs: 0 },
    target.suite,
    {
      records: [],
      promises: [],
      accepted: [],
      executions: [],
      submissions: [],
      entrusted: [],
      shelved: [],
      counts: [],
      forfeits: [],
    },
  );
  let refused = 0;
  const nodes = [target.id, ...parties.map(({ id }) => id)];
  const world: Besieged = {
    machine,
    records: [],
    took: [],
    defects: [],
    now: 1_000,
    refusedByWire: () => refused,
    aim() {
      const { jobs, executions } = machine.inspect();
      return {
        parties,
        nodes,
        jobs: [...jobs.map(({ job }) => job), ...jobIds],
        executions: executions.map(({ execution }) => execution),
        records: world.records,
        wall: WALL + world.now,
      };
    },
    input(input, type = input.type) {
      const started = performance.now();
      const effects = machine.handle(input, asMillis(world.now), asHlc(WALL + world.now));
      world.took.push({ type, ms: performance.now() - started });
      for (const effect of effects) {
        if (effect.type === 'defect') world.defects.push(`${effect.where}: ${effect.error}`);
        // What it says must be possible to say.
        if (effect.type === 'send') codec.encodeMessage(effect.message);
        if (effect.type === 'gossip') codec.encodeGossip(effect.gossip);
      }
      return effects;
    },
    message(from, message) {
      const decoded = overTheWire(() => codec.decodeMessage(codec.encodeMessage(message)));
      if (decoded?.ok !== true) refused += 1;
      else world.input({ type: 'message', from, message: decoded.message }, message.type);
    },
    gossip(from, gossip) {
      const decoded = overTheWire(() => codec.decodeGossip(codec.encodeGossip(gossip)));
      if (decoded?.ok !== true) refused += 1;
      else world.input({ type: 'gossip', from, gossip: decoded.gossip }, gossip.type);
    },
    advance(ms) {
      const end = world.now + ms;
      for (let wakes = 0; ; wakes += 1) {
        assert.ok(wakes < 10_000, 'it comes to rest');
        const due = machine.nextWake();
        if (due === null || due > end) break;
        world.now = Math.max(world.now, due);
        world.input({ type: 'wake' });
      }
      world.now = end;
    },
  };
  world.input({ type: 'profile', profile: profileOf(0, target.id) });
  for (const { id } of parties) world.input({ type: 'peer-connected', node: id });
  return world;
}

/** null when there is no encoding of it. */
function overTheWire<T>(journey: () => T): T | null {
  try {
    return journey();
  } catch {
    return null;
  }
}

/** One that nobody knows, and those of the situations so far. */
const jobIds: string[] = [jobIdOf(target.suite, target.suite.owner, '0'.repeat(32))];

/** A job of the first party, certified by the first two. */
function admit(keepers: readonly Party[], nonce: string, job: Job = jobWith()) {
  const { suite } = first;
  const id = jobIdOf(suite, suite.owner, nonce);
  if (!jobIds.includes(id)) jobIds.push(id);
  const about = { job: id, version: 1, sponsor: first.id };
  const notAfter = WALL + 86_400_000;
  const spec = suite.seal(
    'spec',
    { ...about, owner: suite.owner, nonce, spec: job, notAfter },
    asHlc(WALL),
    'owner',
  );
  const body = {
    ...about,
    spec: spec.id,
    keepers: keepers.map((keeper) => ({ node: keeper.id, store: keeper.store })),
  };
  const record = suite.seal('admission', body, asHlc(WALL), 'node');
  const epoch = firstEpoch(firstConfiguration(record.body));
  return { id, spec, admission: certify(record, 'admission', epoch), epoch };
}

const certify = <T extends 'admission' | 'assign' | 'close'>(
  record: Signed<T> & { readonly body: { readonly job: JobId } },
  slot: Slot,
  epoch: ReturnType<typeof firstEpoch>,
): Certified<T> => ({
  record,
  votes: [first, second].map(({ suite, store }) =>
    suite.seal(
      'vote',
      { job: record.body.job, of: record.id, slot, epoch, store },
      asHlc(WALL),
      'node',
    ),
  ),
});

function activate(world: Besieged, job: ReturnType<typeof admit>): void {
  const { spec, admission } = job;
  world.message(first.id, { type: 'activate', spec, admission });
  world.records.push(spec, admission.record);
}

/** What the target is when the siege begins. */
export const situations: Readonly<Record<string, (world: Besieged) => void>> = {
  idle: () => {},
  keeper: (world) => activate(world, admit([first, second, target], 'a'.repeat(32))),
  'leader with an open round': (world) => {
    const nowhere = [{ Key: 'zone', Operator: '=', Values: ['nowhere'] }] as const;
    const job = jobWith({ Count: 3, Constraints: nowhere });
    activate(world, admit([target, first, second], 'b'.repeat(32), job));
    assert.equal(world.machine.inspect().jobs[0]?.leading?.number, 0);
  },
  executor: (world) => {
    const job = admit([first, second, third], 'c'.repeat(32));
    const { id, spec, admission, epoch } = job;
    const announcement = {
      job: id,
      version: 1,
      leader: first.id,
      epoch,
      round: 0,
      need: 1,
      spec,
      notAgain: [],
      admission,
      grant: null,
    };
    world.message(first.id, { type: 'invite', announcement });
    const place = { job: id, version: 1, partition: 0, attempt: 0, node: target.id };
    const execution = executionIdOf(first.suite, 'batch', place);
    const body = { ...place, replaces: null, adopts: null, execution, epoch };
    const record = first.suite.seal('assign', body, asHlc(WALL), 'node');
    const assigns = [certify(record, 'assign/1/0/0', epoch)];
    world.message(first.id, { type: 'assign', spec, admission, grant: null, assigns, holders: [] });
    world.records.push(spec, admission.record, record);
    assert.equal(world.machine.inspect().executions.length, 1);
  },
  sponsor: (world) => {
    const request = asRequestId('r1');
    const spec = jobWith();
    const notAfter = WALL + 86_400_000;
    world.input({ type: 'submit', request, spec, nonce: 'd'.repeat(32), notAfter, minKeepers: 0 });
    world.input({
      type: 'query',
      request: asRequestId('r2'),
      query: { type: 'job', ref: 'somebody', namespace: 'default', from: 0 },
    });
  },
  'keeper of a closed job': (world) => {
    const job = admit([first, second, target], 'e'.repeat(32));
    activate(world, job);
    const body = {
      job: job.id,
      version: 1,
      outcome: 'failed',
      code: 'attempts-exhausted',
      message: 'it did not work',
      evidence: [],
    } as const;
    const record = first.suite.seal('close', body, asHlc(WALL), 'node');
    const close = certify(record, 'close/1', job.epoch);
    world.message(first.id, { type: 'commit', job: job.id, values: [close] });
    world.records.push(record);
    assert.equal(world.machine.inspect().jobs[0]?.state, 'Failed');
  },
};
