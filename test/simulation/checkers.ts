/**
 * The safety invariants, checked from outside while the world runs: each looks at what reached a
 * disk, left a node or runs on it, and at what the machine says of itself. `facts.ts` covers the
 * certificates (S1 in part, S2, S4, S13), `liveness.ts` the healed phase. `src/README.md` says which invariant each one
 * looks at.
 */
import type { JobId } from '../../src/core/record/ids.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Inspection } from '../../src/core/contract/inspection.ts';
import type { Limits } from '../../src/core/contract/limits.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { Epoch, Signed } from '../../src/core/record/records.ts';
import type { Facts, FactsContext } from './facts.ts';
import { epochText, majorityOf } from './facts.ts';
import { isDecided, lineOf } from './lines.ts';
import type { NodeView, Observer } from './observer.ts';

export interface CheckersContext extends FactsContext {
  readonly limits: Limits;
  readonly facts: Facts;
  /** Machines are inspected after every n-th input they handle; 0 = only at the end. */
  readonly inspectEvery: number;
  /** The owner asked for this job's stop. */
  stopAsked(job: JobId): boolean;
}

const inLine = (job: JobId, line: number): string => `${job}|${line}`;

const RESOURCES = ['cpuMillis', 'memoryBytes', 'diskBytes', 'gpus'] as const;
const TERMINAL: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);
const PHASES = ['received', 'preparing', 'starting', 'running', 'publishing'];

/** Terminal phases rank alike: none follows another. */
const phaseRank = (phase: string): number => {
  const rank = PHASES.indexOf(phase);
  return rank < 0 ? PHASES.length : rank;
};

function compareBallots(a: Epoch, b: Epoch): number {
  if (a.config.major !== b.config.major) return a.config.major - b.config.major;
  if (a.config.minor !== b.config.minor) return a.config.minor - b.config.minor;
  if (a.number !== b.number) return a.number - b.number;
  if (a.leader === b.leader) return 0;
  return a.leader < b.leader ? -1 : 1;
}

/** What one store has had on disk, whatever became of it later: a promise once made must hold. */
interface Remembered {
  /** By job and line: a node that leaves one has no say in it any more. */
  readonly promised: Map<string, Epoch>;
  /** The version that a job was seen to have, by job and line. */
  readonly versions: Map<string, number>;
  /** `job|slot|value|epoch` of every acceptance, `job|record` of every record. */
  readonly held: Set<string>;
}

export interface Checkers {
  readonly observer: Observer;
  /** Looks at one node now. */
  inspect(node: NodeView): void;
}

export function createCheckers(context: CheckersContext): Checkers {
  const memory = new Map<string, Remembered>();
  /** The end that was told of each execution. */
  const states: States = new Map();
  const inputs = new Map<NodeView, number>();
  /** The highest epoch whose order a process obeyed, by node, incarnation and job. */
  const obeyed = new Map<string, Epoch>();
  const remembered = (node: NodeView): Remembered => {
    const { id } = node.store;
    const known = memory.get(id);
    if (known !== undefined) return known;
    const fresh: Remembered = {
      promised: new Map(),
      versions: new Map(),
      held: new Set(),
    };
    memory.set(id, fresh);
    return fresh;
  };
  const inspect = (node: NodeView): void => {
    if (!node.up) return;
    const inspection = node.inspect();
    checkResources(context, node, inspection);
    checkHolds(context, node, inspection);
    checkMemory(context, node, inspection, remembered(node));
    checkStates(context, node, inspection);
  };

  return {
    inspect,
    observer: {
      onHandled: (node, input, effects) => {
        if (input.type === 'message' && input.message.type === 'assign') {
          checkObeyed(context, node, input.message, effects, obeyed);
        }
        if (context.inspectEvery === 0) return;
        // The first input after a start, then every n-th: what was on disk must be there at once.
        const count = (inputs.get(node) ?? -1) + 1;
        inputs.set(node, count);
        if (count % context.inspectEvery === 0) inspect(node);
      },
      onStart: (node) => {
        inputs.delete(node);
        for (const [key, { node: of, forgotten }] of states)
          if (of === node && forgotten) states.delete(key);
      },
      onDurable: (node, writes) => {
        for (const { table, key, value } of writes) {
          const told = table === 'executions' ? states.get(stateKey(node, key)) : undefined;
          if (told !== undefined) told.forgotten = value === null;
        }
        checkWrites(context, node, writes, remembered(node));
      },
      onSend: (node, _to, message) =>
        checkMessage(context, node, message, remembered(node), states),
      onEffect: (node, effect) => {
        if (effect.type !== 'run') return;
        const { job, execution } = effect.order;
        if (node.store.get('executions', job, execution) !== null) return;
        context.violation('S10', node, job, `runs ${execution} without a record on disk`);
      },
      onReply: (node, _job, reply) => {
        if (reply.type === 'stopping' && !context.stopAsked(reply.job)) {
          context.violation('S6', node, reply.job, 'takes a stop that the owner did not ask for');
        }
        if (reply.type === 'updated') {
          const { job, version } = reply;
          if (!isDecided(context.facts.jobs.get(job), `version/${version}`))
            context.violation('S22', node, job, `says that version ${version} is decided`);
        }
        if (reply.type !== 'receipt') return;
        if (reply.receipt.votes.length < majorityOf(reply.receipt.record.body.keepers.length)) {
          context.violation('S1', node, reply.job, 'a receipt with too few votes');
        }
        // Each vote was checked against its store's disk when it left (`checkMessage`).
      },
      onDefect: (node, input, error) => {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        context.violation('defect', node, null, `${describeInput(input)}: ${text}`);
      },
    },
  };
}

/**
 * How each execution ended, as its node told it. What it has forgotten, as the job is over, it may run again
 * after a restart, when an old invitation and the assignment after it come a second time: a program runs at
 * least once. Within one process it remembers.
 */
type States = Map<string, { readonly id: string; readonly node: NodeView; forgotten: boolean }>;

const stateKey = ({ store }: NodeView, execution: string): string => `${execution}|${store.id}`;

function describeInput(input: { readonly type: string } | null): string {
  if (input === null) return 'while it was created';
  const message = (input as { readonly message?: { readonly type: string } }).message;
  return `while it handled ${input.type}${message === undefined ? '' : ` ${message.type}`}`;
}

function checkResources(context: CheckersContext, node: NodeView, seen: Inspection): void {
  const running: Record<string, number> = {};
  for (const run of node.runs()) {
    if (!run.active) continue;
    for (const name of RESOURCES)
      running[name] = (running[name] ?? 0) + run.order.task.resources[name];
  }
  for (const name of RESOURCES) {
    const limit = seen.capacity[name];
    const over = (what: string, amount: number): void =>
      context.violation('S11', node, null, `${what} ${amount} of ${limit} ${name}`);
    if (seen.reserved[name] > limit) over('reserves', seen.reserved[name]);
    if ((running[name] ?? 0) > limit) over('runs', running[name] ?? 0);
    if (seen.held[name] < 0 || seen.reserved[name] < 0) over('counts below zero', seen.held[name]);
  }
}

/** L5, in both phases: it depends on nothing but the node itself. */
function checkHolds(context: CheckersContext, node: NodeView, seen: Inspection): void {
  const lateMs = 5_000;
  for (const hold of seen.holds) {
    if (node.now() <= hold.until + lateMs && hold.until - hold.since <= context.limits.bidTtlMs)
      continue;
    const age = node.now() - hold.since;
    context.violation('L5', node, hold.job, `a hold is ${age} ms old`);
  }
}

/** S8: what a store had on disk, the node that has this store still knows. */
function checkMemory(
  context: CheckersContext,
  node: NodeView,
  seen: Inspection,
  past: Remembered,
): void {
  for (const job of seen.jobs) {
    const line = job.promised?.config.major ?? lineOf(job.records);
    const before = past.promised.get(inLine(job.job, line));
    // A closed job has no ballots any more: its close is all that matters.
    const closed = job.records.committed.some(({ record }) => record.type === 'close');
    const { version } = job.records.spec.body;
    const known = past.versions.get(inLine(job.job, lineOf(job.records))) ?? 1;
    if (version < known)
      context.violation('S22', node, job.job, `is at version ${version}, and was at ${known}`);

    if (!job.keeper || before === undefined || closed) continue;
    if (job.promised !== null && compareBallots(job.promised, before) >= 0) continue;
    const now = job.promised === null ? 'nothing' : epochText(job.promised);
    context.violation('S8', node, job.job, `promised ${epochText(before)} and now knows ${now}`);
  }
}

function checkStates(context: CheckersContext, node: NodeView, seen: Inspection): void {
  for (const job of seen.jobs) {
    if (job.state === 'Stopped' && !context.stopAsked(job.job)) {
      context.violation('S6', node, job.job, 'is Stopped, but its owner never asked');
    }
  }
}

function checkWrites(
  context: CheckersContext,
  node: NodeView,
  writes: readonly StoreWrite[],
  past: Remembered,
): void {
  for (const write of writes) {
    if (write.table === 'promises') checkPromise(context, node, write, writes, past);
    if (write.table === 'accepted') checkAccepted(context, node, write, past);
    if (write.table === 'executions') checkExecution(context, node, write);
    if (write.table === 'records' && write.value === null) {
      // Who turns to another line forgets what it knew of this one: it comes back without a say alone, and is told anew.
      const left = /^config\/(\d+)\//.exec(write.key);
      if (left !== null) past.versions.delete(inLine(write.job, Number(left[1])));
    }
    if (write.table === 'records' && write.value !== null) {
      const { record, votes } = write.value;
      past.held.add(`${write.job}|${record.id}`);
      if (record.type !== 'version') continue;
      const key = inLine(write.job, votes[0]?.body.epoch.config.major ?? 0);
      past.versions.set(key, Math.max(record.body.version, past.versions.get(key) ?? 1));
    }
  }
}

function checkPromise(
  context: CheckersContext,
  node: NodeView,
  { job, value }: Extract<StoreWrite, { table: 'promises' }>,
  writes: readonly StoreWrite[],
  past: Remembered,
): void {
  // A node that only executes the job, or has no say in it any more, keeps there the epoch it obeys: no promise to anyone.
  const begins = writes.some(
    (write) =>
      write.table === 'records' &&
      write.job === job &&
      write.key === 'admission' &&
      write.value !== null,
  );
  const keeps = begins || node.store.get('records', job, 'admission') !== null;
  if (value === null || !keeps || node.store.forfeits.has(job)) return;
  const key = inLine(job, value.config.major);
  const before = past.promised.get(key);
  if (before !== undefined && compareBallots(value, before) < 0) {
    const both = `${epochText(before)} to ${epochText(value)}`;
    context.violation('S8', node, job, `lowers its promise from ${both}`);
  }
  past.promised.set(key, value);
}

function checkAccepted(
  context: CheckersContext,
  node: NodeView,
  write: Extract<StoreWrite, { table: 'accepted' }>,
  past: Remembered,
): void {
  if (write.value === null) return;
  const { epoch, value } = write.value;
  const promised = past.promised.get(inLine(write.job, epoch.config.major));
  const lately = node.store.get('promises', write.job, write.job);
  const hasLeft = lately !== null && lately.config.major > epoch.config.major;
  const floor = hasLeft ? lately : promised;
  if (floor !== undefined && compareBallots(epoch, floor) < 0) {
    const both = `${write.key} in ${epochText(epoch)}, promised ${epochText(floor)}`;
    context.violation('S9', node, write.job, `accepts ${both}`);
  }
  const before = node.store.get('accepted', write.job, write.key);
  const isSameLine = before?.epoch.config.major === epoch.config.major;
  if (before !== null && isSameLine && compareBallots(epoch, before.epoch) < 0) {
    context.violation('S8', node, write.job, `${write.key} falls back to ${epochText(epoch)}`);
  }
  past.held.add(`${write.job}|${write.key}|${value.id}|${epochText(epoch)}`);
}

function checkExecution(
  context: CheckersContext,
  node: NodeView,
  write: Extract<StoreWrite, { table: 'executions' }>,
): void {
  const before = node.store.get('executions', write.job, write.key);
  if (write.value === null) {
    const running = node.runs().some((run) => run.active && run.order.execution === write.key);
    if (running) context.violation('S10', node, write.job, `forgets ${write.key} while it runs`);
    return;
  }
  if (before !== null) checkForward(context, node, before.state, write.value.state);
}

/**
 * S9 for executors: within one process, no order from an epoch lower than one obeyed before; but of a lower line when
 * nothing here obeys a higher one any more.
 */
function checkObeyed(
  context: CheckersContext,
  node: NodeView,
  message: Extract<Message, { type: 'assign' }>,
  effects: readonly Effect[],
  obeyed: Map<string, Epoch>,
): void {
  const { job } = message.spec.body;
  if (!effects.some((effect) => effect.type === 'run' && effect.order.job === job)) return;
  const { keepers } = message.admission.record.body;
  const first = { config: { major: 0, minor: 0 }, number: 0, leader: keepers[0]?.node ?? node.id };
  const epoch = message.grant?.record.body.epoch ?? first;
  const key = `${node.id}|${node.incarnation}|${job}`;
  const before = obeyed.get(key);
  if (before === undefined || compareBallots(epoch, before) > 0) obeyed.set(key, epoch);
  else if (epoch.config.major < before.config.major && hasGoneBack(node, job, epoch))
    obeyed.set(key, epoch);
  else if (compareBallots(epoch, before) < 0) {
    context.violation('S9', node, job, `obeys ${epochText(epoch)} after ${epochText(before)}`);
  }
}

/** Nothing that runs here obeys a higher line any more. */
const hasGoneBack = (node: NodeView, job: JobId, { config }: Epoch): boolean =>
  node
    .inspect()
    .executions.every((one) => one.job !== job || one.epoch.config.major <= config.major);

function checkForward(
  context: CheckersContext,
  node: NodeView,
  before: Signed<'state'>,
  after: Signed<'state'>,
): void {
  const back = (what: string): void =>
    context.violation('S8', node, after.body.job, `${after.body.execution} ${what}`);
  const [from, to] = [before.body.phase, after.body.phase];
  if (after.body.sequence < before.body.sequence) back('lowers its sequence');
  if (phaseRank(to) < phaseRank(from)) back(`goes from ${from} back to ${to}`);
  if (TERMINAL.has(from) && from !== to) back(`goes from ${from} to ${to}`);
}

/** Votes leave only when what they say is on disk; an execution ends once. */
function checkMessage(
  context: CheckersContext,
  node: NodeView,
  message: Message,
  past: Remembered,
  states: States,
): void {
  switch (message.type) {
    case 'admitted': {
      const { job, of } = message.vote.body;
      if (past.held.has(`${job}|${of}`)) return;
      return context.violation('S1', node, job, 'signs for an admission that is not on its disk');
    }
    case 'promise': {
      const { job, epoch } = message;
      const promised = past.promised.get(inLine(job, epoch.config.major));
      // The first epoch comes with the admission itself.
      if (promised === undefined && epoch.number === 0) return;
      if (promised !== undefined && compareBallots(promised, epoch) >= 0) return;
      return context.violation(
        'S8',
        node,
        job,
        `promises ${epochText(epoch)} before it is on disk`,
      );
    }
    case 'voted':
      for (const { body } of message.votes) {
        const { job, slot, of, epoch } = body;
        // What is committed already may be voted for again under any epoch.
        if (past.held.has(`${job}|${of}`)) continue;
        if (past.held.has(`${job}|${slot}|${of}|${epochText(epoch)}`)) continue;
        context.violation('S8', node, job, `votes in ${slot} before that is on disk`);
      }
      return;
    case 'states':
      for (const state of message.states) {
        // What happened on the way may be told again after a crash; the end is told once.
        if (!TERMINAL.has(state.body.phase) || state.body.node !== node.id) continue;
        const key = stateKey(node, state.body.execution);
        const known = states.get(key) ?? { id: state.id, node, forgotten: false };
        states.set(key, known);
        if (known.id !== state.id) {
          context.violation(
            'S8',
            node,
            state.body.job,
            `gives two ends to ${state.body.execution}`,
          );
        }
      }
      return;
    default:
      return;
  }
}
