/** States as people read them: a program that ended with another code than 0 is not simply completed. */
import type { ExecutionJson, JobJson } from '../api/types.ts';
import { own } from '../job/own.ts';
import type { Style } from './text.ts';

const capitalised = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`;

const withExit = (state: string, code: number | undefined): string =>
  code === undefined || code === 0 ? state : `${state} (exit ${code})`;

/** `Completed (exit 7)`. */
export const stateText = ({ State, ExitCode }: JobJson): string =>
  withExit(State.StateType, ExitCode);

const STYLES: Readonly<Record<string, Style>> = {
  Completed: 'green',
  Running: 'cyan',
  Failed: 'red',
  Lost: 'red',
  Stopped: 'yellow',
};

const styleOf = (state: string, code: number | undefined): Style | null =>
  code === undefined || code === 0 ? (own(STYLES, state) ?? null) : 'red';

export const stateStyle = ({ State, ExitCode }: JobJson): Style | null =>
  styleOf(State.StateType, ExitCode);

/** Of what goes on, the exit code is that of the run before. */
const exitCodeOf = ({ Phase, RunOutput }: ExecutionJson): number | undefined =>
  Phase === 'completed' ? RunOutput?.ExitCode : undefined;

export const executionStateText = (one: ExecutionJson): string =>
  withExit(capitalised(one.Phase), exitCodeOf(one));

export const executionStateStyle = (one: ExecutionJson): Style | null =>
  styleOf(capitalised(one.Phase), exitCodeOf(one));
