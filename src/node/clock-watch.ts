/**
 * Warns of a wall clock that is off, as the members of the mesh tell it. Durations are counted without
 * it; but what is signed here then expires too early or too late elsewhere.
 */
import type { ClockSkew } from '../../p2p/peers/clocks.ts';
import type { Finding } from '../api/service.ts';
import type { Log } from '../lib/log.ts';
import { formatDuration } from '../lib/units.ts';

/** Clocks that are kept differ by less than a second; a record of less than a minute ahead is followed. */
const SKEW_TOLD_MS = 10_000;
const LOOK_MS = 30_000;
/** It is logged again after this. */
const REPEAT_MS = 3_600_000;

const REMEDY =
  'Set the clock, and have it kept (`timedatectl set-ntp true`): until then jobs and stops of this peer may count as expired elsewhere, or for longer than they should, and times are shown wrong.';

const isOff = ({ aheadMs }: ClockSkew): boolean => Math.abs(aheadMs) >= SKEW_TOLD_MS;

/** `1h 2m ahead of the median of 4 peers`. */
function skewText({ aheadMs, peers }: ClockSkew): string {
  const way = aheadMs > 0 ? 'ahead of' : 'behind';
  const others = peers === 1 ? 'the one peer that told the time' : `the median of ${peers} peers`;
  return `${formatDuration(Math.abs(aheadMs))} ${way} ${others}`;
}

export function clockFinding(skew: ClockSkew | null): Finding {
  const subject = 'clock';
  if (skew !== null && isOff(skew)) {
    const detail = `the clock of this peer is ${skewText(skew)}`;
    return { subject, level: 'warning', detail, remedy: REMEDY };
  }
  const detail =
    skew === null ? 'no peer to compare it with' : `as those of ${skew.peers} peers show`;
  return { subject, level: 'ok', detail, remedy: '' };
}

/** Tells the log when the clock is off, and when it is right again. @returns one look, with the time of the monotonic clock */
export function createClockWatch(log: Log, skewNow: () => ClockSkew | null): (now: number) => void {
  let toldAt: number | null = null;
  return (now) => {
    const skew = skewNow();
    if (skew === null) return;
    if (isOff(skew)) {
      if (toldAt !== null && now - toldAt < REPEAT_MS) return;
      toldAt = now;
      log.warn({ ...skew, why: skewText(skew), remedy: REMEDY }, 'clock.skewed');
    } else if (toldAt !== null) {
      toldAt = null;
      log.info({ ...skew }, 'clock.right');
    }
  };
}

/** @returns what ends it */
export function startClockWatch(log: Log, skewNow: () => ClockSkew | null): () => void {
  const look = createClockWatch(log, skewNow);
  const timer = setInterval(() => look(performance.now()), LOOK_MS);
  timer.unref();
  return () => clearInterval(timer);
}
