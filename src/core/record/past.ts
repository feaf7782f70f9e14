/**
 * The versions of a job in its ledger: the current one, of which the ledger is made, those before it, and of later ones
 * what came before the version itself. Whatever order their records come in, they add up to the same.
 */
import type { JobType } from '../../job/model.ts';
import { JOB_TYPES } from '../../job/types.ts';
import type { CertifiedValue, Versioned, Wanted } from '../contract/messages.ts';
import { rootsOf } from './chain.ts';
import type { Roots } from './chain.ts';
import { newFacts } from './facts.ts';
import type { Facts } from './facts.ts';
import type { Ledger, Merged } from './ledger.ts';
import type { Certified, Signed, Slot } from './records.ts';
import { closeSlot, slotOf } from './slot.ts';
import type { Suite } from './suite.ts';

/** Where what is known of a version has its place; null for one that is forgotten. */
export function factsOf(ledger: Ledger, version: number): Facts | null {
  const current = ledger.spec.body.version;
  if (version === current) return ledger;
  const known = ledger.others.get(version);
  if (known !== undefined) return known;
  if (version < Math.max(current - PAST_MAX, ledger.pastFrom)) return null;
  const fresh = newFacts(null);
  ledger.others.set(version, fresh);
  return fresh;
}

/** Of one that is long past nothing has a place any more but its end. */
export const isShort = ({ spec: { body } }: Ledger, version: number): boolean =>
  body.version - version > fullPastMax(body.spec.Type);

/** Versions before the current one whose executions are known, and those of which only spec and end are. */
const FULL_PAST_MAX = 2;
export const PAST_MAX = 20;

/** What is kept running goes over replica by replica: many versions may come before the last one of the first has gone. */
export function fullPastMax(type: JobType): number {
  const { counted, ends } = JOB_TYPES[type];
  return counted && !ends ? PAST_MAX : FULL_PAST_MAX;
}

/** A version was committed: the latest is the current one. */
export function takeVersion(
  ledger: Ledger,
  certified: Certified<'version'>,
  specIn: Suite['specIn'] | null,
): Merged {
  const { body, hlc } = certified.record;
  const current = ledger.spec.body.version;
  if (body.version <= current) {
    const facts = factsOf(ledger, body.version);
    if (facts === null) return 'known';
    if (facts.version !== null)
      return facts.version.record.id === certified.record.id ? 'known' : 'contradiction';
    facts.version = certified;
    facts.spec ??= specIn?.(body.spec) ?? null;
    if (facts === ledger) ledger.committed.set(slotOf(certified.record), certified);
    return 'new';
  }
  const spec = specIn?.(body.spec) ?? null;
  if (spec === null) return 'known';
  turnTo(ledger, spec, certified);
  ledger.modifiedAt = Math.max(ledger.modifiedAt, hlc);
  return 'new';
}

function turnTo(ledger: Ledger, spec: Signed<'spec'>, version: Certified<'version'>): void {
  const { others } = ledger;
  const before = { ...newFacts(ledger.spec), ...factsIn(ledger), committed: new Map() };
  const ofAll = new Map<Slot, CertifiedValue>();
  for (const [slot, value] of ledger.committed) {
    if (value.record.type === 'config') ofAll.set(slot, value);
    else if (value.record.type !== 'version') before.committed.set(slot, value);
  }
  others.set(ledger.spec.body.version, before);
  const next = others.get(version.record.body.version) ?? newFacts(spec);
  others.delete(version.record.body.version);
  ledger.spec = spec;
  ledger.version = version;
  ledger.partitions = next.partitions;
  ledger.assigned = next.assigned;
  ledger.states = next.states;
  ledger.committed = new Map([...ofAll, [slotOf(version.record), version], ...next.committed]);
  if (ledger.wanted !== null && ledger.wanted.spec.body.version <= spec.body.version)
    ledger.wanted = null;
  deriveClose(ledger);
  for (const [number, facts] of others) {
    if (number >= spec.body.version) continue;
    const age = spec.body.version - number;
    if (age > PAST_MAX) others.delete(number);
    else if (age > fullPastMax(spec.body.spec.Type)) others.set(number, shortened(facts));
  }
}

/** The maps themselves: nothing of a ledger's current version is in two places. */
const factsIn = ({ partitions, assigned, states, version, committed, spec }: Ledger) => ({
  partitions,
  assigned,
  states,
  version,
  close: closeAmong(committed, spec),
});

export const shortened = ({ spec, version, close }: Facts): Facts => ({
  ...newFacts(spec),
  version,
  close,
});

function closeAmong(
  committed: ReadonlyMap<Slot, CertifiedValue>,
  spec: Signed<'spec'>,
): Certified<'close'> | null {
  const value = committed.get(closeSlot(spec.body.version));
  return value?.record.type === 'close' ? { record: value.record, votes: value.votes } : null;
}

/** The end of the current version, whether its owner wants another or not. */
export const endIn = ({ committed, spec }: Pick<Ledger, 'committed' | 'spec'>) =>
  closeAmong(committed, spec);

/** A version that is over is not, once its owner wants another. */
export function deriveClose(ledger: Ledger): void {
  ledger.close = ledger.wanted === null ? closeAmong(ledger.committed, ledger.spec) : null;
}

/**
 * What the owner wants next. Of several the spec with the smallest id, so that any order of arrival leaves the same
 * one; which of them becomes the version is decided where it is committed.
 */
export function mergeWanted(ledger: Ledger, wanted: Wanted): Merged {
  const { body, id } = wanted.spec;
  if (body.version !== ledger.spec.body.version + 1) return 'known';
  if (ledger.wanted !== null && ledger.wanted.spec.id <= id) return 'known';
  ledger.wanted = wanted;
  deriveClose(ledger);
  return 'new';
}

/** All that another node needs to keep the job at its version. */
export const groundOf = (
  ledger: Ledger,
): { readonly spec: Signed<'spec'> } & Roots & Versioned => ({
  spec: ledger.spec,
  ...rootsOf(ledger),
  ...(ledger.version === null ? {} : { version: ledger.version }),
});

/** Its owner does not want it any more. */
export function dropWanted(ledger: Ledger): void {
  ledger.wanted = null;
  deriveClose(ledger);
}

/** An earlier version as if it were the job's; null when it is not known, or the current one. */
export function pastOf(ledger: Ledger, version: number): Ledger | null {
  const facts = version < ledger.spec.body.version ? ledger.others.get(version) : undefined;
  if (facts?.spec == null) return null;
  const committed = new Map<Slot, CertifiedValue>(facts.committed);
  for (const value of [...ledger.configs, facts.version ?? [], facts.close ?? []].flat())
    committed.set(slotOf(value.record), value);
  const { spec } = facts;
  return { ...ledger, ...facts, spec, committed, others: new Map(), wanted: null };
}
