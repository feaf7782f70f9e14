/**
 * Jobs that each node takes up by its own decision: none runs twice on one store (S18), and whoever matches and was
 * there all the time while its first leader called has it (`everywhere`).
 */
import { refusalsFor } from '../../src/core/placing/eligibility.ts';
import type { Effect } from '../../src/core/contract/effect.ts';
import type { JobId, NodeId } from '../../src/core/record/ids.ts';
import { JOB_TYPES } from '../../src/job/types.ts';
import { endOf } from './facts.ts';
import type { JobFacts } from './facts.ts';
import type { NodeView, Observer } from './observer.ts';
import { inTouch, isFair, KNOWN_MS } from './strict.ts';
import type { StrictContext } from './strict.ts';

/** The ends that its nodes have come to. Others may come before they are all called. */
const ENDS: ReadonlySet<string> = new Set(['completed', 'nodes-failed', 'not-enough-nodes']);

export function createEnrolment(context: StrictContext): Observer {
  const begun = new Set<string>();
  const closed = new Set<JobId>();

  const onRun = (node: NodeView, { order, resume }: Extract<Effect, { type: 'run' }>): void => {
    const { counted, ends } = JOB_TYPES[order.jobType];
    if (resume || counted || !ends) return;
    const key = `${node.store.id}|${order.job}|${order.version}`;
    if (begun.has(key)) context.violation('S18', node, order.job, 'runs the job a second time');
    begun.add(key);
  };

  const onClosed = (leader: NodeView, job: JobId): void => {
    const facts = context.facts.jobs.get(job);
    if (closed.has(job) || facts === undefined) return;
    closed.add(job);
    if (context.strict.includes('everywhere')) checkEverywhere(context, leader, facts);
  };

  return {
    onEffect: (node, effect) => {
      if (effect.type === 'run') onRun(node, effect);
      if (effect.type === 'note' && effect.event === 'job.closed')
        onClosed(node, effect.data['job'] as JobId);
    },
  };
}

function checkEverywhere(context: StrictContext, leader: NodeView, facts: JobFacts): void {
  const close = endOf(facts)?.record;
  const { spec, admitted, epochs } = facts;
  if (close?.type !== 'close' || spec === null || admitted === null) return;
  const { counted, ends } = JOB_TYPES[spec.spec.Type];
  if (counted || !ends || !ENDS.has(close.body.code)) return;
  const { fullDisksPerMinute } = context.faults();
  if (!isFair(context.faults()) || fullDisksPerMinute > 0 || epochs.size > 0) return;
  const ms = context.now() - admitted.at + KNOWN_MS;
  const enrolled = enrolledIn(facts);
  for (const node of context.nodes()) {
    if (!inTouch(context, leader, leader, ms) || !inTouch(context, leader, node, ms)) continue;
    if (context.isHostile(node) || refusalsFor(node.profile, spec).length > 0) continue;
    if (enrolled.has(node.id)) continue;
    context.violation(
      'everywhere',
      node,
      facts.job,
      'matches the job, was there and has not run it',
    );
  }
}

/** Nodes of which it was committed that they run it. */
function enrolledIn({ chosen }: JobFacts): ReadonlySet<NodeId> {
  const nodes = new Set<NodeId>();
  for (const { record } of chosen.values())
    if (record.type === 'assign') nodes.add(record.body.node);
  return nodes;
}
