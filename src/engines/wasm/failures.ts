/** The ways in which a run fails, each with its class and its sentence for a person. */
import type { ExecutionFailure, FailureClass } from '../../core/record/execution.ts';
import type { RunnerFailureCode } from './wire.ts';

/** Limit of `ExecutionFailure.message`. */
const MESSAGE_CHARACTERS_MAX = 1_000;

export const failure = (code: string, kind: FailureClass, message: string): ExecutionFailure => ({
  code,
  class: kind,
  message: message.slice(0, MESSAGE_CHARACTERS_MAX),
});

const CLASS_OF: Readonly<Record<RunnerFailureCode, FailureClass>> = {
  'wasm-not-wasm': 'spec',
  'wasm-component': 'spec',
  'wasm-invalid': 'spec',
  'wasm-module-too-large': 'spec',
  'wasm-unknown-import': 'spec',
  'wasm-entry-missing': 'spec',
  'wasm-memory-missing': 'spec',
  'wasm-memory-shared': 'spec',
  'wasm-memory-64': 'spec',
  'wasm-memory-count': 'spec',
  'wasm-memory-minimum': 'spec',
  // The program's own fault, and the same on every node.
  'wasm-trap': 'spec',
  'out-of-memory': 'limit',
  'wasm-runner-failed': 'node',
};

/** What the runner found, in words. */
export function failureOfRunner(code: RunnerFailureCode, detail: string): ExecutionFailure {
  const sentences: Partial<Record<RunnerFailureCode, string>> = {
    'wasm-trap': `The program trapped: ${detail}.`,
    'out-of-memory': `The program ran out of memory: ${detail}. Raise Resources.Memory.`,
    'wasm-runner-failed': `The wasm runner failed: ${detail}.`,
  };
  return failure(code, CLASS_OF[code], sentences[code] ?? `The module cannot run: ${detail}.`);
}

export const cancelled = (): ExecutionFailure =>
  failure('cancelled', 'transient', 'The execution was stopped on request.');

export const timedOut = (timeoutMs: number): ExecutionFailure =>
  failure(
    'execution-timeout',
    'limit',
    `Execution timed out after ${timeoutMs / 1000}s. Raise Timeouts.ExecutionTimeout if need be.`,
  );

export const cpuExceeded = (cpuSeconds: number): ExecutionFailure =>
  failure(
    'cpu-time-exceeded',
    'limit',
    `The program used the ${cpuSeconds} s of CPU time that this node allows one execution.`,
  );

export const memoryExceeded = (bytes: number, bytesMax: number): ExecutionFailure =>
  failure(
    'out-of-memory',
    'limit',
    `The program used ${bytes} bytes of memory with its runner, more than the ${bytesMax} ` +
      'allowed. Raise Resources.Memory.',
  );

/** What the program keeps beside its memory (tables, compiled code) did not fit into the runner. */
export const runnerFull = (): ExecutionFailure =>
  failure(
    'out-of-memory',
    'limit',
    'The program needed more tables or code than its runner has room for.',
  );

export const killedFromOutside = (): ExecutionFailure =>
  failure(
    'out-of-memory',
    'limit',
    'The runner was killed from outside, as the kernel does when memory runs out.',
  );

export const runnerCrashed = (how: string): ExecutionFailure =>
  failure(
    'wasm-runner-crashed',
    'node',
    `The wasm runner ended (${how}) before the program did; see its stderr.`,
  );

export const runnerNotStarted = (why: string): ExecutionFailure =>
  failure('wasm-runner-crashed', 'node', `The wasm runner could not be started: ${why}.`);

export const outputUnwritable = (why: string): ExecutionFailure =>
  failure('output-unwritable', 'node', `The output of the program could not be stored: ${why}.`);

export const mountUnusable = (target: string, why: string): ExecutionFailure =>
  failure(
    'mount-unusable',
    'node',
    `What belongs at "${target}" cannot be given to the program: ${why}.`,
  );
