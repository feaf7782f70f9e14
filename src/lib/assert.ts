/**
 * Assertions for our own mistakes, never for what users or peers send. A failed one ends the node:
 * going on with a broken invariant does more harm than a restart.
 */

export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/** @throws AssertionError when `condition` is false. `law`: what must hold, as a sentence. */
export function assert(condition: boolean, law: string): asserts condition {
  if (!condition) throw new AssertionError(law);
}

/** Ends a `switch` over a closed union; does not compile while a case is missing. */
export function unreachable(value: never): never {
  throw new AssertionError(`a case is missing for ${JSON.stringify(value)}`);
}
