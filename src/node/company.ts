/**
 * What a person at the terminal of a peer is told of its company: that it joined the mesh and through whom,
 * that nobody could be reached, and that it is alone again. Who comes and goes besides is in the log.
 */
import { shortNode } from '../api/execution-facts.ts';

/** A dial that works takes less than a second; one to nobody is refused, or given up after five. */
const PATIENCE_MS = 6_000;

export interface CompanyDeps {
  /** Whether it was told of peers to join through. */
  readonly wanted: boolean;
  /** Members connected now. */
  readonly connected: () => number;
  /** Whom it could not reach, each with the reason. */
  readonly problems: () => readonly { readonly peer: string; readonly why: string }[];
  readonly tell: (line: string) => void;
  /** @returns what takes it back */
  readonly after: (ms: number, call: () => void) => () => void;
}

export interface Company {
  came(node: string): void;
  went(node: string): void;
  stop(): void;
}

export function createCompany({ wanted, connected, problems, tell, after }: CompanyDeps): Company {
  let alone = true;
  const cancel = after(PATIENCE_MS, () => {
    if (!wanted || connected() > 0) return;
    const [first] = problems();
    const why = first === undefined ? '' : ` (${shortNode(first.peer)}: ${first.why})`;
    tell(`alone      no bootstrap peer is reached${why}; it is tried again until one is`);
  });
  return {
    came(node) {
      if (alone) tell(`joined     the mesh through ${shortNode(node)}`);
      alone = false;
    },
    went(node) {
      if (alone || connected() > 0) return;
      alone = true;
      tell(`alone      ${shortNode(node)} was the last peer connected; others are looked for`);
    },
    stop: cancel,
  };
}
