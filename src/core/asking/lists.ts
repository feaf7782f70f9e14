/**
 * Lists of jobs for a local request: what this node keeps and has heard of, and how far others say that
 * they are, for what it is worth. A line needs a spec that its owner signed.
 */
import { SPECS_MAX } from '../contract/limits.ts';
import { summaries } from './directory.ts';
import { hintNodes, indexJob } from './job-index.ts';
import { ask } from './questions.ts';
import type { Lookup } from './state.ts';
import type { Answer, JobSummary, ListedJob } from '../contract/messages.ts';
import type { JobId, NodeId, PublicKey } from '../record/ids.ts';
import { checkSpec } from '../record/verify.ts';
import { refuse, wallMs } from '../node/outbox.ts';
import type { With } from '../node/state.ts';

/** Specs fetched from one node for one list; the next list fetches the next. */
const FETCH_MAX = 4 * SPECS_MAX;

/** This node can list it by itself. */
const isKnown = (core: With<'keeping'>, job: JobId): boolean =>
  core.keeping.kept.has(job) || core.keeping.cards.has(job);

/** How far each job is, for what it is worth; the specs of those unknown here are asked for. */
export function takeList(
  core: With<'asking' | 'keeping'>,
  lookup: Lookup,
  from: NodeId,
  jobs: readonly JobSummary[],
): void {
  const unknown: JobId[] = [];
  for (const { job, state, modifiedAt, exitCode } of jobs) {
    const told = {
      ...{ state, modifiedAt: Math.min(modifiedAt, wallMs(core)) },
      ...(exitCode === undefined ? {} : { exitCode }),
    };
    const known = lookup.told.get(job);
    if (known === undefined || newer(told, known)) lookup.told.set(job, told);
    if (!isKnown(core, job) && !core.asking.index.has(job)) unknown.push(job);
  }
  for (let at = 0; at < Math.min(unknown.length, FETCH_MAX); at += SPECS_MAX) {
    ask(core, lookup, from, { type: 'specs', jobs: unknown.slice(at, at + SPECS_MAX) });
  }
}

export function takeSpecs(
  core: With<'asking' | 'keeping'>,
  from: NodeId,
  specs: Extract<Answer, { type: 'specs' }>['specs'],
): void {
  for (const spec of specs) {
    const { job } = spec.body;
    if (isKnown(core, job)) continue;
    const known = core.asking.index.get(job);
    if (known !== undefined) {
      hintNodes(known, [from]);
      continue;
    }
    // Jobs that are over are listed, too: their spec may have expired.
    const verdict = checkSpec(core.suite, spec, 0);
    if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault);
    indexJob(core, spec, [from]);
  }
}

const ended = ({ state }: Pick<JobSummary, 'state'>): boolean =>
  state === 'Completed' || state === 'Failed' || state === 'Stopped';

type Progress = Pick<JobSummary, 'state' | 'modifiedAt' | 'exitCode'>;

function newer(a: Progress, b: Progress): boolean {
  if (ended(a) !== ended(b)) return ended(a);
  return a.modifiedAt > b.modifiedAt;
}

function ownerOf(core: With<'asking' | 'keeping'>, job: JobId): PublicKey | undefined {
  const { kept, cards } = core.keeping;
  return (
    kept.get(job)?.ledger.spec.body.owner ??
    cards.get(job)?.owner ??
    core.asking.index.get(job)?.owner
  );
}

/** Own jobs first, so that no number of others' pushes them out of a list; then the newest. */
export function listed(
  core: With<'mesh' | 'asking' | 'keeping'>,
  lookup: Lookup,
  namespace: string | null,
  limit: number,
) {
  const own = (job: JobId): boolean => ownerOf(core, job) === core.suite.owner;
  const jobs: ListedJob[] = summaries(core, namespace).map((summary) => ({
    ...summary,
    vouched: true,
  }));
  for (const { summary } of core.asking.index.values()) {
    if (isKnown(core, summary.job)) continue;
    if (namespace !== null && summary.namespace !== namespace) continue;
    const told = lookup.told.get(summary.job);
    const progress = told !== undefined && newer(told, summary) ? told : null;
    jobs.push({ ...summary, ...progress, vouched: false });
  }
  return jobs
    .map((job) => ({ job, own: own(job.job) }))
    .sort((a, b) => Number(b.own) - Number(a.own) || b.job.createdAt - a.job.createdAt)
    .slice(0, limit)
    .map(({ job }) => job);
}
