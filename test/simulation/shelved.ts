/** A job that a node has on its disk only, seen as if it were in memory. */
import type { JobInspection } from '../../src/core/contract/inspection.ts';
import type { JobId } from '../../src/core/record/ids.ts';
import { createLedger, mergeStored, recordsOf, stateOf } from '../../src/core/record/ledger.ts';
import { createFastSuite, nodeKey, ownerKey } from './fast-suite.ts';
import type { SimStore } from './sim-store.ts';

const { specIn } = createFastSuite({ node: nodeKey(0), owner: ownerKey(0), freeze: false });

/** As long as nothing is written: what another keeper still knew of it may come later. */
const seen = new WeakMap<SimStore, Map<JobId, { writes: number; inspection: JobInspection }>>();

/** null when the disk has only the mark that the job is over. */
export function shelvedJob(store: SimStore, job: JobId): JobInspection | null {
  const ofStore = seen.get(store) ?? new Map();
  seen.set(store, ofStore);
  const known = ofStore.get(job);
  const writes = store.writesOf(job);
  if (known?.writes === writes) return known.inspection;
  const { records } = store.restoreJob(job);
  const spec = store.get('records', job, 'spec')?.record;
  const admission = store.get('records', job, 'admission');
  if (spec?.type !== 'spec' || admission?.record.type !== 'admission') return null;
  const certified = { record: admission.record, votes: admission.votes };
  const ledger = createLedger(spec, certified);
  for (const { value } of records) mergeStored(ledger, value, specIn);
  if (ledger.close === null) return null;
  const inspection: JobInspection = {
    job,
    keeper: true,
    leading: null,
    promised: null,
    state: stateOf(ledger, false),
    records: recordsOf(ledger),
  };
  ofStore.set(job, { writes, inspection });
  return inspection;
}
