/**
 * What happened to one execution, as events: each phase that its node tells of, each time its program was started
 * again, and that it was given up. Pure; the same records give the same events.
 */
import { stepsOf } from '../core/record/course.ts';
import type { Step } from '../core/record/course.ts';
import type { Phase } from '../core/record/execution.ts';
import type { AssignBody, ReplacedFor, Signed } from '../core/record/records.ts';
import type { Network } from '../job/model.ts';
import { lacksNetwork } from '../job/network-hint.ts';
import { formatBytes } from '../lib/units.ts';
import { isTerminalPhase, shortNode } from './execution-facts.ts';
import { newState } from './execution-states.ts';
import { RANKS } from './story-event.ts';
import type { StoryEvent } from './story-event.ts';

type Words = { readonly topic: string; readonly message: string };

const PHASES: Readonly<Record<Phase, Words>> = {
  received: { topic: 'Exec Scanning', message: 'Received by the node' },
  preparing: { topic: 'Downloading Inputs', message: 'Fetching inputs' },
  starting: { topic: 'Preparing Environment', message: 'Preparing the environment' },
  running: { topic: 'Running Execution', message: 'Running' },
  publishing: { topic: 'Publishing Results', message: 'Publishing results' },
  completed: { topic: 'Execution', message: 'Completed' },
  failed: { topic: 'Execution', message: 'Failed' },
  cancelled: { topic: 'Execution', message: 'Cancelled' },
  lost: { topic: 'Execution', message: 'Lost' },
};

/** What a person can do about a failure of each class. */
const HINTS = {
  spec: 'The job itself must be changed; other nodes would fail in the same way.',
  limit: 'Raise the limit in the job, or let it use less.',
  node: 'Another node is tried.',
  transient: 'It is tried again.',
} as const;

/** Where each node decides for itself, its node is all there is to say of an execution. */
export const inPartition = (partition: number, counted: boolean): Record<string, string> =>
  counted ? { Partition: String(partition) } : {};

const LAST_HINT = 'That was the last attempt.';

type Told = Pick<StoryEvent, 'key' | 'topic' | 'message' | 'details'>;

/**
 * All that its node tells of an execution.
 * @param isLast nothing takes its place when it fails
 * @param counted it is of a partition of the job
 * @param network that its job asked for
 */
export function executionEvents(
  record: Signed<'state'>,
  isLast: boolean,
  counted: boolean,
  network: Network,
): StoryEvent[] {
  const { execution, version } = record.body;
  const steps = stepsOf(record);
  const events = steps.flatMap((step, at): StoryEvent[] => {
    const told =
      step.type === 'phase'
        ? phaseTold(record, step.phase, isLast, network)
        : restartTold(record, step);
    const details = { ...told.details, ...inPartition(record.body.partition, counted) };
    const event = { at: step.at, rank: RANKS.step + at, execution, version, ...told, details };
    const isDone = step.type === 'phase' && step.phase === 'completed';
    return isDone ? [event, ...copyTold(record, event)] : [event];
  });
  const leftOut = leftOutIn(record, steps, counted);
  if (leftOut !== null) events.push(leftOut);
  const untold = untoldIn(steps);
  if (untold === null) return events;
  const { at, count } = untold;
  const rank = RANKS.step + steps.findIndex((step) => step.type === 'pause') - 0.5;
  const times = count === 1 ? 'once' : `${count} times`;
  return [
    ...events,
    {
      ...{ key: `${execution}/untold`, at, rank, execution, version, topic: 'Restart' },
      message: `Started again ${times} before; no more is told of that`,
      details: { NodeID: record.body.node, Restarts: String(count) },
    },
  ];
}

const partitionOf = ({ details: { Partition } }: StoryEvent): Record<string, string> =>
  Partition === undefined ? {} : { Partition };

/** Before a result counts a second node has it, if there is one. */
function copyTold({ body: { node, result } }: Signed<'state'>, done: StoryEvent): StoryEvent[] {
  if (result === null) return [];
  const message = `Result ${result.cid} (${formatBytes(result.bytes)}) is at ${shortNode(node)}; a copy at a second peer is wanted before it counts`;
  return [
    {
      ...{ ...done, key: `${done.key}/copy`, rank: done.rank + 0.5, topic: 'Publishing Results' },
      ...{ message, details: { ...partitionOf(done), NodeID: node, CID: result.cid } },
    },
  ];
}

/** What the result of an execution could not hold, when there is some. */
function leftOutIn(
  { body }: Signed<'state'>,
  steps: readonly Step[],
  counted: boolean,
): StoryEvent | null {
  const { execution, version, node, partition, leftOut = [] } = body;
  const end = steps.at(-1);
  if (leftOut.length === 0 || end === undefined) return null;
  return {
    key: `${execution}/left-out`,
    at: end.at,
    rank: RANKS.step + steps.length - 1.5,
    execution,
    version,
    topic: PHASES.publishing.topic,
    message: `Left out of the result: ${leftOut.join('; ')}`,
    details: {
      NodeID: node,
      LeftOut: String(leftOut.length),
      ...inPartition(partition, counted),
    },
  };
}

function phaseTold(
  { body }: Signed<'state'>,
  phase: Phase,
  isLast: boolean,
  network: Network,
): Told {
  const { execution, node, failure, exitCode, output } = body;
  const { topic, message: word } = PHASES[phase];
  const key = `${execution}/${phase}`;
  const details: Record<string, string> = { NodeID: node, ...newState(phase) };
  if (!isTerminalPhase(phase)) return { key, topic, message: word, details };
  if (exitCode !== null) details['ExitCode'] = String(exitCode);
  const closed = exitCode === 0 ? null : lacksNetwork(network, output?.stderr ?? '');
  if (closed !== null) details['Hint'] = closed;
  if (phase === 'completed') {
    const message = `Completed with exit code ${exitCode ?? 0}${closed === null ? '' : `: ${closed}`}`;
    return { key, topic, message, details };
  }
  if (failure === null) return { key, topic, message: word, details };
  const message = `${word}: ${failure.message}`;
  // It was told to.
  if (phase === 'cancelled')
    return { key, topic, message, details: { ...details, Reason: failure.code } };
  return { key, topic, message, details: { ...details, ...errorOf(failure, true, isLast) } };
}

type Failure = NonNullable<Signed<'state'>['body']['failure']>;

function errorOf(
  { code, class: kind }: Failure,
  isEnd: boolean,
  isLast = false,
): Record<string, string> {
  const passes = kind === 'node' || kind === 'transient';
  return {
    IsError: 'true',
    ErrorCode: code,
    Hint: isLast && passes ? LAST_HINT : HINTS[kind],
    Retryable: String(!isEnd || (passes && !isLast)),
    FailsExecution: String(isEnd),
  };
}

function restartTold(
  { body: { execution, node } }: Signed<'state'>,
  step: Exclude<Step, { readonly type: 'phase' }>,
): Told {
  const { restarts } = step;
  const topic = 'Restart';
  const details = { NodeID: node, Restarts: String(restarts) };
  if (step.type === 'resumed')
    return {
      ...{
        key: `${execution}/resumed/${restarts}`,
        topic,
        details: { ...details, ...newState('running') },
      },
      message: `Started again (restart ${restarts})`,
    };
  const { retryMs, failure, exitCode } = step;
  const end = failure?.message ?? `Its program ended with exit code ${exitCode ?? 0}`;
  const rests = retryMs === 0;
  return {
    key: `${execution}/${rests ? 'rest' : 'pause'}/${restarts}`,
    topic,
    message: rests
      ? `It rests: ${end}`
      : `${end}; it is started again after ${retryMs / 1_000} s (restart ${restarts})`,
    details: {
      ...details,
      ...newState(rests ? 'resting' : 'restarting'),
      ...(exitCode === null ? {} : { ExitCode: String(exitCode) }),
      ...(failure === null ? {} : errorOf(failure, false)),
    },
  };
}

/** Of many restarts the last few are told: how many were before them, and when at the latest. */
function untoldIn(steps: readonly Step[]): { readonly at: number; readonly count: number } | null {
  const first = steps.find((step) => step.type !== 'phase');
  if (first === undefined) return null;
  const isNext = first.type === 'pause' && first.retryMs > 0;
  const count = first.restarts - (isNext ? 1 : 0);
  return count > 0 && first.type === 'pause' ? { at: first.at, count } : null;
}

const GIVEN_UP: Readonly<Record<ReplacedFor, string>> = {
  failed: 'Given up, as it failed',
  lost: 'Lost: nothing was heard of its node for a whole lease',
  missed: 'Missed: its node refused it, or did not begin it in time',
  overdue: 'Overdue: it ran for longer than it may',
  surplus: 'Surplus: an older replica was back',
};
const MOVED = 'Moved, as its node left';
const PHASE_AFTER: Readonly<Record<ReplacedFor, Phase>> = {
  failed: 'failed',
  lost: 'lost',
  missed: 'cancelled',
  overdue: 'lost',
  surplus: 'cancelled',
};

/**
 * That another attempt was committed in the place of one, which is why that was given up.
 * @param before the attempt in whose place it is; null when it is not known
 * @param state what is known of how that one ended
 */
export function givenUp(
  record: Signed<'assign'>,
  before: AssignBody | null,
  state: Signed<'state'> | null,
): StoryEvent | null {
  const { replaces, attempt, node, adopts, version } = record.body;
  if (replaces === null) return null;
  // Nobody's failure: a node that leaves ends what is to go on elsewhere.
  const moved = replaces === 'missed' && state?.body.phase === 'cancelled';
  const next =
    adopts === null
      ? `attempt ${attempt + 1} on ${shortNode(node)} takes its place`
      : `attempt ${adopts + 1} on ${shortNode(node)} is back and takes its place`;
  const isError = replaces === 'lost' || replaces === 'overdue';
  const why =
    replaces === 'lost' && before !== null
      ? `${shortNode(before.node)} is lost: nothing was heard of it for a whole lease`
      : GIVEN_UP[replaces];
  return {
    key: `${record.id}/replaces`,
    at: Math.floor(record.hlc),
    rank: RANKS.givenUp,
    execution: before?.execution ?? null,
    version,
    topic: 'Execution',
    message: `${moved ? MOVED : why}; ${next}`,
    details: {
      ...(before === null ? {} : { NodeID: before.node }),
      ...newState(moved ? 'moved' : PHASE_AFTER[replaces]),
      Reason: moved ? 'draining' : replaces,
      ...inPartition(record.body.partition, true),
      ...(isError ? { IsError: 'true', Retryable: 'true', FailsExecution: 'true' } : {}),
    },
  };
}
