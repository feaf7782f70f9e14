/**
 * What a reference means: a job id, the beginning of one, or a name. A name means the newest job of
 * the asking owner key that has it; another owner's job only when the own owner has none, because
 * anybody may give a job any name.
 */
import { asJobId, isJobId } from '../record/ids.ts';
import type { JobId, PublicKey } from '../record/ids.ts';
import { createdAt } from './job-index.ts';
import type { With } from '../node/state.ts';

/** `j-` and four digits: shorter beginnings stand for too many jobs. */
const PREFIX_MIN = 6;
/** More jobs than this are not listed for one ambiguous prefix. */
const MATCHES_MAX = 20;

/** A reference and whose jobs come first. */
export interface Ref {
  readonly ref: string;
  readonly namespace: string;
  readonly owner: PublicKey;
}

/** What of a job a reference is compared with. */
export interface Named {
  readonly job: JobId;
  readonly owner: PublicKey;
  readonly name: string;
  readonly namespace: string;
}

/** How well a job fits a reference; lower is better. */
export type Fit = 'id' | 'own-name' | 'own-prefix' | 'prefix' | 'name';
const ORDER: Readonly<Record<Fit, number>> = {
  id: 0,
  'own-name': 1,
  'own-prefix': 2,
  prefix: 3,
  name: 4,
};

export const better = (a: Fit, b: Fit): boolean => ORDER[a] < ORDER[b];

/** A name means one job; the beginning of an id stands for all that begin so. */
export const isName = (fit: Fit): boolean => fit === 'own-name' || fit === 'name';

/** null: the reference cannot mean this job. */
export function fitOf(ref: Ref, named: Named): Fit | null {
  if (named.job === ref.ref) return 'id';
  // Whoever calls a job by another job's id means to be mistaken for it.
  if (isJobId(ref.ref)) return null;
  const own = named.owner === ref.owner;
  if (named.name === ref.ref && named.namespace === ref.namespace) return own ? 'own-name' : 'name';
  if (!ref.ref.startsWith('j-') || ref.ref.length < PREFIX_MIN) return null;
  if (!named.job.startsWith(ref.ref)) return null;
  return own ? 'own-prefix' : 'prefix';
}

export interface Resolved {
  readonly fit: Fit;
  /** One for an id or a name, all that fit for the beginning of an id. */
  readonly jobs: readonly JobId[];
}

/** What a reference means as far as this node knows; null when it knows nothing of the kind. */
export function resolve(core: With<'asking' | 'keeping'>, ref: Ref): Resolved | null {
  const exact = asJobId(ref.ref);
  const { kept, shelf } = core.keeping;
  if (kept.has(exact) || shelf.has(exact) || core.asking.index.has(exact))
    return { fit: 'id', jobs: [exact] };
  if (isJobId(ref.ref)) return null;
  const found: { fit: Fit; jobs: JobId[]; madeAt: number }[] = [];
  for (const [named, madeAt] of everyJob(core)) {
    const fit = fitOf(ref, named);
    if (fit === null) continue;
    const best = found[0];
    const newer = best?.fit === fit && isName(fit) && madeAt > best.madeAt;
    if (best === undefined || better(fit, best.fit) || newer) {
      found[0] = { fit, jobs: [named.job], madeAt };
    } else if (best.fit === fit && !isName(fit) && best.jobs.length < MATCHES_MAX) {
      best.jobs.push(named.job);
    }
  }
  return found[0] ?? null;
}

/** Every job this node knows of, with the time it counts as made. */
function* everyJob(core: With<'asking' | 'keeping'>): Generator<readonly [Named, number]> {
  const { kept, cards } = core.keeping;
  for (const { summary, owner } of core.asking.index.values()) {
    if (!kept.has(summary.job) && !cards.has(summary.job))
      yield [{ ...summary, owner }, summary.createdAt];
  }
  for (const { summary, owner } of cards.values()) {
    if (!kept.has(summary.job)) yield [{ ...summary, owner }, summary.createdAt];
  }
  for (const { ledger } of kept.values()) {
    const { spec: signed } = ledger;
    const { job, owner, spec } = signed.body;
    const named = { job, owner, name: spec.Name, namespace: spec.Namespace };
    yield [named, createdAt(core, signed)];
  }
}
