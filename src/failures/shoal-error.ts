/** A failure as something that is thrown. */
import { describe } from './table.ts';
import type { Failure } from './failure.ts';

export class ShoalError extends Error {
  override readonly name = 'ShoalError';
  readonly failure: Failure;
  constructor(failure: Failure, options?: ErrorOptions) {
    super(describe(failure), options);
    this.failure = failure;
  }
}
