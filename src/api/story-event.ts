/** What the story of a job is made of. */

/** An event without its number. */
export interface StoryEvent {
  /** The same wherever it is derived, and of one event alone. */
  readonly key: string;
  /** Wall clock, whole milliseconds: what a state tells of the past has no more. */
  readonly at: number;
  /** Of two of the same moment the lower one is told first. */
  readonly rank: number;
  readonly execution: string | null;
  readonly version: number;
  readonly topic: string;
  readonly message: string;
  readonly details: Readonly<Record<string, string>>;
}

/** What comes of what within one millisecond. A state has at most some twenty steps. */
export const RANKS = {
  submission: 0,
  admission: 1,
  version: 2,
  keepers: 3,
  command: 4,
  givenUp: 5,
  assign: 6,
  running: 7,
  step: 10,
  accept: 50,
  rolled: 51,
  close: 52,
} as const;
