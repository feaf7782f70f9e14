/** What went wrong, as the user sees it: on lines or as JSON, and the exit code. */
import { ShoalError } from '../failures/shoal-error.ts';
import type { FailureCode } from '../failures/failure.ts';
import { own } from '../job/own.ts';
import { stringifyExact } from '../lib/exact-json.ts';
import type { ErrorJson } from '../api/types.ts';
import { FAILURES } from '../failures/table.ts';
import type { ExitCode } from '../failures/table.ts';
import { plainLine, plainText } from './text.ts';

/** A failure that the peer answered with. */
export class RemoteError extends Error {
  override readonly name = 'RemoteError';
  readonly answer: ErrorJson;
  constructor(answer: ErrorJson) {
    super(answer.Message);
    this.answer = answer;
  }
}

/** The failure code of a thrown value; null when it is none of ours. */
export function codeOf(error: unknown): FailureCode | null {
  if (error instanceof ShoalError) return error.failure.code;
  if (error instanceof RemoteError) return error.answer.Details.code;
  return null;
}

export interface Told {
  readonly code: string;
  readonly message: string;
  readonly path: string;
  readonly hint: string;
  readonly retryable: boolean;
  readonly exitCode: ExitCode;
}

/** Puts any thrown value into words. What is not a known failure is a defect: exit code 1. */
export function tell(error: unknown): Told {
  if (error instanceof ShoalError) {
    const { failure } = error;
    return {
      code: failure.code,
      message: plainText(error.message),
      path:
        failure.code === 'request-invalid' ? failure.place : 'path' in failure ? failure.path : '',
      hint: failure.code === 'usage' ? failure.hint : '',
      retryable: FAILURES[failure.code].again,
      exitCode: FAILURES[failure.code].exitCode,
    };
  }
  if (error instanceof RemoteError) {
    const { Message, Hint, Details } = error.answer;
    const known = own<{ readonly exitCode: ExitCode }>(FAILURES, Details.code);
    return {
      code: Details.code,
      message: plainText(Message),
      path: plainText(Details['path'] ?? ''),
      hint: plainText(Hint ?? ''),
      retryable: Details['retryable'] === 'true',
      exitCode: known?.exitCode ?? 1,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'internal',
    message: `A defect in shoal: ${plainText(message)}`,
    path: '',
    hint: '',
    retryable: false,
    exitCode: 1,
  };
}

/** The lines for stderr. */
export function errorText(told: Told, asJson: boolean): string {
  if (asJson) {
    const { exitCode: _exitCode, ...error } = told;
    return `${stringifyExact({ error }, 0)}\n`;
  }
  const lines = told.message
    .split('\n')
    .map((line, index) => (index === 0 ? `Error: ${line}` : `       ${line}`));
  if (told.hint !== '') lines.push(`Hint: ${plainLine(told.hint)}`);
  return `${lines.join('\n')}\n`;
}
