/**
 * A job that is kept running goes over to another version replica by replica: the new one comes first, and the one
 * before it is stopped when the new one has stayed up for a while. So one more than wanted runs at most, and, where
 * there is no room for that, one fewer: what gives way before that makes the only gap there is. When the new ones do
 * not come up, the job goes back to what ran before, which its owner has signed for that case.
 */
import { jobTimer, propose } from '../consensus/proposer.ts';
import type { KeptJob } from '../keeping/state.ts';
import { seal, touch } from '../node/outbox.ts';
import type { Node } from '../node/state.ts';
import { stopAmong } from '../record/commands.ts';
import { after } from '../record/ids.ts';
import type { Millis } from '../record/ids.ts';
import { attemptsOf, isTerminal } from '../record/ledger.ts';
import type { Attempt, Ledger } from '../record/ledger.ts';
import { closeSlot, partitionsIn, versionSlot } from '../record/slot.ts';
import { fallbackOf } from '../record/versions.ts';
import { watchAnew } from './fate.ts';
import { outdate } from './outlook.ts';
import { onlyBusy } from './queueing.ts';
import type { Leader, Rolling } from './state.ts';
import { isRolled, retireOne } from './turning.ts';
import { upAs } from './workload.ts';

/** A replica of the new version that has run for so long came up: what fails at its start has failed by then. */
const UP_MS = 10_000;
/** So long a place is looked for beside the replica that is to give way; then its own place must do. */
const ROOM_MS = 10_000;
/** Starts of one replica that came to nothing: the version does not come up. With their pauses some 7 s. */
const TRIES_MAX = 3;

/** One that runs, of versions before, by its partition; the oldest version first. */
type Olds = ReadonlyMap<number, readonly Attempt[]>;

/** Looks whose turn it is, and has those stop that others have come for. Before the plan, which places no others. */
export function tickRolling(core: Node, kept: KeptJob, lead: Leader): void {
  const { ledger } = kept;
  if (!isRolled(ledger) || ledger.version === null) return;
  const olds = oldsOf(core, ledger, lead);
  for (const [index, attempts] of olds) {
    const isGone = index >= partitionsIn(ledger.spec.body);
    // Of two versions before, those of the later one did not come up, or were just coming.
    for (const attempt of isGone ? attempts : attempts.slice(1)) stop(core, kept, lead, attempt);
    if (isGone) (olds as Map<number, readonly Attempt[]>).delete(index);
  }
  const before = lead.rolling;
  const turn = turnAfter(before, olds, partitionsIn(ledger.spec.body));
  const held = new Set([...olds.keys()].filter((index) => index !== turn));
  for (const index of before?.held ?? []) if (!held.has(index)) outdate(kept, index);
  if (turn === undefined) {
    lead.rolling = null;
    return;
  }
  const rolling: Rolling =
    before?.turn === turn
      ? { ...before, held }
      : { turn, isOver: false, held, since: core.now, up: null, upSince: core.now };
  lead.rolling = rolling;
  if (before?.turn !== turn) outdate(kept, turn);
  goOn(core, kept, lead, rolling, olds);
}

function turnAfter(before: Rolling | null, olds: Olds, partitions: number): number | undefined {
  if (before !== null && !before.isOver && before.turn < partitions) return before.turn;
  const [lowest] = [...olds.keys()].sort((a, b) => a - b);
  return lowest;
}

function goOn(core: Node, kept: KeptJob, lead: Leader, rolling: Rolling, olds: Olds): void {
  const attempts = attemptsOf(kept.ledger.partitions.get(rolling.turn));
  const why = failing(attempts);
  if (why !== null && rollBack(core, kept, lead, why)) return;
  const last = attempts.at(-1);
  const up = last === undefined ? null : upAs(last, lead);
  if (up === null || up !== rolling.up) {
    rolling.up = up;
    rolling.upSince = core.now;
  }
  const lookAt = up === null ? after(rolling.since, ROOM_MS) : after(rolling.upSince, UP_MS);
  if (core.now < lookAt) return core.timers.set(jobTimer(kept), lookAt);
  // It was assigned, and has not come up yet.
  if (up === null && last !== undefined) return;
  if (up === null && !mayMakeRoom(kept.ledger, lead, rolling, olds)) return;
  const own = olds.get(rolling.turn) ?? [];
  for (const old of own) stop(core, kept, lead, old);
  rolling.isOver = up !== null;
  if (rolling.isOver || own.length > 0) touch(core, kept.ledger.job);
}

/** A node is only too busy for it, and each other replica that ran before does so now, of whatever version. */
function mayMakeRoom(
  { others, partitions, spec }: Ledger,
  lead: Leader,
  { turn }: Rolling,
  olds: Olds,
): boolean {
  if (![...lead.seeking.declines.values()].some(onlyBusy)) return false;
  for (const { partitions: before } of others.values())
    for (const index of before.keys()) {
      if (index === turn || index >= partitionsIn(spec.body) || olds.has(index)) continue;
      const last = attemptsOf(partitions.get(index)).at(-1);
      if (last === undefined || upAs(last, lead) === null) return false;
    }
  return true;
}

function stop(core: Node, kept: KeptJob, lead: Leader, { assign }: Attempt): void {
  const { execution, node } = assign.record.body;
  retireOne(core, kept, lead, execution, node);
}

/** Why the replicas of this version are taken not to come up; null while they may. */
function failing(attempts: readonly Attempt[]): string | null {
  // What goes on as a further attempt is one execution all the same.
  const executions = new Map(
    attempts.map((attempt) => [attempt.assign.record.body.execution, attempt] as const),
  );
  const failures = [...executions.values()].map(({ state }) => {
    if (state === null) return 0;
    return state.body.restarts + (state.body.phase === 'failed' ? 1 : 0);
  });
  if (failures.reduce((sum, count) => sum + count, 0) < TRIES_MAX) return null;
  const last = attempts.findLast(
    ({ state }) => (state?.body.restarts ?? 0) > 0 || state?.body.failure,
  );
  const { failure = null, exitCode = null } = last?.state?.body ?? {};
  return failure?.message ?? `its program ended with exit code ${exitCode ?? 0}`;
}

/** @returns whether the job goes back to the version before */
export function rollBack(core: Node, kept: KeptJob, lead: Leader, why: string): boolean {
  const { ledger } = kept;
  const spec = fallbackOf(core.suite, ledger);
  if (lead.rolling === null || spec === null) return false;
  const { version } = spec.body;
  // Its owner stops it, or its end is proposed: it must not begin anew after that.
  if (stopAmong(ledger.commands.values(), version - 1) !== null) return false;
  if (lead.commits.proposals.has(closeSlot(version - 1))) return false;
  if (lead.commits.proposals.has(versionSlot(version))) return true;
  const message = `Version ${version - 1} did not come up, and version ${version - 2} came back: ${why}`;
  const value = seal(core, 'version', {
    job: ledger.job,
    version,
    spec: core.suite.envelopeOf(spec),
    fallback: null,
    message: message.slice(0, 1000),
  });
  propose(core, kept, lead, [value]);
  return true;
}

/** As far as their nodes say that they run, or were heard lately. */
function oldsOf(core: Node, ledger: Ledger, lead: Leader): Olds {
  const olds = new Map<number, Attempt[]>();
  const versions = [...ledger.others].filter(
    ([version, { assigned }]) =>
      version < ledger.spec.body.version && lead.gone.get(version) !== assigned.size,
  );
  for (const [version, { partitions, assigned }] of versions.sort(([a], [b]) => a - b)) {
    let isGone = true;
    for (const [index, partition] of partitions) {
      const last = attemptsOf(partition).at(-1);
      if (last === undefined || isOver(last, lead)) continue;
      isGone = false;
      if (silentAt(core, ledger, lead, last) <= core.now) continue;
      olds.set(index, [...(olds.get(index) ?? []), last]);
    }
    if (isGone) lead.gone.set(version, assigned.size);
  }
  return olds;
}

/** For good. */
const isOver = ({ assign, state }: Attempt, { cancelled }: Leader): boolean =>
  cancelled.has(assign.record.body.execution) || (state !== null && isTerminal(state.body.phase));

function silentAt(core: Node, ledger: Ledger, lead: Leader, attempt: Attempt): Millis {
  const { execution } = attempt.assign.record.body;
  const known = lead.watch.get(execution);
  if (known !== undefined) return known.silentAt;
  const watched = watchAnew(attempt, undefined, ledger, {
    now: core.now,
    epoch: lead.epoch,
    limits: core.config.limits,
  });
  lead.watch.set(execution, { ...watched, startBy: null });
  return watched.silentAt;
}
