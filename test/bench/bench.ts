/** What a measurement is given and what it hands back. */
import type { Row } from './statistics.ts';

export interface BenchContext {
  /** Fewer and shorter runs: to see that it works, not to quote. */
  readonly quick: boolean;
  /** Where the peers leave CPU profiles; null = they run as users run them. */
  readonly profileDir: string | null;
  /** Progress, for people. */
  readonly say: (text: string) => void;
}

export interface BenchResult {
  readonly rows: readonly Row[];
  /** Why something was not measured; printed below the table. */
  readonly skipped?: readonly string[];
}

export interface Bench {
  readonly name: string;
  readonly about: string;
  /** Measured only when it is named: it takes long. */
  readonly apart?: boolean;
  readonly run: (context: BenchContext) => Promise<BenchResult>;
}
