/**
 * One node of the mesh as a pure machine (README, "The core contract"): an input and the time go in,
 * effects come out. This file only dispatches; what happens is in the parts it calls.
 *
 * Within one input: the input itself, then messages to this node itself, then every job that was
 * touched, until nothing is left. All writes of the input come first in the result, as one barrier:
 * a record is on disk before any message that speaks of it leaves.
 */
import { jobOfInput, jobOfTimer, requestOf } from './node/about.ts';
import { workOff } from './node/work-off.ts';
import type { Steps } from './node/work-off.ts';
import { ring, timerKind } from './alarms.ts';
import { contain, isAside, replyDefect } from './node/containment.ts';
import { createCore } from './node/create-core.ts';
import { behindMs, fellBehind, isBehind } from './mesh/backlog.ts';
import { onLag } from './mesh/detector.ts';
import { confirmLead } from './consensus/candidacy.ts';
import { isPending } from './executing/reporting.ts';
import { doubtCalls } from './executing/enrol.ts';
import { excuseSilence } from './leading/silence.ts';
import { after, asMillis } from './record/ids.ts';
import type { Hlc, JobId, Millis } from './record/ids.ts';
import { inspect, onlyHere, sightings, sizesOf } from './inspection.ts';
import { tickJob } from './jobs.ts';
import type { Effect } from './contract/effect.ts';
import type { Input } from './contract/input.ts';
import type { Machine, MachineConfig } from './contract/machine.ts';
import type { Restored } from './contract/stored.ts';
import { restore } from './restore.ts';
import { dispatch, onMessage } from './routes.ts';
import { keeperNumbers } from './keeping/keeper-numbers.ts';
import { eachKept } from './keeping/books.ts';
import type { Core } from './node/state.ts';
import type { Suite } from './record/suite.ts';

/** Alarms that ring within one input: thousands may be due at once, and messages must have their turn. */
const RINGS_MAX = 1_000;

const NO_EFFECTS: readonly Effect[] = [];

/**
 * @param restored everything the node's store holds; consumed with the first input, which brings the time
 */
export function createMachine(config: MachineConfig, suite: Suite, restored: Restored): Machine {
  const core = createCore(config, suite);
  // Given away with the first input: a week of jobs as records is most of a node's memory.
  let unread: Restored | null = restored;

  function handle(input: Input, now: Millis, wall: Hlc, arrivedAt = now): readonly Effect[] {
    core.wall = wall;
    core.hlc = wall > core.hlc ? wall : core.hlc;
    if (unread !== null) {
      const rows = unread;
      unread = null;
      boot(core, rows, now);
    }
    core.timers.begin(now);
    // As a rule neither is so, and what looks cannot fail.
    const awayMs = Math.max(keepTime(core, now), keepUp(core, input, now - arrivedAt));
    if (awayMs > 0)
      contain(core, { where: 'time', job: null, foreign: false }, () => wasAway(core, awayMs));
    take(core, input);
    settle(core);
    // What is left rings with the next input, which the driver hands in at once.
    for (let rings = 0; rings < RINGS_MAX; rings += 1) {
      const key = core.timers.take(now);
      if (key === null) break;
      const where = `timer.${timerKind(key)}`;
      contain(core, { where, job: jobOfTimer(core, key), foreign: false }, () => ring(core, key));
      settle(core);
    }
    return drain(core);
  }

  return {
    handle,
    nextWake: () => (unread === null ? core.timers.next() : asMillis(0)),
    inspect: () => inspect(core),
    sizes: () => sizesOf(core),
    load: () => ({
      jobsKept: core.keeping.kept.size + core.keeping.shelf.size - core.keeping.warm.size,
      executions: [...core.executing.executions.values()].filter(isPending).length,
      jobsSetAside: [...core.troubles.values()].filter(({ state }) => state === 'aside').length,
    }),
    keeperNumbers: (missed) => keeperNumbers(core, missed),
    onlyHere: () => onlyHere(core),
    sightings: () => sightings(core),
  };
}

function boot(core: Core, restored: Restored, now: Millis): void {
  core.now = now;
  core.startedAt = now;
  restore(core, restored);
  core.timers.set('probe', after(now, core.config.limits.probeMs));
  core.timers.set('leaders', after(now, 1_000));
}

/** Notices when this node did not run for a while. @returns milliseconds that it was away */
function keepTime(core: Core, now: Millis): number {
  const due = core.timers.next();
  // What was left over from the last input was due before it: the time in between did not lag.
  const since = Math.max(due ?? now, core.now);
  core.now = now;
  return Math.max(0, now - since);
}

/** Notices when what others say waits here for longer and longer. @returns milliseconds that it fell behind */
const keepUp = (core: Core, input: Input, waitedMs: number): number =>
  input.type === 'message' && input.from !== core.self ? fellBehind(core, input.from, waitedMs) : 0;

/** For so long this node heard nothing, whatever was said: it accuses nobody, and confirms what it leads. */
function wasAway(core: Core, ms: number): void {
  onLag(core, ms);
  const { leaderGapMs } = core.config.limits;
  const isLong = Math.max(ms, behindMs(core)) > leaderGapMs;
  if (isLong) doubtCalls(core);
  if (!isLong && !isBehind(core)) return;
  for (const kept of eachKept(core)) {
    const { lead, ledger } = kept;
    if (lead?.stage !== 'leader' || ledger.close !== null) continue;
    excuseSilence(core, kept, lead, ms);
    if (isLong && lead.confirming === null) confirmLead(core, kept, lead);
  }
}

/** The input itself. */
function take(core: Core, input: Input): void {
  const job = jobOfInput(core, input);
  if (input.type !== 'reload' && isAside(core, job)) return;
  const foreign = input.type === 'message' || input.type === 'gossip';
  const before = core.out.length;
  contain(core, { where: whereOf(input), job, foreign }, () => dispatch(core, input));
  const request = requestOf(input);
  if (request === null || core.out[before]?.type !== 'defect') return;
  replyDefect(core, request, 'the request could not be handled; the log says more');
}

const whereOf = (input: Input): string => {
  if (input.type === 'message') return `message.${input.message.type}`;
  if (input.type === 'gossip') return `gossip.${input.gossip.type}`;
  return input.type;
};

/** Works off what this input caused inside the node. */
const settle = (core: Core): void => workOff(core, STEPS);

const STEPS: Steps = {
  message: (core, message) => onMessage(core, core.self, message),
  job: tickDirty,
};

function tickDirty(core: Core, job: JobId): void {
  core.dirty.delete(job);
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) tickJob(core, kept);
}

/** All writes first, as one barrier, then everything else in order; what is to be read again last. */
function drain(core: Core): readonly Effect[] {
  // Most of what arrives are adverts, and changes nothing.
  if (core.out.length === 0 && core.writes.length === 0) return NO_EFFECTS;
  const all = core.out.splice(0);
  const broken = all.some((effect) => effect.type === 'reload');
  const isReload = (effect: Effect): boolean => effect.type === 'reload';
  const effects = broken
    ? [...all.filter((effect) => !isReload(effect)), ...all.filter(isReload)]
    : all;
  const writes = core.writes.splice(0);
  return writes.length === 0 ? effects : [{ type: 'persist', writes }, ...effects];
}
