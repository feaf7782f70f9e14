/**
 * Which configurations this node goes by, when somebody proves others. A job that was re-seeded may have two *branches*
 * of them, as those that seemed to be gone were only cut off: the higher one counts, but for a keeper that has been in
 * touch with enough others of its own all the time.
 */
import { learn } from '../consensus/proposer.ts';
import { refuse } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { compareConfigs, configurationOf, currentOf } from '../record/chain.ts';
import type { Changes } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import { extended, isReseedable } from '../record/verify.ts';
import { isIntact } from './orphans.ts';
import type { KeptJob } from './state.ts';

/** Takes over what is proven of who keeps the job since. */
export function takeBranch(
  core: With<'mesh'>,
  from: NodeId,
  kept: KeptJob,
  configs: NonNullable<Changes['configs']>,
): void {
  const { ledger } = kept;
  const fresh = configs
    .filter(({ record }) => configurationOf(ledger, record.body.config) === null)
    .sort((a, b) => compareConfigs(a.record.body.config, b.record.body.config));
  if (fresh.length === 0) return;
  const told = extended(core.suite, ledger, fresh);
  if (told === null) return refuse(core, from, 'bad-certificate', false);
  const [own, other] = [currentOf(ledger).config, currentOf(told).config];
  if (compareConfigs(other, own) <= 0) return;
  if (other.major !== own.major && (isIntact(core, kept) || !isReseedable(ledger.spec.body)))
    return refuse(core, from, 'outdated-epoch', false);
  for (const config of fresh) learn(core, kept, config);
}
