/** Things that last and that only so many clients may have at once: followed logs, transfers. */
import { ShoalError } from '../failures/shoal-error.ts';

/** What a client is told to wait; a place is free as soon as any other client ends. */
const AGAIN_MS = 5_000;

export class Permits {
  readonly #max: number;
  #taken = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** @returns what gives the place back, once. @throws ShoalError `rate-limited` – all are taken. */
  take(): () => void {
    if (this.#taken >= this.#max)
      throw new ShoalError({ code: 'rate-limited', retryAfterMs: AGAIN_MS });
    this.#taken += 1;
    let given = false;
    return () => {
      if (!given) this.#taken -= 1;
      given = true;
    };
  }
}
