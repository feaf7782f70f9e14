/** Carrying out what `plan.ts` decided: each bucket has its function, and nothing is decided here. */
import { changes } from '../record/chain.ts';
import { jobTimer, noSupport, propose } from '../consensus/proposer.ts';
import type { KeptJob } from '../keeping/state.ts';
import { isNear } from '../mesh/reach.ts';
import { noteWork } from '../mesh/welcome.ts';
import { note, seal, send } from '../node/outbox.ts';
import { closeSlot } from '../record/slot.ts';
import type { Node, With } from '../node/state.ts';
import { fillVacancies, searchOf, sendAssignments } from '../placing/place.ts';
import type { ExecutionId } from '../record/ids.ts';
import { isTerminal, nodeOfExecution } from '../record/ledger.ts';
import type { Signed } from '../record/records.ts';
import { around, askForCopy, newCopy } from './copies.ts';
import { planJob } from './plan.ts';
import type { Ending, Plan } from './plan.ts';
import { giveUp } from './silence.ts';
import type { Leader, Watched } from './state.ts';

/** Nodes that an accept names. */
const NAMED_HOLDERS_MAX = 4;

/** Does for a job whatever its leader finds to do now. */
export function act(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Leader): void {
  const plan = planJob(kept.ledger, {
    now: core.now,
    epoch: lead.epoch,
    ageMs: core.now - kept.activatedAt,
    watch: lead.watch,
    cancelled: lead.cancelled,
    replications: lead.replications,
    around: around(core),
    search: searchOf(core, kept, lead),
    isProposed: (slot) => lead.commits.proposals.has(slot),
    limits: core.config.limits,
  });
  if (plan.wakeAt !== null) core.timers.set(jobTimer(kept), plan.wakeAt);
  for (const watched of plan.begun) begin(core, kept, lead, watched);
  for (const given of plan.givenUp) giveUp(core, kept, lead, given);
  for (const execution of plan.failed) noteFailure(core, kept, lead, execution);
  cancelSurplus(core, kept, lead, plan);
  if (lead.commits.proposals.has(closeSlot(kept.ledger.spec.body.version))) return;
  if (plan.close !== null) return proposeClose(core, kept, lead, plan.close);
  acceptResults(core, kept, lead, plan);
  for (const state of plan.copies) askForCopy(core, kept, lead, state);
  fillVacancies(core, kept, lead, plan.vacancies);
  sendAssignments(core, kept, lead);
}

/** What another leader assigned may run already: its node learns who leads now. */
function begin(core: Node, kept: KeptJob, lead: Leader, watched: Watched): void {
  const { execution, node } = watched.assign.record.body;
  lead.watch.set(execution, watched);
  const state = kept.ledger.states.get(execution);
  if (watched.startBy !== null || (state && isTerminal(state.body.phase))) return;
  const { job, grant } = kept.ledger;
  const changed = changes(kept.ledger.configs);
  send(core, node, { type: 'leads', job, epoch: lead.epoch, ...changed, grant });
}

function noteFailure(
  core: With<'mesh'>,
  kept: KeptJob,
  lead: Leader,
  execution: ExecutionId,
): void {
  const watched = lead.watch.get(execution);
  if (watched !== undefined) watched.failedAt = core.now;
  const failure = kept.ledger.states.get(execution)?.body.failure;
  const code = failure?.code ?? 'unknown';
  const node = nodeOfExecution(kept.ledger, execution);
  const own = failure?.class === 'node' || failure?.class === 'transient';
  if (node !== null && own) noteWork(core, node, 1);
  note(core, 'job.attempt-failed', { job: kept.ledger.job, execution, code });
}

function cancelSurplus(core: Node, kept: KeptJob, lead: Leader, { surplus }: Plan): void {
  const changed = changes(kept.ledger.configs);
  for (const { assign, because } of surplus) {
    const { execution, node } = assign.record.body;
    lead.cancelled.add(execution);
    send(core, node, { type: 'cancel', job: kept.ledger.job, execution, because, ...changed });
  }
}

function proposeClose(core: Node, kept: KeptJob, lead: Leader, ending: Ending): void {
  const { job, spec, states, commands } = kept.ledger;
  const close = seal(core, 'close', {
    job,
    version: spec.body.version,
    outcome: ending.outcome,
    code: ending.code,
    message: ending.message,
    evidence: ending.evidence,
  });
  const evidence = new Set(ending.evidence);
  propose(core, kept, lead, [close], {
    states: [...states.values()].filter((state) => evidence.has(state.id)),
    commands: [...commands.values()].filter((command) => evidence.has(command.id)),
  });
}

/** Proposes the results, and with the last of them the close: one round, one write to disk. */
function acceptResults(core: With<'mesh'>, kept: KeptJob, lead: Leader, plan: Plan): void {
  const { job, spec } = kept.ledger;
  const { version } = spec.body;
  const values: (Signed<'accept'> | Signed<'close'>)[] = plan.accepts.map((state) =>
    acceptOf(core, lead, state),
  );
  if (plan.complete) {
    const completed = { outcome: 'completed', code: 'completed' } as const;
    const message = 'All partitions have a result.';
    values.push(seal(core, 'close', { job, version, ...completed, message, evidence: [] }));
  }
  if (values.length > 0) propose(core, kept, lead, values, { ...noSupport, states: plan.accepts });
}

function acceptOf(core: With<'mesh'>, lead: Leader, state: Signed<'state'>): Signed<'accept'> {
  const { job, version, partition, attempt, execution, node, exitCode, result } = state.body;
  noteWork(core, node, -1);
  if (result !== null && !lead.replications.has(execution))
    lead.replications.set(execution, newCopy(core, result.cid));
  const made = lead.replications.get(execution)?.made ?? [];
  // Some may have died since; whoever fetches asks those first that were there.
  const holders = [node, ...made]
    .filter((holder) => isNear(core, holder))
    .slice(0, NAMED_HOLDERS_MAX);
  return seal(core, 'accept', {
    job,
    version,
    partition,
    attempt,
    execution,
    node,
    exitCode: exitCode ?? 0,
    result,
    holders: result === null ? [] : holders,
  });
}
