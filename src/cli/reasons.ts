/** Why a job does not get on, in lines: its keepers first, without whom nothing else is decided. */
import type { JobAnswer } from '../api/types.ts';

export function reasonsOf({ Keepers, Waiting }: JobAnswer): readonly string[] {
  const keepers = Keepers?.Explanation ?? '';
  const others = Waiting?.Explanation ?? [];
  return keepers === '' ? others : [keepers, ...others];
}
