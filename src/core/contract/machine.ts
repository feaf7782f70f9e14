/** One node of the mesh as a pure machine: what it offers to its driver. Types only. */
import type { Effect } from './effect.ts';
import type { Input } from './input.ts';
import type { Inspection, Sighting } from './inspection.ts';
import type { Limits } from './limits.ts';
import type { Hlc, JobId, Millis, NodeId, StoreId } from '../record/ids.ts';

/** Constants of one node. */
export interface MachineConfig {
  readonly node: NodeId;
  readonly store: StoreId;
  readonly limits: Limits;
  /** Milliseconds counted before this start, no wall clock: what moments on the disk are compared with. */
  readonly countedMs: number;
}

export interface Machine {
  /**
   * One input in, everything the world must now do out. Synchronous. Never throws: what cannot be
   * handled is dropped and told as `defect`.
   * @param arrivedAt when the input came, by the clock of `now`: a backlog is this node's, not the silence of others
   */
  handle(input: Input, now: Millis, wall: Hlc, arrivedAt?: Millis): readonly Effect[];
  /** When to be woken at the latest; null = only by input. The driver keeps exactly one timer. */
  nextWake(): Millis | null;
  inspect(): Inspection;
  /** Entries of everything this node remembers, by name. */
  sizes(): Readonly<Record<string, number>>;
  /** How much this node has to do; cheap. */
  load(): {
    readonly jobsKept: number;
    /** That a node which leaves stays for; see `isPending`. */
    readonly executions: number;
    readonly jobsSetAside: number;
  };
  /**
   * Keepers that a job submitted now gets, and that it would get if all were there that were in the last
   * minutes.
   * @param missed nodes known from before this run and not met in it
   */
  keeperNumbers(missed: readonly NodeId[]): { readonly possible: number; readonly wanted: number };
  /** Jobs that run here and that no other node this one knows of could run. */
  onlyHere(): readonly JobId[];
  /** The other nodes, and this node's own advert once it has a profile. */
  sightings(): readonly Sighting[];
}
