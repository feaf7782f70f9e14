/**
 * Whether this node runs the jobs that every node runs for as long as they go on: it begins those that it has come
 * to match, and what it does not match any more rests. Looked at from scratch whenever something of this changed,
 * and now and then: what could not be taken up for want of room may be by then.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { shut } from '../node/door.ts';
import type { With } from '../node/state.ts';
import { freeNow } from '../placing/capacity.ts';
import { refusalsFor } from '../placing/eligibility.ts';
import { fits, takenBy } from '../placing/resources.ts';
import type { LiveJob } from '../placing/state.ts';
import { isTerminal } from '../record/ledger.ts';
import type { Refusal } from '../record/refusals.ts';
import { takeUp } from './enrol.ts';
import { goOn, rest } from './restarting.ts';
import { isResting } from './state.ts';
import type { LocalExecution } from './state.ts';

/** What its operator wants otherwise. That an engine does not answer for a while is no reason to stop what runs. */
const UNWANTED: ReadonlySet<Refusal['code']> = new Set<Refusal['code']>([
  'constraint',
  'env-not-allowed',
  'image-not-allowed',
  'namespace-not-allowed',
  'network',
  'owner-not-allowed',
  'path-not-allowed',
]);

type Matching = With<'mesh' | 'keeping' | 'placing' | 'executing'>;

/** What runs here and is to rest, what rests and may go on, and what this node does not run yet. */
export function considerLive(core: Matching): void {
  if (core.profile === null) return;
  const before = core.atHand;
  for (const execution of [...core.executing.own.values()]) {
    core.atHand = execution.stored.order.job;
    matchAnew(core, execution);
  }
  for (const live of [...core.placing.live.values()]) {
    core.atHand = live.announcement.job;
    takeUpLive(core, live);
  }
  core.atHand = before;
}

function matchAnew(core: With<'placing' | 'executing'>, execution: LocalExecution): void {
  const { profile } = core;
  const { order, spec, state } = execution.stored;
  if (profile === null || JOB_TYPES[order.jobType].ends) return;
  if (execution.cancelling || isTerminal(state.body.phase)) return;
  const refusals = refusalsFor(profile, spec.body);
  const unwanted = refusals.find(({ code }) => UNWANTED.has(code));
  if (!isResting(execution)) {
    if (unwanted !== undefined) rest(core, execution, notMatching(unwanted));
    return;
  }
  if (refusals.length > 0 || execution.isEnding || shut(core) !== null) return;
  if (fits(takenBy(order.task, profile.overheads), freeNow(core))) goOn(core, execution);
}

const notMatching = (refusal: Refusal) => ({
  code: 'not-matching',
  class: 'node' as const,
  message: `its node does not match the job any more (${nameOf(refusal)})`.slice(0, 1_000),
});

function nameOf(refusal: Refusal): string {
  if (refusal.code !== 'constraint') return refusal.code;
  const { Key, Operator, Values } = refusal.constraint;
  return `${Key} ${Operator} ${Values.join(', ')}`.trim();
}

/** Its leader is not told why not: it did not ask. */
export function takeUpLive(core: Matching, { announcement, spec }: LiveJob): void {
  takeUp(core, announcement, spec, false);
}
