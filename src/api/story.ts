/**
 * The story of a job, told from its records alone: one event per fact, in Bacalhau's shape. Whoever has the same
 * records tells the same story, whenever it is asked.
 */
import { DEFAULT_LIMITS } from '../core/contract/limits.ts';
import { JOB_TYPES } from '../job/types.ts';
import type { JobRecords, JobState } from '../core/contract/messages.ts';
import { firstConfiguration } from '../core/record/chain.ts';
import type {
  AcceptBody,
  AssignBody,
  CloseOutcome,
  CommandBody,
  Follows,
  Keeper,
  Signed,
  StateBody,
  VersionBody,
} from '../core/record/records.ts';
import { shortNode } from './execution-facts.ts';
import { newState } from './execution-states.ts';
import { executionEvents, givenUp, inPartition } from './execution-story.ts';
import { cameUp } from './rolling.ts';
import type { JobView } from './service.ts';
import { RANKS } from './story-event.ts';
import type { StoryEvent } from './story-event.ts';

export type Told = Pick<JobView, 'records' | 'current'>;

/**
 * Every event of these versions of a job, by time; ties by what comes of what, then by key, so that every node orders
 * them alike.
 */
export function storyOf(views: readonly Told[]): readonly StoryEvent[] {
  const events = new Map<string, StoryEvent>();
  // Who kept the job while it went over from one version to the next is told with the later.
  for (const view of [...views].sort((a, b) => versionOf(b) - versionOf(a)))
    for (const event of versionEvents(view))
      if (!events.has(event.key)) events.set(event.key, event);
  return [...events.values()].sort(
    (a, b) => a.at - b.at || a.rank - b.rank || (a.key < b.key ? -1 : 1),
  );
}

const versionOf = ({ records }: Told): number => records.spec.body.version;

function versionEvents(view: Told): StoryEvent[] {
  const { records } = view;
  const { Type, Task } = records.spec.body.spec;
  const { counted } = JOB_TYPES[Type];
  const isLast = lastAttempts(records);
  return [
    ...submissionEvents(records),
    ...keeperEvents(view),
    ...commandEvents(records),
    ...records.committed.map(({ record }) => committedEvent(record, counted)),
    ...runningEvent(records),
    ...givenUpEvents(records),
    ...records.states.flatMap((state) =>
      executionEvents(state, isLast(state.body), counted, Task.Network),
    ),
    ...rolledEvent(records),
  ];
}

/** Whether no attempt follows one that fails: as many were made as a job has, or as each node makes, or the job is over. */
function lastAttempts({ spec, committed }: JobRecords): (body: StateBody) => boolean {
  const { counted, ends } = JOB_TYPES[spec.body.spec.Type];
  if (!ends) return () => false;
  if (!counted) return () => true;
  let isOver = false;
  const latest = new Map<number, number>();
  for (const { record } of committed) {
    if (record.type === 'close') isOver = true;
    if (record.type !== 'assign') continue;
    const { partition, attempt } = record.body;
    latest.set(partition, Math.max(attempt, latest.get(partition) ?? 0));
  }
  return ({ partition, attempt }) =>
    attempt + 1 >= DEFAULT_LIMITS.maxAttempts ||
    (isOver && attempt >= (latest.get(partition) ?? 0));
}

type Heading = Pick<StoryEvent, 'key' | 'at' | 'execution' | 'version'>;

const headingOf = (
  { id, hlc }: { readonly id: string; readonly hlc: number },
  version: number,
  execution: string | null = null,
): Heading => ({ key: id, at: Math.floor(hlc), execution, version });

const HOW: Readonly<Record<Follows['how'], string>> = {
  update: 'submitted',
  rerun: 'submitted to run the job once more',
  rollback: 'submitted, to go back to should the one before not come up',
};

function submissionText({ follows, version }: JobRecords['spec']['body']): string {
  if (follows === undefined) return 'Job submitted';
  const why = follows.reason === '' ? '' : `: ${follows.reason}`;
  return `Version ${version} ${HOW[follows.how]}${why}`;
}

function submissionEvents({ spec, admission: { record, votes } }: JobRecords): StoryEvent[] {
  const { version } = spec.body;
  const topic = 'Submission';
  const submitted = {
    ...headingOf(spec, version),
    ...{ rank: RANKS.submission, topic, message: submissionText(spec.body), details: {} },
  };
  // Of a later version it is long past.
  if (version !== record.body.version) return [submitted];
  const message = `Job admitted: on disk at ${votes.length} of ${record.body.keepers.length} keepers`;
  const admitted = { rank: RANKS.admission, topic, message, details: {} };
  return [submitted, { ...headingOf(record, version), ...admitted }];
}

const nameOf = ({ node, store }: Keeper): string => `${node} ${store}`;

/** Those of one list that are not in the other. A node that has another store is another keeper. */
function without(keepers: readonly Keeper[], others: readonly Keeper[]): string[] {
  const names = new Set(others.map(nameOf));
  return keepers.filter((keeper) => !names.has(nameOf(keeper))).map(({ node }) => node);
}

/** Who came and went while this was the job's version. That a change is over, once those before have agreed, changes nobody. */
function keeperEvents(view: Told): StoryEvent[] {
  const { spec, admission, configs = [] } = view.records;
  const { version } = spec.body;
  const [from, until] = timeOf(view);
  let before = firstConfiguration(admission.record.body).keepers;
  const events: StoryEvent[] = [];
  for (const { record } of configs) {
    const { keepers, config, reseeds } = record.body;
    const kept = before.length;
    const [came, went] = [without(keepers, before), without(before, keepers)];
    before = keepers;
    if (came.length + went.length === 0 || record.hlc < from || record.hlc >= until) continue;
    const say = (nodes: readonly string[], what: string): string =>
      nodes.length === 0 ? '' : `${nodes.map(shortNode).join(', ')} ${what}`;
    const both = [say(came, 'came'), say(went, 'went')].filter(Boolean).join(', ');
    const what =
      reseeds === undefined
        ? 'Keepers changed'
        : `Re-seeded, as too many of its keepers were gone (${went.length} of ${kept})`;
    events.push({
      ...headingOf(record, version),
      ...{ rank: RANKS.keepers, topic: 'State Update', message: `${what}: ${both}` },
      details: {
        Came: came.join(','),
        Went: went.join(','),
        Config: `${config.major}.${config.minor}`,
      },
    });
  }
  return events;
}

/** From when on, and until when, this was the job's version, as far as its records say. */
function timeOf({ records, current }: Told): readonly [number, number] {
  const { version } = records.spec.body;
  let [from, last] = [0, 0];
  for (const { record } of records.committed) {
    last = Math.max(last, record.hlc);
    if (record.type === 'version') from = record.hlc;
  }
  return [from, version < current ? last : Number.POSITIVE_INFINITY];
}

/** A kind of a later version is told of, though nothing is done about it here. */
const commandText = ({ command, reason }: CommandBody): string =>
  command === 'stop'
    ? `Stop requested: ${reason}`
    : `Command ${command}, which this version does not know: ${reason}`;

/** Those for this version. */
const commandEvents = ({ commands, spec: { body } }: JobRecords): StoryEvent[] =>
  commands
    .filter((command) => (command.body.version ?? 1) === body.version)
    .map((command) => ({
      ...headingOf(command, body.version),
      ...{ rank: RANKS.command, topic: 'State Update', message: commandText(command.body) },
      details: { Reason: command.body.reason },
    }));

function assignText({ node, attempt, adopts }: AssignBody, counted: boolean): string {
  if (!counted) return `Taken up by ${shortNode(node)}`;
  const place = `${shortNode(node)} (attempt ${attempt + 1})`;
  return adopts === null ? `Assigned to ${place}` : `Back on ${place}: it takes its place again`;
}

/** Who has it, the one that made it first. */
const heldText = ({ result, holders }: AcceptBody): string =>
  result === null || holders.length === 0 ? '' : `; it is at ${holders.map(shortNode).join(', ')}`;

/** Of one that came by itself also why the one before was given up. */
const versionText = ({ version, message }: VersionBody): string =>
  `Version ${version} is the job's${message === '' ? '' : `: ${message}`}`;

function committedEvent(
  record: JobRecords['committed'][number]['record'],
  counted: boolean,
): StoryEvent {
  const base = headingOf(record, record.body.version);
  switch (record.type) {
    case 'assign':
      return {
        ...{ ...base, execution: record.body.execution, rank: RANKS.assign, topic: 'Scheduling' },
        message: assignText(record.body, counted),
        details: {
          NodeID: record.body.node,
          ...newState('assigned'),
          ...inPartition(record.body.partition, counted),
        },
      };
    case 'accept': {
      const { execution, node, exitCode, result } = record.body;
      return {
        ...{ ...base, execution, rank: RANKS.accept, topic: 'State Update' },
        message: `Result of ${shortNode(node)} accepted (exit code ${exitCode})${heldText(record.body)}`,
        details: {
          NodeID: node,
          ...(result === null ? {} : { CID: result.cid }),
          ...inPartition(record.body.partition, counted),
        },
      };
    }
    case 'version':
      return {
        ...{
          ...base,
          rank: RANKS.version,
          topic: 'Job Updated',
          message: versionText(record.body),
        },
        details: record.body.message === '' ? {} : { Reason: record.body.message },
      };
    case 'close': {
      const { outcome, code, message } = record.body;
      const error = outcome === 'failed' ? { IsError: 'true', ErrorCode: code } : {};
      return {
        ...{
          ...base,
          rank: RANKS.close,
          topic: 'State Update',
          message: `Job ${outcome}: ${message}`,
        },
        details: { NewState: STATE_AFTER[outcome], Reason: code, ...error },
      };
    }
  }
}

const STATE_AFTER: Readonly<Record<CloseOutcome, JobState>> = {
  completed: 'Completed',
  failed: 'Failed',
  stopped: 'Stopped',
};

/** With the first attempt of its first part: the same event, whatever else was assigned before and is told later. */
function runningEvent(records: JobRecords): StoryEvent[] {
  const { version } = records.spec.body;
  const first = assignsIn(records).find(({ body }) => body.partition === 0 && body.attempt === 0);
  if (first === undefined) return [];
  return [
    {
      ...{ key: `running/${version}`, at: Math.floor(first.hlc), rank: RANKS.running },
      ...{ execution: null, version, topic: 'State Update', message: 'Job running' },
      details: { NewState: 'Running' },
    },
  ];
}

function assignsIn({ committed }: JobRecords): Signed<'assign'>[] {
  return committed.flatMap(({ record }) => (record.type === 'assign' ? [record] : []));
}

function givenUpEvents(records: JobRecords): StoryEvent[] {
  const assigns = assignsIn(records);
  const place = ({ partition, attempt }: AssignBody): string => `${partition}/${attempt}`;
  const attempts = new Map(assigns.map(({ body }) => [place(body), body]));
  const states = new Map<string, Signed<'state'>>();
  for (const state of records.states) states.set(state.body.execution, state);
  return assigns.flatMap((record) => {
    const { body } = record;
    const before = attempts.get(place({ ...body, attempt: body.attempt - 1 })) ?? null;
    return givenUp(record, before, states.get(before?.execution ?? '') ?? null) ?? [];
  });
}

/** A service has gone over to this version: the moment at which the last of its replicas came up for the first time. */
function rolledEvent(records: JobRecords): StoryEvent[] {
  const { version, spec } = records.spec.body;
  const { counted, ends } = JOB_TYPES[spec.Type];
  if (version === 1 || !counted || ends) return [];
  const upAt = cameUp(records);
  if (upAt.size < spec.Count) return [];
  const replicas = spec.Count === 1 ? 'Its replica is' : `All ${spec.Count} replicas are`;
  return [
    {
      ...{ key: `rolled/${version}`, at: Math.max(0, ...upAt.values()), rank: RANKS.rolled },
      ...{ execution: null, version, topic: 'Job Updated', details: {} },
      message: `${replicas} of version ${version}`,
    },
  ];
}
