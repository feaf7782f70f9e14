/**
 * Taking up where the last process of this node stopped: jobs it keeps, promises it gave, executions
 * it had, admissions it sponsors. Everything comes from the durable store; nothing is asked of others.
 */
import { restoreShelf, takeDownSubmission } from './keeping/shelf.ts';
import { keep } from './keeping/admitting.ts';
import { resumeAge } from './keeping/age.ts';
import { restoreAdverts } from './mesh/members.ts';
import { certifiedEpoch } from './record/certificate.ts';
import { contain } from './node/containment.ts';
import { compareEpochs } from './record/ballot.ts';
import { addEntrusted } from './executing/entrusted.ts';
import { addExecution } from './executing/executor.ts';
import { DONE_KEY, restoreDone } from './executing/done.ts';
import { after } from './record/ids.ts';
import type { JobId } from './record/ids.ts';
import { leaderGone } from './keeping/keeper.ts';
import { askRest } from './consensus/missing.ts';
import { hasLeft } from './keeping/changing.ts';
import { chainOf, configurationOf, firstConfiguration } from './record/chain.ts';
import { grantedEpoch } from './record/verify.ts';
import { hasVote } from './record/keeper-set.ts';
import { createLedger, isTerminal, mergeStored } from './record/ledger.ts';
import type {
  Restored,
  StoredEntrusted,
  StoredExecution,
  StoredRecord,
  StoredSubmission,
} from './contract/stored.ts';
import type { Certified, Configuration, Epoch, Signed } from './record/records.ts';
import { tickExecution } from './executing/reporting.ts';
import { isPausing, resumePause } from './executing/restarting.ts';
import { isResting } from './executing/state.ts';
import { recallLive } from './placing/live.ts';
import { tickTenure } from './executing/tenure.ts';
import { resumeStop } from './asking/stop.ts';
import { createSubmission } from './keeping/sponsor.ts';
import { note, touch } from './node/outbox.ts';
import { rememberEnd } from './keeping/books.ts';
import { notePast } from './keeping/past-books.ts';
import { rememberVote, restoreWanted } from './keeping/versions.ts';
import type { KeptJob } from './keeping/state.ts';
import type { Core, With } from './node/state.ts';

/** What the disk has of one job. */
interface Rows {
  readonly records: Map<string, StoredRecord>;
  promise: Epoch | null;
  readonly accepted: Restored['accepted'][number][];
  readonly executions: StoredExecution[];
  readonly submissions: StoredSubmission[];
  readonly entrusted: StoredEntrusted[];
  /** Of its TotalTimeout. */
  passedMs: number;
}

/** A job whose rows cannot be taken up is set aside: it never keeps the others from their start. */
export function restore(core: Core, restored: Restored): void {
  for (const job of restored.forfeits) core.keeping.forfeits.add(job);
  restoreShelf(core, restored.shelved);
  restoreAdverts(core, restored.counts);
  restoreDone(core, restored.counts);
  for (const [job, rows] of byJob(restored)) {
    contain(core, { where: 'restore', job, foreign: false }, () => restoreOne(core, job, rows));
  }
}

function byJob(restored: Restored): ReadonlyMap<JobId, Rows> {
  const jobs = new Map<JobId, Rows>();
  const of = (job: JobId): Rows => {
    const known = jobs.get(job);
    if (known !== undefined) return known;
    const rows: Rows = {
      records: new Map(),
      promise: null,
      accepted: [],
      executions: [],
      submissions: [],
      entrusted: [],
      passedMs: 0,
    };
    jobs.set(job, rows);
    return rows;
  };
  for (const { job, key, value } of restored.records) of(job).records.set(key, value);
  for (const { job, value } of restored.promises) of(job).promise = value;
  for (const row of restored.accepted) of(row.job).accepted.push(row);
  for (const stored of restored.executions) of(stored.order.job).executions.push(stored);
  for (const stored of restored.submissions) of(stored.spec.body.job).submissions.push(stored);
  for (const stored of restored.entrusted) of(stored.spec.body.job).entrusted.push(stored);
  for (const { job, key, value } of restored.counts)
    if (job !== '' && key !== DONE_KEY) of(job).passedMs = value.count;
  return jobs;
}

function restoreOne(
  core: With<'mesh' | 'asking' | 'keeping' | 'placing' | 'executing'>,
  job: JobId,
  rows: Rows,
): void {
  const { promise } = rows;
  const kept = restoreJob(core, rows.records, rows.accepted, promise);
  if (kept !== null) {
    if (promise !== null && compareEpochs(promise, kept.promised) > 0) {
      kept.first = { epoch: promise, at: core.now };
      kept.promised = promise;
      if (!hasLeft(kept)) kept.seen = promise;
    }
    for (const { key, value } of rows.accepted)
      if (!rememberVote(kept, key, value.value)) kept.accepted.set(key, { slot: key, ...value });
    resume(core, kept, rows.passedMs);
  }
  for (const stored of rows.executions) {
    // A job that was only read back has its executions here.
    if (core.executing.executions.get(stored.order.execution)?.stored.order.job === job) continue;
    const { assign } = stored;
    const certified =
      assign === null ? grantedEpoch(chainOf(stored), null) : certifiedEpoch(assign);
    // A keeper may have promised it in a branch that does not lead to this execution any more.
    const isOn = promise !== null && configurationOf(chainOf(stored), promise.config) !== null;
    const later = isOn && compareEpochs(promise, certified) > 0;
    const execution = addExecution(core, stored, later ? promise : certified);
    const isOver = isTerminal(stored.state.body.phase);
    recallLive(core, stored);
    if (isOver || assign === null) tickExecution(core, stored.order.execution);
    if (stored.queued === true || isPausing(execution) || isResting(execution))
      execution.doubtedUntil = after(core.now, core.config.limits.leaseLostMs);
    // First its keepers have to say that no other runs.
    if (execution.tenure !== null) {
      if (!isOver) tickTenure(core, stored.order.execution);
    } else if (isPausing(execution)) resumePause(core, execution);
    else if (isResting(execution))
      core.out.push({ type: 'cancel-run', execution: stored.order.execution, why: 'it rests' });
    else if (!isOver && stored.queued !== true)
      core.out.push({ type: 'run', order: stored.order, resume: true });
  }
  for (const stored of rows.entrusted)
    if (!core.executing.entrusted.has(stored.accept.record.body.execution))
      addEntrusted(core, stored);
  // Whoever asks for a closed job by its token gets it from the keeper here.
  for (const { spec, admission } of kept?.ledger.close == null ? rows.submissions : []) {
    if (core.keeping.submissions.has(job)) continue;
    createSubmission(core, spec, admission);
    takeDownSubmission(core, job);
    core.timers.set(`submit:${job}`, core.now);
  }
  resumeStop(core, job, rows.records);
}

/** @returns null when the rows do not make a job this store keeps */
function restoreJob(
  core: With<'mesh' | 'keeping'>,
  rows: ReadonlyMap<string, StoredRecord>,
  accepted: Rows['accepted'],
  promise: Epoch | null,
): KeptJob | null {
  const spec = rows.get('spec')?.record;
  if (spec?.type !== 'spec') return null;
  // Its records were given up while they were being read.
  if (core.keeping.tombs.has(spec.body.job)) return null;
  // What was promised about it is not certain.
  if (core.keeping.forfeits.has(spec.body.job)) return null;
  const admission = rows.get('admission');
  if (admission?.record.type !== 'admission') {
    restorePending(core, spec, rows.get('pending'));
    return null;
  }
  const certified: Certified<'admission'> = { record: admission.record, votes: admission.votes };
  const ledger = createLedger(spec, certified);
  for (const row of rows.values()) mergeStored(ledger, row, core.suite.specIn);
  restoreWanted(ledger, rows);
  // Another store id: the promises of the store that voted are gone, and with them this keeper.
  const named = [...ledger.configurations, ...configurationsIn(accepted)];
  const isNamed = named.some((one) => hasVote(one, core.self, core.config.store));
  // What it promised binds it, also in a branch that it does not go by any more.
  if (!isNamed && promise === null) return null;
  return keep(core, ledger);
}

/** Those that this store has voted for: one of them may be the first that names it. */
const configurationsIn = (accepted: Rows['accepted']): readonly Configuration[] =>
  accepted.flatMap(({ value: { value } }) => (value.type === 'config' ? [value.body] : []));

function restorePending(
  core: With<'keeping'>,
  spec: Signed<'spec'>,
  row: StoredRecord | undefined,
): void {
  const vote = row?.votes[0];
  if (row?.record.type !== 'admission' || vote === undefined) return;
  const { self, config } = core;
  if (!hasVote(firstConfiguration(row.record.body), self, config.store)) return;
  const { job } = spec.body;
  const admission = row.record;
  const votes = new Map([[core.self, vote]]);
  const since = core.now;
  const askAt = after(core.now, 1_000);
  const { sponsor } = admission.body;
  core.keeping.pending.set(job, {
    spec,
    admission,
    vote,
    from: sponsor,
    since,
    credible: true,
    votes,
    askedAt: core.now,
    askAt,
    back: new Set(),
  });
  core.timers.set(`pending:${job}`, askAt);
}

function resume(core: With<'mesh' | 'keeping'>, kept: KeptJob, passedMs: number): void {
  const { job, close } = kept.ledger;
  kept.isResumed = true;
  resumeAge(core, kept, passedMs);
  if (kept.ledger.others.size > 0) notePast(core, kept);
  if (close !== null) {
    rememberEnd(core, job, { close, configs: kept.ledger.configs });
    // The last process knew of the end, and had not heard the rest.
    if (!core.keeping.shelf.has(job)) askRest(core, kept, close);
    touch(core, job);
    return;
  }
  note(core, 'job.activated', { job, rank: -1 });
  // What this node led it must win anew: what it had proposed is forgotten.
  if (kept.seen.leader === core.self) leaderGone(core, kept);
}
