/** Carrying out what `plan.ts` decided: each bucket has its function, and nothing is decided here. */
import { JOB_TYPES } from '../../job/types.ts';
import { changes } from '../record/chain.ts';
import { jobTimer, noSupport, propose, restsOnResults } from '../consensus/proposer.ts';
import type { KeptJob } from '../keeping/state.ts';
import { aliveMembers } from '../mesh/members.ts';
import { isNear } from '../mesh/reach.ts';
import { behindMs } from '../mesh/backlog.ts';
import { noteWork } from '../mesh/welcome.ts';
import { note, seal, send, wallMs } from '../node/outbox.ts';
import { closeSlot } from '../record/slot.ts';
import type { Node, With } from '../node/state.ts';
import { callNodes, fillVacancies, searchOf, sendAssignments } from '../placing/place.ts';
import { sameEpoch } from '../record/ballot.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId } from '../record/ids.ts';
import { isTerminal, nodeOfExecution, placeOf } from '../record/ledger.ts';
import type { Ledger } from '../record/ledger.ts';
import { endIn } from '../record/past.ts';
import type { Signed } from '../record/records.ts';
import { around, askForCopy, newCopy } from './copies.ts';
import { enrolmentOf } from './enrolment.ts';
import type { Age } from './enrolment.ts';
import { placeEnrolled } from './enrolling.ts';
import { replan } from './outlook.ts';
import { rollBack, tickRolling } from './rolling.ts';
import type { Observed } from './partition-plan.ts';
import type { Plan } from './plan.ts';
import { giveUp, hasten } from './silence.ts';
import type { Leader, Watched } from './state.ts';

/** Between two versions of a job: an owner that changes its mind all the time costs its keepers no more than this. */
const VERSION_PAUSE_MS = 1_000;
/** Nodes that an accept names. */
const NAMED_HOLDERS_MAX = 4;

/** Does for a job whatever its leader finds to do now. */
export function act(core: With<'mesh' | 'keeping'>, kept: KeptJob, lead: Leader): void {
  proposeWanted(core, kept, lead);
  // It is over, but for the version that its owner wants next.
  if (endIn(kept.ledger) !== null) return;
  tickRolling(core, kept, lead);
  if (!isEnding(kept, lead)) placeEnrolled(core, kept, lead);
  const plan = replan(lead.outlook, kept.ledger, observedBy(core, kept, lead));
  if (plan.wakeAt !== null) core.timers.set(jobTimer(kept), plan.wakeAt);
  for (const watched of plan.begun) begin(core, kept, lead, watched);
  for (const given of plan.givenUp) giveUp(core, kept, lead, given);
  for (const execution of plan.failed) noteFailure(core, kept, lead, execution);
  cancelSurplus(core, kept, lead, plan);
  if (isEnding(kept, lead)) return;
  if (plan.close?.outcome === 'failed' && rollBack(core, kept, lead, plan.close.message)) return;
  if (plan.close !== null) return proposeClose(core, kept, lead, plan);
  proposeAdoptions(core, kept, lead, plan);
  acceptResults(core, kept, lead, plan);
  for (const state of plan.copies) askForCopy(core, kept, lead, state);
  if (plan.calling) callNodes(core, kept, lead);
  else fillVacancies(core, kept, lead, plan.vacancies);
  sendAssignments(core, kept, lead);
}

/** What the owner wants next becomes the next version, once those agree who keep the job. */
function proposeWanted(core: Node, kept: KeptJob, lead: Leader): void {
  const { job, wanted } = kept.ledger;
  if (wanted === null) return;
  const notBefore = after(kept.turnedAt, VERSION_PAUSE_MS);
  if (core.now < notBefore) return core.timers.set(jobTimer(kept), notBefore);
  const { spec, fallback } = wanted;
  const value = seal(core, 'version', {
    job,
    version: spec.body.version,
    spec: core.suite.envelopeOf(spec),
    fallback: fallback === null ? null : core.suite.envelopeOf(fallback),
    message: '',
  });
  propose(core, kept, lead, [value]);
}

/** The end is proposed: who enrols now is too late. */
const isEnding = ({ ledger }: KeptJob, { commits }: Leader): boolean =>
  commits.proposals.has(closeSlot(ledger.spec.body.version));

/** What this leader sees of its job now. */
export const observedBy = (
  core: With<'mesh' | 'keeping'>,
  kept: KeptJob,
  lead: Leader,
): Observed => ({
  now: core.now,
  epoch: lead.epoch,
  ageMs: core.now - kept.activatedAt,
  watch: lead.watch,
  cancelled: lead.cancelled,
  replications: lead.replications,
  around: around(core),
  search: searchOf(core, kept, lead),
  ...(lead.rolling === null ? {} : { held: lead.rolling.held }),
  isProposed: (slot) => lead.commits.proposals.has(slot),
  enrolment: enrolmentOf(
    kept.ledger,
    ageOf(core, kept),
    lead.epoch.number === 0 ? null : lead.since,
    core.config.limits.leaseLostMs,
    {
      isPlacing: proposesPlaces(lead),
      available: () => aliveMembers(core).length + 1,
      declines: lead.seeking.declines,
    },
  ),
  limits: core.config.limits,
});

const ageOf = (core: Node, { activatedAt, isResumed, ledger }: KeptJob): Age => ({
  activatedAt,
  isResumed,
  wallMs: wallMs(core) - ledger.admission.record.hlc,
});

function proposesPlaces({ commits }: Leader): boolean {
  for (const { value } of commits.proposals.values()) if (value.type === 'assign') return true;
  return false;
}

/** What another leader assigned may run already: its node learns who leads now. */
function begin(core: With<'mesh'>, kept: KeptJob, lead: Leader, watched: Watched): void {
  // The answer will lie here for a while, too.
  if (watched.startBy !== null) watched.startBy = after(watched.startBy, behindMs(core));
  const { execution, node } = watched.assign.record.body;
  lead.watch.set(execution, watched);
  // Who died before this node led is waited for no longer than who dies now.
  if (core.mesh.watches.get(node)?.dead === true) hasten(core, kept, watched);
  if (watched.startBy !== null) lead.starting.add(watched);
  const state = kept.ledger.states.get(execution);
  if (watched.startBy !== null || (state && isTerminal(state.body.phase))) return;
  // Who enrolled with this leader knows it.
  if (sameEpoch(watched.assign.record.body.epoch, lead.epoch)) return;
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
  // One that was given up is noted when it is.
  if (kept.ledger.states.get(execution)?.body.phase !== 'failed') return;
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

function proposeAdoptions(core: Node, kept: KeptJob, lead: Leader, { adoptions }: Plan): void {
  const values = adoptions.map(({ attempt, replaces, adopted: { body } }) => {
    const adopts = body.adopts ?? body.attempt;
    return seal(core, 'assign', { ...body, attempt, replaces, adopts, epoch: lead.epoch });
  });
  if (values.length > 0) propose(core, kept, lead, values);
}

function proposeClose(
  core: With<'mesh'>,
  kept: KeptJob,
  lead: Leader,
  { close: ending, accepts }: Plan,
): void {
  if (ending === null) return;
  const { job, spec, states, commands } = kept.ledger;
  const close = seal(core, 'close', {
    job,
    version: spec.body.version,
    outcome: ending.outcome,
    code: ending.code,
    message: ending.message,
    evidence: ending.evidence,
  });
  // What some nodes failed, others did: their results stand.
  const results = restsOnResults(close) ? accepts : [];
  const values = [...results.map((state) => acceptOf(core, kept, lead, state)), close];
  const evidence = new Set([...ending.evidence, ...results.map(({ id }) => id)]);
  propose(core, kept, lead, values, {
    states: [...states.values()].filter((state) => evidence.has(state.id)),
    commands: [...commands.values()].filter((command) => evidence.has(command.id)),
  });
}

/** Proposes the results, and with the last of them the close: one round, one write to disk. */
function acceptResults(core: With<'mesh'>, kept: KeptJob, lead: Leader, plan: Plan): void {
  const { job, spec } = kept.ledger;
  const { version } = spec.body;
  const values: (Signed<'accept'> | Signed<'close'>)[] = plan.accepts.map((state) =>
    acceptOf(core, kept, lead, state),
  );
  if (plan.complete) {
    values.push(
      seal(core, 'close', {
        job,
        version,
        ...completionOf(kept.ledger, plan.accepts),
        evidence: [],
      }),
    );
  }
  if (values.length > 0) propose(core, kept, lead, values, { ...noSupport, states: plan.accepts });
}

/**
 * How the end of a completed job is told.
 * @param accepts what is accepted together with it
 */
function completionOf(ledger: Ledger, accepts: Plan['accepts']) {
  const { spec, assigned } = ledger;
  const exitCode = firstExitCode(ledger, accepts);
  const completed = {
    ...({ outcome: 'completed', code: 'completed' } as const),
    ...(exitCode === 0 ? {} : { exitCode }),
  };
  if (JOB_TYPES[spec.body.spec.Type].counted)
    return { ...completed, message: 'All partitions have a result.' };
  // Once a node, though two leaders may each have given it a place.
  const { version } = spec.body;
  const enrolled = [...assigned.values()].filter((one) => one.version === version).length;
  const message = enrolled === 1 ? 'Its node completed it.' : `All ${enrolled} nodes completed it.`;
  return { ...completed, message, enrolled };
}

/** Other than 0, by partition; 0 when no program ended with one. */
function firstExitCode(ledger: Ledger, accepts: Plan['accepts']): number {
  const codes = new Map<number, number>();
  for (const [partition, { accept }] of ledger.partitions)
    codes.set(partition, accept?.record.body.exitCode ?? 0);
  for (const { body } of accepts) codes.set(placeOf(ledger, body).partition, body.exitCode ?? 0);
  const [first] = [...codes].filter(([, code]) => code !== 0).sort(([a], [b]) => a - b);
  return first?.[1] ?? 0;
}

function acceptOf(
  core: With<'mesh'>,
  { ledger }: KeptJob,
  lead: Leader,
  state: Signed<'state'>,
): Signed<'accept'> {
  const { job, version, execution, node, exitCode, result } = state.body;
  const { partition, attempt } = placeOf(ledger, state.body);
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
