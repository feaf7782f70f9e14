/**
 * What the owner of a job wants belongs to no branch of it: whoever knows of it brings it to those that go by another
 * one, and the end that his own came to. Who follows takes that end; who was intact, and stays, takes the stop that
 * it rests on, and ends its own branch by it.
 */
import { allow, pointsFor } from '../mesh/allowance.ts';
import { isNear } from '../mesh/reach.ts';
import { send } from '../node/outbox.ts';
import { anew, isDue, said, toSay } from '../node/repeat.ts';
import type { Repeat } from '../node/repeat.ts';
import { remember } from '../node/remember.ts';
import type { Node, With } from '../node/state.ts';
import { changes, currentOf, earlierKeepers } from '../record/chain.ts';
import { ruleOf, stopAmong } from '../record/commands.ts';
import { after } from '../record/ids.ts';
import type { JobId, Millis, NodeId } from '../record/ids.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Signed } from '../record/records.ts';
import type { Packed } from '../record/suite.ts';
import { endOf } from './books.ts';
import type { End } from './books.ts';

/** As long as a stop is sent: for two branches that were apart longer their keepers' own ends count. */
const TOLD_MS = 24 * 3_600_000;
/** So long it is repeated to those that do not answer, and again when one of them connects. */
const REPEATED_MS = 600_000;
/** Jobs of which the end is told: some 1 KB each, and a stop with its reason; the oldest makes room. */
const ENDS_MAX = 1_000;

/** Whom the end of a re-seeded job is still to be told. */
export interface BranchEnd {
  /** The stop that it rests on; null when it came to its end by itself. */
  readonly stop: Packed | null;
  readonly nodes: Set<NodeId>;
  readonly until: Millis;
  repeatedUntil: Millis;
  readonly resend: Repeat;
}

const timerOf = (job: JobId): string => `branch-end:${job}`;

/** What its owner wants of the job, as far as this node has heard of it. */
export function tellWishes(core: Node, to: NodeId, { job, commands, wanted, spec }: Ledger): void {
  for (const command of commands.values()) {
    const { body } = command;
    // It was for a version that is over.
    if (ruleOf(body).stops && (body.version ?? 1) < spec.body.version) continue;
    send(core, to, { type: 'command', command });
  }
  if (wanted !== null) send(core, to, { type: 'update', job, ...wanted });
}

/** Those that keep the job by the branch that this node has just turned to: they may know nothing of it. */
export function handWishes(core: Node, ledger: Ledger): void {
  for (const node of keeperNodes(currentOf(ledger)))
    if (node !== core.self) tellWishes(core, node, ledger);
}

/** The job is over here; who asks goes by another branch. */
export function tellEnd(core: Node, to: NodeId, ledger: Ledger): void {
  const { close, configs } = ledger;
  if (close !== null) tellProof(core, to, { close, ...changes(configs) }, stopOf(ledger));
}

const stopOf = ({ commands, spec }: Ledger): Signed<'command'> | null =>
  stopAmong(commands.values(), spec.body.version);

/** The end first: who follows takes it, and needs nothing else. */
function tellProof(core: Node, to: NodeId, end: End, stop: Signed<'command'> | null): void {
  send(core, to, { type: 'closed', job: end.close.record.body.job, ...end });
  if (stop !== null) send(core, to, { type: 'command', command: stop });
}

/** The job is over in the branch of this keeper: who kept it before it was re-seeded is told, as he may go on with it. */
export function beginTelling(core: With<'keeping'>, ledger: Ledger): void {
  const { job } = ledger;
  if (currentOf(ledger).config.major === 0) return;
  const nodes = earlierKeepers(ledger);
  nodes.delete(core.self);
  const stop = stopOf(ledger);
  const end: BranchEnd = {
    stop: stop === null ? null : core.suite.pack([{ record: stop, votes: [] }]),
    nodes,
    until: after(core.now, TOLD_MS),
    repeatedUntil: after(core.now, REPEATED_MS),
    resend: toSay(core),
  };
  remember(core.keeping.branchEnds, job, end, ENDS_MAX);
  core.timers.set(timerOf(job), core.now);
}

export function tickBranchEnd(core: With<'mesh' | 'keeping'>, job: JobId): void {
  const told = core.keeping.branchEnds.get(job);
  if (told === undefined) return;
  const { nodes, until, repeatedUntil, resend } = told;
  const end = endOf(core, job);
  if (nodes.size === 0 || core.now >= until || end === null) {
    core.keeping.branchEnds.delete(job);
    return;
  }
  if (core.now >= repeatedUntil) return core.timers.set(timerOf(job), until);
  if (isDue(core, resend)) {
    const [stop] = told.stop === null ? [] : core.suite.unpack(told.stop);
    const command = stop?.record.type === 'command' ? stop.record : null;
    for (const node of nodes)
      if (isNear(core, node) && allow(core, node, pointsFor(end.configs?.length ?? 0)))
        tellProof(core, node, end, command);
    said(core, resend);
  }
  core.timers.set(timerOf(job), resend.at);
}

/** This node has the end, or the stop, or an end of its own: whatever it goes by, there is nothing more to be told. */
export function endTold(core: With<'keeping'>, node: NodeId, job: JobId): void {
  core.keeping.branchEnds.get(job)?.nodes.delete(node);
}

/** A node connected that may go on with what is over here. */
export function tellBranchEnds(core: With<'keeping'>, node: NodeId): void {
  for (const [job, end] of core.keeping.branchEnds) {
    if (!end.nodes.has(node)) continue;
    end.repeatedUntil = after(core.now, REPEATED_MS);
    anew(core, end.resend);
    core.timers.set(timerOf(job), core.now);
  }
}
