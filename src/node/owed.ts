/**
 * What could not be written because the disk is full. Until it is on disk, nothing leaves the process
 * that could rest on it: what speaks of records is left out, as if the network had lost it (its
 * sender repeats it), what the world must still do waits, and only words that promise nothing go out.
 */
import type { Effect } from '../core/contract/effect.ts';
import type { StoreWrite } from '../core/contract/stored.ts';
import type { MessageType } from '../core/contract/messages.ts';
import { ShoalError } from '../failures/shoal-error.ts';

/** All effects but those that ask for something of the disk. */
export type Outward = Exclude<Effect, { readonly type: 'persist' | 'reload' }>;

/**
 * Rows that may wait. Little is written about what is there already, and nothing new comes in: so
 * many mean that the disk has been full for hours, and each costs memory.
 */
const ROWS_MAX = 10_000;

/** True of this moment only, or of nothing that has to be remembered. */
const FREE_WORDS: ReadonlySet<MessageType> = new Set<MessageType>([
  'ping',
  'pong',
  'ping-for-me',
  'advert',
  'find',
  'live-wanted',
  'decline',
  'not-admitted',
  'not-started',
  'renew',
  'renewed',
  'tenure-wanted',
  'tenure',
]);

export interface Owed {
  isEmpty(): boolean;
  /** In the order in which they came; of each row the last value. */
  writes(): readonly StoreWrite[];
  /**
   * Takes in what one batch wants.
   * @returns its effects that may be performed all the same.
   * @throws ShoalError `store-unusable` when too much waits.
   */
  add(writes: readonly StoreWrite[], effects: readonly Outward[]): readonly Outward[];
  /** Everything is on disk. @returns the effects that waited for it. */
  settle(): readonly Outward[];
}

/** @param storePath for the message of the error. */
export function createOwed(storePath: string): Owed {
  const rows = new Map<string, StoreWrite>();
  const waiting: Outward[] = [];
  return {
    isEmpty: () => rows.size === 0,
    writes: () => [...rows.values()],
    add(writes, effects) {
      for (const write of writes) {
        const row = `${write.table} ${write.job} ${write.key}`;
        rows.delete(row);
        rows.set(row, write);
      }
      if (rows.size > ROWS_MAX) {
        const why = `the disk is full, and ${rows.size} rows wait for it`;
        throw new ShoalError({ code: 'store-unusable', path: storePath, why });
      }
      return effects.flatMap((effect) => {
        if (waits(effect)) waiting.push(effect);
        return spoken(effect);
      });
    },
    settle() {
      rows.clear();
      return waiting.splice(0);
    },
  };
}

/** Comes once, so it must not be lost. What is resumed is on disk already. */
const waits = (effect: Outward): boolean =>
  (effect.type === 'run' && !effect.resume) ||
  effect.type === 'forget-run' ||
  effect.type === 'replicate';

/** What may leave before its batch is on disk. */
function spoken(effect: Outward): readonly Outward[] {
  switch (effect.type) {
    case 'send':
      return FREE_WORDS.has(effect.message.type) ? [effect] : [];
    case 'gossip':
      return effect.gossip.type === 'advert' ? [effect] : [];
    case 'reply': {
      const { type } = effect.reply;
      if (type === 'answer' || type === 'failed') return [effect];
      return [{ ...effect, reply: { type: 'failed', problem: { code: 'store-full' } } }];
    }
    default:
      return waits(effect) ? [] : [effect];
  }
}
