/** The two ways in which Bacalhau writes a moment. */

/**
 * Nanoseconds since 1970 of wall-clock milliseconds (with a fraction of thousandths); 0 for what is no
 * number, which a record of somebody may hold.
 */
export function nanosOf(ms: number): bigint {
  return Number.isFinite(ms) ? BigInt(Math.round(ms * 1000)) * 1000n : 0n;
}

/** RFC 3339 in UTC; 0 is Go's zero time, as Bacalhau prints it. Any number is safe. */
export function rfc3339(ms: number): string {
  if (!(ms > 0 && ms <= 253_402_300_799_999)) return '0001-01-01T00:00:00Z';
  return new Date(Math.floor(ms)).toISOString();
}
