/** What one input causes inside the node: messages to itself and jobs to look at, until nothing is left. */
import type { Message } from '../contract/messages.ts';
import { jobOfMessage } from './about.ts';
import { contain, isAside } from './containment.ts';
import type { JobId } from '../record/ids.ts';
import type { Core } from './state.ts';

/** Steps that one input may cause, by the jobs that are kept: far more than any does. */
const STEPS_BASE = 10_000;
const STEPS_PER_JOB = 100;

export interface Steps {
  readonly message: (core: Core, message: Message) => void;
  readonly job: (core: Core, job: JobId) => void;
}

/** Each step is contained by itself; one that never comes to an end is the fault of the job at hand. */
export function workOff(core: Core, steps: Steps): void {
  if (core.inbox.length === 0 && core.dirty.size === 0) return;
  const stepsMax = STEPS_BASE + STEPS_PER_JOB * core.keeping.kept.size;
  for (let count = 0; ; count += 1) {
    const message = core.inbox.shift();
    const dirty: JobId | undefined = core.dirty.values().next().value;
    const job = message === undefined ? (dirty ?? null) : jobOfMessage(message);
    if (message === undefined && job === null) return;
    if (message !== undefined && isAside(core, job)) continue;
    const where = message === undefined ? 'job' : `own.${message.type}`;
    contain(core, { where, job, foreign: false }, () => {
      if (count >= stepsMax) throw new Error('one input caused work without an end');
      if (message !== undefined) steps.message(core, message);
      else if (job !== null) steps.job(core, job);
    });
    if (count >= stepsMax) core.dirty.clear();
  }
}
