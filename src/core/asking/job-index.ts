/**
 * What this node remembers of jobs it does not keep: a small summary of each spec whose signature it
 * has checked. Bounded in number, in bytes for each job, and by owner, so that nobody can push the
 * jobs of others out. Says nothing about whether a job was admitted; only its keepers can.
 */
import type { JobId, NodeId, PublicKey } from '../record/ids.ts';
import type { JobSummary } from '../contract/messages.ts';
import type { Signed } from '../record/records.ts';
import type { IndexEntry } from './state.ts';
import { wallMs } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';

/** Jobs indexed; with at most 2 KiB each about 20 MB in the worst case. */
const INDEX_MAX = 10_000;
/** Jobs of one other owner. */
const INDEX_PER_OWNER_MAX = 2_000;
/** Characters of all labels of one entry together; those beyond are left out. */
const LABELS_MAX = 1_024;
/** Longer names are cut, and then not found by this index. */
const NAME_MAX = 256;
/** Nodes remembered as those who should know more. */
const NODES_MAX = 5;
/** Of these, those heard of first. */
const FIRST_NODES = 2;
/** Clocks of honest nodes differ by less; a job dated later counts as made now. */
const SKEW_MS = 60_000;

/** The wall clock of a spec, but never later than now: nobody is first by a date in the future. */
export const createdAt = (core: Node, spec: Signed<'spec'>): number =>
  Math.min(Math.floor(spec.hlc), wallMs(core) + SKEW_MS);

/** Remembers a job by its spec, which must have been checked. */
export function indexJob(
  core: With<'asking'>,
  spec: Signed<'spec'>,
  nodes: readonly NodeId[],
): IndexEntry {
  const { job, owner, version } = spec.body;
  const known = core.asking.index.get(job);
  if (known !== undefined && known.summary.version >= version) return known;
  // Another version of it.
  if (known !== undefined) unindex(core, job);
  const { Name, Namespace, Type, Count, Labels, Task } = spec.body.spec;
  const made = createdAt(core, spec);
  const summary: JobSummary = {
    job,
    version,
    name: Name.slice(0, NAME_MAX),
    namespace: Namespace.slice(0, NAME_MAX),
    jobType: Type,
    engine: Task.Engine.Type.slice(0, NAME_MAX),
    state: 'Pending',
    count: Count,
    labels: fewLabels(Labels),
    createdAt: made,
    modifiedAt: made,
  };
  const entry: IndexEntry = { summary, owner, nodes: nodes.slice(0, NODES_MAX) };
  core.asking.index.set(job, entry);
  const own = core.asking.indexOf.get(owner) ?? new Set<JobId>();
  core.asking.indexOf.set(owner, own.add(job));
  makeRoom(core, owner);
  return entry;
}

/** What fits a summary that is kept for long. */
export function fewLabels(
  labels: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  // As a rule there are few or none, and all fit.
  if (Object.keys(labels).length === 0) return labels;
  let left = LABELS_MAX;
  return Object.fromEntries(
    Object.entries(labels).filter(([key, value]) => {
      left -= key.length + value.length;
      return left >= 0;
    }),
  );
}

/**
 * Others say that these nodes know of the job; the newest hint comes first. The first ones stay: anybody
 * may name nodes for a job that he heard of, and would otherwise push out those who really have it.
 */
export function hintNodes(entry: IndexEntry, nodes: readonly NodeId[]): void {
  const first = entry.nodes.slice(-FIRST_NODES);
  // As a rule it is known already: the announcement is repeated.
  if (nodes.every((node) => node === entry.nodes[0] || first.includes(node))) return;
  const others = new Set([...nodes, ...entry.nodes].filter((node) => !first.includes(node)));
  entry.nodes = [...[...others].slice(0, NODES_MAX - FIRST_NODES), ...first];
}

/** Of no interest any more. */
export function unindex(core: With<'asking'>, job: JobId): void {
  const entry = core.asking.index.get(job);
  if (entry === undefined) return;
  core.asking.index.delete(job);
  const own = core.asking.indexOf.get(entry.owner);
  own?.delete(job);
  if (own?.size === 0) core.asking.indexOf.delete(entry.owner);
}

/** The oldest of the owner that has most must go; the own owner's only when nobody else has any. */
function makeRoom(core: With<'asking'>, newcomer: PublicKey): void {
  const ofNewcomer = core.asking.indexOf.get(newcomer);
  const foreign = newcomer !== core.suite.owner;
  if (foreign && ofNewcomer !== undefined && ofNewcomer.size > INDEX_PER_OWNER_MAX) {
    dropOldest(core, ofNewcomer);
  }
  if (core.asking.index.size <= INDEX_MAX) return;
  let most: ReadonlySet<JobId> | null = null;
  for (const [owner, jobs] of core.asking.indexOf) {
    if (owner === core.suite.owner) continue;
    if (most === null || jobs.size > most.size) most = jobs;
  }
  most ??= core.asking.indexOf.get(core.suite.owner) ?? null;
  if (most !== null) dropOldest(core, most);
}

function dropOldest(core: With<'asking'>, jobs: ReadonlySet<JobId>): void {
  const oldest = jobs.values().next();
  if (!oldest.done) unindex(core, oldest.value);
}
