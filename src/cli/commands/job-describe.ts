/** `job describe`: everything about a job on one page, and in words why it waits. */
import { formatDuration } from '../../lib/units.ts';
import type {
  ExecutionJson,
  HistoryJson,
  JobAnswer,
  KeepersJson,
  ListJson,
  ResultJson,
} from '../../api/types.ts';
import {
  executionColumns,
  executionDetailColumns,
  historyColumns,
  resultColumns,
} from '../columns.ts';
import { stateText } from '../state.ts';
import type { CommandCode } from '../command.ts';
import { own } from '../../job/own.ts';
import { lostAfterOf, partitionPolicyOf } from '../../job/partition-policy.ts';
import { TYPE_NAMES } from '../../job/types.ts';
import type { Client } from '../client.ts';
import { executionsOf } from '../executions.ts';
import { jobPath, jobRef } from '../ids.ts';
import type { Io } from '../io.ts';
import { reasonsOf } from '../reasons.ts';
import { keyValues, printHeading, printLines, printList, printValue } from '../output.ts';
import { dateTime, msOfNanos, plainLine, plainText, shortId, shortNode } from '../text.ts';

/** Of more executions than this only the newest few are described. */
const MANY = 100;
const FEW = 20;

interface Options {
  readonly namespace: string;
  readonly version?: number;
  readonly output: 'text' | 'json' | 'yaml';
  readonly pretty?: boolean;
}

function keepersText(keepers: KeepersJson): string {
  const { Total, Nodes, Wanted, Answering, Silent, Leader, Reseeded } = keepers;
  const silent = Silent.length === 0 ? '' : ` (not ${Silent.map(shortNode).join(', ')})`;
  const few = Total < Wanted ? `; submitted now it would have ${Wanted}` : '';
  const names = Nodes.map(shortNode).join(', ');
  const times = Reseeded === 1 ? 'once' : `${Reseeded} times`;
  const reseeded = Reseeded > 0 ? `; re-seeded ${times}` : '';
  return `${names}: ${Answering} of ${Total} answer${silent}, led by ${shortNode(Leader)}${few}${reseeded}`;
}

/** What becomes of its executions when their nodes are cut off. */
function policyOf({ Type, Meta }: JobAnswer['Job']): readonly (readonly [string, string])[] {
  const type = TYPE_NAMES.find((name) => name === Type);
  if (type === undefined) return [];
  const policy = partitionPolicyOf({ Type: type, Meta });
  const lostAfterMs = lostAfterOf({ Meta });
  const wait = lostAfterMs === null ? '' : `, lost after ${formatDuration(lostAfterMs)}`;
  return [['Policy', policy + wait]];
}

function header({ Job, Keepers }: JobAnswer): string[] {
  const created = msOfNanos(Job.CreateTime);
  const modified = msOfNanos(Job.ModifyTime);
  const counted = Job.Type === 'batch' || Job.Type === 'service';
  return keyValues([
    ['ID', Job.ID],
    ['Name', Job.Name],
    ['Namespace', Job.Namespace],
    ['Type', Job.Type],
    ['State', stateText(Job)],
    ...(Job.State.Message === '' ? [] : [['Message', Job.State.Message] as const]),
    ...(counted ? [['Count', String(Job.Count)] as const] : []),
    ...policyOf(Job),
    ...(Keepers === null ? [] : [['Keepers', keepersText(Keepers)] as const]),
    ['Created Time', dateTime(created)],
    ['Modified Time', `${dateTime(modified)} (${formatDuration(modified - created)} later)`],
    ['Version', String(Job.Version)],
  ]);
}

const ORDER = [
  'assigned',
  'received',
  'preparing',
  'starting',
  'running',
  'restarting',
  'resting',
  'publishing',
  'completed',
  'failed',
  'lost',
];

function summary({ Counts }: JobAnswer): string[] {
  const counts = ORDER.map((phase) => [phase, own(Counts ?? {}, phase) ?? 0] as const);
  return keyValues(
    counts
      .filter(([, count]) => count > 0)
      .map(([phase, count]) => [
        `${phase.charAt(0).toUpperCase()}${phase.slice(1)}`,
        String(count),
      ]),
  );
}

/** Of the newest execution that printed anything. */
function standardOutput(executions: readonly ExecutionJson[]): string[] {
  const output = executions.find(
    ({ RunOutput }) => RunOutput !== null && (RunOutput.Stdout !== '' || RunOutput.stderr !== ''),
  )?.RunOutput;
  if (output === undefined || output === null) return [];
  const lines = [output.Stdout, output.stderr]
    .filter((text) => text !== '')
    .map((text) => plainText(text).replace(/\n$/, ''));
  return output.StdoutTruncated || output.StderrTruncated
    ? [...lines, '... Output truncated']
    : lines;
}

/** Where each result is, by which CID, and how long it stays. */
async function results(
  { io, client }: Parameters<CommandCode<Options>>[0],
  { Job, Retention }: JobAnswer,
  version: number | undefined,
): Promise<void> {
  if (Job.Type !== 'batch' && Job.Type !== 'ops') return;
  const query = { namespace: Job.Namespace, job_version: version };
  const { Items } = await client().get<ListJson<ResultJson>>(`${jobPath(Job.ID)}/results`, query);
  if (Items.length > 0) {
    await printHeading(io, 'Results');
    const shown = Items.length > MANY ? Items.slice(0, FEW) : Items;
    await printList(io, shown, resultColumns, {});
    if (shown.length < Items.length)
      await printLines(io, [`${Items.length - shown.length} more are not shown.`]);
  }
  if (Retention === undefined || !['Completed', 'Failed', 'Stopped'].includes(Job.State.StateType))
    return;
  const until = (seconds: number): string => dateTime(msOfNanos(Job.ModifyTime) + seconds * 1_000);
  const { ResultsSeconds, LogsSeconds } = Retention;
  const kept = Items.length === 0 ? [] : [`Results stay until ${until(ResultsSeconds)}.`];
  await printLines(io, ['', ...kept, `Logs stay until ${until(LogsSeconds)}.`]);
}

async function section(io: Io, title: string, lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return;
  await printHeading(io, title);
  await printLines(io, lines);
}

async function histories(
  io: Io,
  events: readonly HistoryJson[],
  executions: readonly ExecutionJson[],
  olds: readonly ExecutionJson[],
): Promise<void> {
  const shown = historyColumns.filter(
    ({ title }) => title === 'Time' || title === 'Topic' || title === 'Event',
  );
  await printHeading(io, 'Job History');
  await printList(
    io,
    events.filter(({ Type }) => Type === 'JobLevel'),
    shown,
    {},
  );
  if (executions.length + olds.length > 0) {
    await printHeading(io, 'Executions');
    const version = executionColumns.filter(({ title }) => title === 'Job Version');
    const columns = olds.length === 0 ? [] : version;
    await printList(io, [...executions, ...olds], [...columns, ...executionDetailColumns], {});
  }
  for (const { ID, PartitionIndex, NodeID } of executions) {
    const which = `partition ${PartitionIndex} on ${shortNode(NodeID)}`;
    await printHeading(io, `Execution ${shortId(ID)} History (${which})`);
    await printList(
      io,
      events.filter(({ ExecutionID }) => ExecutionID === ID),
      shown,
      {},
    );
  }
}

/** Executions of all phases. */
const total = ({ Counts }: JobAnswer): number =>
  Object.values(Counts ?? {}).reduce((sum, count) => sum + count, 0);

/** The newest executions: all of them, or the first few of a large job. */
async function newest(
  client: Client,
  answer: JobAnswer,
  { namespace, version }: Options,
): Promise<readonly ExecutionJson[]> {
  const { Items = [], NextToken = '' } = answer.Executions ?? {};
  if (NextToken !== '') {
    const query = { job: answer.Job.ID, namespace, version, limit: FEW, orderBy: 'created_at' };
    return (await executionsOf(client, { ...query, reverse: true })).items;
  }
  const all = [...Items].sort((a, b) => Number(BigInt(b.CreateTime) - BigInt(a.CreateTime)));
  return all.length > MANY ? all.slice(0, FEW) : all;
}

const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);

/** Replicas of earlier versions that still go on, while a service goes over to this one; the newest first. */
async function rolledFrom(
  client: Client,
  { Job, Counts }: JobAnswer,
  { namespace, version }: Options,
): Promise<readonly ExecutionJson[]> {
  const { Type, State, Version, Count, ID: job } = Job;
  const isUp = (own(Counts ?? {}, 'running') ?? 0) >= Count;
  if (Type !== 'service' || State.StateType !== 'Running' || Version === 1 || isUp) return [];
  if (version !== undefined) return [];
  const query = { job, namespace, allVersions: true, limit: MANY, orderBy: 'created_at' };
  // Without them there is still all of the present version to show.
  const told = await executionsOf(client, { ...query, reverse: true }).catch(() => null);
  return (told?.items ?? []).filter(
    ({ JobVersion, Phase }) => JobVersion < Version && !ENDED.has(Phase),
  );
}

const moreText = ({ Job }: JobAnswer, hidden: number): string =>
  `${hidden} older executions are not shown: shoal job executions ${shortId(Job.ID)} --limit ${hidden + FEW}`;

/** What each node decides for itself does not wait because others do not match. */
const headingOf = ({ Type, State }: JobAnswer['Job']): string =>
  State.StateType === 'Running' && (Type === 'daemon' || Type === 'ops')
    ? 'Where it does not run'
    : 'Why it waits';

export const jobDescribe: CommandCode<Options> = async ({ io, client }, [ref], options) => {
  const answer = await client().get<JobAnswer>(jobPath(jobRef(ref)), {
    namespace: options.namespace,
    job_version: options.version,
    include: 'executions,history',
  });
  if (options.output !== 'text')
    return printValue(io, answer, options.output, options.pretty === true);
  const newestFirst = await newest(client(), answer, options);
  await printLines(io, header(answer));
  await section(
    io,
    headingOf(answer.Job),
    reasonsOf(answer).map((line) => `- ${plainLine(line)}`),
  );
  await section(io, 'Summary', summary(answer));
  const olds = await rolledFrom(client(), answer, options);
  await histories(io, answer.History?.Items ?? [], newestFirst, olds);
  const hidden = total(answer) - newestFirst.length;
  if (hidden > 0) await printLines(io, ['', moreText(answer, hidden)]);
  await results({ io, client }, answer, options.version);
  await section(io, 'Standard Output', standardOutput(newestFirst));
};
