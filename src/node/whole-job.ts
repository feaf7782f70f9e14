/** A large job put together from the parts in which the nodes that keep it tell of it. */
import type { JobRecords } from '../core/contract/messages.ts';
import { ledgerOf, recordsOf } from '../core/record/ledger.ts';

export interface Part {
  readonly records: JobRecords;
  /** The first partition that this part does not tell of; null when it tells of all that are left. */
  readonly next: number | null;
}

/**
 * What is told in a later part may be newer than what was told before: each part by itself is proven.
 * @param ask for the part that begins with this partition
 */
export async function wholeOf(
  first: Part,
  ask: (from: number) => Promise<Part>,
): Promise<JobRecords> {
  if (first.next === null) return first.records;
  const parts = [first.records];
  for (let next: number | null = first.next; next !== null; ) {
    const part = await ask(next);
    parts.push(part.records);
    // Who does not get on would be asked for ever.
    next = part.next !== null && part.next > next ? part.next : null;
  }
  const committed = parts.flatMap((part) => part.committed);
  const states = parts.flatMap((part) => part.states);
  return recordsOf(ledgerOf({ ...first.records, committed, states }));
}
