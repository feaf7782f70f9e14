/**
 * Looking jobs up for a local request. What this node does not keep it asks for: first whom it heard
 * of, then its neighbours. Nothing an answer says is taken over unless signed records prove it; the
 * only hearsay is how far the jobs of a list are, and that is marked.
 */
import { isKeeper } from '../record/keeper-set.ts';
import { jobAnswer, listMax, specsMax, summaries } from './directory.ts';
import { believed } from './foreign.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, PublicKey, RequestId } from '../record/ids.ts';
import { createdAt, hintNodes, indexJob } from './job-index.ts';
import type {
  Answer,
  JobRecords,
  JobSummary,
  ListedJob,
  Message,
  Query,
  Question,
} from '../contract/messages.ts';
import { better, fitOf, isName, resolve } from './names.ts';
import type { Fit, Ref } from './names.ts';
import { reply, refuse, send, wallMs } from '../node/outbox.ts';
import type { Lookup } from './state.ts';
import { stopJob } from './stop.ts';
import { checkSpec } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

const lookupMs = 2_000;
/** Whom this node heard of gets this long before the neighbours are asked, too. */
const hintMs = 500;
/** Neighbours asked for one job, and for a list. */
const jobFanOut = 64;
const listFanOut = 16;
/** Nodes followed from one hint. */
const nodesMax = 8;
/** Questions of one look-up: answers may name others to ask, but not without end. */
const questionsMax = 256;
/** Specs fetched from one node for one list; the next list fetches the next. */
const fetchMax = 4 * specsMax;

/** Answers a local request, asking around when this node cannot say by itself. */
export function onQuery(
  core: With<'mesh' | 'asking' | 'keeping'>,
  request: RequestId,
  query: Query,
  purpose: Lookup['purpose'],
): void {
  const lookup: Lookup = {
    request,
    query,
    question: query.type === 'job' ? { ...query, owner: core.suite.owner } : query,
    purpose,
    open: new Map(),
    asked: new Set(),
    around: false,
    deadline: after(core.now, lookupMs),
    told: new Map(),
    candidates: new Map(),
    best: null,
    waiting: null,
    complete: false,
  };
  core.asking.lookups.set(request, lookup);
  core.timers.set(timerOf(request), lookup.deadline);
  if (query.type === 'jobs') askAround(core, lookup, listFanOut);
  else lookHere(core, lookup);
  settle(core, lookup);
}

const timerOf = (request: RequestId): string => `lookup:${request}`;

const refOf = ({ query }: Lookup, core: Node): Ref | null =>
  query.type === 'job' ? { ...query, owner: core.suite.owner } : null;

/** What this node knows by itself. When that is enough to tell which job is meant, only that one is asked for. */
function lookHere(core: With<'mesh' | 'asking' | 'keeping'>, lookup: Lookup): void {
  const ref = refOf(lookup, core);
  const resolved = ref === null ? null : resolve(core, ref);
  if (ref === null || resolved === null) return;
  const { fit, jobs } = resolved;
  for (const job of jobs) lookup.candidates.set(job, fit);
  const [job] = jobs;
  if (job === undefined || jobs.length > 1) return;
  // Another owner's job by a name or prefix: the own owner may have one that this node does not know.
  if (fit === 'name' || fit === 'prefix') return takeLocal(core, lookup, job);
  lookup.question = { ...ref, type: 'job', ref: job };
  takeLocal(core, lookup, job);
}

function takeLocal(core: With<'mesh' | 'asking' | 'keeping'>, lookup: Lookup, job: JobId): void {
  const answer = jobAnswer(core, job);
  if (answer.type === 'job') takeJob(core, lookup, core.self, answer);
  if (answer.type !== 'elsewhere') return;
  core.timers.set(timerOf(lookup.request), after(core.now, hintMs));
  for (const node of answer.nodes) ask(core, lookup, node, named(lookup, job));
}

/** The question for one job by its id. */
const named = ({ question }: Lookup, job: JobId): Question =>
  question.type === 'job' ? { ...question, ref: job } : question;

function ask(core: Node, lookup: Lookup, node: NodeId, question: Question): void {
  const key = `${node}|${question.type === 'job' ? question.ref : JSON.stringify(question)}`;
  if (node === core.self || lookup.asked.has(key) || lookup.asked.size >= questionsMax) return;
  lookup.asked.add(key);
  lookup.open.set(node, (lookup.open.get(node) ?? 0) + 1);
  send(core, node, { type: 'find', request: lookup.request, query: question });
}

function askAround(core: With<'mesh'>, lookup: Lookup, most: number): void {
  lookup.around = true;
  for (const node of [...core.mesh.connected].slice(0, most))
    ask(core, lookup, node, lookup.question);
}

/** Only from those who were asked, and once for each question. */
export function onFound(
  core: With<'mesh' | 'asking' | 'keeping'>,
  from: NodeId,
  message: Extract<Message, { type: 'found' }>,
): void {
  const lookup = core.asking.lookups.get(message.request);
  const open = lookup?.open.get(from) ?? 0;
  if (lookup === undefined || open === 0) return;
  if (open === 1) lookup.open.delete(from);
  else lookup.open.set(from, open - 1);
  takeAnswer(core, lookup, from, message.answer);
  settle(core, lookup);
}

function takeAnswer(
  core: With<'asking' | 'keeping'>,
  lookup: Lookup,
  from: NodeId,
  answer: Answer,
): void {
  if (lookup.query.type === 'jobs') {
    if (answer.type === 'jobs') takeList(core, lookup, from, answer.jobs.slice(0, listMax));
    else if (answer.type === 'specs') takeSpecs(core, from, answer.specs.slice(0, specsMax));
    return;
  }
  switch (answer.type) {
    case 'job':
      return takeJob(core, lookup, from, answer);
    case 'elsewhere':
      for (const node of answer.nodes.slice(0, nodesMax)) {
        ask(core, lookup, node, named(lookup, answer.job));
      }
      return;
    case 'ambiguous':
      // Ids alone prove nothing: the same node must show what is behind each of them.
      for (const job of answer.jobs.slice(0, 20)) ask(core, lookup, from, named(lookup, job));
      return;
    case 'jobs':
    case 'specs':
    case 'none':
  }
}

// — lists

/** How far each job is, for what it is worth; the specs of those unknown here are asked for. */
function takeList(
  core: With<'asking' | 'keeping'>,
  lookup: Lookup,
  from: NodeId,
  jobs: readonly JobSummary[],
): void {
  const unknown: JobId[] = [];
  for (const { job, state, modifiedAt } of jobs) {
    const told = { state, modifiedAt: Math.min(modifiedAt, wallMs(core)) };
    const known = lookup.told.get(job);
    if (known === undefined || newer(told, known)) lookup.told.set(job, told);
    if (!core.keeping.kept.has(job) && !core.asking.index.has(job)) unknown.push(job);
  }
  for (let at = 0; at < Math.min(unknown.length, fetchMax); at += specsMax) {
    ask(core, lookup, from, { type: 'specs', jobs: unknown.slice(at, at + specsMax) });
  }
}

function takeSpecs(
  core: With<'asking' | 'keeping'>,
  from: NodeId,
  specs: Extract<Answer, { type: 'specs' }>['specs'],
): void {
  for (const spec of specs) {
    const { job } = spec.body;
    if (core.keeping.kept.has(job)) continue;
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

type Progress = Pick<JobSummary, 'state' | 'modifiedAt'>;

function newer(a: Progress, b: Progress): boolean {
  if (ended(a) !== ended(b)) return ended(a);
  return a.modifiedAt > b.modifiedAt;
}

function ownerOf(core: With<'asking' | 'keeping'>, job: JobId): PublicKey | undefined {
  const kept = core.keeping.kept.get(job);
  if (kept === undefined) return core.asking.index.get(job)?.owner;
  return kept.card?.owner ?? kept.peek().spec.body.owner;
}

/** Own jobs first, so that no number of others' pushes them out of a list; then the newest. */
function listed(
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
    if (core.keeping.kept.has(summary.job)) continue;
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

// — one job

/** The leader's view is the freshest; a follower's is taken when the leader does not answer. */
function takeJob(
  core: With<'keeping'>,
  lookup: Lookup,
  from: NodeId,
  answer: Extract<Answer, { type: 'job' }>,
): void {
  const { job, owner, spec } = answer.records.spec.body;
  const ref = refOf(lookup, core);
  const meant = { job, owner, name: spec.Name, namespace: spec.Namespace };
  const fit = ref === null ? null : fitOf(ref, meant);
  const only = lookup.question.type === 'job' && lookup.question.ref;
  if (fit === null || (only !== (ref?.ref ?? false) && only !== job)) return;
  const records = from === core.self ? answer.records : verified(core, from, answer.records);
  if (records === null) return;
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined && kept.peek().admission.record.id !== records.admission.record.id) {
    return refuse(core, from, 'contradiction', false);
  }
  lookup.candidates.set(job, fit);
  if (isBetter(core, lookup, records, fit)) lookup.best = { records, fit };
  if (lookup.best?.records.spec.body.job !== job) return;
  const { body } = records.admission.record;
  const leaders = [
    kept?.seen.leader,
    records.grant?.record.body.epoch.leader,
    body.keepers[0]?.node,
  ];
  // How a job waits is not signed; its leader knows, another keeper may, nobody else does.
  const mayKnow = from === core.self || isKeeper(body, from);
  if (mayKnow && (lookup.waiting === null || leaders.includes(from))) {
    lookup.waiting = answer.waiting;
  }
  const closed = records.committed.some(({ record }) => record.type === 'close');
  // Of several jobs that may be meant none is final before all were heard.
  const certain = only === job;
  if (certain && (closed || kept?.lead?.mode === 'leading')) lookup.complete = true;
  if (closed || lookup.complete) return;
  for (const node of leaders) {
    if (node !== undefined) ask(core, lookup, node, named(lookup, job));
  }
}

function verified(core: Node, from: NodeId, records: JobRecords): JobRecords | null {
  const checked = believed(core.suite, records);
  if (checked.ok) return checked.records;
  refuse(core, from, checked.verdict.code, checked.verdict.fault);
  return null;
}

/** Of several jobs of one name the newest is meant; of one job the fullest account is taken. */
function isBetter(core: Node, { best }: Lookup, records: JobRecords, fit: Fit): boolean {
  if (best === null) return true;
  if (best.records.spec.body.job === records.spec.body.job) {
    return amount(records) > amount(best.records);
  }
  if (fit !== best.fit) return better(fit, best.fit);
  return createdAt(core, records.spec) > createdAt(core, best.records.spec);
}

const amount = (records: JobRecords): number =>
  records.committed.length * 1000 +
  records.states.reduce((sum, state) => sum + state.body.sequence + 1, 0);

// — the end

/** Ends a look-up when nothing more is to be expected. */
function settle(core: With<'mesh' | 'asking' | 'keeping'>, lookup: Lookup): void {
  if (!core.asking.lookups.has(lookup.request)) return;
  const { request, query, purpose } = lookup;
  if (!lookup.complete && core.now < lookup.deadline) {
    if (lookup.open.size === 0 && !lookup.around) askAround(core, lookup, jobFanOut);
    if (lookup.open.size > 0) return;
  }
  core.asking.lookups.delete(request);
  core.timers.clear(timerOf(request));
  if (query.type === 'jobs') {
    const jobs = listed(core, lookup, query.namespace, query.limit);
    return reply(core, request, { type: 'listed', jobs });
  }
  const outcome = meantJob(lookup);
  if (outcome.length > 1) {
    const problem = { code: 'job-ambiguous', ref: query.ref, candidates: outcome } as const;
    return reply(core, request, { type: 'failed', problem });
  }
  const { best } = lookup;
  if (best === null) {
    const problem = { code: 'job-not-found', ref: query.ref } as const;
    return reply(core, request, { type: 'failed', problem });
  }
  if (purpose !== 'reply') return stopJob(core, request, best.records, purpose.stop);
  const answer = { type: 'job', records: best.records, waiting: lookup.waiting } as const;
  reply(core, request, { type: 'answer', answer });
}

/** The jobs that the reference fits best: several only for the beginning of an id. */
function meantJob({ candidates }: Lookup): readonly JobId[] {
  let fit: Fit | null = null;
  for (const other of candidates.values()) if (fit === null || better(other, fit)) fit = other;
  if (fit === null || isName(fit)) return [];
  return [...candidates].filter(([, other]) => other === fit).map(([job]) => job);
}

/** Whom this node heard of did not know, or the time is up. */
export function tickLookup(core: With<'mesh' | 'asking' | 'keeping'>, request: RequestId): void {
  const lookup = core.asking.lookups.get(request);
  if (lookup === undefined) return;
  core.timers.set(timerOf(request), lookup.deadline);
  if (lookup.best === null && !lookup.around) askAround(core, lookup, jobFanOut);
  settle(core, lookup);
}
