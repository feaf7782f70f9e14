/** What labels of a peer may be. All of them travel in each of its adverts, which have room for 64 KiB in all. */

export const LABELS_MAX = 100;
/** UTF-16 units. */
export const LABEL_VALUE_MAX = 256;
export const LABEL_KEY = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$/;
export const LABEL_KEY_EXPECTED = 'letters, digits, ".", "_", "-", "/", at most 63';
export const LABEL_VALUE_EXPECTED = `a text of at most ${LABEL_VALUE_MAX}, without NUL and half surrogate pairs`;
/** Of all keys and values in UTF-8: beside them an advert has addresses, which may be half of it. */
const LABELS_MAX_BYTES = 24_576;
export const LABELS_EXPECTED = `at most ${LABELS_MAX} labels of ${LABELS_MAX_BYTES} bytes together`;

/** NUL ends a text in C, and half a surrogate pair has no UTF-8: neither would be the same at other peers. */
export const isLabelValue = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= LABEL_VALUE_MAX &&
  value.isWellFormed() &&
  !value.includes('\0');

/** @returns how many there are, or how large, when that is too many or too large; null else */
export function tooManyLabels(labels: Iterable<readonly [string, string]>): string | null {
  const all = [...labels];
  const bytes = all.reduce((sum, label) => sum + Buffer.byteLength(label.join('')), 0);
  if (all.length > LABELS_MAX) return `${all.length} labels`;
  return bytes > LABELS_MAX_BYTES ? `labels of ${bytes} bytes` : null;
}
