/** What Node's timers can do. */

/** Longest time that they take, milliseconds; beyond it they ring at once. */
export const TIMER_MAX_MS = 2 ** 31 - 1;
