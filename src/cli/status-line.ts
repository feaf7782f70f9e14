/**
 * Progress on stderr. On a terminal one line that is rewritten in place; elsewhere plain lines, one
 * per thing that happened, and none for mere progress.
 */
import type { Io } from './io.ts';
import { plainLine } from './text.ts';

const CLEAR = '\r\u001b[K';

export class StatusLine {
  readonly #io: Io;
  readonly #quiet: boolean;
  readonly #live: boolean;
  #shown = '';

  /** `quiet`: shows nothing at all. */
  constructor(io: Io, quiet: boolean) {
    this.#io = io;
    this.#quiet = quiet;
    this.#live = io.terminal.stderr && !quiet && io.env['TERM'] !== 'dumb';
  }

  /** What is going on now; replaced by the next call. Nothing where it cannot be replaced. */
  now(text: string): void {
    if (!this.#live) return;
    const line = plainLine(text).slice(0, Math.max(20, this.#io.columns() - 1));
    if (line === this.#shown) return;
    this.#shown = line;
    this.#io.stderr.write(`${CLEAR}${line}`);
  }

  /** A line that stays; it may hold remote text, whose line ends would make lines that nobody here wrote. */
  say(line: string): void {
    this.sayStyled(plainLine(line));
  }

  /** A line that stays, and whose remote text has been made harmless already. */
  sayStyled(line: string): void {
    if (this.#quiet) return;
    const again = this.#shown;
    this.clear();
    this.#io.stderr.write(`${line}\n`);
    if (again !== '') this.now(again);
  }

  /** Takes the rewritten line away; call it before anything else is written to the terminal. */
  clear(): void {
    if (this.#shown === '') return;
    this.#shown = '';
    this.#io.stderr.write(CLEAR);
  }
}
