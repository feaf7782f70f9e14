/** What a node says it has, it has on disk first; and what is on disk makes the same node again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compareEpochs } from '../../../src/core/record/ballot.ts';
import type { JobId } from '../../../src/core/record/ids.ts';
import { isTerminal } from '../../../src/core/record/ledger.ts';
import type { Effect } from '../../../src/core/contract/effect.ts';
import type { Inspection } from '../../../src/core/contract/inspection.ts';
import type { Message } from '../../../src/core/contract/messages.ts';
import type { Epoch, Signed } from '../../../src/core/record/records.ts';
import { createSimStore } from '../../simulation/sim-store.ts';
import type { SimStore } from '../../simulation/sim-store.ts';
import { Cluster, DONE } from './cluster.ts';
import type { Step } from './cluster.ts';
import { jobWith, storeOf } from './fixtures.ts';

const published = DONE.map((event) =>
  event.type === 'ended'
    ? {
        ...event,
        result: { cid: 'bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi', bytes: 9 },
      }
    : event,
);

/** Failures, a death of the leader, a restart and a stop: everything a node can promise happens. */
function eventful(): Cluster {
  let fails = 2;
  const cluster = new Cluster({
    nodes: 5,
    program: ({ partition }) => {
      if (partition === 2) return [{ type: 'phase', phase: 'running' }];
      if (partition === 1 || fails-- <= 0) return published;
      const failure = { code: 'disk-full', class: 'node', message: 'no space' } as const;
      return [{ type: 'failed', failure, output: null, usage: null }];
    },
  });
  const reply = cluster.reply(
    cluster.submit(0, jobWith({ Count: 3 }, { Publisher: { Type: 'ipfs', Params: {} } })),
  );
  assert.ok(reply?.type === 'receipt');
  cluster.advance(12_000);
  const leader =
    [0, 1, 2, 3, 4].find((index) => cluster.job(index).leading !== null) ?? assert.fail('a leader');
  cluster.crash(leader);
  cluster.until('another leads', () =>
    [0, 1, 2, 3, 4].some((index) => index !== leader && cluster.job(index).leading !== null),
  );
  cluster.restart(leader);
  cluster.advance(30_000);
  cluster.input(leader, {
    type: 'stop',
    request: 'stop-1' as never,
    job: reply.job,
    reason: 'enough',
  });
  cluster.advance(5_000);
  assert.equal(cluster.job(leader).state, 'Stopped');
  return cluster;
}

const history = eventful();

/** Why a message may not be sent over this disk; null when it may. */
type Check<T extends Message['type']> = (
  message: Extract<Message, { type: T }>,
  store: SimStore,
) => string | null;

const missing = (what: string, present: boolean): string | null =>
  present ? null : `${what} is not on disk`;
const holds = (store: SimStore, job: JobId, key: string, id: string): boolean =>
  store.get('records', job, key)?.record.id === id;

const checks: { readonly [T in Message['type']]?: Check<T> } = {
  admitted: ({ job, vote: { body } }, store) =>
    missing(
      'the admission',
      holds(store, job, 'pending', body.of) || holds(store, job, 'admission', body.of),
    ),
  admit: ({ spec, admission }, store) =>
    missing(
      'the submission',
      store.get('submissions', spec.body.job, 'admission')?.admission.id === admission.id ||
        holds(store, spec.body.job, 'pending', admission.id),
    ),
  promise: ({ job, epoch }, store) => {
    const promised = store.get('promises', job, job);
    // The first epoch stands in the admission.
    return missing(
      'the promise',
      promised === null ? epoch.number === 0 : compareEpochs(promised, epoch) >= 0,
    );
  },
  voted: ({ job, votes }, store) =>
    votes
      .map(({ body }: Signed<'vote'>) => {
        const accepted = store.get('accepted', job, body.slot);
        const own =
          accepted?.value.id === body.of && compareEpochs(accepted.epoch, body.epoch) === 0;
        return missing(`the value of ${body.slot}`, own || holds(store, job, body.slot, body.of));
      })
      .find((why) => why !== null) ?? null,
  started: ({ job, executions }, store) =>
    missing(
      'an execution',
      executions.every((id) => store.get('executions', job, id) !== null),
    ),
  states: ({ states }, store) =>
    missing(
      'the end of an execution',
      states.every(
        ({ body, id }) =>
          // Of a closed job the execution is forgotten in the same input as it ends.
          !isTerminal(body.phase) ||
          store.get('executions', body.job, body.execution)?.state.id === id ||
          store.get('records', body.job, 'close/1') !== null,
      ),
    ),
  'command-ack': ({ job, command }, store) =>
    missing('the command', store.get('records', job, `command/${command}`) !== null),
};

describe('persist', () => {
  it('is the first effect of an input, and the only one of its kind', () => {
    for (const { effects, input } of history.steps) {
      const positions = effects.flatMap(({ type }, index) => (type === 'persist' ? [index] : []));
      assert.ok(
        positions.length === 0 || (positions.length === 1 && positions[0] === 0),
        input.type,
      );
    }
  });

  it('contains what every message and run of the same input speaks of', () => {
    const stores = [0, 1, 2, 3, 4].map((index) => createSimStore(storeOf(index)));
    const seen = new Set<string>();
    for (const { node, effects } of history.steps) {
      const store = stores[node] ?? assert.fail(`node ${node}`);
      for (const effect of effects) {
        if (effect.type === 'persist') store.apply(effect.writes);
        if (effect.type === 'run') {
          const { job, execution } = effect.order;
          assert.notEqual(
            store.get('executions', job, execution),
            null,
            'a run is on disk before it starts',
          );
        }
        if (effect.type !== 'send') continue;
        const { message } = effect;
        const check = checks[message.type] as Check<Message['type']> | undefined;
        if (check === undefined) continue;
        seen.add(message.type);
        assert.equal(check(message as never, store), null, `${message.type} of node ${node}`);
      }
    }
    assert.deepEqual(
      [...seen].sort(),
      Object.keys(checks).sort(),
      'the history has every such message',
    );
  });
});

/** What must survive a restart, in an order of its own. */
function lasting({ jobs, executions }: Inspection) {
  return {
    jobs: jobs
      .map(({ job, state, records }) => ({
        job,
        state,
        ids: [
          records.spec.id,
          records.admission.record.id,
          records.grant?.record.id ?? '',
          ...records.commands.map(({ id }) => id),
          ...records.committed.map(({ record }) => record.id),
          // What an execution is doing now is told again with its lease.
          ...records.states.filter(({ body }) => isTerminal(body.phase)).map(({ id }) => id),
        ].sort(),
      }))
      .sort((a, b) => (a.job < b.job ? -1 : 1)),
    executions: executions
      .map(({ execution, partition, attempt, phase }) => ({
        execution,
        partition,
        attempt,
        phase: isTerminal(phase) ? phase : 'received',
      }))
      .sort((a, b) => (a.execution < b.execution ? -1 : 1)),
  };
}

/** Every ballot this node obeys or promised, by what it is for. */
const ballots = ({ jobs, executions }: Inspection): ReadonlyMap<string, Epoch> =>
  new Map<string, Epoch>([
    ...jobs.flatMap(({ job, promised }) => (promised === null ? [] : [[job, promised] as const])),
    ...executions.map(({ execution, epoch }) => [execution, epoch] as const),
  ]);

describe('a machine made from what is on disk', () => {
  const stages: Readonly<Record<string, (cluster: Cluster) => void>> = {
    'while a job runs': (cluster) => cluster.advance(1_000),
    'after another leader took over': (cluster) => {
      cluster.advance(12_000);
      const leader =
        [0, 1, 2].find((index) => cluster.job(index).leading !== null) ?? assert.fail('a leader');
      cluster.crash(leader);
      cluster.advance(15_000);
      cluster.restart(leader);
      cluster.advance(5_000);
    },
    'after the job ended': (cluster) => {
      for (const node of [0, 1, 2]) {
        for (const { execution } of cluster.machine(node).inspect().executions)
          cluster.report(node, execution, DONE);
      }
      cluster.advance(2_000);
    },
  };
  for (const [when, play] of Object.entries(stages)) {
    it(`is the same ${when}`, () => {
      const cluster = new Cluster({
        nodes: 3,
        program: () => [{ type: 'phase', phase: 'running' }],
      });
      cluster.submit(0, jobWith({ Count: 3 }));
      play(cluster);
      for (const node of [0, 1, 2]) {
        const before = lasting(cluster.inspect(node));
        const obeyed = ballots(cluster.inspect(node));
        assert.equal(before.jobs.length, 1);
        cluster.lose = () => true;
        const mark = cluster.steps.length;
        cluster.restart(node);
        cluster.lose = () => false;
        assert.deepEqual(lasting(cluster.inspect(node)), before, `node ${node}`);
        for (const [what, epoch] of ballots(cluster.inspect(node))) {
          const known = obeyed.get(what) ?? assert.fail(what);
          // It may be higher: a node that led stands for leader again at once.
          assert.ok(compareEpochs(epoch, known) >= 0, `the ballot of ${what} does not sink`);
        }
        const resumed = runsOf(cluster.steps.slice(mark));
        const open = before.executions.filter(({ phase }) => phase === 'received');
        assert.deepEqual(resumed, open.map(({ execution }) => `${execution} again`).sort());
      }
    });
  }

  it('leads nothing before it was given an epoch again', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith());
    assert.equal(cluster.job(0).leading?.number, 0);
    cluster.restart(0);
    cluster.advance(1_000);
    assert.ok((cluster.job(0).leading?.number ?? 0) > 0);
  });

  it('under another store id is no keeper any more', () => {
    const cluster = new Cluster({ nodes: 1, program: () => [] });
    cluster.submit(0, jobWith());
    const lost = createSimStore(storeOf(9));
    for (const table of ['records', 'promises', 'accepted'] as const)
      lost.apply(cluster.store(0).rows(table));
    Object.assign(cluster.store(0), lost);
    cluster.restart(0);
    assert.deepEqual(cluster.machine(0).inspect().jobs, []);
  });
});

function runsOf(steps: readonly Step[]): readonly string[] {
  const runs = (effect: Effect): string[] =>
    effect.type === 'run' ? [`${effect.order.execution}${effect.resume ? ' again' : ''}`] : [];
  return steps.flatMap(({ effects }) => effects.flatMap(runs)).sort();
}
