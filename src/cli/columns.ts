/** The columns of the lists, in the order in which Bacalhau shows them. */
import { own } from '../job/own.ts';
import type {
  ExecutionJson,
  HistoryJson,
  JobJson,
  ResourcesJson,
  NodeStateJson,
} from '../api/types.ts';
import { formatBytes } from '../lib/units.ts';
import type { Column } from './output.ts';
import { dateTime, msOfNanos, shortId, shortNode } from './text.ts';

export const jobColumns: readonly Column<JobJson>[] = [
  { title: 'Created', value: (job) => dateTime(msOfNanos(job.CreateTime)) },
  { title: 'ID', value: (job) => shortId(job.ID) },
  { title: 'Name', value: (job) => job.Name, maxWidth: 32 },
  { title: 'Job', value: (job) => job.Tasks[0]?.Engine.Type ?? '' },
  { title: 'Type', value: (job) => job.Type },
  { title: 'State', value: (job) => job.State.StateType },
];

export const versionColumns: readonly Column<JobJson>[] = [
  { title: 'Created At', value: (job) => dateTime(msOfNanos(job.VersionTime)) },
  { title: 'Job Version', value: (job) => String(job.Version) },
  { title: 'Count', value: (job) => String(job.Count) },
  { title: 'State', value: (job) => job.State.StateType },
  { title: 'Comment', value: (job) => job.State.Message, maxWidth: 80 },
];

const DESIRED = ['Pending', 'Running', 'Stopped'];

const capitalised = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

export const executionColumns: readonly Column<ExecutionJson>[] = [
  { title: 'Created', value: (one) => dateTime(msOfNanos(one.CreateTime)) },
  { title: 'Modified', value: (one) => dateTime(msOfNanos(one.ModifyTime)) },
  { title: 'ID', value: (one) => shortId(one.ID) },
  { title: 'Job Version', value: (one) => String(one.JobVersion) },
  { title: 'Node ID', value: (one) => shortNode(one.NodeID) },
  { title: 'Rev.', value: (one) => String(one.Revision) },
  { title: 'State', value: (one) => capitalised(one.Phase) },
  { title: 'Desired', value: (one) => DESIRED[one.DesiredState.StateType] ?? '' },
  { title: 'Comment', value: (one) => one.ComputeState.Message, maxWidth: 80 },
];

export const executionDetailColumns: readonly Column<ExecutionJson>[] = [
  ...executionColumns.filter(({ title }) => title !== 'Job Version' && title !== 'Comment'),
  {
    title: 'Exit',
    // Of what goes on, that of the run before.
    value: (one) =>
      one.Phase === 'completed' || one.Restarts > 0 ? String(one.RunOutput?.ExitCode ?? '') : '',
  },
  { title: 'Restarts', value: (one) => (one.Restarts > 0 ? String(one.Restarts) : '') },
  { title: 'Comment', value: (one) => one.ComputeState.Message },
];

export const historyColumns: readonly Column<HistoryJson>[] = [
  { title: 'Time', value: (event) => event.Time.slice(0, 19).replace('T', ' ') },
  { title: 'Level', value: (event) => event.Type },
  { title: 'Job Version', value: (event) => String(event.JobVersion) },
  { title: 'Exec. ID', value: (event) => shortId(event.ExecutionID ?? '') },
  { title: 'Topic', value: (event) => event.Event.Topic },
  { title: 'Event', value: (event) => event.Event.Message, maxWidth: 120 },
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
  { title: 'Type', value: (node) => node.Info.NodeType },
  { title: 'Approval', value: (node) => node.Membership },
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
    },
  ],
  version: [
    { title: 'Version', value: (node) => node.Info.BacalhauVersion.Shoal },
    { title: 'Architecture', value: (node) => node.Info.Labels['os_arch'] ?? '' },
    { title: 'OS', value: (node) => node.Info.Labels['os_type'] ?? '' },
  ],
  features: [
    { title: 'Engines', value: (node) => node.Info.ComputeNodeInfo.ExecutionEngines.join(' ') },
    { title: 'Inputs From', value: (node) => node.Info.ComputeNodeInfo.StorageSources.join(' ') },
    { title: 'Outputs', value: (node) => node.Info.ComputeNodeInfo.Publishers.join(' ') },
  ],
  capacity: [
    {
      title: 'CPU',
      value: (node) => pair(node, ({ CPU }) => String(Math.round((CPU ?? 0) * 10) / 10)),
    },
    { title: 'Memory', value: (node) => pair(node, ({ Memory }) => formatBytes(Memory ?? 0)) },
    { title: 'Disk', value: (node) => pair(node, ({ Disk }) => formatBytes(Disk ?? 0)) },
    { title: 'GPU', value: (node) => pair(node, ({ GPU }) => String(GPU ?? 0)) },
  ],
};

export const nodeGroups: readonly string[] = Object.keys(groups);

/** `show`: group names; unknown ones are for the caller to refuse. */
export const nodeColumns = (show: readonly string[]): readonly Column<NodeStateJson>[] => [
  ...base,
  ...show.flatMap((name) => own(groups, name) ?? []),
];
