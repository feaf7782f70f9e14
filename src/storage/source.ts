/**
 * The ports of storage: a source brings an input onto this machine, a publisher takes a result off
 * it. Adapters are beside this file; `node/runner.ts` is the only caller.
 */
import type {
  ExecutionFailure,
  ExecutionOrder,
  FailureClass,
  ResultRef,
} from '../core/record/execution.ts';
import type { InputSource } from '../job/model.ts';

/** A directory or file of this machine that the program sees at `target`; as an engine takes it. */
export interface StagedMount {
  /** Absolute path on this machine. */
  readonly source: string;
  readonly target: string;
  readonly writable: boolean;
  /**
   * Where other jobs may write as well: device and inode of `source`, and whether they may exchange
   * what lies at that path. Whoever uses the path must see to it that it is still this file.
   */
  readonly shared?: { readonly identity: string; readonly exchangeable: boolean };
}

/** What an adapter is told beside the input itself. */
export interface StageContext {
  readonly order: ExecutionOrder;
  /** A path of this execution's own that does not exist yet; its parent does. Nobody else sees it. */
  readonly destination: string;
  /** Bytes that this input may have at most. */
  readonly maxBytes: number;
  /**
   * Called with the bytes that are about to be written, and with `ENTRY_BYTES` (`lib/walk-tree.ts`) for each file and
   * directory, so that what many inputs, repeated links or empty files take is bounded as well.
   * @throws StorageError when the inputs of the execution take too much together.
   */
  readonly spend: (bytes: number) => void;
  readonly signal: AbortSignal;
}

export interface Staged {
  readonly mounts: readonly StagedMount[];
  /** Bytes copied onto this machine for it; 0 when it was here. */
  readonly bytes: number;
  /** Gives back what the staging took beside `destination`, which its owner removes. */
  cleanup(): Promise<void>;
}

export interface Source {
  /** As in `InputSource.Source.Type`. */
  readonly type: string;
  /** @throws StorageError; or the signal's reason when it aborts. */
  stage(input: InputSource, context: StageContext): Promise<Staged>;
}

export interface Published {
  /** null when the publisher keeps nothing. */
  readonly result: ResultRef | null;
  /** What was left out, each with its reason. */
  readonly dropped: readonly string[];
}

export interface Publisher {
  /** As in `Task.Publisher.Type`. */
  readonly type: string;
  /** @throws StorageError; or the signal's reason when it aborts. */
  publish(directory: string, signal: AbortSignal): Promise<Published>;
}

/** An input that cannot be had or a result that cannot be kept: an execution's failure, not a user's. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly failure: ExecutionFailure;
  constructor(failureClass: FailureClass, code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = { class: failureClass, code, message: message.slice(0, 1_000) };
  }
}

/** @throws StorageError class node: another node may have it. */
export function sourceOf(sources: ReadonlyMap<string, Source>, type: string): Source {
  const source = sources.get(type);
  if (source !== undefined) return source;
  throw new StorageError(
    'node',
    'source-unsupported',
    `Inputs of type "${type}" are not supported by this node; it supports ${namesOf(sources)}.`,
  );
}

/** @throws StorageError class node: another node may have it. */
export function publisherOf(publishers: ReadonlyMap<string, Publisher>, type: string): Publisher {
  const publisher = publishers.get(type);
  if (publisher !== undefined) return publisher;
  throw new StorageError(
    'node',
    'publisher-unsupported',
    `The publisher "${type}" is not supported by this node; it supports ${namesOf(publishers)}.`,
  );
}

const namesOf = (map: ReadonlyMap<string, unknown>): string =>
  [...map.keys()].filter((name) => name !== '').join(', ');
