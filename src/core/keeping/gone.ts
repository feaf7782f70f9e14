/**
 * Whether a keeper is gone, as this node sees it. No record proves that: each keeper looks for itself, so that
 * nobody is thrown out on the word of one.
 */
import { isBehind } from '../mesh/backlog.ts';
import type { With } from '../node/state.ts';
import { shut } from '../node/door.ts';
import type { Keeper } from '../record/records.ts';
import type { KeptJob } from './state.ts';

/**
 * `away`: nobody who was asked hears it. `leaving`: it says that it takes nothing any more, for it leaves or its
 * disk is full. `other-store`: it signed that it has another store, so what this one promised is lost.
 * `forfeited`: it said itself that it lost what it promised of this job.
 */
export type Gone = 'away' | 'leaving' | 'other-store' | 'forfeited';

/** Why the job could do without this keeper, which is away when it was missed for so long; null while it should not. */
export function goneBecause(
  core: With<'mesh'>,
  { forfeited }: KeptJob,
  { node, store }: Keeper,
  awayMs = core.config.limits.keeperReplaceAfterMs,
): Gone | null {
  if (forfeited.has(store)) return 'forfeited';
  if (node === core.self) return shut(core) === null ? null : 'leaving';
  const member = core.mesh.members.get(node);
  if (member !== undefined && member.advert.body.store !== store) return 'other-store';
  const { shutSince = null } = member ?? {};
  if (shutSince !== null && core.now - shutSince >= awayMs) return 'leaving';
  const watch = core.mesh.watches.get(node);
  // What lies here unheard may be a word of it.
  if (watch?.dead !== true || isBehind(core)) return null;
  return core.now - watch.since >= awayMs ? 'away' : null;
}
