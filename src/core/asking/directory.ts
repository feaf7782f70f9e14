/**
 * What this node tells others about jobs, and what it remembers of what they tell it. It answers only
 * with what it keeps, so an answer needs no further hearsay; asking is in `lookup.ts`.
 */
import { chainOf, currentOf } from '../record/chain.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { LIST_MAX, SPECS_MAX } from '../contract/limits.ts';
import { recall, specOn } from '../keeping/shelf.ts';
import { allow, pointsFor } from '../mesh/allowance.ts';
import { asJobId, isJobId } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { createdAt, hintNodes, indexJob } from './job-index.ts';
import { exitCodeOf, recordsOf, summaryOf } from '../record/ledger.ts';
import { pastOf } from '../record/past.ts';
import { certifiedBytes, recordBytes } from '../node/fitting.ts';
import { partitionsIn } from '../record/slot.ts';
import type { Suite } from '../record/suite.ts';
import type { Ledger } from '../record/ledger.ts';
import type {
  Answer,
  CertifiedResult,
  Gossip,
  JobRecords,
  JobState,
  JobSummary,
  Question,
} from '../contract/messages.ts';
import { resolve } from './names.ts';
import { isQueued, waitingView } from '../placing/place.ts';
import type { CloseOutcome, Signed } from '../record/records.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import { isGuest } from '../keeping/changing.ts';
import type { KeptJob } from '../keeping/state.ts';
import { checkSpec } from '../record/verify.ts';
import type { With } from '../node/state.ts';

/** Of the records of one answer; beside them it has a spec and what keeps the job waiting. */
const ANSWER_BYTES_MAX = 600_000;
/** What an asker pays for at most: an answer has no more, however large the job. */
const ANSWER_RECORDS_MAX = 400;

/** So few values and states fit without being measured; most jobs have no more. */
const FITS_ALWAYS = 12;

/** Points of an allowance: finding one job costs little, a name or a list goes through all of them. */
const POINTS = { id: 1, name: 10, jobs: 100, specs: 20 } as const;

// — what others tell

export function onGossipAnnounce(
  core: With<'asking' | 'keeping'>,
  from: NodeId,
  message: Extract<Gossip, { type: 'announce' }>,
): void {
  const { spec, leader, job } = message.announcement;
  const known = core.asking.index.get(job);
  if (known !== undefined && known.summary.version >= message.announcement.version)
    return hintNodes(known, [leader]);
  if (spec === null || core.keeping.kept.has(job)) return;
  // Who repeats gossip has not looked into it.
  if (spec.body.job !== job) return refuse(core, from, 'contradiction', false);
  const verdict = checkSpec(core.suite, spec, wallMs(core));
  if (verdict !== 'good') return refuse(core, from, verdict.code, false);
  // Whom to ask, no more: whether they keep it they must prove themselves.
  const chain = chainOf(message.announcement);
  const keepers = chain.job === job ? keeperNodes(currentOf(chain)) : [];
  indexJob(core, spec, [...new Set([leader, ...keepers])]);
}

const STATE_AFTER: Readonly<Record<CloseOutcome, JobState>> = {
  completed: 'Completed',
  failed: 'Failed',
  stopped: 'Stopped',
};

/** A hint for lists; without the admission nobody can say whether those who voted are the keepers. */
export function onGossipClosed(
  core: With<'asking'>,
  message: Extract<Gossip, { type: 'closed' }>,
): void {
  const { record, votes } = message.close;
  const known = core.asking.index.get(record.body.job);
  if (known === undefined) return;
  if (known.summary.version > record.body.version) return;
  const modifiedAt = Math.min(Math.floor(record.hlc), wallMs(core));
  const told = {
    state: STATE_AFTER[record.body.outcome],
    modifiedAt,
    ...exitCodeOf(message.close),
  };
  known.summary = { ...known.summary, ...told };
  hintNodes(
    known,
    votes.slice(0, 3).map((vote) => core.suite.nodeOf(vote.by)),
  );
}

// — answering

export function onFind(
  core: With<'mesh' | 'asking' | 'keeping'>,
  from: NodeId,
  request: RequestId,
  query: Question,
): void {
  const kind = query.type === 'job' ? kindOf(query.ref) : query.type;
  if (!allow(core, from, POINTS[kind])) return;
  if (query.type === 'job') {
    const [job, ...others] = resolve(core, query)?.jobs ?? [];
    const again = { type: 'message', from, message: { type: 'find', request, query } } as const;
    if (job !== undefined && others.length === 0 && recall(core, job, again, from)) return;
    const ledger = job === undefined ? undefined : core.keeping.kept.get(job)?.ledger;
    const records = ledger === undefined ? 0 : ledger.committed.size + ledger.states.size;
    const told = Math.min(records, ANSWER_RECORDS_MAX);
    if (others.length === 0 && !allow(core, from, pointsFor(told))) return;
  }
  send(core, from, { type: 'found', request, answer: answerTo(core, query) });
}

const kindOf = (ref: string): keyof typeof POINTS => (isJobId(ref) ? 'id' : 'name');

function answerTo(core: With<'mesh' | 'asking' | 'keeping'>, query: Question): Answer {
  switch (query.type) {
    case 'jobs':
      return { type: 'jobs', jobs: newestKept(core, query.namespace, query.limit) };
    case 'specs':
      return { type: 'specs', specs: specsOf(core, query.jobs) };
    case 'job': {
      const resolved = resolve(core, query);
      if (resolved === null) return { type: 'none' };
      if (resolved.jobs.length > 1) return { type: 'ambiguous', jobs: resolved.jobs };
      const [job = asJobId(query.ref)] = resolved.jobs;
      return jobAnswer(core, job, query.from, query.version);
    }
  }
}

/**
 * What this node can say about one job.
 * @param part the first partition to be told of, and as many as fit a message; null for all of it
 */
export function jobAnswer(
  core: With<'mesh' | 'asking' | 'keeping'>,
  job: JobId,
  part: number | null,
  version?: number,
): Answer {
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined && kept.ledger.close === null && isGuest(core, kept))
    return { type: 'elsewhere', job, nodes: keeperNodes(currentOf(kept.ledger)) };
  if (kept !== undefined) {
    const past = version === undefined ? null : pastOf(kept.ledger, version);
    const ledger = past ?? kept.ledger;
    const waiting = past === null ? waitingView(core, kept) : null;
    const told =
      part === null
        ? { records: recordsOf(ledger), next: null }
        : recordsFrom(core.suite, ledger, part);
    const current = past === null ? {} : { current: kept.ledger.spec.body.version };
    return { type: 'job', waiting, ...told, ...current };
  }
  const entry = core.asking.index.get(job);
  return entry === undefined ? { type: 'none' } : { type: 'elsewhere', job, nodes: entry.nodes };
}

/** The newest jobs that this node keeps. */
function newestKept(
  core: With<'mesh' | 'keeping'>,
  namespace: string | null,
  limit: number,
): readonly JobSummary[] {
  return summaries(core, namespace)
    .sort((a, b) => b.createdAt - a.createdAt)
    .slice(0, Math.min(limit, LIST_MAX));
}

/** All jobs that this node keeps, in any order. */
export function summaries(core: With<'mesh' | 'keeping'>, namespace: string | null): JobSummary[] {
  const { kept, cards } = core.keeping;
  const shelved = [...cards].filter(([job]) => !kept.has(job)).map(([, card]) => card.summary);
  // Of a job that others keep by now they tell more.
  const own = [...kept.values()].filter((one) => one.ledger.close !== null || !isGuest(core, one));
  return [...own.map((one) => keptSummary(core, one)), ...shelved].filter(
    (summary) => namespace === null || summary.namespace === namespace,
  );
}

function keptSummary(core: With<'mesh'>, kept: KeptJob): JobSummary {
  const { ledger } = kept;
  const summary = summaryOf(ledger, isQueued(core, kept));
  return { ...summary, createdAt: createdAt(core, ledger.spec) };
}

function specsOf(core: With<'keeping'>, jobs: readonly JobId[]): readonly Signed<'spec'>[] {
  let left = ANSWER_BYTES_MAX;
  const specs: Signed<'spec'>[] = [];
  for (const job of jobs.slice(0, SPECS_MAX)) {
    const card = core.keeping.cards.get(job);
    const spec =
      core.keeping.kept.get(job)?.ledger.spec ??
      (card === undefined ? null : specOn(core.suite, card));
    if (spec === null) continue;
    left -= recordBytes(spec, core.suite);
    if (left < 0) break;
    specs.push(spec);
  }
  return specs;
}

/** What a ledger has of its partitions from one on, as far as it fits a message, and always how the job ended. */
function recordsFrom(
  suite: Suite,
  ledger: Ledger,
  from: number,
): { readonly records: JobRecords; readonly next: number | null } {
  const whole = from === 0 && ledger.committed.size + ledger.states.size <= FITS_ALWAYS;
  if (whole) return { records: recordsOf(ledger), next: null };
  const committed: CertifiedResult[] = [ledger.version ?? [], ledger.close ?? []].flat();
  const states: Signed<'state'>[] = [];
  const partitions = partitionsIn(ledger.spec.body);
  let left = ANSWER_BYTES_MAX;
  for (let index = from; index < partitions; index += 1) {
    const partition = ledger.partitions.get(index);
    if (partition === undefined) continue;
    const attempts = [...partition.attempts.values()];
    const values = attempts.map(({ assign }): CertifiedResult => assign);
    if (partition.accept !== null) values.push(partition.accept);
    const told = attempts.flatMap(({ state }) => state ?? []);
    for (const value of values) left -= certifiedBytes(value, suite);
    for (const state of told) left -= recordBytes(state, suite);
    // At least one, or whoever asks would never get on.
    if (left < 0 && index > from)
      return { records: { ...recordsOf(ledger), committed, states }, next: index };
    committed.push(...values);
    states.push(...told);
  }
  return { records: { ...recordsOf(ledger), committed, states }, next: null };
}
