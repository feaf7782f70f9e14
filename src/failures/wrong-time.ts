/** Words for what is refused because of its time: both clocks, so that a person sees which is wrong. */
import type { Refusal } from '../core/record/refusals.ts';

const DAY_MS = 86_400_000;
/** Days of 400 years, after which the calendar repeats itself; of 100, 4 and 1 of them. */
const ERA_DAYS = 146_097;
const [CENTURY_DAYS, LEAP_DAYS, YEAR_DAYS] = [36_524, 1_461, 365] as const;
/** From 1 March of the year 0, with which the eras begin, to 1970. */
const EPOCH_DAYS = 719_468;

/** `2026-01-02 03:04:05 UTC`. Without `Date`, which also tells the time. `ms`: since 1970, ≥ 0. */
function utc(ms: number): string {
  const days = Math.floor(ms / DAY_MS) + EPOCH_DAYS;
  const era = Math.floor(days / ERA_DAYS);
  const day = days - era * ERA_DAYS;
  const year = Math.floor(
    (day -
      Math.floor(day / (LEAP_DAYS - 1)) +
      Math.floor(day / CENTURY_DAYS) -
      Math.floor(day / (ERA_DAYS - 1))) /
      YEAR_DAYS,
  );
  const ofYear = day - (YEAR_DAYS * year + Math.floor(year / 4) - Math.floor(year / 100));
  // Five months of 153 days, beginning in March.
  const month = Math.floor((5 * ofYear + 2) / 153);
  const ofMonth = ofYear - Math.floor((153 * month + 2) / 5) + 1;
  const two = (value: number): string => String(value).padStart(2, '0');
  const civil = month < 10 ? month + 3 : month - 9;
  const date = [year + 400 * era + (civil <= 2 ? 1 : 0), civil, ofMonth].map(two).join('-');
  const seconds = Math.floor((ms % DAY_MS) / 1_000);
  const time = [seconds / 3_600, (seconds / 60) % 60, seconds % 60].map((part) =>
    two(Math.floor(part)),
  );
  return `${date} ${time.join(':')} UTC`;
}

export function wrongTime({
  notAfter,
  wall,
}: Extract<Refusal, { readonly code: 'wrong-time' }>): string {
  const range = notAfter < wall ? 'over' : 'further ahead than any job may be good for';
  return `it is good until ${utc(notAfter)}, which is ${range} by the clock there, ${utc(wall)}: \`shoal doctor\` says whose clock is wrong`;
}
