/**
 * The normalised job specification: what a user's spec means once it is parsed, templated, validated
 * and completed with defaults. Types only; the parser is in `parse.ts`. Shapes and rules follow
 * Bacalhau's job model (Bacalhau 1.9, `pkg/models`), so a value here prints as Bacalhau's JSON.
 */

export type JobType = 'batch' | 'ops' | 'daemon' | 'service';

/** A typed plug-in with free parameters: an engine, a source or a publisher. */
export interface SpecConfig {
  /** Lower-cased and trimmed name, e.g. `docker`, `ipfs`; `''` means none (publisher only). */
  readonly Type: string;
  /** Keys in the canonical spelling of the plug-in (`Image`, `CID`, …); unknown keys are kept as written. */
  readonly Params: Readonly<Record<string, Json>>;
}

export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

export type ConstraintOperator = '=' | '!=' | 'in' | 'notin' | 'exists' | '!' | 'gt' | 'lt';

export interface Constraint {
  readonly Key: string;
  /** `==` is normalised to `=`. */
  readonly Operator: ConstraintOperator;
  readonly Values: readonly string[];
}

export interface InputSource {
  readonly Source: SpecConfig;
  readonly Alias: string;
  readonly Target: string;
}

export interface ResultPath {
  readonly Name: string;
  /** Absolute path inside the execution. */
  readonly Path: string;
}

/** What one execution needs. */
export interface Resources {
  /** Thousandths of a core; ≥ 0. */
  readonly cpuMillis: number;
  /** Bytes; ≥ 0. */
  readonly memoryBytes: number;
  /** Bytes; ≥ 0. */
  readonly diskBytes: number;
  /** Whole devices; ≥ 0. */
  readonly gpus: number;
}

/** The user's own text for each resource (normalised: lower case, no blanks), kept for display. */
export interface ResourceTexts {
  readonly CPU: string;
  readonly Memory: string;
  readonly Disk: string;
  readonly GPU: string;
}

export type NetworkType = 'Default' | 'None' | 'Host' | 'Full' | 'HTTP' | 'Bridge';

export interface Port {
  readonly Name: string;
  /** Host port; 0 = the node chooses. */
  readonly Static: number;
  /** Port inside the container; 0 = the same as the host port. */
  readonly Target: number;
  readonly HostNetwork: string;
}

export interface Network {
  readonly Type: NetworkType;
  readonly Domains: readonly string[];
  readonly Ports: readonly Port[];
}

/** Seconds; 0 = as in Bacalhau (execution and total: none; queue: do not queue). */
export interface Timeouts {
  readonly ExecutionTimeout: number;
  readonly QueueTimeout: number;
  readonly TotalTimeout: number;
}

export interface Task {
  readonly Name: string;
  readonly Engine: SpecConfig;
  readonly Publisher: SpecConfig;
  readonly Env: Readonly<Record<string, string>>;
  readonly Meta: Readonly<Record<string, string>>;
  readonly InputSources: readonly InputSource[];
  readonly ResultPaths: readonly ResultPath[];
  readonly ResourcesConfig: ResourceTexts;
  /** The parsed `ResourcesConfig`, defaults applied. */
  readonly resources: Resources;
  readonly Network: Network;
  readonly Timeouts: Timeouts;
}

export interface Job {
  readonly Name: string;
  readonly Namespace: string;
  readonly Type: JobType;
  /** Larger is more important. */
  readonly Priority: number;
  /** Replicas of a batch or service job; 0 for ops and daemon. */
  readonly Count: number;
  readonly Constraints: readonly Constraint[];
  readonly Meta: Readonly<Record<string, string>>;
  readonly Labels: Readonly<Record<string, string>>;
  /** Exactly one task. */
  readonly Task: Task;
}
