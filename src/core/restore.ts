/**
 * Taking up where the last process of this node stopped: jobs it keeps, promises it gave, executions
 * it had, admissions it sponsors. Everything comes from the durable store; nothing is asked of others.
 */
import { keep } from './admitting.ts';
import { certifiedEpoch } from './certificate.ts';
import { compareEpochs, firstEpoch } from './epoch.ts';
import { addExecution } from './executor.ts';
import { after, asMillis } from './ids.ts';
import type { JobId } from './ids.ts';
import { leaderGone } from './keeper.ts';
import { isTerminal, mergeCommand, mergeCommitted, mergeGrant, mergeState } from './ledger.ts';
import type { Restored, StoredRecord } from './machine-types.ts';
import type { CertifiedValue } from './messages.ts';
import type { Certified, Signed } from './records.ts';
import { tickExecution } from './reporting.ts';
import { createSubmission } from './sponsor.ts';
import { note, remember, touch } from './state.ts';
import type { Core, KeptJob } from './state.ts';

export function restore(core: Core, restored: Restored): void {
  const byJob = new Map<JobId, Map<string, StoredRecord>>();
  for (const { job, key, value } of restored.records) {
    const rows = byJob.get(job) ?? new Map<string, StoredRecord>();
    byJob.set(job, rows.set(key, value));
  }
  const promises = new Map(restored.promises.map(({ job, value }) => [job, value]));
  for (const [job, rows] of byJob) {
    const kept = restoreJob(core, rows);
    const promised = promises.get(job);
    if (kept === null) continue;
    if (promised !== undefined && compareEpochs(promised, kept.promised) > 0) {
      kept.promised = promised;
      kept.seen = promised;
    }
  }
  for (const { job, key, value } of restored.accepted) {
    core.kept.get(job)?.accepted.set(key, { slot: key, ...value });
  }
  for (const kept of core.kept.values()) resume(core, kept);
  for (const stored of restored.executions) {
    const certified = certifiedEpoch(stored.assign);
    const seen = promises.get(stored.order.job);
    const epoch = seen !== undefined && compareEpochs(seen, certified) > 0 ? seen : certified;
    addExecution(core, stored, epoch);
    if (isTerminal(stored.state.body.phase)) tickExecution(core, stored.order.execution);
    else core.out.push({ type: 'run', order: stored.order, resume: true });
  }
  for (const { spec, admission } of restored.submissions) {
    createSubmission(core, spec, admission);
    core.timers.set(`submit:${spec.body.job}`, core.now);
  }
}

/** @returns null when the rows do not make a job this store keeps */
function restoreJob(core: Core, rows: ReadonlyMap<string, StoredRecord>): KeptJob | null {
  const spec = rows.get('spec')?.record;
  if (spec?.type !== 'spec') return null;
  const admission = rows.get('admission');
  if (admission?.record.type !== 'admission') {
    restorePending(core, spec, rows.get('pending'));
    return null;
  }
  const certified: Certified<'admission'> = { record: admission.record, votes: admission.votes };
  const { keepers } = admission.record.body;
  // Another store id: the promises of the store that voted are gone, and with them this keeper.
  if (!keepers.some((k) => k.node === core.self && k.store === core.config.store)) return null;
  const kept = keep(core, spec, certified, firstEpoch(admission.record.body));
  for (const { record, votes } of rows.values()) {
    switch (record.type) {
      case 'assign':
      case 'accept':
      case 'close':
        mergeCommitted(kept.ledger, { record, votes } as CertifiedValue);
        break;
      case 'grant':
        mergeGrant(kept.ledger, { record, votes });
        break;
      case 'state':
        mergeState(kept.ledger, record);
        break;
      case 'command':
        mergeCommand(kept.ledger, record);
        break;
      default:
    }
  }
  return kept;
}

function restorePending(core: Core, spec: Signed<'spec'>, row: StoredRecord | undefined): void {
  const vote = row?.votes[0];
  if (row?.record.type !== 'admission' || vote === undefined) return;
  const { job } = spec.body;
  const admission = row.record;
  const votes = new Map([[core.self, vote]]);
  core.pending.set(job, { spec, admission, vote, since: core.now, votes });
  core.timers.set(`pending:${job}`, after(core.now, 1_000));
}

function resume(core: Core, kept: KeptJob): void {
  const { job, spec, close } = kept.ledger;
  const age = Math.max(0, core.wall - spec.hlc);
  kept.activatedAt = asMillis(core.now - age);
  if (close !== null) {
    remember(core.closed, job, close, 20_000);
    touch(core, job);
    return;
  }
  note(core, 'job.activated', { job, rank: -1 });
  // What this node led it must win anew: what it had proposed is forgotten.
  if (kept.seen.leader === core.self) leaderGone(core, kept);
}
