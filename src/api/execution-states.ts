/** The phases of an execution as Bacalhau's clients know them, by number and by name. */
import type { Phase } from '../core/record/execution.ts';

export type AnyPhase = Phase | 'assigned';

interface State {
  readonly number: number;
  readonly name: string;
}

const ACCEPTED: State = { number: 5, name: 'BidAccepted' };
const FAILED: State = { number: 10, name: 'Failed' };

/** `ComputeState.StateType`, and `NewState` of an event. */
export const EXECUTION_STATES: Readonly<Record<AnyPhase, State>> = {
  assigned: { number: 3, name: 'AskForBidAccepted' },
  received: ACCEPTED,
  preparing: ACCEPTED,
  starting: ACCEPTED,
  running: { number: 6, name: 'Running' },
  publishing: { number: 7, name: 'Publishing' },
  completed: { number: 9, name: 'Completed' },
  failed: FAILED,
  cancelled: { number: 11, name: 'Cancelled' },
  lost: FAILED,
};

/** Words of our own for what has no phase. */
const PAUSED = { restarting: 'BidAccepted', resting: 'BidAccepted', moved: 'Cancelled' } as const;

/** Bacalhau's word for what an event says of an execution, and ours. */
export function newState(word: AnyPhase | keyof typeof PAUSED): {
  readonly NewState: string;
  readonly Phase: string;
} {
  const isPaused = word === 'restarting' || word === 'resting' || word === 'moved';
  return { NewState: isPaused ? PAUSED[word] : EXECUTION_STATES[word].name, Phase: word };
}
