/** Whatever a stranger sends: a known answer, nothing believed, nothing thrown. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { slotOf } from '../../../src/core/record/slot.ts';
import { asHlc, asMillis, asRequestId } from '../../../src/core/record/ids.ts';
import { DEFAULT_LIMITS } from '../../../src/core/contract/limits.ts';
import { createMachine } from '../../../src/core/machine.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Inspection } from '../../../src/core/contract/inspection.ts';
import type { Restored } from '../../../src/core/contract/stored.ts';
import type {
  Gossip,
  GossipType,
  JobRecords,
  Message,
  MessageType,
} from '../../../src/core/contract/messages.ts';
import type { Epoch } from '../../../src/core/record/records.ts';
import { profileOf } from '../../simulation/profile.ts';
import { signed, suite as realSuite } from '../p2p/wire/fixtures.ts';
import { gossipArbitraries, messageArbitraries } from '../p2p/wire/message-arbitraries.ts';
import { nodeIds } from '../p2p/wire/record-arbitraries.ts';
import { snapshotWith } from './promising.ts';
import { Cluster, DONE } from './cluster.ts';
import {
  WALL,
  acceptOf,
  admitted,
  advertOf,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  configOf,
  grantOf,
  idOf,
  jobWith,
  nextSpec,
  stateOf,
  stopOf,
  storeOf,
  suite,
  suiteOf,
} from './fixtures.ts';

/** A job of nodes 1, 2 and 3 of which node 0 knows nothing; node 9 is nobody's friend. */
const job = admitted(jobWith(), [1, 2, 3]);
const id = job.spec.body.job;
const epoch: Epoch = { config: { major: 0, minor: 0 }, number: 4, leader: idOf(9) };
const assign = assignOf(job, { node: 0 });
const state = stateOf(assign, 0, { phase: 'completed' });
const vote = certify(job.admission.record, 'admission', [1], job.epoch).votes[0] ?? assert.fail();
const next = configOf(job, [1, 2, 0], [1, 2, 3]);
const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
const advert = advertOf(9);
const announcement = {
  job: id,
  version: 1,
  leader: idOf(9),
  admission: job.admission,
  grant: null,
  round: 0,
  need: 1,
  spec: job.spec,
  notAgain: [],
};
const records: JobRecords = {
  spec: job.spec,
  admission: job.admission,
  grant: null,
  commands: [],
  committed: [],
  states: [],
};
const { digest } = snapshotWith(job);
const { execution } = assign.body;
const bidding = { job: id, version: 1, round: 0 };
const request = asRequestId('r-1');

const versionOf = ({ spec }: typeof job) => {
  const next = suite.envelopeOf(nextSpec(spec, spec.body.spec));
  const body = { job: id, version: 2, spec: next, fallback: null, message: '' };
  return certify(suite.seal('version', body, at(0), 'node'), 'version/2', [1], epoch);
};

type Expected<U extends { readonly type: string }> = {
  readonly [T in U['type']]: readonly [Extract<U, { readonly type: T }>, readonly string[]];
};

/** Every message about a job unknown here, with all that it may cause. */
const messages: Expected<Message> = {
  admit: [
    { type: 'admit', spec: job.spec, admission: job.admission.record },
    ['refuse not-keeper'],
  ],
  admitted: [{ type: 'admitted', job: id, vote }, []],
  'not-admitted': [{ type: 'not-admitted', job: id, refusal: { code: 'draining' } }, []],
  activate: [{ type: 'activate', spec: job.spec, admission: job.admission }, ['refuse not-keeper']],
  'job-wanted': [{ type: 'job-wanted', job: id }, []],
  over: [{ type: 'over', job: id }, []],
  invite: [{ type: 'invite', announcement }, ['refuse wrong-signer']],
  live: [{ type: 'live', jobs: [{ job: id, version: 1, epoch }] }, ['send live-wanted']],
  'live-wanted': [{ type: 'live-wanted', jobs: [id] }, []],
  'live-job': [{ type: 'live-job', announcement }, []],
  'spec-wanted': [{ type: 'spec-wanted', job: id, version: 1 }, []],
  spec: [{ type: 'spec', spec: job.spec }, []],
  bid: [
    {
      type: 'bid',
      ...bidding,
      free: nothing,
      capacity: nothing,
      executions: 1,
      running: 0,
      locality: 0,
    },
    ['send bid-closed'],
  ],
  decline: [{ type: 'decline', ...bidding, refusals: [{ code: 'draining' }] }, []],
  'bid-closed': [{ type: 'bid-closed', job: id, version: 1 }, []],
  prepare: [{ type: 'prepare', job: id, grant: grantOf(job, epoch, 9) }, ['send job-wanted']],
  promise: [
    {
      type: 'promise',
      job: id,
      epoch,
      vote,
      digest,
    },
    [],
  ],
  ledger: [{ type: 'ledger', job: id, digest }, []],
  'page-wanted': [
    { type: 'page-wanted', job: id, snapshot: digest.snapshot, chunk: 0, from: 0 },
    [],
  ],
  page: [
    {
      type: 'page',
      job: id,
      snapshot: digest.snapshot,
      ...{ chunk: 0, from: 0, next: null },
      ...{ committed: [], accepted: [], states: [], commands: [] },
    },
    [],
  ],
  outdated: [{ type: 'outdated', job: id, promised: epoch }, []],
  propose: [
    {
      type: 'propose',
      job: id,
      epoch,
      values: [{ slot: 'assign/1/0/0', value: assign }],
      states: [],
      commands: [],
    },
    ['send job-wanted'],
  ],
  voted: [{ type: 'voted', job: id, votes: [vote] }, []],
  commit: [{ type: 'commit', job: id, values: [committed(job, assign)] }, ['send job-wanted']],
  update: [{ type: 'update', job: id, spec: job.spec, fallback: null }, ['send job-wanted']],
  version: [{ type: 'version', job: id, version: versionOf(job) }, []],
  change: [{ type: 'change', job: id, next }, ['send job-wanted']],
  join: [
    { type: 'join', spec: job.spec, admission: job.admission, next },
    ['refuse contradiction'],
  ],
  'change-agreed': [{ type: 'change-agreed', job: id, of: next.id }, []],
  branch: [{ type: 'branch', job: id, turn: 1 }, ['send job-wanted']],
  'branch-known': [{ type: 'branch-known', job: id, turn: 0, intact: true }, []],
  'commit-ack': [{ type: 'commit-ack', job: id, slots: ['assign/1/0/0', 'close/1'] }, []],
  activated: [{ type: 'activated', job: id }, []],
  'closed-ack': [{ type: 'closed-ack', job: id, version: 1 }, []],
  assign: [
    {
      type: 'assign',
      spec: job.spec,
      admission: job.admission,
      grant: null,
      assigns: [committed(job, assign)],
      holders: [],
    },
    ['refuse wrong-signer'],
  ],
  started: [{ type: 'started', job: id, executions: [execution] }, []],
  'not-started': [{ type: 'not-started', job: id, execution, refusals: [] }, []],
  states: [{ type: 'states', states: [state] }, []],
  'states-ack': [{ type: 'states-ack', seen: [{ execution, sequence: 1 }] }, []],
  renew: [{ type: 'renew', executions: [{ job: id, execution }] }, []],
  renewed: [{ type: 'renewed', executions: [execution] }, []],
  'tenure-wanted': [
    { type: 'tenure-wanted', job: id, execution, config: epoch.config, turn: 1 },
    [],
  ],
  tenure: [{ type: 'tenure', job: id, execution, config: epoch.config, turn: 1 }, []],
  leads: [{ type: 'leads', job: id, epoch, grant: null }, []],
  cancel: [
    { type: 'cancel', job: id, execution, because: committed(job, acceptOf(job, state)) },
    [],
  ],
  closed: [{ type: 'closed', job: id, close: committed(job, closeOf(job)) }, ['send closed-ack']],
  replicate: [
    {
      type: 'replicate',
      spec: job.spec,
      admission: job.admission,
      grant: null,
      state,
      holders: [],
    },
    ['refuse wrong-signer'],
  ],
  entrust: [
    {
      type: 'entrust',
      spec: job.spec,
      admission: job.admission,
      accept: { ...committed(job, acceptOf(job, state)), votes: [] } as never,
      holders: [],
    },
    ['refuse bad-certificate'],
  ],
  replicated: [{ type: 'replicated', job: id, execution, cid: 'bafy', outcome: 'made' }, []],
  command: [{ type: 'command', command: stopOf(job) }, ['refuse unknown-job']],
  'command-refused': [
    { type: 'command-refused', job: id, command: job.spec.id, refusal: { code: 'expired' } },
    [],
  ],
  'command-ack': [{ type: 'command-ack', job: id, command: job.spec.id }, []],
  'status-wanted': [{ type: 'status-wanted', jobs: [id] }, ['send not-leading']],
  leading: [{ type: 'leading', jobs: [{ job: id, epoch }] }, []],
  'not-leading': [{ type: 'not-leading', jobs: [id] }, []],
  advert: [{ type: 'advert', advert }, []],
  ping: [{ type: 'ping', nonce: 7 }, ['send pong']],
  pong: [{ type: 'pong', nonce: 7 }, []],
  'ping-for-me': [{ type: 'ping-for-me', nonce: 7, target: idOf(3) }, []],
  find: [
    {
      type: 'find',
      request,
      query: { type: 'job', ref: id, namespace: 'default', from: 0, owner: suiteOf(0).owner },
    },
    ['send found'],
  ],
  found: [
    { type: 'found', request, answer: { type: 'job', records, waiting: null, next: null } },
    [],
  ],
};

const gossip: Expected<Gossip> = {
  announce: [{ type: 'announce', announcement }, ['refuse unknown-node']],
  advert: [{ type: 'advert', advert }, []],
  closed: [
    {
      type: 'closed',
      close: committed(job, closeOf(job)),
      summary: {
        job: id,
        version: 1,
        name: 'sum',
        namespace: 'default',
        jobType: 'batch',
        engine: 'docker',
        state: 'Failed',
        count: 1,
        labels: {},
        createdAt: WALL,
        modifiedAt: WALL,
      },
    },
    [],
  ],
};

/** An effect in a few words; a message that does not go to its sender says whither. */
function words(effect: Effect): string {
  switch (effect.type) {
    case 'send':
      return `send ${effect.message.type}${effect.to === idOf(9) ? '' : ` to ${effect.to.slice(0, 5)}`}`;
    case 'refuse':
      return `refuse ${effect.code}`;
    default:
      return effect.type;
  }
}
const spelled = (effects: readonly Effect[]): readonly string[] => effects.map(words);

describe('a message of a stranger about an unknown job', () => {
  for (const [type, [message, expected]] of Object.entries(messages)) {
    it(`${type} causes ${expected.length === 0 ? 'nothing' : expected.join(', ')}`, () => {
      const cluster = new Cluster({ nodes: 1 });
      const mark = cluster.effects('persist').length;
      assert.deepEqual(spelled(cluster.message(0, 9, message)), expected);
      assert.equal(cluster.effects('persist').length, mark, 'nothing is written');
      const { jobs, executions } = cluster.machine(0).inspect();
      assert.deepEqual([jobs, executions], [[], []]);
    });
  }
});

describe('gossip of a stranger about an unknown job', () => {
  for (const [type, [heard, expected]] of Object.entries(gossip)) {
    it(`${type} causes ${expected.length === 0 ? 'nothing' : expected.join(', ')}`, () => {
      const cluster = new Cluster({ nodes: 1 });
      const effects = cluster.input(0, { type: 'gossip', from: idOf(9), gossip: heard });
      assert.deepEqual(spelled(effects), expected);
      assert.deepEqual(cluster.machine(0).inspect().jobs, []);
    });
  }
});

/** What strangers must not change. */
const believed = ({ jobs, executions, reserved }: Inspection) => ({ jobs, executions, reserved });

describe('everything ever said about a job', () => {
  const play = (program: typeof DONE): Cluster => {
    const cluster = new Cluster({ nodes: 4, program: () => program });
    cluster.submit(0, jobWith({ Count: 2 }));
    cluster.advance(3_000);
    return cluster;
  };

  it('changes nothing when strangers repeat it after the job was closed, in any order', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (draw) => {
        const cluster = play(DONE);
        const said = cluster.sent.map(({ message }) => message);
        const before = [0, 1, 2, 3].map((node) => believed(cluster.machine(node).inspect()));
        const runs = cluster.effects('run').length;
        cluster.lose = () => true;
        for (let count = 0; count < 150; count += 1) {
          const message = said[(draw.next().value ?? 0) % said.length] ?? assert.fail('a message');
          cluster.message((draw.next().value ?? 0) % 4, 9, message);
        }
        assert.deepEqual(
          [0, 1, 2, 3].map((node) => believed(cluster.machine(node).inspect())),
          before,
        );
        assert.equal(cluster.effects('run').length, runs);
      }),
      { numRuns: 20 },
    );
  });

  it('makes no execution run twice when it is repeated while the job runs', () => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (draw) => {
        const cluster = play(DONE.slice(0, 1));
        const said = [...cluster.sent];
        for (let count = 0; count < 100; count += 1) {
          const { message, from } =
            said[(draw.next().value ?? 0) % said.length] ?? assert.fail('a message');
          cluster.message((draw.next().value ?? 0) % 4, cluster.indexOf(from), message);
        }
        const ran = cluster.effects('run').map(({ order }) => order.execution);
        assert.equal(new Set(ran).size, ran.length);
        const values = new Map<string, string>();
        for (const node of [0, 1, 2, 3]) {
          for (const {
            records: { committed: all },
          } of cluster.machine(node).inspect().jobs) {
            for (const { record } of all) {
              const slot = slotOf(record);
              assert.equal(values.get(slot) ?? record.id, record.id, slot);
              values.set(slot, record.id);
            }
          }
        }
      }),
      { numRuns: 20 },
    );
  });
});

const empty: Restored = {
  records: [],
  promises: [],
  accepted: [],
  executions: [],
  submissions: [],
  entrusted: [],
  shelved: [],
  counts: [],
  forfeits: [],
};

describe('a machine', () => {
  const anyMessage = fc.oneof(...(Object.values(messageArbitraries) as fc.Arbitrary<Message>[]));
  const anyGossip = fc.oneof(...(Object.values(gossipArbitraries) as fc.Arbitrary<Gossip>[]));

  it('never throws for messages and gossip of any content, and keeps no job nobody admitted', () => {
    const [any] = fc.sample(signed('grant'), 1);
    const node = realSuite.nodeOf(any?.by ?? assert.fail('a record'));
    const inputs = fc.array(
      fc.tuple(
        nodeIds,
        fc.oneof(
          anyMessage.map((message) => ({ type: 'message', message }) as const),
          anyGossip.map((heard) => ({ type: 'gossip', gossip: heard }) as const),
        ),
      ),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(inputs, (list) => {
        const machine = createMachine(
          { node, store: storeOf(0), limits: DEFAULT_LIMITS, countedMs: 0 },
          realSuite,
          empty,
        );
        let now = 1_000;
        machine.handle({ type: 'profile', profile: profileOf(0, node) }, asMillis(now), at(now));
        for (const [from, input] of list) {
          now += 500;
          for (const one of [{ ...input, from }, { type: 'wake' } as const]) {
            const effects = machine.handle(one, asMillis(now), asHlc(WALL + now));
            assert.deepEqual(
              effects.filter(({ type }) => type === 'defect'),
              [],
            );
          }
          assert.ok((machine.nextWake() ?? now) > now, 'it is not due again at once');
          machine.sightings();
        }
        const { jobs, executions } = machine.inspect();
        assert.deepEqual([jobs, executions], [[], []]);
      }),
      { numRuns: 150 },
    );
  });

  it('never throws for messages about a job it keeps, leads and runs, and believes none of them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(anyMessage, fc.constantFrom(1, 9)), { maxLength: 12 }),
        (list) => {
          const cluster = new Cluster({ nodes: 1, program: () => DONE.slice(0, 1) });
          cluster.submit(0, jobWith());
          const { job: mine } = cluster.job(0);
          const [own] = cluster.machine(0).inspect().executions;
          const { records: known, ...before } = cluster.job(0);
          assert.ok(own);
          for (const [message, from] of list) {
            cluster.message(0, from, aimed(message, mine, own.execution));
            cluster.advance(200);
          }
          const { records: later, ...after } = cluster.job(0);
          assert.deepEqual(after, before);
          assert.deepEqual(later.committed, known.committed);
          assert.deepEqual(later.commands, known.commands);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** The message about this job and execution instead of those it was made for. */
function aimed(message: Message, mine: typeof id, own: typeof execution): Message {
  return {
    ...message,
    ...('job' in message ? { job: mine } : {}),
    ...('execution' in message ? { execution: own } : {}),
    ...('executions' in message && message.type === 'renew'
      ? { executions: [{ job: mine, execution: own }] }
      : {}),
  } as Message;
}

describe('the tables above', () => {
  it('have every type', () => {
    const types: readonly (MessageType | GossipType)[] = Object.values(messages).map(
      ([message]) => message.type,
    );
    assert.deepEqual(types, Object.keys(messages));
    assert.deepEqual(
      Object.values(gossip).map(([heard]) => heard.type),
      Object.keys(gossip),
    );
  });
});
