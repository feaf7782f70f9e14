/**
 * What this node tells others about jobs, and what it remembers of what they tell it. It answers only
 * with what it keeps, so an answer needs no further hearsay; asking is in `lookup.ts`.
 */
import { chainOf, currentOf } from '../record/chain.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { LIST_MAX, SPECS_MAX } from '../contract/limits.ts';
import { recall, specOn } from '../keeping/shelf.ts';
import { allow } from '../mesh/allowance.ts';
import { asJobId } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { createdAt, hintNodes, indexJob } from './job-index.ts';
import { isTerminal, recordsOf, summaryOf } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import type {
  Answer,
  Gossip,
  JobRecords,
  JobState,
  JobSummary,
  Question,
} from '../contract/messages.ts';
import { isJobId, resolve } from './names.ts';
import { isWaiting, waitingView } from '../placing/place.ts';
import type { CloseOutcome, Signed } from '../record/records.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import type { KeptJob } from '../keeping/state.ts';
import { checkSpec } from '../record/verify.ts';
import type { With } from '../node/state.ts';

/** Of a frame of 1 MiB; the estimate below may be off by some tens of percent. */
const ANSWER_BYTES_MAX = 600_000;

/** So few values and states, of 12 KiB each at most, fit without being measured; most jobs have no more. */
const FITS_ALWAYS = 40;

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
  if (known !== undefined) return hintNodes(known, [leader]);
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
  const modifiedAt = Math.min(Math.floor(record.hlc), wallMs(core));
  known.summary = { ...known.summary, state: STATE_AFTER[record.body.outcome], modifiedAt };
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
      return jobAnswer(core, resolved.jobs[0] ?? asJobId(query.ref));
    }
  }
}

/** What this node can say about one job. */
export function jobAnswer(core: With<'mesh' | 'asking' | 'keeping'>, job: JobId): Answer {
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) {
    return { type: 'job', records: boundedRecords(kept.ledger), waiting: waitingView(core, kept) };
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
  return [...[...kept.values()].map((one) => keptSummary(core, one)), ...shelved].filter(
    (summary) => namespace === null || summary.namespace === namespace,
  );
}

function keptSummary(core: With<'mesh'>, kept: KeptJob): JobSummary {
  const { ledger } = kept;
  const summary = summaryOf(ledger, isWaiting(kept));
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
    left -= sizeOf(spec);
    if (left < 0) break;
    specs.push(spec);
  }
  return specs;
}

/** About as many bytes as a record travels with. */
const sizeOf = (record: Signed<'spec'> | Signed<'state'>): number =>
  500 + JSON.stringify(record.body).length;

/**
 * The ledger as far as it fits a frame: how the job ended and its results first. A job of many hundred
 * partitions does not fit as a whole, and a frame that is too large is never sent.
 */
function boundedRecords(ledger: Ledger): JobRecords {
  const records = recordsOf(ledger);
  if (records.committed.length + records.states.length <= FITS_ALWAYS) return records;
  const certifiedBytes = 600 + 400 * keeperNodes(currentOf(ledger)).length;
  const roomFor = Math.floor(ANSWER_BYTES_MAX / 2 / certifiedBytes);
  let left = ANSWER_BYTES_MAX / 2;
  return {
    ...records,
    committed: ranked(records.committed, ({ record }) => VALUE_RANK[record.type]).slice(0, roomFor),
    states: ranked(records.states, ({ body }) => (isTerminal(body.phase) ? 0 : 1)).filter(
      (state) => {
        left -= sizeOf(state);
        return left >= 0;
      },
    ),
  };
}

const VALUE_RANK = { close: 0, accept: 1, assign: 2 } as const;

const ranked = <T>(list: readonly T[], rank: (item: T) => number): readonly T[] =>
  [...list].sort((a, b) => rank(a) - rank(b));
