/**
 * The story of a job, told from its records: one event per fact, in Bacalhau's shape. The records
 * are a set that grows by merging, so an older fact may arrive late; `HistoryBook` therefore keeps
 * the order in which this peer first showed each event, and a reader that pages never misses one.
 */
import { JOB_TYPES } from '../job/types.ts';
import type {
  AssignBody,
  CommandBody,
  StateBody,
  Signed,
  VersionBody,
} from '../core/record/records.ts';
import type { JobRecords } from '../core/contract/messages.ts';
import { isTerminalPhase, shortNode } from './execution-facts.ts';
import { rfc3339 } from './times.ts';
import type { EventJson, HistoryJson } from './types.ts';

/** An event without its number. `key` is the same wherever it is derived. */
export interface StoryEvent {
  readonly key: string;
  /** Wall clock, milliseconds. */
  readonly at: number;
  readonly execution: string | null;
  readonly version: number;
  readonly topic: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

type PhaseWords = Readonly<
  Record<StateBody['phase'], { readonly topic: string; readonly message: string }>
>;

const PHASES: PhaseWords = {
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

function stateDetails(body: StateBody): Record<string, string> {
  const NewState =
    body.retryMs === null ? body.phase : body.retryMs === 0 ? 'resting' : 'restarting';
  const details: Record<string, string> = { NodeID: body.node, NewState };
  if (isRestart(body)) details['Restarts'] = String(body.restarts);
  // What ended before it was started again has been told of.
  if (isRestart(body) && body.retryMs === null) return details;
  if (body.exitCode !== null) details['ExitCode'] = String(body.exitCode);
  if (body.failure === null) return details;
  const again = body.failure.class === 'node' || body.failure.class === 'transient';
  return {
    ...details,
    IsError: 'true',
    ErrorCode: body.failure.code,
    Hint: HINTS[body.failure.class],
    Retryable: String(again || isRestart(body)),
    FailsExecution: String(!isRestart(body)),
  };
}

/** It goes on, though its program ended. */
const isRestart = (body: StateBody): boolean =>
  (body.restarts > 0 || body.retryMs !== null) && !isTerminalPhase(body.phase);

function restartMessage({ restarts, retryMs, failure, exitCode }: StateBody): string {
  if (retryMs === null) return `Started again (restart ${restarts})`;
  const end = failure?.message ?? `Its program ended with exit code ${exitCode ?? 0}`;
  if (retryMs === 0) return `It rests: ${end}`;
  return `${end}; it is started again after ${retryMs / 1_000} s (restart ${restarts})`;
}

function stateEvent(record: Signed<'state'>): StoryEvent {
  const { body } = record;
  const words = PHASES[body.phase];
  let message = words.message;
  if (body.phase === 'completed') message = `Completed with exit code ${body.exitCode ?? 0}`;
  if (isRestart(body)) message = restartMessage(body);
  else if (body.failure !== null) message = `${words.message}: ${body.failure.message}`;
  return {
    key: record.id,
    at: record.hlc,
    execution: body.execution,
    version: body.version,
    topic: isRestart(body) ? 'Restart' : words.topic,
    message,
    details: stateDetails(body),
  };
}

function assignMessage({ node, attempt, adopts }: AssignBody, counted: boolean): string {
  if (!counted) return `Taken up by ${shortNode(node)}`;
  const place = `${shortNode(node)} (attempt ${attempt + 1})`;
  return adopts === null ? `Assigned to ${place}` : `Back on ${place}: it takes its place again`;
}

/** Of one that came by itself also why the one before was given up. */
const versionMessage = ({ version, message }: VersionBody): string =>
  `Version ${version} is the job's${message === '' ? '' : `: ${message}`}`;

function committedEvent(
  record: JobRecords['committed'][number]['record'],
  counted: boolean,
): StoryEvent {
  const base = { key: record.id, at: record.hlc, version: record.body.version };
  switch (record.type) {
    case 'assign':
      return {
        ...base,
        execution: record.body.execution,
        topic: 'Scheduling',
        message: assignMessage(record.body, counted),
        details: { NodeID: record.body.node, NewState: 'assigned' },
      };
    case 'accept':
      return {
        ...base,
        execution: record.body.execution,
        topic: 'State Update',
        message: `Result of ${shortNode(record.body.node)} accepted (exit code ${record.body.exitCode})`,
        details: {
          NodeID: record.body.node,
          ...(record.body.result === null ? {} : { CID: record.body.result.cid }),
        },
      };
    case 'version':
      return {
        ...base,
        execution: null,
        topic: 'Job Updated',
        message: versionMessage(record.body),
        details: record.body.message === '' ? {} : { Reason: record.body.message },
      };
    case 'close': {
      const failed = record.body.outcome === 'failed';
      return {
        ...base,
        execution: null,
        topic: 'State Update',
        message: `Job ${record.body.outcome}: ${record.body.message}`,
        details: {
          NewState: record.body.outcome,
          Reason: record.body.code,
          ...(failed ? { IsError: 'true', ErrorCode: record.body.code } : {}),
        },
      };
    }
  }
}

/** A kind of a later version is told of, though nothing is done about it here. */
const commandMessage = ({ command, reason }: CommandBody): string =>
  command === 'stop'
    ? `Stop requested: ${reason}`
    : `Command ${command}, which this version does not know: ${reason}`;

function jobEvents(records: JobRecords): StoryEvent[] {
  const { spec, admission, commands } = records;
  const version = spec.body.version;
  return [
    {
      key: spec.id,
      at: spec.hlc,
      execution: null,
      version,
      topic: 'Submission',
      message: 'Job submitted',
      details: {},
    },
    {
      key: admission.record.id,
      at: admission.record.hlc,
      execution: null,
      version,
      topic: 'Submission',
      message: `Job admitted: on disk at ${admission.votes.length} of ${admission.record.body.keepers.length} keepers`,
      details: {},
    },
    ...commands.map((command) => ({
      key: command.id,
      at: command.hlc,
      execution: null,
      version,
      topic: 'State Update',
      message: commandMessage(command.body),
      details: { Reason: command.body.reason },
    })),
  ];
}

/** Every event the records tell, by time; ties by key, so every node orders them alike. */
function storyOf(records: JobRecords): StoryEvent[] {
  const { counted } = JOB_TYPES[records.spec.body.spec.Type];
  const events = [
    ...jobEvents(records),
    ...records.committed.map(({ record }) => committedEvent(record, counted)),
    ...records.states.map(stateEvent),
  ];
  return events.sort((a, b) => a.at - b.at || (a.key < b.key ? -1 : 1));
}

/** Jobs whose order is remembered; beyond that the one not asked for longest is forgotten. */
const JOBS_MAX = 1000;
/** Events of all of them; a job of ten thousand partitions has a hundred thousand. */
const EVENTS_MAX = 200_000;

interface Told {
  /** In the order of the events. */
  keys: Set<string>;
  events: HistoryJson[];
  /** Number of the last event. */
  last: number;
}

/**
 * A job that does not end restarts its programs for months: of what is past, and no record tells any more, the older
 * half goes. The others keep their numbers.
 */
function shorten(told: Told, isRecord: (key: string) => boolean): void {
  const from = told.events.length - EVENTS_MAX / 2;
  const left = [...told.keys].flatMap((key, at) => {
    const event = told.events[at];
    return event !== undefined && (at >= from || isRecord(key)) ? [[key, event] as const] : [];
  });
  told.keys = new Set(left.map(([key]) => key));
  told.events = left.map(([, event]) => event);
}

/** Numbers the events of each job in the order in which this process first saw them. */
export class HistoryBook {
  readonly #jobs = new Map<string, Told>();
  #count = 0;

  /** Events remembered. */
  get size(): number {
    return this.#count;
  }

  /** All events so far; the number of an event never changes while the process remembers the job. */
  tell(records: JobRecords): readonly HistoryJson[] {
    const job = records.spec.body.job;
    const told = this.#jobs.get(job) ?? { keys: new Set<string>(), events: [], last: 0 };
    this.#jobs.delete(job);
    this.#jobs.set(job, told);
    const story = storyOf(records);
    const before = told.events.length;
    for (const event of story) {
      if (told.keys.has(event.key)) continue;
      told.keys.add(event.key);
      told.last += 1;
      told.events.push(historyJson(job, event, told.last));
    }
    if (told.events.length > EVENTS_MAX) {
      const keys = new Set(story.map(({ key }) => key));
      shorten(told, (key) => keys.has(key));
    }
    this.#count += told.events.length - before;
    for (const [oldest, { events }] of this.#jobs) {
      const few = this.#jobs.size <= JOBS_MAX && this.#count <= EVENTS_MAX;
      if (few || oldest === job) break;
      this.#jobs.delete(oldest);
      this.#count -= events.length;
    }
    return told.events;
  }
}

function historyJson(job: string, event: StoryEvent, number: number): HistoryJson {
  const time = rfc3339(event.at);
  const told: EventJson = {
    Message: event.message,
    Topic: event.topic,
    Timestamp: time,
    Details: event.details,
  };
  return {
    SeqNum: number,
    Type: event.execution === null ? 'JobLevel' : 'ExecutionLevel',
    JobID: job,
    JobVersion: event.version,
    ...(event.execution === null ? {} : { ExecutionID: event.execution }),
    Event: told,
    Time: time,
  };
}
