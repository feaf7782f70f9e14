/**
 * A job's ledger: everything a node knows for certain about one job. It is the merge of signed
 * records and nothing else, so any order, duplication or repetition of the same records gives the
 * same ledger (invariant I12). Records are checked *before* they come here (`verify.ts`).
 */
import { compareEpochs } from './ballot.ts';
import {
  chainOf,
  compareConfigs,
  FIRST_CONFIG,
  firstConfiguration,
  parentOf,
  rootsOf,
  sameConfig,
} from './chain.ts';
import type { Roots } from './chain.ts';
import { attemptOf, noteAssigned, partitionOf } from './facts.ts';
import type { Attempt, Facts, Partition } from './facts.ts';
import { deriveClose, factsOf, isShort, mergeWanted, takeVersion } from './past.ts';
import { configSlot, slotOf } from './slot.ts';
import type { Phase } from './execution.ts';
import type { ExecutionId, JobId, NodeId, RecordId } from './ids.ts';
import { isOff, outranks, stayingOf } from './branch.ts';
import { keptOf } from './commands.ts';
import { mergeOpaque } from './opaque.ts';
import type { Opaque } from './opaque.ts';
import type { StoredRecord } from '../contract/stored.ts';
import type { Suite } from './suite.ts';
import type {
  CertifiedResult,
  CertifiedValue,
  JobRecords,
  JobState,
  JobSummary,
  Wanted,
} from '../contract/messages.ts';
import type { AssignBody, Certified, Configuration, Signed, Slot, StateBody } from './records.ts';

export interface Ledger extends Roots {
  readonly job: JobId;
  /** Of the current version: the latest that is committed here, else the one that was admitted. */
  spec: Signed<'spec'>;
  /** What made it the current one; null: the admission. */
  version: Certified<'version'> | null;
  /** By version: those before, and of later ones what came before the version itself. `past.ts` bounds them. */
  readonly others: Map<number, Facts>;
  /** Versions before this one had too much in them, and were let go: they have no place any more. */
  pastFrom: number;
  /** The version after this, as its owner wants it. */
  wanted: Wanted | null;
  /** Derived from `committed`: the later configurations, in order and without a gap. */
  readonly configs: Certified<'config'>[];
  /** Derived: the same with the admission's before them. */
  readonly configurations: [Configuration, ...Configuration[]];
  grant: Certified<'grant'> | null;
  /** By record, as many as `commands.ts` keeps, the latest first. */
  readonly commands: Map<RecordId, Signed<'command'>>;
  /** Of the current version, and of all of them the keepers and what made it the current one. */
  committed: Map<Slot, CertifiedValue>;
  states: Map<ExecutionId, Signed<'state'>>;
  /** What later versions made of the job, within `opaque.ts`'s bound. */
  readonly opaque: Map<RecordId, Opaque>;
  /** Derived from `committed` and `states`: the same facts of the current version, by partition. */
  partitions: Map<number, Partition>;
  /** Derived: where each execution of the current version belongs. */
  assigned: Map<ExecutionId, AssignBody>;
  /** Derived: the latest moment of a record, wall clock. */
  modifiedAt: number;
  /** Derived: the end of the current version, which is the one that `spec` gives; null while its owner wants another. */
  close: Certified<'close'> | null;
}

export type { Attempt, Partition } from './facts.ts';

/** What a merge did: nothing new, something new, or a second value for a slot that can have only one. */
export type Merged = 'known' | 'new' | 'contradiction';

const TERMINAL_PHASES: ReadonlySet<Phase> = new Set(['completed', 'failed', 'cancelled', 'lost']);
export const isTerminal = (phase: Phase): boolean => TERMINAL_PHASES.has(phase);

export function createLedger(spec: Signed<'spec'>, admission: Certified<'admission'>): Ledger {
  return {
    job: spec.body.job,
    spec,
    version: null,
    others: new Map(),
    pastFrom: 0,
    wanted: null,
    admission,
    configs: [],
    configurations: [firstConfiguration(admission.record.body)],
    grant: null,
    commands: new Map(),
    committed: new Map(),
    states: new Map(),
    opaque: new Map(),
    partitions: new Map(),
    assigned: new Map(),
    modifiedAt: spec.hlc,
    close: null,
  };
}

/**
 * Adds a committed value. One slot has one value for ever; where the job was re-seeded another one may take its place.
 * @param specIn opens the spec of a later version; without it such a version is left out
 */
export function mergeCommitted(
  ledger: Ledger,
  certified: CertifiedValue,
  specIn: Suite['specIn'] | null = null,
): Merged {
  const { record } = certified;
  const slot = slotOf(record);
  if (isOff(ledger, certified)) return 'known';
  if (record.type === 'version') {
    const merged = takeVersion(ledger, certified as Certified<'version'>, specIn);
    const known = factsOf(ledger, record.body.version)?.version ?? null;
    return merged !== 'contradiction' || known === null
      ? merged
      : takePlace(ledger, certified, known, specIn);
  }
  // Its keepers are those of all versions.
  const facts = record.type === 'config' ? ledger : factsOf(ledger, record.body.version);
  const isLate =
    record.type !== 'config' && record.type !== 'close' && isShort(ledger, record.body.version);
  if (facts === null || isLate) return 'known';
  const known = facts.committed.get(slot);
  if (known !== undefined) return takePlace(ledger, certified, known, specIn);
  facts.committed.set(slot, certified);
  ledger.modifiedAt = Math.max(ledger.modifiedAt, record.hlc);
  switch (record.type) {
    case 'config':
      deriveChain(ledger, specIn);
      break;
    case 'assign':
      noteAssigned(facts, record.body);
      partitionOf(facts, record.body.partition).attempts.set(
        record.body.attempt,
        attemptOf(facts, certified as Certified<'assign'>),
      );
      break;
    case 'accept':
      partitionOf(facts, record.body.partition).accept = certified as Certified<'accept'>;
      break;
    case 'close':
      facts.close = certified as Certified<'close'>;
      if (facts === ledger) deriveClose(ledger);
  }
  return 'new';
}

/**
 * Configurations may come in any order, from disk for one; each counts when all before it are here. The highest is the
 * latest: where the job was re-seeded that may lead away from others.
 */
function deriveChain(ledger: Ledger, specIn: Suite['specIn'] | null): void {
  const known: Certified<'config'>[] = [];
  for (const { record, votes } of ledger.committed.values())
    if (record.type === 'config') known.push({ record, votes });
  known.sort((a, b) => compareConfigs(b.record.body.config, a.record.body.config));
  const way = known.map((last) => wayTo(ledger, last)).find((found) => found !== null) ?? [];
  ledger.configs.splice(0, Infinity, ...way);
  ledger.configurations.splice(1, Infinity, ...way.map(({ record }) => record.body));
  for (const value of ledger.committed.values())
    if (isOff(ledger, value)) return makeAnew(ledger, way, specIn);
}

/**
 * Makes a ledger anew of its own records and these configurations, without what is off their way.
 * @param without a value that another has taken the place of
 */
export function makeAnew(
  ledger: Ledger,
  configs: readonly Certified<'config'>[],
  specIn: Suite['specIn'] | null,
  without: CertifiedValue | null = null,
): void {
  const { admission, commands, opaque, wanted } = ledger;
  const chain = chainOf({ admission, configs });
  const { spec, values, states, grant } = stayingOf(ledger, chain, without);
  const fresh = createLedger(spec, admission);
  for (const value of [...configs, ...values]) mergeCommitted(fresh, value, specIn);
  for (const state of states) mergeState(fresh, state);
  if (grant !== null) mergeGrant(fresh, grant);
  for (const command of commands.values()) mergeCommand(fresh, command);
  for (const record of opaque.values()) mergeOpaque(fresh, record);
  if (wanted !== null) mergeWanted(fresh, wanted);
  Object.assign(ledger, fresh);
}

/** There is another value in its slot. */
function takePlace(
  ledger: Ledger,
  fresh: CertifiedValue,
  known: CertifiedValue,
  specIn: Suite['specIn'] | null,
): Merged {
  if (saysTheSame(fresh, known)) return 'known';
  const isMore = outranks(fresh, known);
  if (isMore === null) return 'contradiction';
  if (!isMore) return 'known';
  makeAnew(ledger, [...ledger.configs], specIn, known);
  return mergeCommitted(ledger, fresh, specIn);
}

/** They are one record; or both re-seed the job with the same keepers, which have one name. */
export const saysTheSame = (
  { record: a }: CertifiedValue,
  { record: b }: CertifiedValue,
): boolean =>
  a.id === b.id ||
  (a.type === 'config' &&
    b.type === 'config' &&
    a.body.reseeds !== undefined &&
    b.body.reseeds !== undefined &&
    sameConfig(a.body.config, b.body.config));

/** This configuration and all before it but the admission's; null when some of them are not here. */
function wayTo(
  { committed }: Ledger,
  last: Certified<'config'>,
): readonly Certified<'config'>[] | null {
  const way = [last];
  for (let { body } = last.record; ; ) {
    const parent = parentOf(body);
    if (sameConfig(parent, FIRST_CONFIG)) return way.reverse();
    const before = committed.get(configSlot(parent));
    if (before?.record.type !== 'config' || compareConfigs(parent, body.config) >= 0) return null;
    way.push({ record: before.record, votes: before.votes });
    body = before.record.body;
  }
}

/** Adds what an executor reported: terminal beats non-terminal, then the higher sequence, then the smaller id. */
export function mergeState(ledger: Ledger, state: Signed<'state'>): Merged {
  const facts = isShort(ledger, state.body.version) ? null : factsOf(ledger, state.body.version);
  if (facts === null) return 'known';
  const known = facts.states.get(state.body.execution);
  if (known !== undefined && !supersedes(state, known)) return 'known';
  facts.states.set(state.body.execution, state);
  ledger.modifiedAt = Math.max(ledger.modifiedAt, state.hlc);
  return 'new';
}

function supersedes(fresh: Signed<'state'>, known: Signed<'state'>): boolean {
  if (fresh.id === known.id) return false;
  const freshEnds = isTerminal(fresh.body.phase);
  if (freshEnds !== isTerminal(known.body.phase)) return freshEnds;
  if (fresh.body.sequence !== known.body.sequence) return fresh.body.sequence > known.body.sequence;
  return fresh.id < known.id;
}

/** Keeps the latest commands of each kind: an owner that signs thousands must not fill a ledger. */
export function mergeCommand(ledger: Ledger, command: Signed<'command'>): Merged {
  const { commands } = ledger;
  if (commands.has(command.id)) return 'known';
  const kept = keptOf([...commands.values(), command]);
  if (!kept.includes(command)) return 'known';
  commands.clear();
  for (const one of kept) commands.set(one.id, one);
  return 'new';
}

/** Keeps the highest granted epoch. */
export function mergeGrant(ledger: Ledger, grant: Certified<'grant'>): Merged {
  const known = ledger.grant;
  if (known !== null && compareEpochs(grant.record.body.epoch, known.record.body.epoch) <= 0) {
    return 'known';
  }
  ledger.grant = grant;
  return 'new';
}

/** Adds a record as it lies on disk or on the shelf; it was checked before it was put there. */
export function mergeStored(
  ledger: Ledger,
  { record, votes }: StoredRecord,
  specIn: Suite['specIn'] | null = null,
): void {
  switch (record.type) {
    case 'assign':
    case 'accept':
    case 'close':
    case 'version':
    case 'config':
      mergeCommitted(ledger, { record, votes } as CertifiedValue, specIn);
      return;
    case 'grant':
      mergeGrant(ledger, { record, votes });
      return;
    case 'state':
      mergeState(ledger, record);
      return;
    case 'command':
      mergeCommand(ledger, record);
      return;
    case 'opaque':
      mergeOpaque(ledger, record);
      return;
    default:
  }
}

/** What is handed on without being understood. */
export const moreOf = ({ opaque }: Ledger): Pick<JobRecords, 'more'> =>
  opaque.size === 0 ? {} : { more: [...opaque.values()] };

const isResult = (value: CertifiedValue): value is CertifiedResult =>
  value.record.type !== 'config';

/** The whole ledger as it is handed to another node. */
export function recordsOf(ledger: Ledger): JobRecords {
  return {
    spec: ledger.spec,
    ...rootsOf(ledger),
    grant: ledger.grant,
    commands: [...ledger.commands.values()],
    committed: [...ledger.committed.values()].filter(isResult),
    states: [...ledger.states.values()],
    ...moreOf(ledger),
  };
}

/** The ledger that records handed over by another node make. They were checked before. */
export function ledgerOf(records: JobRecords): Ledger {
  const ledger = createLedger(records.spec, records.admission);
  if (records.grant !== null) mergeGrant(ledger, records.grant);
  for (const value of [...(records.configs ?? []), ...records.committed])
    mergeCommitted(ledger, value);
  for (const state of records.states) mergeState(ledger, state);
  for (const command of records.commands) mergeCommand(ledger, command);
  for (const record of records.more ?? []) mergeOpaque(ledger, record);
  return ledger;
}

/** The node that a committed assignment gave an execution to; null when there is none. */
export function nodeOfExecution(
  { assigned, others }: Ledger,
  execution: ExecutionId,
): NodeId | null {
  const known = assigned.get(execution);
  if (known !== undefined) return known.node;
  for (const facts of others.values()) {
    const past = facts.assigned.get(execution);
    if (past !== undefined) return past.node;
  }
  return null;
}

/** Which part of the job an execution is. A node that enrolled does not know its place: what it says of it is not asked. */
export const placeOf = (
  { assigned }: Pick<Ledger, 'assigned'>,
  { execution, partition, attempt }: Pick<StateBody, 'execution' | 'partition' | 'attempt'>,
): { readonly partition: number; readonly attempt: number } =>
  assigned.get(execution) ?? { partition, attempt };

/** The attempts of a partition, first to last. */
export function attemptsOf(partition: Partition | undefined): readonly Attempt[] {
  if (partition === undefined) return [];
  return [...partition.attempts.entries()].sort(([a], [b]) => a - b).map(([, attempt]) => attempt);
}

/** What is known of an execution that another takes the place of, and whose node has not said how it ended. */
export function lastWordOf(
  { partitions, spec }: Pick<Ledger, 'partitions' | 'spec'>,
  { version, partition, attempt, replaces }: AssignBody,
): Signed<'state'> | null {
  if (replaces === null || version !== spec.body.version) return null;
  const state = partitions.get(partition)?.attempts.get(attempt - 1)?.state ?? null;
  return state === null || isTerminal(state.body.phase) ? null : state;
}

/** How the job ended, as records handed over by another node have it. */
export function closeIn({ spec, committed }: JobRecords): Signed<'close'> | null {
  const { version } = spec.body;
  for (const { record } of committed)
    if (record.type === 'close' && record.body.version === version) return record;
  return null;
}

/**
 * Milliseconds for which nodes are looked for, until it is said that there is none now: the first answers are
 * on their way. Clients take `Queued` for a sign that nothing will happen soon.
 */
export const PENDING_MS = 2_000;

/** What a person calls the state of the job. `waiting`: its leader found nobody to run it for `PENDING_MS`. */
export function stateOf(ledger: Pick<Ledger, 'close' | 'partitions'>, waiting: boolean): JobState {
  const outcome = ledger.close?.record.body.outcome;
  if (outcome === 'completed') return 'Completed';
  if (outcome === 'failed') return 'Failed';
  if (outcome === 'stopped') return 'Stopped';
  for (const partition of ledger.partitions.values()) {
    if (partition.accept !== null) return 'Running';
    for (const attempt of partition.attempts.values()) {
      if (attempt.state === null || !isTerminal(attempt.state.body.phase)) return 'Running';
    }
  }
  if (ledger.partitions.size > 0) return 'Running';
  return waiting ? 'Queued' : 'Pending';
}

/** What of a ledger a line of a list is made of. */
export type Outline = Pick<Ledger, 'job' | 'spec' | 'partitions' | 'close' | 'modifiedAt'>;

export function summaryOf(ledger: Outline, waiting: boolean): JobSummary {
  const { spec, version } = ledger.spec.body;
  return {
    job: ledger.job,
    version,
    name: spec.Name,
    namespace: spec.Namespace,
    jobType: spec.Type,
    engine: spec.Task.Engine.Type,
    state: stateOf(ledger, waiting),
    count: spec.Count,
    labels: spec.Labels,
    createdAt: Math.floor(ledger.spec.hlc),
    modifiedAt: Math.floor(ledger.modifiedAt),
    ...exitCodeOf(ledger.close),
  };
}

/** What the end of a job tells of the exit codes of its programs. */
export const exitCodeOf = (close: Certified<'close'> | null): { readonly exitCode?: number } => {
  const exitCode = close?.record.body.exitCode;
  return exitCode === undefined ? {} : { exitCode };
};
