/** What a node offers, and whom its operator lets it work for. Types only. */
import type { PublicKey } from '../record/ids.ts';
import type { Resources } from '../../job/model.ts';

/** What this node offers; the driver sends a new one whenever it changes. */
export interface Profile {
  readonly labels: Readonly<Record<string, string>>;
  readonly engines: Readonly<
    Record<string, { readonly available: boolean; readonly detail: string }>
  >;
  readonly publishers: readonly string[];
  readonly sources: readonly string[];
  readonly capacity: Resources;
  /** Bytes of memory that one execution of an engine takes beside what its job asks for. */
  readonly overheads: Readonly<Record<string, number>>;
  readonly addresses: readonly string[];
  readonly software: string;
  /** Network types a job may have here, with the reason for each that it may not. */
  readonly networks: Readonly<
    Record<string, { readonly allowed: boolean; readonly detail: string }>
  >;
  /** Host paths a job may read (`:ro`) or write (`:rw`): doublestar globs, as Bacalhau's `AllowListedLocalPaths`. */
  readonly allowedPaths: readonly string[];
  /** Variables of this process that a job may ask for with `env:NAME` (patterns, `*` = anything). */
  readonly allowedEnv: readonly string[];
  /** Addresses of this machine that ports of jobs may be published on. */
  readonly portAddresses: readonly string[];
  readonly policy: ExecutorPolicy;
}

/** The executor's right to refuse: its operator decides whom it works for. Empty allow list = everyone. */
export interface ExecutorPolicy {
  readonly allowOwners: readonly PublicKey[];
  readonly denyOwners: readonly PublicKey[];
  readonly allowNamespaces: readonly string[];
  readonly denyNamespaces: readonly string[];
  /** Prefixes of image references; empty = all. */
  readonly allowImages: readonly string[];
  /** Registries, `host` or `host:port`, that images may be pulled from though they are not public. */
  readonly privateRegistries: readonly string[];
}
