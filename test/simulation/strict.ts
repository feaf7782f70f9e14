/**
 * Promises that are kept to the letter: each checker here can be asked for by its name, and looks from
 * outside like the others. Those that the core keeps are switched on in the suite.
 */
import { refusalsFor } from '../../src/core/placing/eligibility.ts';
import { keeperCount } from '../../src/core/keeping/choose-keepers.ts';
import type { JobRecords } from '../../src/core/contract/messages.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { JobId, NodeId, RecordId } from '../../src/core/record/ids.ts';
import type { CheckersContext } from './checkers.ts';
import type { JobFacts } from './facts.ts';
import { endOf, keepersNow, slotText } from './facts.ts';
import { isUntold } from './liveness.ts';
import { nodeIdOf } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import { createFinished } from './finished.ts';
import { createFrames } from './frames.ts';
import type { NodeView, Observer } from './observer.ts';

/**
 * `finished`: a node that had a job's end on its disk never treats the job as open again.
 * `losses`: no attempt is given up while its program runs on a node that its leader can reach.
 * `timeouts`: no job ends by its TotalTimeout before that time is over, from when a keeper took it up.
 * `possible`: no job ends for want of nodes while one that could run it can be reached.
 * `keepers`: a job has as many keepers as could be had.
 * `everywhere`: whoever matches, and was there while its leader called, runs a job that each node takes up itself.
 * `frames`: every message fits its frame and arrives as it was sent; every row is read as it was written.
 * `ledgers`: at rest all keepers of a job have the same committed records.
 */
export const STRICT_NAMES = [
  'finished',
  'losses',
  'timeouts',
  'possible',
  'keepers',
  'everywhere',
  'frames',
  'ledgers',
] as const;
export type StrictName = (typeof STRICT_NAMES)[number];

export interface StrictContext extends CheckersContext {
  readonly strict: readonly StrictName[];
  nodes(): readonly NodeView[];
  faults(): FaultPlan;
  /** When the link between two nodes last changed, either way; 0 = never. */
  linkedSince(one: NodeView, other: NodeView): number;
  linked(one: NodeView, other: NodeView): boolean;
  /** It said what it liked: what others have done with that is its own affair. */
  isHostile(node: NodeView): boolean;
}

export interface Strict {
  readonly observer: Observer;
  /** Once everything has come to rest. */
  atRest(): void;
}

/** After this much time without trouble between two nodes they know of each other what matters. */
const CALM_MS = 30_000;
/** Whoever is connected has told of itself by then. */
export const KNOWN_MS = 20_000;
/** That a disk has room again is told by gossip, which may be lost, or never reach a node. */
const GOSSIP_MS = 60_000;
/** An end that was proposed longer ago may be that of a leader before. */
const OWN_END_MS = 5_000;
/** Nobody starts what was given away longer ago than this: messages of the slowest network are over. */
const LATEST_START_MS = 150_000;

export function createStrict(context: StrictContext): Strict {
  const wanted = new Set(context.strict);
  const finished = createFinished(context);
  const ages = createAges(context);
  const frames: Observer = wanted.has('frames') ? createFrames(context) : {};
  /** When each value was first proposed: a later leader may bring to its end what one before it began. */
  const proposedAt = new Map<RecordId, number>();
  const emptiedAt = new Map<NodeId, number>();
  const seen = new Set<string>();
  const once = (what: string): boolean => !seen.has(what) && seen.add(what).size > 0;

  const onNote = (node: NodeView, note: Extract<Effect, { type: 'note' }>): void => {
    const job = note.data['job'] as JobId;
    if (note.event === 'job.submitted' && wanted.has('keepers'))
      checkCount(context, node, job, Number(note.data['keepers']));
    const facts = context.facts.jobs.get(job);
    if (facts === undefined || !once(`${note.event} ${JSON.stringify(note.data)}`)) return;
    if (note.event === 'job.assigned' && wanted.has('losses')) {
      checkLoss(
        context,
        facts,
        Number(note.data['partition']),
        Number(note.data['attempt']),
        proposedAt,
      );
    }
    if (note.event === 'job.closed') {
      if (wanted.has('timeouts')) checkTimeout(context, facts, ages.of(job));
      if (wanted.has('possible')) checkPossible(context, node, facts, proposedAt);
    }
  };
  return {
    observer: {
      ...frames,
      onStart: (node) => {
        finished.onStart(node);
        ages.onStart(node);
      },
      onCrash: (node, diskLost) => {
        if (diskLost !== null) emptiedAt.set(node.id, context.now());
      },
      onHandled: (node, _input, effects) => {
        ages.onHandled(node, effects);
        if (wanted.has('finished')) finished.onHandled(node, effects);
      },
      onDurable: (node, writes) => {
        frames.onDurable?.(node, writes);
        finished.onDurable(node, writes);
        ages.onDurable(node, writes);
      },
      onSend: (node, to, message) => {
        frames.onSend?.(node, to, message);
        if (message.type !== 'propose') return;
        for (const { value } of message.values)
          if (!proposedAt.has(value.id)) proposedAt.set(value.id, context.now());
      },
      onEffect: (node, effect) => {
        if (effect.type === 'note') onNote(node, effect);
        if (effect.type === 'run' && !effect.resume && wanted.has('finished')) {
          const closedAt = context.facts.closedAt(effect.order.job);
          if (closedAt === null || context.now() - closedAt < LATEST_START_MS) return;
          // It lost its store since, and an old message came again.
          if ((emptiedAt.get(node.id) ?? 0) > closedAt) return;
          // A program that does not end goes on where it is, however long its node is cut off.
          if (effect.order.restarts > 0) return;
          const text = `starts ${effect.order.execution} long after the close`;
          context.violation('finished', node, effect.order.job, text);
        }
      },
    },
    atRest: () => {
      if (wanted.has('ledgers')) checkLedgers(context);
    },
  };
}

// — no time is taken away

type RowsObserver = Required<Pick<Observer, 'onStart' | 'onDurable'>> & {
  onHandled(node: NodeView, effects: readonly Effect[]): void;
};

/**
 * A job is as old as its first keeper's knowledge of it. Its owner waits since before that; a full or slow
 * disk holds back what others see of it, and not its age.
 */
function createAges(context: StrictContext): RowsObserver & { of(job: JobId): number } {
  /** By the process that took it up; what a crash loses never was. */
  const handled = new Map<NodeId, Map<JobId, number>>();
  const since = new Map<JobId, number>();
  const isAdmission = ({ table, key, value }: StoreWrite): boolean =>
    table === 'records' && key === 'admission' && value !== null;
  return {
    of: (job) => context.now() - (since.get(job) ?? 0),
    onStart: (node) => handled.set(node.id, new Map()),
    onHandled: (node, effects) => {
      for (const effect of effects) {
        if (effect.type !== 'persist') continue;
        for (const { job } of effect.writes.filter(isAdmission))
          handled.get(node.id)?.set(job, context.now());
      }
    },
    onDurable: (node, writes) => {
      for (const { job } of writes.filter(isAdmission)) {
        const at = handled.get(node.id)?.get(job) ?? context.now();
        since.set(job, Math.min(at, since.get(job) ?? at));
      }
    },
  };
}

// — healthy work goes on, possible work is taken

/** Who can speak with whom, and since when. */
export type Touch = Pick<StrictContext, 'now' | 'linked' | 'linkedSince'>;

const calmFor = (context: Touch, node: NodeView, ms: number): boolean =>
  node.up && !node.paused && !node.leaving && context.now() - node.undisturbedSince >= ms;

/** Both were there and could speak with each other all the time. */
export function inTouch(context: Touch, one: NodeView, other: NodeView, ms: number): boolean {
  if (!calmFor(context, one, ms) || !calmFor(context, other, ms)) return false;
  if (one === other) return true;
  return context.linked(one, other) && context.now() - context.linkedSince(one, other) >= ms;
}

/** Of a network that loses or delays much, or of nodes that are seconds behind, nobody can say who was to be reached. */
export const isFair = ({ lossRate, slowRate, handleMs }: FaultPlan): boolean =>
  lossRate < 0.05 && slowRate === 0 && handleMs <= 10;

/**
 * What is not taken up in time is missed, which is nobody's failure: a node says so once that is on its disk,
 * and of syncs that take seconds two may come one after the other.
 */
function hasSlowDisks(context: StrictContext): boolean {
  const { fsyncSlowRate, fsyncSlowMs } = context.faults();
  return fsyncSlowRate > 0 && 2 * fsyncSlowMs > context.limits.startTimeoutMs;
}

function checkLoss(
  context: StrictContext,
  facts: JobFacts,
  partition: number,
  attempt: number,
  proposedAt: ReadonlyMap<RecordId, number>,
): void {
  const assigned = facts.chosen.get(`assign/${facts.version}/${partition}/${attempt}`)?.record;
  if (assigned?.type !== 'assign' || !isFair(context.faults())) return;
  // Nothing is given up: an execution that was taken for lost is taken back.
  if (assigned.body.adopts !== null) return;
  // With a full disk a node says nothing that rests on what it cannot write.
  if (context.faults().fullDisksPerMinute > 0) return;
  const leader = context.nodes().find(({ id }) => id === nodeIdOf(assigned.by));
  const sinceMs = context.now() - (proposedAt.get(assigned.id) ?? context.now());
  for (let before = 0; before < attempt && leader !== undefined; before += 1) {
    const earlier = facts.chosen.get(`assign/${facts.version}/${partition}/${before}`)?.record;
    if (earlier?.type !== 'assign') continue;
    const { execution, node: id } = earlier.body;
    const node = context.nodes().find((candidate) => candidate.id === id);
    if (node === undefined || !inTouch(context, leader, node, CALM_MS + sinceMs)) continue;
    const runs = node.runs().some((run) => run.active && run.order.execution === execution);
    if (!runs) continue;
    const next = facts.chosen.get(`assign/${facts.version}/${partition}/${before + 1}`)?.record;
    const missed = next?.type === 'assign' && next.body.replaces === 'missed';
    if (missed && hasSlowDisks(context)) continue;
    // It is being stopped.
    if (next?.type === 'assign' && next.body.replaces === 'surplus') continue;
    const text = `attempt ${attempt} of partition ${partition} while ${execution} runs on ${id}`;
    context.violation('losses', leader, facts.job, text);
  }
}

function checkTimeout(context: StrictContext, facts: JobFacts, tookMs: number): void {
  const close = endOf(facts)?.record;
  if (close?.type !== 'close' || close.body.code !== 'total-timeout') return;
  const totalMs = (facts.spec?.spec.Task.Timeouts.TotalTimeout ?? 0) * 1_000;
  // A clock may run a twentieth too fast.
  if (tookMs > 0.9 * totalMs) return;
  context.violation('timeouts', null, facts.job, `total-timeout of ${totalMs} ms after ${tookMs}`);
}

function checkPossible(
  context: StrictContext,
  leader: NodeView,
  facts: JobFacts,
  proposedAt: ReadonlyMap<RecordId, number>,
): void {
  const close = endOf(facts)?.record;
  const { spec } = facts;
  if (close?.type !== 'close' || close.body.code !== 'not-enough-nodes' || spec === null) return;
  if (!isFair(context.faults())) return;
  // Who ends what one before it began had no choice.
  if (context.now() - (proposedAt.get(close.id) ?? context.now()) > OWN_END_MS) return;
  for (const node of context.nodes()) {
    if (!inTouch(context, leader, node, CALM_MS)) continue;
    if (refusalsFor(node.profile, spec).length > 0) continue;
    const text = `not-enough-nodes, but ${node.id} could run it`;
    context.violation('possible', leader, facts.job, text);
    return;
  }
}

/** Whom it chose is looked at when it chose: others may be there when they have answered. */
function checkCount(context: StrictContext, sponsor: NodeView, job: JobId, chosen: number): void {
  if (!isFair(context.faults())) return;
  const { fullDisksPerMinute, deafNodes } = context.faults();
  const ms = fullDisksPerMinute + deafNodes > 0 ? GOSSIP_MS : KNOWN_MS;
  const there = context.nodes().filter((node) => inTouch(context, sponsor, node, ms));
  if (!there.includes(sponsor)) return;
  const most = keeperCount(there.length, context.limits.keepersMax);
  if (chosen >= most) return;
  context.violation('keepers', sponsor, job, `${chosen} keepers of ${most} that could be had`);
}

// — agreement

function checkLedgers(context: StrictContext): void {
  for (const facts of context.facts.jobs.values()) {
    // Two lines that came to their ends apart keep what they have.
    const lines = new Map<string, Map<string, string>>();
    const now = keepersNow(facts)?.keepers ?? [];
    for (const { node: id, store } of facts.admitted?.body.keepers ?? []) {
      // Who was replaced may have missed what came before the end.
      if (now.every((keeper) => keeper.node !== id || keeper.store !== store)) continue;
      const node = context.nodes().find((candidate) => candidate.id === id);
      if (node === undefined || !node.up || node.store.id !== store) continue;
      if (context.isHostile(node)) continue;
      const job = node.inspect().jobs.find((candidate) => candidate.job === facts.job);
      if (job === undefined) continue;
      if (isUntold(facts, job.records.spec.body.version, context.nodes())) continue;
      const text = job.records.committed
        .map(({ record }) => `${slotText(record)}=${record.id}`)
        .sort()
        .join(' ');
      const end = endKnown(facts, job.records);
      const first = lines.get(end) ?? new Map<string, string>();
      lines.set(end, first.set(text, id));
      if (first.size < 2) continue;
      const both = [...first.values()].join(' and ');
      const counts = [...first.keys()].map((key) => key.split(' ').length).join(' and ');
      context.violation('ledgers', node, facts.job, `${both} differ: ${counts} committed records`);
      break;
    }
  }
}

/** The end of this line of the job, as a keeper knows it; '' when it knows none that was decided. */
function endKnown(facts: JobFacts, { committed }: JobRecords): string {
  const slot = `close/${facts.version}`;
  const own = committed.find(({ record }) => slotText(record) === slot)?.record.id;
  const ends = [...facts.lines.values()].map((line) => line.get(slot)?.record.id);
  return own !== undefined && ends.includes(own) ? own : '';
}
