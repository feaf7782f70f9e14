/**
 * The liveness invariants, checked once the faults are over (L1, L4, L7, L10), and what must be true of a
 * mesh that has come to rest (S1, S2's visible side, S6, S7, S10, S12, S23).
 */
import type { Inspection } from '../../src/core/contract/inspection.ts';
import type { SlotValue } from '../../src/core/contract/messages.ts';
import { isQuorum, members } from '../../src/core/record/keeper-set.ts';
import { closeSlot, configSlot } from '../../src/core/record/slot.ts';
import type { RecordId } from '../../src/core/record/ids.ts';
import type { ConfigBody, Configuration, Keeper, Signed } from '../../src/core/record/records.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import type { CheckersContext } from './checkers.ts';
import type { JobFacts } from './facts.ts';
import { nodeIdOf } from './fast-suite.ts';
import { endOf, keepersBefore, keepersNow, slotText, valueText } from './facts.ts';
import { isOrphaned, isReseeded, isStuck, reseededAt } from './lines.ts';
import type { NodeView } from './observer.ts';
import type { ClientJob } from './workload.ts';
import { isAccepted } from './workload.ts';

export interface LivenessContext extends CheckersContext {
  readonly nodes: readonly NodeView[];
  readonly clients: readonly ClientJob[];
  /** When the faults ended. */
  healedAt(): number;
}

/** A stop must have reached every executor after this; a slow clock and one fsync included. */
const STOP_BOUND_MS = 33_000;
/** After this much of the healed phase nobody has a reason to start another epoch. */
const CALM_AFTER_MS = 150_000;

/** A job that the mesh owes an end: someone holds, or could hold, a receipt. */
const isOwed = (facts: JobFacts): boolean => facts.admitted !== null && facts.spec !== null;

/** Jobs that are still open and can come to an end, clients' and others alike. */
export function openJobs(context: LivenessContext): readonly JobFacts[] {
  return [...context.facts.jobs.values()].filter(
    (facts) => isOwed(facts) && endOf(facts) === undefined && !isStuck(facts, context.nodes),
  );
}

/** Clients that still have no answer. */
export const openClients = (context: LivenessContext): readonly ClientJob[] =>
  context.clients.filter((client) => client.refused === null && !isAccepted(client));

/** L4: looks at every stop that was taken long enough ago. Called every few seconds while healed. */
export function checkStops(context: LivenessContext): void {
  for (const client of context.clients) {
    for (const ticket of client.tickets.values()) {
      // It was taken by keepers that may be gone, and those after them may not have heard of it.
      const facts = context.facts.jobs.get(ticket.job);
      if (facts !== undefined && (isReseeded(facts) || isOrphaned(facts, context.nodes))) continue;
      // It may have been taken before another version was.
      if (ticket.stopTakenAt === null || client.updates.length > 0) continue;
      const due = Math.max(ticket.stopTakenAt, context.healedAt()) + STOP_BOUND_MS;
      if (context.now() < due || context.now() > due + 10_000) continue;
      for (const node of context.nodes) {
        if (!node.up) continue;
        const running = node.runs().find((run) => run.active && run.order.job === ticket.job);
        if (running === undefined) continue;
        const text = `${running.order.execution} still runs ${STOP_BOUND_MS} ms after the stop`;
        context.violation('L4', node, ticket.job, text);
      }
    }
  }
}

/** L1: everything must be over when the healed phase reaches its bound. */
export function checkEnded(context: LivenessContext): void {
  for (const facts of openJobs(context)) {
    const { spec } = facts;
    const what = `${spec?.spec.Type} ${spec?.spec.Name}`;
    context.violation('L1', null, facts.job, `${what} has not ended`);
  }
  for (const client of openClients(context)) {
    context.violation('L1', null, null, `the client of ${client.spec.Name} never got a receipt`);
  }
}

/** L10: a job that goes on has as many keepers as the nodes that are up make up, and no others. */
export function checkReplaced(context: LivenessContext, dueMs: number): void {
  if (context.now() < context.healedAt() + dueMs) return;
  for (const facts of openJobs(context)) {
    // Who has lost what it promised of a job keeps it no more, nor who promised in a higher line that was given up.
    const able = context.nodes.filter(
      ({ up, store }) => up && !store.forfeits.has(facts.job) && !hasLeft(store, facts),
    );
    const up = new Set(able.map(({ id }) => id));
    const most = Math.min(context.limits.keepersMax, up.size);
    const wanted = most % 2 === 1 ? most : most - 1;
    const { keepers, former } = keepersNow(facts) ?? { keepers: [], former: [] };
    const there = keepers.filter(({ node }) => up.has(node)).length;
    if (there >= wanted && former.length === 0) continue;
    if (isUndecided(facts, able)) continue;
    const text = `has ${there} of ${wanted} keepers${former.length > 0 ? ', and still those before them' : ''}`;
    context.violation('L10', null, facts.job, text);
  }
}

const hasLeft = (store: NodeView['store'], facts: JobFacts): boolean =>
  (store.get('promises', facts.job, facts.job)?.config.major ?? 0) >
  (keepersNow(facts)?.config.major ?? 0);

/**
 * A change hangs of which nobody who is there can tell whether it was decided: those of its voters that are gone may
 * have made it up, or did, and told nobody; and those that are there are too few, or some of them against it. Nothing
 * may take its place.
 */
function isUndecided(facts: JobFacts, able: readonly NodeView[]): boolean {
  const now = keepersNow(facts);
  const before = keepersBefore(facts);
  if (now === null) return false;
  if (before !== null && nobodyKnows(facts, now, able)) return isOpen(facts, before, now, able);
  const slot = configSlot({ major: now.config.major, minor: now.config.minor + 1 });
  const open = new Map<RecordId, ConfigBody>();
  for (const { store } of able) {
    const value = store.get('accepted', facts.job, slot)?.value;
    if (value?.type === 'config') open.set(value.id, value.body);
  }
  return [...open.values()].some((change) => isOpen(facts, now, change, able));
}

const nobodyKnows = (facts: JobFacts, { config }: Configuration, able: readonly NodeView[]) =>
  able.every(({ store }) => store.get('records', facts.job, configSlot(config)) === null);

/**
 * Those that did not refuse it may have decided it; and those that are there will not: they are too few, or one of them
 * refused it, whom others believe that do not miss the same keeper any more.
 */
function isOpen(
  { job }: JobFacts,
  of: Configuration,
  change: Configuration,
  able: readonly NodeView[],
): boolean {
  const slot = configSlot(change.config);
  const isFor = ({ store }: NodeView): boolean => {
    const value = store.get('accepted', job, slot)?.value;
    return value?.type === 'config' && sameKeepers(value.body, change);
  };
  const among = ({ node, store }: Keeper, nodes: readonly NodeView[]): boolean =>
    nodes.some((one) => one.id === node && one.store.id === store);
  const there = able.filter(isFor);
  const refused = able.filter((node) => !there.includes(node));
  const decide = (which: (keeper: Keeper) => boolean): boolean =>
    [of, change].every((set) =>
      isQuorum(
        set,
        members(set)
          .filter(which)
          .map(({ node }) => node),
      ),
    );
  const isRefused = members(of).some((keeper) => among(keeper, refused));
  return (
    decide((keeper) => !among(keeper, refused)) &&
    (isRefused || !decide((keeper) => among(keeper, there)))
  );
}

const sameKeepers = (one: Configuration, other: Configuration): boolean =>
  JSON.stringify([one.keepers, one.former]) === JSON.stringify([other.keepers, other.former]);

/** Who leads asks anew about a change of keepers that hangs, after thirty seconds of a clock that may be too fast. */
const HANGING_MS = 27_000;

/** L7: epochs that began after the mesh had every reason to be calm. */
export function checkCalm(context: LivenessContext): void {
  for (const facts of context.facts.jobs.values()) {
    let before = { leader: '', config: '', at: -Infinity };
    for (const [epoch, at] of facts.epochs) {
      // With a change of the keepers, or of one that hangs, the epoch of their leader changes: nobody stands against it.
      const leader = epoch.slice(epoch.lastIndexOf('.'));
      const config = epoch.split('.').slice(0, 2).join('.');
      const isAnew = config !== before.config || at - before.at >= HANGING_MS;
      const isOwn = leader === before.leader && isAnew;
      before = { leader, config, at };
      if (isOwn || /^\d+\.[1-9]\d*\.1\./.test(epoch)) continue;
      if (at < Math.max(context.healedAt(), reseededAt(facts) ?? 0) + CALM_AFTER_MS) continue;
      context.violation('L7', null, facts.job, `epoch ${epoch} began at ${at} ms`);
    }
  }
}

/** What must hold once every job is over and the last messages have been delivered. */
export function checkRest(context: LivenessContext): void {
  const inspections = new Map<NodeView, Inspection>();
  for (const node of context.nodes) if (node.up) inspections.set(node, node.inspect());
  for (const facts of context.facts.jobs.values()) {
    if (!isOwed(facts)) continue;
    if (endOf(facts) === undefined && isStuck(facts, context.nodes)) continue;
    checkKeepers(context, facts, inspections);
    checkClose(context, facts);
    checkAttempts(context, facts);
  }
  for (const node of context.nodes) {
    if (!node.up) continue;
    for (const run of node.runs()) {
      const { job, version } = run.order;
      const now = context.facts.jobs.get(job)?.version ?? 1;
      if (run.active && version < now)
        context.violation('S23', node, job, `runs version ${version} on, and it is ${now} now`);
      if (!run.active || context.facts.closedAt(run.order.job) === null) continue;
      context.violation(
        'S10',
        node,
        run.order.job,
        `${run.order.execution} runs on after the close`,
      );
    }
  }
}

/** S1: every keeper that is up with its disk knows the job, and all say the same about it. */
function checkKeepers(
  context: LivenessContext,
  facts: JobFacts,
  inspections: ReadonlyMap<NodeView, Inspection>,
): void {
  const close = endOf(facts)?.record;
  const now = keepersNow(facts);
  const former = facts.admitted?.body.keepers ?? [];
  for (const { node: id, store } of new Set([...(now?.keepers ?? []), ...former])) {
    const node = context.nodes.find((candidate) => candidate.id === id);
    const inspection = node === undefined ? undefined : inspections.get(node);
    if (node === undefined || inspection === undefined || node.store.id !== store) continue;
    const job = inspection.jobs.find((candidate) => candidate.job === facts.job);
    if (job === undefined) {
      // One that never voted need not have heard of a job whose sponsor died.
      if (holdsVote(facts, node) && !mayBeGone(context, facts) && !isLeftOut(facts, node))
        context.violation('S1', node, facts.job, 'a keeper lost the job');
      continue;
    }
    // It does not know yet, or any more, that it keeps the job.
    if (!job.keeper) continue;
    const known = new Map(job.records.committed.map(({ record }) => [slotText(record), record]));
    if (isUntold(facts, job.records.spec.body.version, context.nodes)) continue;
    if (close !== undefined && known.get(`close/${facts.version}`)?.id !== close.id) {
      // Another line came to its end apart from this one.
      const own = known.get(`close/${facts.version}`)?.id;
      const ends = [...facts.lines.values()].map((line) => line.get(`close/${facts.version}`));
      if (own !== undefined && ends.some((end) => end?.record.id === own)) continue;
      // It was away, and of the keepers that are left nobody has more than the word that it is over.
      if (mayBeGone(context, facts) && !canProve(context, facts)) continue;
      const text = `says ${job.state}, but the close is ${valueText(close)}`;
      context.violation('L3', node, facts.job, text);
    }
    if (close?.type === 'close' && job.state === 'Completed') {
      const results = resultsAmong(known.values()).size;
      if (results < (close.body.enrolled ?? 0))
        context.violation('L3', node, facts.job, `is Completed with ${results} results`);
    }
    const results = job.state === 'Completed' ? (facts.spec?.spec.Count ?? 0) : 0;
    for (let partition = 0; partition < results; partition += 1) {
      if (known.has(`accept/${facts.version}/${partition}`)) continue;
      context.violation('L3', node, facts.job, `is Completed without accept/${partition}`);
    }
  }
}

/**
 * The job was over for this keeper, ran once more while it was away, and whoever would have told it was stopped
 * or started again since the end.
 */
export function isUntold(facts: JobFacts, known: number, nodes: readonly NodeView[]): boolean {
  const close = endOf(facts);
  if (known >= facts.version || close === undefined || !facts.chosen.has(closeSlot(known)))
    return false;
  const leader = nodes.find(({ id }) => id === nodeIdOf(close.record.by));
  return leader === undefined || leader.undisturbedSince >= close.at;
}

/** A keeper is there that has the end of the job on its disk. */
const canProve = (context: LivenessContext, facts: JobFacts): boolean =>
  context.nodes.some(
    ({ up, store }) => up && store.get('records', facts.job, closeSlot(facts.version)) !== null,
  );

/** Closed jobs are let go when their time is over, or when there are too many. */
function mayBeGone(context: LivenessContext, facts: JobFacts): boolean {
  const closedAt = context.facts.closedAt(facts.job);
  if (closedAt === null) return false;
  const { retentionMs, closedJobsMax } = context.limits;
  const jobs = [...context.facts.jobs.values()];
  const closed = jobs.filter((one) => endOf(one) !== undefined).length;
  // Clocks may run a twentieth too fast.
  return context.now() - closedAt > 0.9 * retentionMs || closed > closedJobsMax;
}

/** The keeper's own disk says that it has this job, and nothing of it was damaged. */
const holdsVote = (facts: JobFacts, node: NodeView): boolean =>
  !node.store.forfeits.has(facts.job) &&
  node.store.rows('records').some((row) => row.job === facts.job);

/**
 * It voted for the job, and nobody who is left can prove to it that it began, as the votes that were with theirs are gone:
 * those that went on with the job do so without it.
 */
const isLeftOut = (facts: JobFacts, { id, store }: NodeView): boolean =>
  isReseeded(facts) &&
  keepersNow(facts)?.keepers.every(({ node }) => node !== id) === true &&
  store.get('records', facts.job, 'admission') === null;

/** S6 and S7: a close rests on what its outcome claims. */
function checkClose(context: LivenessContext, facts: JobFacts): void {
  const close = endOf(facts)?.record;
  if (close?.type !== 'close' || facts.spec === null) return;
  const { outcome, code } = close.body;
  const wrong = (text: string): void => context.violation('S7', null, facts.job, text);
  if (outcome === 'stopped' && !context.stopAsked(facts.job)) {
    context.violation('S6', null, facts.job, 'closed as stopped, but its owner never asked');
  }
  if (outcome === 'completed') {
    for (let partition = 0; partition < facts.spec.spec.Count; partition += 1) {
      if (!facts.chosen.has(`accept/${facts.version}/${partition}`))
        wrong(`completed without accept/${partition}`);
    }
  }
  if (!JOB_TYPES[facts.spec.spec.Type].counted) checkEnrolled(facts, close, wrong);
  if (outcome === 'failed' && code === 'attempts-exhausted') {
    const attempts = attemptsByPartition(facts);
    if (Math.max(0, ...attempts.values()) < context.limits.maxAttempts) {
      wrong(`attempts-exhausted after ${[...attempts.values()].join(', ')} attempts`);
    }
  }
}

/**
 * Completed when all that enrolled have a result, and failed when one has none. Between two leaders one may have
 * enrolled, or come back, after the end was first proposed.
 */
function checkEnrolled(
  { chosen, epochs, version }: JobFacts,
  { body }: Signed<'close'>,
  wrong: (text: string) => void,
): void {
  const records = [...chosen.values()].flatMap(({ record }) =>
    record.type !== 'config' && record.body.version === version ? [record] : [],
  );
  const results = resultsAmong(records);
  const without = records.flatMap((record) =>
    record.type === 'assign' && !results.has(record.body.execution) ? [record.body.node] : [],
  );
  if (body.outcome === 'completed') {
    if (without.length > 0 && epochs.size === 0)
      wrong(`completed without the results of ${without.join(' ')}`);
    const enrolled = body.enrolled ?? 0;
    if (enrolled < 1 || enrolled > results.size) wrong(`${enrolled} enrolled of ${results.size}`);
  }
  if (body.code === 'nodes-failed' && without.length + epochs.size === 0)
    wrong('failed, but no node did');
  if (body.code === 'not-enough-nodes' && results.size > 0) wrong('not enough nodes, and results');
}

/** Executions whose result was accepted. */
function resultsAmong(values: Iterable<SlotValue>): ReadonlySet<string> {
  const executions = new Set<string>();
  for (const value of values) if (value.type === 'accept') executions.add(value.body.execution);
  return executions;
}

function attemptsByPartition(facts: JobFacts): ReadonlyMap<number, number> {
  const attempts = new Map<number, number>();
  for (const { record } of facts.chosen.values()) {
    if (record.type !== 'assign' || record.body.version !== facts.version) continue;
    attempts.set(record.body.partition, (attempts.get(record.body.partition) ?? 0) + 1);
  }
  return attempts;
}

/** S12: tries are bounded, those that nobody took up too. */
function checkAttempts(context: LivenessContext, facts: JobFacts): void {
  const { maxAttempts, maxMisses } = context.limits;
  if (facts.spec?.spec.Type !== 'batch') return;
  for (const [partition, attempts] of attemptsByPartition(facts)) {
    if (attempts <= maxAttempts + maxMisses) continue;
    context.violation('S12', null, facts.job, `${attempts} attempts of partition ${partition}`);
  }
}
