/** The columns of the lists, in the order in which Bacalhau shows them. */
import { own } from '../job/own.ts';
import type {
  ExecutionJson,
  HistoryJson,
  JobJson,
  ResourcesJson,
  ResultJson,
  NodeStateJson,
} from '../api/types.ts';
import { formatBytes } from '../lib/units.ts';
import type { Column } from './output.ts';
import { executionStateStyle, executionStateText, stateStyle, stateText } from './state.ts';
import { dateTime, msOfNanos, msOfText, shortId, shortNode } from './text.ts';

export const jobColumns: readonly Column<JobJson>[] = [
  { title: 'Created', value: (job) => dateTime(msOfNanos(job.CreateTime)), spare: 1 },
  { title: 'ID', value: (job) => shortId(job.ID) },
  { title: 'Name', value: (job) => job.Name, maxWidth: 32 },
  { title: 'Job', value: (job) => job.Tasks[0]?.Engine.Type ?? '', spare: 3 },
  { title: 'Type', value: (job) => job.Type, spare: 2 },
  { title: 'State', value: stateText, style: stateStyle },
];

export const versionColumns: readonly Column<JobJson>[] = [
  { title: 'Created At', value: (job) => dateTime(msOfNanos(job.VersionTime)), spare: 2 },
  { title: 'Job Version', value: (job) => String(job.Version) },
  { title: 'Count', value: (job) => String(job.Count), spare: 1 },
  { title: 'State', value: stateText, style: stateStyle },
  { title: 'Comment', value: (job) => job.State.Message, maxWidth: 80 },
];

const DESIRED = ['Pending', 'Running', 'Stopped'];

export const executionColumns: readonly Column<ExecutionJson>[] = [
  { title: 'Created', value: (one) => dateTime(msOfNanos(one.CreateTime)), spare: 3 },
  { title: 'Modified', value: (one) => dateTime(msOfNanos(one.ModifyTime)), spare: 5 },
  { title: 'ID', value: (one) => shortId(one.ID) },
  { title: 'Part.', value: (one) => String(one.PartitionIndex) },
  { title: 'Job Version', value: (one) => String(one.JobVersion), spare: 4 },
  { title: 'Node ID', value: (one) => shortNode(one.NodeID) },
  { title: 'Rev.', value: (one) => String(one.Revision), spare: 6 },
  { title: 'State', value: executionStateText, style: executionStateStyle },
  { title: 'Desired', value: (one) => DESIRED[one.DesiredState.StateType] ?? '', spare: 2 },
  { title: 'Comment', value: (one) => one.ComputeState.Message, maxWidth: 80 },
];

export const executionDetailColumns: readonly Column<ExecutionJson>[] = [
  ...executionColumns.filter(({ title }) => title !== 'Job Version' && title !== 'Comment'),
  {
    title: 'Exit',
    // Of what goes on, that of the run before.
    value: (one) =>
      one.Phase === 'completed' || one.Restarts > 0 ? String(one.RunOutput?.ExitCode ?? '') : '',
    spare: 7,
  },
  {
    title: 'Restarts',
    value: (one) => (one.Restarts > 0 ? String(one.Restarts) : ''),
    spare: 1,
  },
  { title: 'Comment', value: (one) => one.ComputeState.Message, wraps: true },
];

/** Empty for what is of the job, and where each node decides for itself. */
const partitionOf = ({ Event }: HistoryJson): string => Event.Details['Partition'] ?? '';

export const historyColumns: readonly Column<HistoryJson>[] = [
  { title: 'Time', value: (event) => dateTime(msOfText(event.Time)), spare: 1 },
  { title: 'Level', value: (event) => event.Type, spare: 5 },
  { title: 'Job Version', value: (event) => String(event.JobVersion), spare: 4 },
  { title: 'Exec. ID', value: (event) => shortId(event.ExecutionID ?? ''), spare: 3 },
  { title: 'Part.', value: partitionOf, spare: 2 },
  { title: 'Topic', value: (event) => event.Event.Topic, spare: 6 },
  { title: 'Event', value: (event) => event.Event.Message, wraps: true },
];

export const resultColumns: readonly Column<ResultJson>[] = [
  { title: 'Part.', value: ({ Params }) => String(Params.Partition) },
  { title: 'CID', value: ({ Params }) => Params.CID },
  { title: 'Size', value: ({ Params }) => formatBytes(Params.Bytes), spare: 2 },
  { title: 'At', value: ({ Params }) => Params.Holders.map(shortNode).join(' '), spare: 1 },
];

const pair = (node: NodeStateJson, text: (resources: ResourcesJson) => string): string => {
  const { AvailableCapacity, MaxCapacity } = node.Info.ComputeNodeInfo;
  return `${text(AvailableCapacity)} / ${text(MaxCapacity)}`;
};

const base: readonly Column<NodeStateJson>[] = [
  {
    title: 'ID',
    value: (node) => `${shortNode(node.Info.NodeID)}${node.Shoal.Self ? ' (this)' : ''}`,
  },
  { title: 'Type', value: (node) => node.Info.NodeType, spare: 9 },
  { title: 'Approval', value: (node) => node.Membership, spare: 10 },
  {
    title: 'Status',
    // Its disk is full, or it is about to leave.
    value: (node) => `${node.Connection}${node.Shoal.Keeps ? '' : ' (takes nothing)'}`,
  },
];

/** What every node says of its machine, and which tells nothing of what its operator wanted; comes last. */
const OF_MACHINE: ReadonlySet<string> = new Set([
  'Operating-System',
  'Architecture',
  'os_type',
  'os_arch',
  'name',
]);

const groups: Readonly<Record<string, readonly Column<NodeStateJson>[]>> = {
  labels: [
    {
      title: 'Labels',
      value: (node) =>
        Object.entries(node.Info.Labels)
          .sort(([a], [b]) => Number(OF_MACHINE.has(a)) - Number(OF_MACHINE.has(b)))
          .map(([key, value]) => `${key}=${value}`)
          .join(' '),
      maxWidth: 60,
      spare: 5,
    },
  ],
  version: [
    { title: 'Version', value: (node) => node.Info.BacalhauVersion.Shoal, spare: 4 },
    { title: 'Architecture', value: (node) => node.Info.Labels['os_arch'] ?? '', spare: 6 },
    { title: 'OS', value: (node) => node.Info.Labels['os_type'] ?? '', spare: 6 },
  ],
  features: [
    {
      title: 'Engines',
      value: (node) => node.Info.ComputeNodeInfo.ExecutionEngines.join(' '),
      spare: 2,
    },
    {
      title: 'Inputs From',
      value: (node) => node.Info.ComputeNodeInfo.StorageSources.join(' '),
      spare: 3,
    },
    {
      title: 'Outputs',
      value: (node) => node.Info.ComputeNodeInfo.Publishers.join(' '),
      spare: 3,
    },
  ],
  capacity: [
    {
      title: 'CPU',
      value: (node) => pair(node, ({ CPU }) => String(Math.round((CPU ?? 0) * 10) / 10)),
    },
    { title: 'Memory', value: (node) => pair(node, ({ Memory }) => formatBytes(Memory ?? 0)) },
    {
      title: 'Disk',
      value: (node) => pair(node, ({ Disk }) => formatBytes(Disk ?? 0)),
      spare: 7,
    },
    { title: 'GPU', value: (node) => pair(node, ({ GPU }) => String(GPU ?? 0)), spare: 8 },
  ],
};

export const nodeGroups: readonly string[] = Object.keys(groups);

/** `show`: group names; unknown ones are for the caller to refuse. */
export const nodeColumns = (show: readonly string[]): readonly Column<NodeStateJson>[] => [
  ...base,
  ...show.flatMap((name) => own(groups, name) ?? []),
];
