/** A job that a node has on its disk only, seen as if it were in memory. */
import type { JobInspection } from '../../src/core/contract/inspection.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import { createLedger, mergeStored, recordsOf, stateOf } from '../../src/core/record/ledger.ts';
import type { SimStore } from './sim-store.ts';

/** By close record: what is shelved does not change. */
const seen = new WeakMap<object, JobInspection>();

/** null when the disk has only the mark that the job is over. */
export function shelvedJob(store: SimStore, job: JobId): JobInspection | null {
  const close = store.get('records', job, 'close/1');
  if (close === null) return null;
  const known = seen.get(close);
  if (known !== undefined) return known;
  const spec = store.get('records', job, 'spec')?.record;
  const admission = store.get('records', job, 'admission');
  if (spec?.type !== 'spec' || admission?.record.type !== 'admission') return null;
  const certified = { record: admission.record, votes: admission.votes };
  const ledger = createLedger(spec, certified);
  for (const { value } of store.restoreJob(job).records) mergeStored(ledger, value);
  const inspection: JobInspection = {
    job,
    keeper: true,
    leading: null,
    promised: null,
    state: stateOf(ledger, false),
    records: recordsOf(ledger),
  };
  seen.set(close, inspection);
  return inspection;
}
