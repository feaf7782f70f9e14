/**
 * What the owner wants of executions that are cut off: of an exclusive job no two programs of one partition run at
 * any moment of the world, whatever the clocks, pauses and restarts of their nodes (S20); of a job that waits a
 * leader gives no partition to another node sooner than the owner said since it heard of the one before (S21).
 */
import type { Input } from '../../src/core/contract/input.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { ExecutionOrder } from '../../src/core/record/execution.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import { isTerminal } from '../../src/core/record/ledger.ts';
import type { SpecBody } from '../../src/core/record/records.ts';
import { lostAfterOf, partitionPolicyOf } from '../../src/job/partition-policy.ts';
import type { CheckersContext } from './checkers.ts';
import type { NodeView, Observer } from './observer.ts';

export interface PoliciesContext extends CheckersContext {
  nodes(): readonly NodeView[];
}

/** Clocks run a twentieth too fast or too slow. */
const CLOCKS = 0.9;

export function createPoliciesChecker(context: PoliciesContext): Observer {
  /** When a node last heard of an execution, by the two. */
  const heard = new Map<string, number>();
  const proposed = new Set<string>();
  const specOf = (job: JobId): SpecBody | null => context.facts.jobs.get(job)?.spec ?? null;
  return {
    onInput: (node, input) => {
      for (const [job, execution, isOver] of aboutExecutions(input)) {
        const spec = specOf(job);
        if (spec === null || lostAfterOf(spec.spec) === null) continue;
        const key = `${node.id}|${execution}`;
        // Of what its node says has ended nobody waits for another word.
        if (heard.get(key) === Number.NEGATIVE_INFINITY) continue;
        heard.set(key, isOver ? Number.NEGATIVE_INFINITY : context.now());
      }
    },
    onSend: (node, _to, message) => {
      if (message.type === 'propose') {
        const fresh = message.values.filter(({ value: { id } }) => !proposed.has(id));
        for (const { value } of fresh) proposed.add(value.id);
        checkWaited(context, node, { ...message, values: fresh }, heard, specOf);
      }
    },
    onEffect: (node, effect) => {
      if (effect.type !== 'run' || effect.until === undefined) return;
      // It comes too late, and begins nothing.
      if (effect.until <= node.now()) return;
      const spec = specOf(effect.order.job);
      if (spec === null || partitionPolicyOf(spec.spec) !== 'exclusive') return;
      checkAlone(context, node, effect.order);
    },
  };
}

function* aboutExecutions(
  input: Input,
): Generator<readonly [JobId, string, boolean], void, undefined> {
  if (input.type !== 'message') return;
  const { message } = input;
  if (message.type === 'renew')
    for (const { job, execution } of message.executions) yield [job, execution, false];
  if (message.type === 'states')
    for (const { body } of message.states) yield [body.job, body.execution, isTerminal(body.phase)];
  if (message.type === 'started')
    for (const execution of message.executions) yield [message.job, execution, false];
}

/** S20 */
function checkAlone(context: PoliciesContext, node: NodeView, order: ExecutionOrder): void {
  const { job, version, partition, execution } = order;
  for (const other of context.nodes()) {
    for (const { active, order: its } of other.runs()) {
      if (!active || its.job !== job || its.version !== version) continue;
      if (its.partition !== partition || its.execution === execution) continue;
      const text = `${execution} of partition ${partition} begins while ${its.execution} runs on ${other.id}`;
      context.violation('S20', node, job, text);
    }
  }
}

/** S21: of what this leader proposes itself. What it takes over from another was looked at there. */
function checkWaited(
  context: PoliciesContext,
  node: NodeView,
  { job, epoch, values }: Extract<Message, { type: 'propose' }>,
  heard: ReadonlyMap<string, number>,
  specOf: (job: JobId) => SpecBody | null,
): void {
  const spec = specOf(job);
  const lostAfterMs = spec === null ? null : lostAfterOf(spec.spec);
  if (lostAfterMs === null) return;
  for (const { value } of values) {
    if (value.type !== 'assign' || value.body.replaces !== 'lost') continue;
    if (value.body.epoch.leader !== node.id || value.body.epoch.number !== epoch.number) continue;
    const { version, partition, attempt } = value.body;
    const before = context.facts.jobs
      .get(job)
      ?.chosen.get(`assign/${version}/${partition}/${attempt - 1}`)?.record;
    if (before?.type !== 'assign') continue;
    const at = heard.get(`${node.id}|${before.body.execution}`) ?? 0;
    const waitedMs = context.now() - at;
    if (waitedMs < CLOCKS * lostAfterMs)
      context.violation(
        'S21',
        node,
        job,
        `partition ${partition} is given away ${waitedMs} ms after ${before.body.execution} was heard`,
      );
  }
}
