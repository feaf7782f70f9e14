/**
 * The port of an engine: what runs a program and how it reports. `docker/` and `wasm/` are the
 * adapters; `node/runner.ts` is the only caller.
 */
import type { ExecutionFailure, ExecutionOrder, Usage } from '../core/record/execution.ts';
import type { ExecutionId } from '../core/record/ids.ts';

/** A directory or file of the host that the program sees at `target`. */
export interface Mount {
  /** Absolute host path. */
  readonly source: string;
  /** Path inside the execution; absolute for docker. */
  readonly target: string;
  readonly writable: boolean;
  /** Only for a place of the host that other jobs may write to as well. */
  readonly shared?: Shared;
}

/** Others may change what is in it while the engine works, links in the place of directories included. */
export interface Shared {
  /** Device and inode of the source: the program gets this file or nothing. */
  readonly identity: string;
  /** Also what lies at the path of the source may be exchanged. */
  readonly exchangeable: boolean;
}

/** What an engine is handed once inputs are on disk. */
export interface EngineRun {
  readonly order: ExecutionOrder;
  /** Inputs, then one writable mount per ResultPath (its host directory exists already). */
  readonly mounts: readonly Mount[];
  /** The complete environment, `BACALHAU_*` and `SHOAL_*` included (see `environmentOf`). */
  readonly env: Readonly<Record<string, string>>;
  /** Host files that receive the program's output; the engine creates and caps them. */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** Bytes kept of stdout and of stderr each; the rest is counted and dropped. */
  readonly outputMaxBytes: number;
  /** Bytes of disk that the run may fill in all; > 0. Whoever calls the engine watches over it. */
  readonly diskBytes: number;
  /** Size of any one file that the program writes, bytes; null = it may write to what is not counted. */
  readonly fileMaxBytes: number | null;
  /** For how long the program has run already when it is taken up, milliseconds; 0 at first. */
  readonly elapsedMs: number;
  /** Directory of the node's own for this execution; the engine may keep files in it. */
  readonly scratchDir: string;
  /**
   * Aborts when the program must not go on for a moment, because it fills the disk: no time to say
   * goodbye, and an end to what it was given already. The signal of the run aborts as well.
   */
  readonly atOnce: AbortSignal;
}

/** How a program ended. A signal by the engine itself (limit, timeout) is a failure, not an exit code. */
export type EngineOutcome =
  | {
      readonly type: 'exited';
      readonly exitCode: number;
      readonly usage: Usage;
      readonly outputDropped: boolean;
    }
  | { readonly type: 'failed'; readonly failure: ExecutionFailure; readonly usage: Usage | null };

export interface EngineStatus {
  readonly available: boolean;
  /** One line for a person: a version, or why not and the remedy. */
  readonly detail: string;
  /** Things that work but that an operator should know. */
  readonly warnings: readonly string[];
}

/** What another process finds of an execution, to end it. */
export type Remains =
  | { readonly type: 'container'; readonly socketPath: string; readonly name: string }
  /** Processes whose command line has these arguments in a row. */
  | { readonly type: 'process'; readonly commandLine: readonly string[] };

/**
 * The port of an engine. Implementations never throw for what a job does; they throw only for
 * their own defects. Cancelling is the signal: the engine stops the program and everything it
 * started, then resolves with `failed` and code `cancelled`.
 */
export interface Engine {
  readonly name: string;
  /** Asked at start and then every minute; must answer within 10 s. */
  probe(signal: AbortSignal): Promise<EngineStatus>;
  /** Runs to the end. `onStarted` is called once, when the program itself begins to run. */
  run(run: EngineRun, onStarted: () => void, signal: AbortSignal): Promise<EngineOutcome>;
  /**
   * Takes up a run that an earlier process of this node left behind.
   * @returns null when nothing of it is left; the runner then starts it anew or gives it up.
   */
  reattach(
    run: EngineRun,
    onStarted: () => void,
    signal: AbortSignal,
  ): Promise<EngineOutcome | null>;
  /**
   * Bytes that a running program fills beside its mounts and its output files, which its caller
   * counts; stops counting above `enough`, without end when there is too much to look at. 0 when
   * it fills nothing, or is gone.
   * @throws when that cannot be found out: what is not known does not count as nothing.
   */
  diskBytes(execution: ExecutionId, enough: number, signal: AbortSignal): Promise<number>;
  /** What of an execution may run while this process does not; absent: nothing. */
  remainsOf?(execution: ExecutionId): Remains;
  /** Removes whatever carries this node's mark and belongs to no execution in `keep`. @returns what it removed. */
  sweep(keep: ReadonlySet<ExecutionId>): Promise<readonly string[]>;
}
