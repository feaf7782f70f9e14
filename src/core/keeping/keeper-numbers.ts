/**
 * How many keepers a job can have now, and how many it should have: as many as the members of the last
 * minutes allow. Who keeps a job is chosen among those that answer now; when that makes fewer, whoever
 * submits is to be told.
 */
import { keeperCandidates } from '../mesh/members.ts';
import { reachedLately } from '../mesh/reach.ts';
import type { Machine } from '../contract/machine.ts';
import type { With } from '../node/state.ts';
import type { NodeId } from '../record/ids.ts';
import { keeperCount } from './choose-keepers.ts';

/** @param missed members of earlier runs that were not met in this one */
export function keeperNumbers(
  core: With<'mesh'>,
  missed: readonly NodeId[],
): ReturnType<Machine['keeperNumbers']> {
  const { keepersMax } = core.config.limits;
  const count = (nodes: number): number => (nodes === 0 ? 0 : keeperCount(nodes, keepersMax));
  return {
    possible: count(keeperCandidates(core).length),
    wanted: count(reachedLately(core, missed).size),
  };
}
