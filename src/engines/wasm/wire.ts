/**
 * What the engine and its runner process say to each other over the runner's descriptor 3: one
 * order in (4 bytes of length, little endian, then JSON), then reports out (one line of JSON each).
 * Imports nothing, so that both sides can be bundled on their own.
 */

/** A host file or directory, and where the program finds it. */
export interface RunnerMount {
  /** Absolute host path whose parents hold no symlink. */
  readonly source: string;
  /** Components of the absolute path that the program sees; empty = the root itself. */
  readonly target: readonly string[];
  readonly writable: boolean;
  /** Device and inode that the source must have, where others may change what is in it; else null. */
  readonly identity: string | null;
}

export interface ImportModule {
  /** Host path. */
  readonly path: string;
  /** Names of inputs by which others may import it, beside the one that it gives itself. */
  readonly names: readonly string[];
  /** Loaded only when a module imports from it: the job does not list it. */
  readonly onDemand: boolean;
}

/** Everything one runner process needs; it reads nothing else but the files named here. */
export interface RunnerOrder {
  /** Host path of the entry module. */
  readonly module: string;
  /** The modules to instantiate first, in this order. */
  readonly imports: readonly ImportModule[];
  readonly entrypoint: string;
  /** `argv`, the leading empty string included. */
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mounts: readonly RunnerMount[];
  readonly maxModuleBytes: number;
  /** 64 KiB pages that one linear memory may have, 1 … 65,536. */
  readonly memoryPagesMax: number;
  /** Bytes that files in writable mounts may grow by altogether. */
  readonly diskBytes: number;
  /** Files and directories that the program may create. */
  readonly filesMax: number;
  /** Descriptors that the program may hold at once. */
  readonly openFilesMax: number;
  /** Process id of the daemon: a runner whose parent is another one ends at once. */
  readonly parentPid: number;
  /** True when the kernel does not end the runner with its parent, so that a thread must watch. */
  readonly watchParent: boolean;
}

/** Milliseconds of CPU time and bytes of the whole runner process, Node.js itself included. */
export interface RunnerUsage {
  readonly cpuMs: number;
  readonly peakMemoryBytes: number;
}

export type RunnerReport =
  | { readonly type: 'started' }
  | { readonly type: 'exited'; readonly exitCode: number; readonly usage: RunnerUsage }
  | {
      readonly type: 'failed';
      readonly code: RunnerFailureCode;
      readonly message: string;
      readonly usage: RunnerUsage;
    };

/** What only the runner can find out about a module. */
export type RunnerFailureCode =
  | 'wasm-not-wasm'
  | 'wasm-component'
  | 'wasm-invalid'
  | 'wasm-module-too-large'
  | 'wasm-unknown-import'
  | 'wasm-entry-missing'
  | 'wasm-memory-missing'
  | 'wasm-memory-shared'
  | 'wasm-memory-64'
  | 'wasm-memory-count'
  | 'wasm-memory-minimum'
  | 'wasm-trap'
  | 'out-of-memory'
  | 'wasm-runner-failed';

/** Pages of 64 KiB in the 4 GiB that a 32-bit memory can address. */
export const MEMORY_PAGES_MAX = 65_536;
export const PAGE_BYTES = 65_536;
