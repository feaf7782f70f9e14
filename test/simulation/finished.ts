/**
 * A node that had a job's end on its disk never treats the job as open again: until its owner has it run once more,
 * as another version, which that node has on its disk, too.
 */
import type { Effect } from '../../src/core/contract/effect.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { JobId, NodeId, StoreId } from '../../src/core/record/ids.ts';
import type { FactsContext } from './facts.ts';
import type { NodeView } from './observer.ts';

/** What only a job that goes on gives reason to say. */
const OPEN: ReadonlySet<string> = new Set(['admitted', 'promise', 'voted', 'propose', 'prepare']);

/** The latest version of a job that is over, and the latest that there is or that its owner wants; 0: none. */
interface Known {
  readonly over: number;
  readonly wanted: number;
}

type Jobs = Map<JobId, Known>;

const NOTHING: Known = { over: 0, wanted: 0 };

/** The version that a row speaks of, when it says that there is one, or that one is wanted, or over. */
function versionIn({ table, value }: StoreWrite, types: readonly string[]): number {
  if (table !== 'records' || value === null || !('record' in value)) return 0;
  const { record } = value;
  if (!types.includes(record.type) || !('body' in record)) return 0;
  return 'version' in record.body ? (record.body.version ?? 0) : 0;
}

function note(jobs: Jobs, writes: readonly StoreWrite[]): void {
  for (const write of writes) {
    const { over, wanted } = jobs.get(write.job) ?? NOTHING;
    jobs.set(write.job, {
      over: Math.max(over, versionIn(write, ['close'])),
      wanted: Math.max(wanted, versionIn(write, ['spec', 'version'])),
    });
  }
}

const isOver = ({ over, wanted }: Known): boolean => over > 0 && over >= wanted;

export interface Finished {
  onStart(node: NodeView): void;
  onHandled(node: NodeView, effects: readonly Effect[]): void;
  onDurable(node: NodeView, writes: readonly StoreWrite[]): void;
}

export function createFinished({ violation }: Pick<FactsContext, 'violation'>): Finished {
  const durable = new Map<StoreId, Jobs>();
  /** As far as the process of the node has handled it: its effects may still wait for the disk. */
  const handled = new Map<NodeId, Jobs>();
  return {
    onStart: (node) => handled.set(node.id, new Map(durable.get(node.store.id))),
    onDurable: (node, writes) => {
      const jobs = durable.get(node.store.id) ?? new Map();
      durable.set(node.store.id, jobs);
      note(jobs, writes);
    },
    onHandled: (node, effects) => {
      const before: Jobs = handled.get(node.id) ?? new Map();
      const writes = effects.flatMap((effect) => (effect.type === 'persist' ? effect.writes : []));
      const now: Jobs = writes.length === 0 ? before : new Map(before);
      note(now, writes);
      handled.set(node.id, now);
      for (const effect of effects) {
        if (effect.type !== 'send' || !OPEN.has(effect.message.type)) continue;
        const { message } = effect;
        if (!('job' in message)) continue;
        // What one input tells of the end may be said before it; that there is a version comes before what is said of it.
        const known = before.get(message.job) ?? NOTHING;
        const { wanted } = now.get(message.job) ?? NOTHING;
        if (!isOver({ over: known.over, wanted })) continue;
        // Whoever asks again is answered, while the job is kept.
        const kept = node.inspect().jobs.some(({ job }) => job === message.job);
        if (message.type === 'admitted' && kept) continue;
        const text = `sends ${message.type} for a job whose end it had on disk`;
        violation('finished', node, message.job, text);
      }
    },
  };
}
