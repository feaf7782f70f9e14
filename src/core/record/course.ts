/**
 * How an execution came to where it is. Of its states a ledger keeps the latest alone, so that one says when it
 * reached the phases before, and how the last of its restarts went: whoever has it tells the same story, whenever
 * it asked. Nothing is decided by it.
 */
import type { ExecutionFailure, Phase } from './execution.ts';
import type { Pause, Signed, StateBody } from './records.ts';

/** The phases that an execution passes through, in their order. */
const PASSED: readonly Phase[] = ['received', 'preparing', 'starting', 'running', 'publishing'];
export const PASSED_MAX = PASSED.length;
/** Pauses that a state tells of beside its own; some 80 bytes each, so that a crash loop grows nothing. */
export const PAUSES_MAX = 8;
/** What a result could not hold is told of so many entries: who wants all of them looks at the node. */
export const LEFT_OUT_MAX = 10;
/** Characters of each. */
export const LEFT_OUT_WHY_MAX = 200;
/** UTF-16 units of why its program was over in each of them. */
export const PAUSE_WHY_MAX = 200;

/** One thing that happened to an execution, as its node tells it. */
export type Step =
  | { readonly type: 'phase'; readonly at: number; readonly phase: Phase }
  | ({ readonly type: 'pause' } & Omit<Pause, 'resumedMs'>)
  | { readonly type: 'resumed'; readonly at: number; readonly restarts: number };

/** What the state after this one tells of it and of those before it. */
export function courseAfter({ body, hlc }: Signed<'state'>): Pick<StateBody, 'reached' | 'pauses'> {
  const at = Math.floor(hlc);
  const pauses = pausesAfter(body, at);
  return {
    reached: reachedAfter(body, at),
    ...(pauses.length === 0 ? {} : { pauses }),
  };
}

function reachedAfter({ reached = [], phase }: StateBody, at: number): readonly (number | null)[] {
  const place = PASSED.indexOf(phase);
  if (place < reached.length) return reached;
  const missed = Array.from({ length: place - reached.length }, () => null);
  const before = momentsOf(reached).at(-1)?.at ?? 0;
  return [...reached, ...missed, Math.max(0, at - before)];
}

function pausesAfter(body: StateBody, at: number): readonly Pause[] {
  const { pauses = [], retryMs, restarts, exitCode } = body;
  if (retryMs !== null) {
    const failure = cut(body.failure);
    const pause = { at, restarts, retryMs, exitCode, failure, resumedMs: null };
    return [...pauses, pause].slice(-PAUSES_MAX);
  }
  const last = pauses.at(-1);
  if (last === undefined || !isResumption(body)) return pauses;
  return [...pauses.slice(0, -1), { ...last, resumedMs: Math.max(0, at - last.at) }];
}

const cut = (failure: ExecutionFailure | null): ExecutionFailure | null =>
  failure === null
    ? null
    : { ...failure, message: failure.message.slice(0, PAUSE_WHY_MAX).toWellFormed() };

const isEnd = (phase: Phase): boolean => !PASSED.includes(phase);

/** Its program was started again, and that is what the state is about. */
const isResumption = ({ pauses, restarts, retryMs, phase }: StateBody): boolean =>
  restarts > 0 && retryMs === null && !isEnd(phase) && (pauses?.at(-1)?.resumedMs ?? null) === null;

function momentsOf(reached: readonly (number | null)[]): { phase: Phase; at: number }[] {
  let at = 0;
  return reached.flatMap((ms, place) => {
    const phase = PASSED[place];
    if (ms === null || phase === undefined) return [];
    at += ms;
    return [{ phase, at }];
  });
}

/**
 * All that a state tells, in the order in which it happened; its own part comes last. A node can write there what it
 * likes of itself: what cannot have been, because it is later than the state or not in order, is left out.
 */
export function stepsOf({ body, hlc }: Signed<'state'>): readonly Step[] {
  const now = Math.floor(hlc);
  const { phase, reached = [], restarts, retryMs, exitCode } = body;
  const place = isEnd(phase) ? PASSED_MAX : PASSED.indexOf(phase) + 1;
  const phases = momentsOf(reached.slice(0, place)).filter(({ at }) => at <= now);
  const steps: Step[] = phases.map((one) => ({ type: 'phase', ...one }));
  for (const pause of orderly(body, now)) {
    const { resumedMs, ...told } = pause;
    steps.push({ type: 'pause', ...told });
    if (resumedMs !== null && pause.at + resumedMs <= now)
      steps.push({ type: 'resumed', at: pause.at + resumedMs, restarts: pause.restarts });
  }
  const isPassed = phases.some((one) => one.phase === phase);
  if (retryMs !== null && !isEnd(phase))
    steps.push({ type: 'pause', at: now, restarts, retryMs, exitCode, failure: cut(body.failure) });
  else if (isResumption(body)) steps.push({ type: 'resumed', at: now, restarts });
  else if (!isPassed) steps.push({ type: 'phase', at: now, phase });
  return steps.sort((a, b) => a.at - b.at);
}

/** Pauses one after the other, none later than the state that tells of them, none of a restart that has not been. */
function orderly({ pauses = [], restarts }: StateBody, now: number): readonly Pause[] {
  let before: Pause | null = null;
  const told: Pause[] = [];
  for (const pause of pauses) {
    const follows =
      before === null ||
      (pause.at >= before.at + (before.resumedMs ?? 0) && pause.restarts >= before.restarts);
    if (!follows || pause.at > now || pause.restarts > restarts) continue;
    told.push(pause);
    before = pause;
  }
  return told;
}
