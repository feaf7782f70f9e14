/**
 * A whole job as another node hands it over: every record in it is checked before anything of it is
 * shown or acted on. One false record spoils all of it; records that are only superfluous are left out.
 */
import { COMMANDS_MAX } from '../record/commands.ts';
import { chainOf } from '../record/chain.ts';
import { hasPlace, slotOf, versionSlot } from '../record/slot.ts';
import { specsOf } from '../record/versions.ts';
import type { ExecutionId, NodeId } from '../record/ids.ts';
import type { JobRecords } from '../contract/messages.ts';
import type { Signed, Slot } from '../record/records.ts';
import type { Suite } from '../record/suite.ts';
import type { Verdict } from '../record/verify.ts';
import {
  checkActivation,
  checkCommand,
  checkCommitted,
  checkGrant,
  checkState,
} from '../record/verify.ts';

export type Believed =
  | { readonly ok: true; readonly records: JobRecords }
  | { readonly ok: false; readonly verdict: Exclude<Verdict, 'good'> };

const WRONG = { code: 'contradiction', fault: true } as const;

/** Expiry is not looked at: jobs are shown after they are over. */
export function believed(suite: Suite, records: JobRecords): Believed {
  const { spec, grant, commands, committed } = records;
  const chain = chainOf(records);
  const first = checkActivation(suite, spec, records, 0);
  if (first !== 'good') return { ok: false, verdict: first };
  const granted = grant === null ? 'good' : checkGrant(suite, chain, grant);
  if (granted !== 'good') return { ok: false, verdict: granted };
  if (commands.length > COMMANDS_MAX) return { ok: false, verdict: WRONG };
  const slots = new Set<Slot>();
  const assigned = new Map<ExecutionId, NodeId>();
  for (const value of committed) {
    const { record } = value;
    const slot = slotOf(record);
    if (slots.has(slot) || !hasPlace(spec, record)) return { ok: false, verdict: WRONG };
    if (record.type === 'version' && specsOf(suite, spec, record.body)?.spec.id !== spec.id)
      return { ok: false, verdict: WRONG };
    slots.add(slot);
    const verdict = checkCommitted(suite, chain, value);
    if (verdict !== 'good') return { ok: false, verdict };
    if (record.type === 'assign') assigned.set(record.body.execution, record.body.node);
  }
  // Which spec a later version has, its keepers say.
  if (spec.body.version > 1 && !slots.has(versionSlot(spec.body.version)))
    return { ok: false, verdict: WRONG };
  const states: Signed<'state'>[] = [];
  for (const state of records.states) {
    const { execution, node } = state.body;
    // A keeper may know how an execution goes before it knows that it was assigned.
    if (assigned.get(execution) !== node) continue;
    assigned.delete(execution);
    const verdict = checkState(suite, spec.body.job, state);
    if (verdict !== 'good') return { ok: false, verdict };
    states.push(state);
  }
  for (const command of commands) {
    const verdict = checkCommand(suite, spec, command, 0);
    if (verdict !== 'good') return { ok: false, verdict };
  }
  // What nobody here understands is shown to nobody.
  const { more: _, ...known } = records;
  return { ok: true, records: { ...known, states } };
}
