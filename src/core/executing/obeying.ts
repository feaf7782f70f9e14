/** Which keepers an execution obeys. */
import { takeBranch } from '../keeping/branches.ts';
import { hasLeft, isGuest } from '../keeping/changing.ts';
import type { KeptJob } from '../keeping/state.ts';
import { persist } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { compareEpochs } from '../record/ballot.ts';
import { chainOf, configurationOf, currentOf, provenBy, rootsOf } from '../record/chain.ts';
import type { Chain, Changes } from '../record/chain.ts';
import type { JobId } from '../record/ids.ts';
import type { ConfigId, Epoch } from '../record/records.ts';
import { extended, isReseedable } from '../record/verify.ts';
import { saveExecution } from './reporting.ts';
import type { LocalExecution } from './state.ts';

/**
 * Who keeps the job of an execution, with the changes that somebody tells of, as far as they are proven:
 * what is learnt is written down, since whoever told may be gone when this node is started again.
 */
export function heardOf(
  core: With<'keeping'>,
  execution: LocalExecution,
  configs: Changes['configs'] = [],
): Chain {
  const { stored } = execution;
  const chain = chainOf(stored);
  const fresh = configs.filter(({ record }) => configurationOf(chain, record.body.config) === null);
  const longer = fresh.length === 0 ? null : extended(core.suite, chain, fresh);
  if (longer === null || longer === chain) return chain;
  const isReseeded = currentOf(longer).config.major !== currentOf(chain).config.major;
  if (isReseeded && !mayTurn(core, execution, longer)) return chain;
  goBy(core, execution, longer, [...(stored.configs ?? []), ...fresh]);
  return longer;
}

/** Others keep the job since it was re-seeded: not while those that this node obeys lead it. */
function mayTurn(core: With<'keeping'>, execution: LocalExecution, chain: Chain): boolean {
  const { stored, leaderHeardAt } = execution;
  if (!isReseedable(stored.spec.body)) return false;
  // A keeper goes by what it keeps the job by.
  const kept = core.keeping.kept.get(chain.job);
  const { config } = currentOf(chain);
  if (kept !== undefined && configurationOf(kept.ledger, config) !== null) return true;
  if (kept !== undefined && !isGuest(core, kept)) return false;
  return core.now - leaderHeardAt >= core.config.limits.leaseLostMs;
}

/**
 * Whether this node takes orders under this epoch: of a job that was re-seeded not against the keepers that it keeps the
 * job with itself, nor against those that its executions obey.
 */
export function mayObey(
  core: With<'keeping' | 'executing'>,
  job: JobId,
  { config }: Epoch,
  configs: Changes['configs'],
): boolean {
  if (config.major === 0) return true;
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined && !isGuest(core, kept) && isForeign(kept, config)) return false;
  for (const execution of core.executing.executions.values())
    if (
      execution.stored.order.job === job &&
      configurationOf(heardOf(core, execution, configs), config) === null
    )
      return false;
  return true;
}

/** This node keeps the job itself, by another branch than that one. */
export function keepsOther(core: With<'keeping'>, told: Chain): boolean {
  const kept = core.keeping.kept.get(told.job);
  if (kept === undefined || isGuest(core, kept)) return false;
  return currentOf(kept.ledger).config.major !== currentOf(told).config.major;
}

/** It is of another branch than the one that the job is kept by here. */
export const isForeign = ({ ledger }: KeptJob, config: ConfigId): boolean =>
  config.major !== currentOf(ledger).config.major && configurationOf(ledger, config) === null;

/**
 * It begins to keep the job, and may run some of it already: it goes by the keepers that it obeys there where these are
 * of a higher branch, and what it obeys it promises.
 */
export function takeObeyed(core: With<'mesh' | 'executing'>, kept: KeptJob): void {
  const { job } = kept.ledger;
  for (const { stored, epoch } of core.executing.executions.values()) {
    if (stored.order.job !== job) continue;
    takeBranch(core, core.self, kept, stored.configs ?? []);
    if (compareEpochs(epoch, kept.promised) <= 0) continue;
    kept.first = { epoch, at: core.now };
    kept.promised = epoch;
    if (!hasLeft(kept)) kept.seen = epoch;
    persist(core, { table: 'promises', job, key: job, value: epoch });
  }
}

/** From now on it obeys those. */
export function goBy(
  core: Node,
  execution: LocalExecution,
  chain: Chain,
  known: NonNullable<Changes['configs']>,
): void {
  const { configs: _, ...stored } = execution.stored;
  const configs = provenBy(chain, known);
  execution.stored = { ...stored, ...rootsOf({ ...stored, configs }) };
  execution.left.clear();
  saveExecution(core, execution.stored);
}

/** Nothing of the job is here any more. What a keeper promised of it binds it all the same, also when it is over. */
export function forgetEpoch(core: With<'keeping'>, job: JobId): void {
  if (core.keeping.kept.has(job) || core.keeping.shelf.has(job)) return;
  persist(core, { table: 'promises', job, key: job, value: null });
}
