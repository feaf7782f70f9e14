/**
 * A job and its executions in Bacalhau's JSON, derived from the records. Deterministic: the
 * same records give the same text on every node.
 */
import { JOB_TYPES } from '../job/types.ts';
import type { JobRecords, JobState, ListedJob, WaitingView } from '../core/contract/messages.ts';
import type { KeepersView } from '../core/contract/reply.ts';
import { jobToBacalhau } from '../job/to-bacalhau.ts';
import type { Job, Resources } from '../job/model.ts';
import { closeOf, executionFacts, type ExecutionFacts } from './execution-facts.ts';
import { evaluationIdOf } from './evaluation-id.ts';
import { EXECUTION_STATES } from './execution-states.ts';
import { explainKeepers, explainRefusal, explainWaiting } from './explain.ts';
import type { JobView } from './service.ts';
import { nanosOf } from './times.ts';
import type {
  ExecutionJson,
  JobAnswer,
  JobJson,
  KeepersJson,
  ResourcesJson,
  ResultJson,
  RunOutputJson,
  TaskJson,
  WaitingJson,
} from './types.ts';

/** The latest moment that any record of the job carries, wall-clock milliseconds. */
function modifiedAt(records: JobRecords): number {
  const times = [
    records.spec.hlc,
    ...records.commands.map((command) => command.hlc),
    ...records.committed.map(({ record }) => record.hlc),
    ...records.states.map((state) => state.hlc),
  ];
  return times.reduce((latest, hlc) => Math.max(latest, hlc), 0);
}

function messageOf(view: JobView): string {
  const close = closeOf(view.records);
  if (close !== null) return close.body.message;
  if (view.records.spec.body.version < view.current)
    return `Version ${view.records.spec.body.version + 1} took its place.`;
  const why = backBecause(view.records);
  if (why !== '') return why;
  const keepers = explainKeepers(view.keepers);
  if (keepers !== '') return keepers;
  if (view.waiting === null || view.waiting.partitionsWaiting === 0) return '';
  // One reason is enough for a line; `job describe` lists them all.
  const [first = '', ...more] = explainWaiting(view.waiting);
  return more.length === 0 ? first : `${first} (and ${more.length} more)`;
}

/** Why the version before was given up; '' for one that was wanted. */
function backBecause({ spec, committed }: JobRecords): string {
  const { version } = spec.body;
  for (const { record } of committed)
    if (record.type === 'version' && record.body.version === version) return record.body.message;
  return '';
}

const exitCodeJson = (code: number | undefined): Pick<JobJson, 'ExitCode'> =>
  code === undefined ? {} : { ExitCode: code };

/** The job itself. `Revision` counts the records, so it rises with every change. */
function jobJson(view: JobView): JobJson {
  const { records, state } = view;
  const { spec } = records;
  return {
    ID: spec.body.job,
    ...specJson(spec.body.spec),
    Name: spec.body.spec.Name || spec.body.job,
    State: { StateType: state, Message: messageOf(view) },
    ...exitCodeJson(closeOf(records)?.body.exitCode),
    Version: spec.body.version,
    VersionTime: nanosOf(spec.hlc),
    Revision: 1 + records.commands.length + records.committed.length + records.states.length,
    // Of the job, whichever version it is at.
    CreateTime: nanosOf(Math.min(spec.hlc, records.admission.record.hlc)),
    ModifyTime: nanosOf(modifiedAt(records)),
  };
}

type SpecJson = Omit<
  JobJson,
  'ID' | 'State' | 'ExitCode' | 'Version' | 'VersionTime' | 'Revision' | 'CreateTime' | 'ModifyTime'
>;

/** What the owner asked for, as Bacalhau writes it. */
export function specJson(job: Job): SpecJson {
  return jobToBacalhau(job) as unknown as SpecJson;
}

const EMPTY_TASK: Omit<TaskJson, 'Engine'> = {
  Name: 'main',
  Publisher: { Type: '', Params: {} },
  Env: {},
  Meta: {},
  InputSources: [],
  ResultPaths: [],
  Resources: { CPU: '', Memory: '', Disk: '', GPU: '' },
  Network: { Type: 'Default', Domains: [], Ports: [] },
  Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
};

/** How far a job is that this peer does not keep; `job describe` asks its keepers for the proof. */
const HEARSAY = 'As told by another peer.';

/**
 * A line of the job list as a job: what a summary does not carry is empty. Clients read `Tasks[0]`
 * without looking, so it is always there.
 */
export function summaryJson(summary: ListedJob): JobJson {
  return {
    ID: summary.job,
    Name: summary.name || summary.job,
    Namespace: summary.namespace,
    Type: summary.jobType,
    Priority: 0,
    Count: summary.count,
    Constraints: [],
    Meta: {},
    Labels: summary.labels,
    Tasks: [{ ...EMPTY_TASK, Engine: { Type: summary.engine, Params: {} } }],
    // The list of this peer is all that is asked: what others say of their jobs is not proved here.
    State: { StateType: summary.state, Message: summary.vouched ? '' : HEARSAY },
    ...exitCodeJson(summary.exitCode),
    Version: summary.version,
    VersionTime: nanosOf(summary.createdAt),
    Revision: 1,
    CreateTime: nanosOf(summary.createdAt),
    ModifyTime: nanosOf(summary.modifiedAt),
  };
}

/** Cores and bytes, zero members left out. */
export function resourcesJson(resources: Resources): ResourcesJson {
  return {
    ...(resources.cpuMillis > 0 ? { CPU: resources.cpuMillis / 1000 } : {}),
    ...(resources.memoryBytes > 0 ? { Memory: resources.memoryBytes } : {}),
    ...(resources.diskBytes > 0 ? { Disk: resources.diskBytes } : {}),
    ...(resources.gpus > 0 ? { GPU: resources.gpus } : {}),
  };
}

function runOutput(facts: ExecutionFacts): RunOutputJson | null {
  const last = facts.states.at(-1)?.body;
  const exitCode = last?.exitCode ?? facts.accept?.body.exitCode ?? null;
  const output = last?.output ?? null;
  if (exitCode === null && output === null) return null;
  return {
    Stdout: output?.stdout ?? '',
    StdoutTruncated: output?.stdoutTruncated ?? false,
    stderr: output?.stderr ?? '',
    StderrTruncated: output?.stderrTruncated ?? false,
    ExitCode: exitCode ?? -1,
    ErrorMsg: last?.failure?.message ?? '',
  };
}

type Neighbours = (facts: ExecutionFacts) => { previous: string; next: string };

/** The attempts before and after each; indexed, because a job may have thirty thousand. */
function neighboursOf(all: readonly ExecutionFacts[]): Neighbours {
  const assigned = all.filter(({ assign }) => assign !== null);
  // Of two that claim one attempt the first counts.
  const ids = new Map(
    assigned.toReversed().map((one) => [`${one.partition}/${one.attempt}`, one.id]),
  );
  return ({ assign, partition, attempt }) => {
    const at = (other: number): string => ids.get(`${partition}/${other}`) ?? '';
    return assign === null
      ? { previous: '', next: '' }
      : { previous: at(attempt - 1), next: at(attempt + 1) };
  };
}

/** A program that does not run for now is not told as running, though its execution goes on. */
function phaseText({ standing, states }: ExecutionFacts): string {
  const retryMs = states.at(-1)?.body.retryMs ?? null;
  if (!standing.wanted || retryMs === null) return standing.phase;
  return retryMs === 0 ? 'resting' : 'restarting';
}

const AWAY = 'nothing is heard of its node; it goes on when the node is back';

/**
 * Every execution of the job, by partition and attempt.
 * @param isAway whether nothing is heard of a node: what every node runs keeps its place there
 * @param rolls whether the present version, when it is a later one, has not taken the place of all of them yet
 */
export function executionsJson(
  { records, current }: Pick<JobView, 'records' | 'current'>,
  isAway: (node: string) => boolean = () => false,
  rolls = false,
): ExecutionJson[] {
  const { job, spec, version } = records.spec.body;
  const all = executionFacts(records, version < current ? { version: current, rolls } : null);
  const neighbours = neighboursOf(all);
  const evaluation = evaluationIdOf(job, version);
  return all.map((facts) => {
    const { previous, next } = neighbours(facts);
    const { standing } = facts;
    const why = standing.wanted && isAway(facts.node) ? AWAY : standing.why;
    const created = facts.assign?.hlc ?? facts.states[0]?.hlc ?? records.spec.hlc;
    const changed = Math.max(created, facts.states.at(-1)?.hlc ?? 0, facts.accept?.hlc ?? 0);
    const result = resultOf(facts);
    return {
      ID: facts.id,
      Namespace: spec.Namespace,
      EvalID: facts.version === version ? evaluation : evaluationIdOf(job, facts.version),
      Name: facts.id,
      NodeID: facts.node,
      JobID: job,
      JobVersion: facts.version,
      AllocatedResources: { Tasks: { [spec.Task.Name]: resourcesJson(spec.Task.resources) } },
      DesiredState: { StateType: standing.wanted ? 1 : 2, Message: why },
      ComputeState: { StateType: EXECUTION_STATES[standing.phase].number, Message: why },
      PublishedResult: result ?? { Type: '' },
      RunOutput: runOutput(facts),
      PreviousExecution: previous,
      NextExecution: next,
      FollowupEvalID: '',
      PartitionIndex: facts.partition,
      Revision: 1 + facts.states.length,
      CreateTime: nanosOf(created),
      ModifyTime: nanosOf(changed),
      Attempt: facts.attempt,
      Restarts: facts.states.at(-1)?.body.restarts ?? 0,
      Phase: phaseText(facts),
    };
  });
}

function resultOf(facts: ExecutionFacts): ResultJson | null {
  const last = facts.states.at(-1)?.body;
  const ref = facts.accept?.body.result ?? last?.result ?? null;
  if (ref === null) return null;
  const holders = facts.accept?.body.holders ?? [];
  return {
    Type: 'ipfs',
    Params: {
      CID: ref.cid,
      Bytes: ref.bytes,
      Partition: facts.partition,
      ExecutionID: facts.id,
      NodeID: facts.node,
      ExitCode: facts.accept?.body.exitCode ?? last?.exitCode ?? 0,
      Holders: holders.length > 0 ? holders : [facts.node],
    },
  };
}

/**
 * What the job produced, by partition: the accepted results of a batch job, every completed one of
 * an ops job. Holders are the nodes to ask first.
 */
export function resultsJson(records: JobRecords): ResultJson[] {
  const decided = JOB_TYPES[records.spec.body.spec.Type].counted;
  return executionFacts(records)
    .filter((facts) => (decided ? facts.accept !== null : facts.standing.phase === 'completed'))
    .map(resultOf)
    .filter((result) => result !== null);
}

function waitingJson(view: WaitingView): WaitingJson {
  return {
    NodesKnown: view.nodesKnown,
    NodesAnswered: view.nodesAnswered,
    PartitionsWaiting: view.partitionsWaiting,
    KeepersReached: view.keepersReached,
    Keepers: view.keepers,
    Refusals: view.refusals.map(({ refusal, nodes }) => ({
      Code: refusal.code,
      Nodes: nodes,
      Text: explainRefusal(refusal),
    })),
    Explanation: explainWaiting(view),
  };
}

const keepersJson = (view: KeepersView, wanted: number, reseeded: number): KeepersJson => ({
  Total: view.total,
  Nodes: view.nodes,
  Wanted: wanted,
  Answering: view.total - view.silent.length,
  Silent: view.silent,
  Leader: view.leader,
  Reseeded: reseeded,
  Explanation: explainKeepers(view),
});

/** Completed, failed or stopped: nothing more will happen to it. */
export const isOver = (state: JobState): boolean =>
  state === 'Completed' || state === 'Failed' || state === 'Stopped';

/** The answer about one job without its lists. */
export function jobAnswer(view: JobView): JobAnswer {
  const waits = view.waiting !== null && !isOver(view.state);
  const { configs = [] } = view.records;
  const reseeded = configs.filter(({ record }) => record.body.reseeds !== undefined).length;
  return {
    Job: jobJson(view),
    Waiting: waits ? waitingJson(view.waiting) : null,
    Keepers: view.keepers === null ? null : keepersJson(view.keepers, view.keepersWanted, reseeded),
  };
}
