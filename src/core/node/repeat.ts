/**
 * Saying something again until it had its effect, with pauses that double: a loss is mended soon, and
 * a node that is away for long costs next to nothing.
 */
import { after } from '../record/ids.ts';
import type { Millis } from '../record/ids.ts';
import type { Node } from './state.ts';

/** The first pause may double four times: 1 s grows to 16 s. */
const LONGEST = 16;
/** In first pauses, too: for what is repeated only to hear what became of it. */
const SELDOMEST = 64;

export interface Repeat {
  /** When it is to be said the next time. */
  at: Millis;
  /** The pause after that time, milliseconds. */
  pauseMs: number;
}

/** Something that was not said yet: due now. */
export const toSay = (core: Node): Repeat => ({
  at: core.now,
  pauseMs: core.config.limits.resendMs,
});

export const isDue = (core: Node, repeat: Repeat): boolean => repeat.at <= core.now;

/** It was said just now. */
export function said(core: Node, repeat: Repeat): void {
  repeat.at = after(core.now, repeat.pauseMs);
  repeat.pauseMs = Math.min(2 * repeat.pauseMs, LONGEST * core.config.limits.resendMs);
}

/** What is to be said changed: due now, with short pauses again. */
export function anew(core: Node, repeat: Repeat): void {
  Object.assign(repeat, toSay(core));
}

/** Those who matter have heard it; the rest is told now and then. */
export function seldom(core: Node, repeat: Repeat): void {
  repeat.pauseMs = SELDOMEST * core.config.limits.resendMs;
}
