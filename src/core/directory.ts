/**
 * Looking jobs up from any node, and the owner's stop. What this node does not keep it asks for:
 * first whom it heard of, then its neighbours. Every answer consists of signed records, so it does
 * not matter who gives it.
 */
import { after, asJobId } from './ids.ts';
import type { JobId, NodeId, RequestId } from './ids.ts';
import { recordsOf, summaryOf } from './ledger.ts';
import type { Answer, Gossip, JobRecords, JobSummary, Message, Query } from './messages.ts';
import { waitingView } from './place.ts';
import { remember, reply, send } from './state.ts';
import type { Core, Lookup } from './state.ts';
import { stopJob } from './stop.ts';
import { checkActivation, checkCommitted, checkState } from './verify.ts';

/** Job summaries heard of and kept. */
const indexMax = 10_000;
const lookupMs = 2_000;
/** Neighbours asked when nobody is known to know. */
const fanOut = 64;
const listMax = 1_000;
/** Nodes followed from one hint. */
const nodesMax = 8;

// — what others tell

export function onGossipAnnounce(core: Core, message: Extract<Gossip, { type: 'announce' }>): void {
  const { spec, leader, job, version } = message.announcement;
  const known = core.index.get(job);
  if (known !== undefined) {
    known.nodes = [leader, ...known.nodes.filter((node) => node !== leader)].slice(0, 5);
    return;
  }
  if (spec === null || spec.body.job !== job || core.kept.has(job)) return;
  const summary: JobSummary = {
    job,
    version,
    name: spec.body.spec.Name,
    namespace: spec.body.spec.Namespace,
    jobType: spec.body.spec.Type,
    engine: spec.body.spec.Task.Engine.Type,
    state: 'Pending',
    count: spec.body.spec.Count,
    labels: spec.body.spec.Labels,
    createdAt: Math.floor(spec.hlc),
    modifiedAt: Math.floor(spec.hlc),
  };
  remember(core.index, job, { summary, nodes: [leader] }, indexMax);
}

export function onGossipClosed(
  core: Core,
  from: NodeId,
  message: Extract<Gossip, { type: 'closed' }>,
): void {
  const { summary, close } = message;
  if (summary.job !== close.record.body.job || core.kept.has(summary.job)) return;
  const voters = close.votes.map((vote) => core.suite.nodeOf(vote.by));
  remember(
    core.index,
    summary.job,
    { summary, nodes: [...new Set([from, ...voters])].slice(0, 6) },
    indexMax,
  );
}

// — answering

export function onFind(core: Core, from: NodeId, request: RequestId, query: Query): void {
  send(core, from, { type: 'found', request, answer: localAnswer(core, query) });
}

/** What this node can say by itself. */
function localAnswer(core: Core, query: Query): Answer {
  if (query.type === 'jobs') return { type: 'jobs', jobs: localList(core, query) };
  const matches = resolve(core, query.ref, query.namespace);
  if (matches.length > 1) return { type: 'ambiguous', jobs: matches };
  const job = matches[0];
  if (job === undefined) return { type: 'none' };
  const kept = core.kept.get(job);
  if (kept !== undefined) {
    return { type: 'job', records: recordsOf(kept.ledger), waiting: waitingView(core, kept) };
  }
  return { type: 'elsewhere', job, nodes: core.index.get(job)?.nodes ?? [] };
}

function localList(core: Core, query: Extract<Query, { type: 'jobs' }>): readonly JobSummary[] {
  const all = new Map<JobId, JobSummary>();
  for (const { summary } of core.index.values()) all.set(summary.job, summary);
  for (const kept of core.kept.values()) {
    all.set(kept.ledger.job, summaryOf(kept.ledger, waitingView(core, kept) !== null));
  }
  return [...all.values()]
    .filter((summary) => query.namespace === null || summary.namespace === query.namespace)
    .sort((a, b) => b.createdAt - a.createdAt)
    .slice(0, Math.min(query.limit, listMax));
}

/** Jobs that a reference may mean: exact name first (the newest), then id, then id prefix. */
function resolve(core: Core, ref: string, namespace: string): readonly JobId[] {
  if (core.kept.has(asJobId(ref)) || core.index.has(asJobId(ref))) return [asJobId(ref)];
  let named: JobSummary | null = null;
  const byPrefix: JobId[] = [];
  const see = (summary: Pick<JobSummary, 'job' | 'name' | 'namespace' | 'createdAt'>): void => {
    if (summary.name === ref && summary.namespace === namespace) {
      if (named === null || summary.createdAt > named.createdAt) named = summary as JobSummary;
    }
    if (ref.startsWith('j-') && ref.length >= 6 && summary.job.startsWith(ref))
      byPrefix.push(summary.job);
  };
  for (const { summary } of core.index.values()) see(summary);
  for (const kept of core.kept.values()) {
    const { spec } = kept.ledger.spec.body;
    const createdAt = Math.floor(kept.ledger.spec.hlc);
    see({ job: kept.ledger.job, name: spec.Name, namespace: spec.Namespace, createdAt });
  }
  const best = named as JobSummary | null;
  return best !== null ? [best.job] : [...new Set(byPrefix)].slice(0, 20);
}

// — asking

/** Answers a local request, asking around when this node cannot say by itself. */
export function onQuery(
  core: Core,
  request: RequestId,
  query: Query,
  purpose: Lookup['purpose'],
): void {
  const lookup: Lookup = {
    request,
    query,
    purpose,
    asked: new Set([core.self]),
    answered: new Set(),
    outstanding: 0,
    deadline: after(core.now, lookupMs),
    found: new Map(),
    best: null,
    candidates: new Set(),
    complete: false,
  };
  core.lookups.set(request, lookup);
  core.timers.set(`lookup:${request}`, lookup.deadline);
  takeAnswer(core, lookup, localAnswer(core, query));
  if (lookup.query.type === 'jobs') askAround(core, lookup, 16);
  else if (!core.lookups.has(request)) return;
  else if (lookup.outstanding === 0) askAround(core, lookup, fanOut);
  settle(core, lookup);
}

function ask(core: Core, lookup: Lookup, node: NodeId): void {
  if (lookup.asked.has(node)) return;
  lookup.asked.add(node);
  lookup.outstanding += 1;
  send(core, node, { type: 'find', request: lookup.request, query: lookup.query });
}

function askAround(core: Core, lookup: Lookup, most: number): void {
  [...core.connected].slice(0, most).forEach((node) => ask(core, lookup, node));
}

export function onFound(
  core: Core,
  from: NodeId,
  message: Extract<Message, { type: 'found' }>,
): void {
  const lookup = core.lookups.get(message.request);
  if (lookup === undefined || !lookup.asked.has(from) || lookup.answered.has(from)) return;
  lookup.answered.add(from);
  lookup.outstanding -= 1;
  takeAnswer(core, lookup, message.answer);
  settle(core, lookup);
}

function takeAnswer(core: Core, lookup: Lookup, answer: Answer): void {
  switch (answer.type) {
    case 'job':
      return takeJob(core, lookup, answer);
    case 'elsewhere':
      if (!mayMean(lookup, answer.job)) return;
      lookup.candidates.add(answer.job);
      return answer.nodes.slice(0, nodesMax).forEach((node) => ask(core, lookup, node));
    case 'ambiguous':
      for (const job of answer.jobs) if (mayMean(lookup, job)) lookup.candidates.add(job);
      return;
    case 'jobs':
      for (const summary of answer.jobs.slice(0, listMax)) {
        const known = lookup.found.get(summary.job);
        if (known === undefined || newer(summary, known)) lookup.found.set(summary.job, summary);
      }
      return;
    case 'none':
  }
}

/** Whether a reference can stand for this id. A name can stand for any; only the spec tells. */
function mayMean({ query }: Lookup, job: JobId): boolean {
  return query.type === 'job' && (!query.ref.startsWith('j-') || job.startsWith(query.ref));
}

/** Whether this job is what was asked for: by its id or the beginning of it, or by its name. */
function isMeant({ query }: Lookup, records: JobRecords): boolean {
  if (query.type !== 'job') return false;
  const { job, spec } = records.spec.body;
  if (query.ref.startsWith('j-') && job.startsWith(query.ref)) return true;
  return spec.Name === query.ref && spec.Namespace === query.namespace;
}

const ended = (summary: JobSummary): boolean =>
  summary.state === 'Completed' || summary.state === 'Failed' || summary.state === 'Stopped';

function newer(a: JobSummary, b: JobSummary): boolean {
  if (ended(a) !== ended(b)) return ended(a);
  return a.modifiedAt > b.modifiedAt;
}

/** The leader's view is the freshest; a follower's is taken when the leader does not answer. */
function takeJob(core: Core, lookup: Lookup, answer: Extract<Answer, { type: 'job' }>): void {
  const { records } = answer;
  const { job } = records.spec.body;
  const kept = core.kept.get(job);
  // What this node keeps was checked when it came in.
  if (kept?.ledger.admission !== records.admission && !believable(core, records)) return;
  if (!isMeant(lookup, records)) return;
  lookup.candidates.add(job);
  const closed = records.committed.some(({ record }) => record.type === 'close');
  const leading = kept?.lead?.mode === 'leading' && records.spec.id === kept.ledger.spec.id;
  const { best } = lookup;
  // Of several jobs of one name the newest is meant; of one job the fullest account is taken.
  const better =
    best === null ||
    (best.records.spec.body.job === job
      ? amount(records) > amount(best.records) || answer.waiting !== null
      : records.spec.hlc > best.records.spec.hlc);
  if (better) lookup.best = answer;
  if (closed || leading) {
    lookup.complete = true;
    return;
  }
  const grant = records.grant?.record.body.epoch.leader;
  const first = records.admission.record.body.keepers[0]?.node;
  for (const node of [kept?.seen.leader, grant, first]) {
    if (node !== undefined && node !== core.self) ask(core, lookup, node);
  }
}

const amount = (records: JobRecords): number =>
  records.committed.length * 1000 +
  records.states.reduce((sum, state) => sum + state.body.sequence + 1, 0);

/** Every record of the answer is signed and belongs to the job; a false one spoils the answer. */
function believable(core: Core, records: JobRecords): boolean {
  const { suite } = core;
  const { spec, admission } = records;
  // Finished jobs are shown after they expired: no expiry check here.
  if (checkActivation(suite, spec, admission, 0) !== 'good') return false;
  const { body } = admission.record;
  return (
    records.committed.every((value) => checkCommitted(suite, body, value) === 'good') &&
    records.states.every((state) => checkState(suite, body.job, state) === 'good')
  );
}

/** Ends a look-up when nothing more is to be expected. */
function settle(core: Core, lookup: Lookup): void {
  if (!core.lookups.has(lookup.request)) return;
  if (lookup.outstanding > 0 && !lookup.complete && core.now < lookup.deadline) return;
  core.lookups.delete(lookup.request);
  core.timers.clear(`lookup:${lookup.request}`);
  const { request, query, purpose, best } = lookup;
  if (query.type === 'jobs') {
    const jobs = [...lookup.found.values()].sort((a, b) => b.createdAt - a.createdAt);
    const answer: Answer = { type: 'jobs', jobs: jobs.slice(0, query.limit) };
    return reply(core, request, { type: 'answer', answer });
  }
  if (lookup.candidates.size > 1 && best?.records.spec.body.spec.Name !== query.ref) {
    const problem = {
      code: 'job-ambiguous',
      ref: query.ref,
      candidates: [...lookup.candidates],
    } as const;
    return reply(core, request, { type: 'failed', problem });
  }
  if (best === null) {
    return reply(core, request, {
      type: 'failed',
      problem: { code: 'job-not-found', ref: query.ref },
    });
  }
  if (purpose === 'reply') return reply(core, request, { type: 'answer', answer: best });
  stopJob(core, request, best.records, purpose.stop);
}

export function tickLookup(core: Core, request: RequestId): void {
  const lookup = core.lookups.get(request);
  if (lookup !== undefined) settle(core, lookup);
}
