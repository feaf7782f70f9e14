/**
 * Looking jobs up for a local request. What this node does not keep it asks for: first who leads it as
 * far as it heard, then everybody who should know, and its neighbours; of a job that is found, all its
 * keepers. Nothing an answer says is taken over unless signed records prove it; the only hearsay is how
 * far the jobs of a list are, and that is marked.
 */
import { chainOf, currentOf } from '../record/chain.ts';
import { grantedEpoch, isReseedable } from '../record/verify.ts';
import { leaderIn } from '../leading/state.ts';
import { isKeeper, keeperNodes, majority } from '../record/keeper-set.ts';
import { LIST_MAX, SPECS_MAX } from '../contract/limits.ts';
import { jobAnswer } from './directory.ts';
import { believed } from './foreign.ts';
import { after, asJobId } from '../record/ids.ts';
import { closeIn } from '../record/ledger.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { createdAt } from './job-index.ts';
import { listed, takeList, takeSpecs } from './lists.ts';
import { ask, askAround, askKeepers, named, rest, timerOf } from './questions.ts';
import type { Answer, JobRecords, Message, Query, WaitingView } from '../contract/messages.ts';
import type { KeepersView, Problem } from '../contract/reply.ts';
import { isGuest } from '../keeping/changing.ts';
import { heardLately } from '../mesh/reach.ts';
import { better, fitOf, isName, resolve } from './names.ts';
import type { Fit, Ref } from './names.ts';
import { reply, refuse } from '../node/outbox.ts';
import type { Lookup } from './state.ts';
import { stopJob } from './stop.ts';
import { updateJob } from './update.ts';
import type { Node, With } from '../node/state.ts';

const LOOKUP_MS = 2_000;
/** Whom this node heard of gets this long before the neighbours are asked, too. */
const HINT_MS = 500;
/** Neighbours asked for one job, and for a list. */
const JOB_FAN_OUT = 64;
const LIST_FAN_OUT = 16;
/** Nodes followed from one hint. */
const NODES_MAX = 8;
/** Of those who did not answer, this many are named. */
const NAMED_MAX = 8;

/** Answers a local request, asking around when this node cannot say by itself. */
export function onQuery(
  core: With<'mesh' | 'asking' | 'keeping'>,
  request: RequestId,
  query: Query,
  purpose: Lookup['purpose'],
  withinMs = LOOKUP_MS,
): void {
  const lookup: Lookup = {
    request,
    query,
    question: query.type === 'job' ? { ...query, owner: core.suite.owner } : query,
    purpose,
    open: new Map(),
    asked: new Set(),
    answered: new Set(),
    hints: null,
    around: false,
    keepersAsked: false,
    restAt: null,
    deadline: after(core.now, Math.min(withinMs, LOOKUP_MS)),
    told: new Map(),
    candidates: new Map(),
    best: null,
    waiting: null,
    complete: false,
  };
  core.asking.lookups.set(request, lookup);
  core.timers.set(timerOf(request), lookup.deadline);
  if (query.type === 'jobs') askAround(core, lookup, LIST_FAN_OUT);
  else lookHere(core, lookup);
  settle(core, lookup);
}

const fromOf = ({ query }: Lookup): number => (query.type === 'job' ? query.from : 0);

const versionOf = ({ query }: Lookup): number | undefined =>
  query.type === 'job' ? query.version : undefined;

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
  lookup.question = { ...lookup.question, ...ref, type: 'job', ref: job, from: fromOf(lookup) };
  takeLocal(core, lookup, job);
}

function takeLocal(core: With<'mesh' | 'asking' | 'keeping'>, lookup: Lookup, job: JobId): void {
  const answer = jobAnswer(core, job, null, versionOf(lookup));
  if (answer.type === 'job') takeJob(core, lookup, core.self, answer);
  if (answer.type !== 'elsewhere') return;
  // One is enough while it answers. Who is not connected may be anywhere, so that others are asked as well.
  const first = answer.nodes.find((node) => core.mesh.connected.has(node));
  lookup.hints = { job, nodes: answer.nodes };
  if (first === undefined) return askHints(core, lookup);
  ask(core, lookup, first, named(lookup, job));
  core.timers.set(timerOf(lookup.request), after(core.now, HINT_MS));
}

function askHints(core: With<'mesh'>, lookup: Lookup): void {
  const { hints } = lookup;
  if (hints !== null)
    for (const node of hints.nodes) ask(core, lookup, node, named(lookup, hints.job));
  askAround(core, lookup, JOB_FAN_OUT);
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
  lookup.answered.add(from);
  takeAnswer(core, lookup, from, message.answer);
  // A list is as good as it gets when half of those asked have told theirs.
  const told = 2 * lookup.answered.size >= lookup.answered.size + lookup.open.size;
  if (lookup.query.type === 'jobs' && lookup.restAt === null && told) rest(core, lookup);
  settle(core, lookup);
}

function takeAnswer(
  core: With<'mesh' | 'asking' | 'keeping'>,
  lookup: Lookup,
  from: NodeId,
  answer: Answer,
): void {
  if (lookup.query.type === 'jobs') {
    if (answer.type === 'jobs') takeList(core, lookup, from, answer.jobs.slice(0, LIST_MAX));
    else if (answer.type === 'specs') takeSpecs(core, from, answer.specs.slice(0, SPECS_MAX));
    return;
  }
  switch (answer.type) {
    case 'job':
      return takeJob(core, lookup, from, answer);
    case 'elsewhere':
      for (const node of answer.nodes.slice(0, NODES_MAX)) {
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

// — one job

/** The leader's view is the freshest; that of others is taken when it does not answer. */
function takeJob(
  core: With<'mesh' | 'keeping'>,
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
  const known = core.keeping.kept.get(job);
  const kept = known === undefined || isGuest(core, known) ? undefined : known;
  if (kept !== undefined && kept.ledger.admission.record.id !== records.admission.record.id) {
    return refuse(core, from, 'contradiction', false);
  }
  lookup.candidates.set(job, fit);
  const { next } = answer;
  if (isBetter(core, lookup, records, fit)) lookup.best = { records, fit, next };
  if (lookup.best?.records.spec.body.job !== job) return;
  const keepers = currentOf(chainOf(records));
  const leaders = [
    kept?.seen.leader,
    records.grant?.record.body.epoch.leader,
    records.admission.record.body.keepers[0]?.node,
  ];
  // How a job waits is not signed; its leader knows, another keeper may, nobody else does.
  const mayKnow = from === core.self || isKeeper(keepers, from);
  if (mayKnow && (lookup.waiting === null || leaders.includes(from))) {
    lookup.waiting = answer.waiting;
  }
  const certain = only === job;
  const asked = versionOf(lookup) ?? 0;
  // Who tells of an earlier version than was asked for has missed the later one.
  if (isClosed(records) && records.spec.body.version >= asked) {
    // Of several jobs that may be meant none is final before all were heard.
    if (certain) lookup.complete = true;
    else if (lookup.restAt === null) rest(core, lookup);
    return;
  }
  if (lookup.restAt === null) rest(core, lookup);
  if (kept === undefined) return askKeepers(core, lookup, records);
  const leader = kept.seen.leader;
  const told = from === leader && from !== core.self && canDecide(answer.waiting);
  const led = leaderIn(kept.lead) !== null || told;
  if (led) lookup.complete ||= certain;
  else if (from === core.self && core.mesh.connected.has(leader))
    ask(core, lookup, leader, named(lookup, job));
  else askKeepers(core, lookup, records);
}

const isClosed = (records: JobRecords): boolean => closeIn(records) !== null;

/** The leader hears a majority of the keepers. */
const canDecide = (waiting: WaitingView | null): boolean =>
  waiting === null || waiting.keepersReached >= majority(waiting.keepers);

function verified(core: Node, from: NodeId, records: JobRecords): JobRecords | null {
  const checked = believed(core.suite, records);
  if (checked.ok) return checked.records;
  refuse(core, from, checked.verdict.code, checked.verdict.fault);
  return null;
}

/** Of several jobs of one name the newest is meant; of one job the fullest account is taken. */
function isBetter(core: Node, { best, query }: Lookup, records: JobRecords, fit: Fit): boolean {
  if (best === null) return true;
  if (best.records.spec.body.job === records.spec.body.job) {
    const [had, has] = [best.records.spec.body.version, records.spec.body.version];
    // Who tells of an earlier version than was asked for has not heard of the later one.
    const asked = query.type === 'job' ? query.version : undefined;
    if (had !== has) return asked === undefined ? has > had : has === asked;
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
  if (!lookup.complete && core.now < lookup.deadline) {
    if (isHeard(core, lookup)) lookFurther(core, lookup);
    if (!isHeard(core, lookup)) return;
  }
  finish(core, lookup);
}

/** Everybody answered who was asked, or those who did are enough. */
const isHeard = (core: Node, { open, restAt }: Lookup): boolean =>
  open.size === 0 || (restAt !== null && core.now >= restAt);

/** Whom it was left to did not know, or did not answer: others are asked. */
function lookFurther(core: With<'mesh'>, lookup: Lookup): void {
  const { best, question } = lookup;
  const certain = question.type === 'job' && question.ref === best?.records.spec.body.job;
  if (best !== null && certain && !isClosed(best.records)) askKeepers(core, lookup, best.records);
  else if (!lookup.around) askHints(core, lookup);
}

function finish(core: With<'mesh' | 'asking' | 'keeping'>, lookup: Lookup): void {
  const { request, query, purpose } = lookup;
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
  if (best === null)
    return reply(core, request, { type: 'failed', problem: notFound(core, lookup, query.ref) });
  if (purpose !== 'reply' && 'stop' in purpose)
    return stopJob(core, request, best.records, purpose.stop);
  if (purpose !== 'reply') return updateJob(core, request, best.records, purpose.update);
  const { records, next } = best;
  const answer = { type: 'job', records, next, waiting: lookup.waiting } as const;
  reply(core, request, { type: 'answer', answer, keepers: keepersOf(core, lookup, best.records) });
}

/** A job that was seen here once exists, though nobody who keeps it answers. */
function notFound(core: With<'asking'>, lookup: Lookup, ref: string): Problem {
  const silent = [...lookup.open.keys()];
  const of = { asked: silent.length + lookup.answered.size, silent: silent.slice(0, NAMED_MAX) };
  const { question } = lookup;
  const entry = question.type === 'job' ? core.asking.index.get(asJobId(question.ref)) : undefined;
  return entry === undefined || (silent.length === 0 && of.asked > 0)
    ? { code: 'job-not-found', ref, ...of }
    : { code: 'job-unreachable', job: entry.summary.job, ...of };
}

/** Who of the keepers is there; null for a job that needs them no more. */
function keepersOf(
  core: With<'mesh' | 'keeping'>,
  lookup: Lookup,
  records: JobRecords,
): KeepersView | null {
  if (isClosed(records)) return null;
  const chain = chainOf(records);
  const keepers = keeperNodes(currentOf(chain));
  const known = core.keeping.kept.get(chain.job);
  const kept = known === undefined || isGuest(core, known) ? undefined : known;
  const leader = kept?.seen.leader ?? grantedEpoch(chain, records.grant).leader;
  const leads = leaderIn(kept?.lead ?? null) !== null;
  const isSilent = (node: NodeId): boolean => {
    if (node === core.self) return false;
    if (leads) return !heardLately(core, node);
    return lookup.keepersAsked && !lookup.answered.has(node);
  };
  const mayMove = isReseedable(records.spec.body);
  return {
    total: keepers.length,
    nodes: keepers,
    silent: keepers.filter(isSilent),
    leader,
    reseedAfterMs: mayMove ? core.config.limits.reseedAfterMs : null,
  };
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
  core.timers.set(timerOf(request), lookup.restAt ?? lookup.deadline);
  if (lookup.best === null && !lookup.around) askHints(core, lookup);
  settle(core, lookup);
}
