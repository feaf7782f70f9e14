/** The questions of one look-up: nothing is asked twice, and not without end. */
import { chainOf, currentOf } from '../record/chain.ts';
import type { Roots } from '../record/chain.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import type { Question } from '../contract/messages.ts';
import type { Lookup } from './state.ts';
import { send } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';

/** Questions of one look-up: answers may name others to ask. */
const QUESTIONS_MAX = 256;
/** Once something was heard, those who have not answered get this long; answers take milliseconds. */
const GRACE_MS = 500;

export const timerOf = (request: RequestId): string => `lookup:${request}`;

/** The question for one job by its id. */
export const named = ({ question }: Lookup, job: JobId): Question =>
  question.type === 'job' ? { ...question, ref: job } : question;

export function ask(core: Node, lookup: Lookup, node: NodeId, question: Question): void {
  const key = `${node}|${question.type === 'job' ? question.ref : JSON.stringify(question)}`;
  if (node === core.self || lookup.asked.has(key) || lookup.asked.size >= QUESTIONS_MAX) return;
  lookup.asked.add(key);
  lookup.open.set(node, (lookup.open.get(node) ?? 0) + 1);
  send(core, node, { type: 'find', request: lookup.request, query: question });
}

export function askAround(core: With<'mesh'>, lookup: Lookup, most: number): void {
  lookup.around = true;
  for (const node of [...core.mesh.connected].slice(0, most))
    ask(core, lookup, node, lookup.question);
  if (lookup.best !== null) rest(core, lookup);
}

/** Everybody who keeps the job, so that no one of them can hold back what it knows. */
export function askKeepers(core: Node, lookup: Lookup, roots: Roots): void {
  if (lookup.keepersAsked) return;
  lookup.keepersAsked = true;
  const chain = chainOf(roots);
  for (const node of keeperNodes(currentOf(chain)))
    ask(core, lookup, node, named(lookup, chain.job));
  rest(core, lookup);
}

/** There is something to answer with: who is silent does not delay it for long. */
export function rest(core: Node, lookup: Lookup): void {
  const at = after(core.now, GRACE_MS);
  lookup.restAt = at < lookup.deadline ? at : lookup.deadline;
  core.timers.set(timerOf(lookup.request), lookup.restAt);
}
