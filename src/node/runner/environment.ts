/**
 * The environment of a program: what every program is given, with `env:NAME` values taken from this
 * node's own environment where its operator allows that.
 */
import { environmentOf } from '../../core/record/execution.ts';
import type { ExecutionOrder } from '../../core/record/execution.ts';
import { own } from '../../job/own.ts';
import { covers } from '../../job/wildcard.ts';
import { StorageError } from '../../storage/source.ts';

/** @throws StorageError class node `env-not-allowed` or `env-not-set`. */
export function resolvedEnvironment(
  order: ExecutionOrder,
  allowed: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): Readonly<Record<string, string>> {
  const entries = Object.entries(environmentOf(order)).map(([name, value]) => {
    const variable = /^env:(.+)$/s.exec(value)?.[1];
    return [
      name,
      variable === undefined ? value : forwarded(variable, allowed, environment),
    ] as const;
  });
  return Object.fromEntries(entries);
}

function forwarded(
  variable: string,
  allowed: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): string {
  if (!allowed.some((pattern) => covers(pattern, variable))) {
    throw new StorageError(
      'node',
      'env-not-allowed',
      `This node does not give its variable ${variable} to jobs.`,
    );
  }
  const value = own(environment, variable);
  if (value !== undefined) return value;
  throw new StorageError(
    'node',
    'env-not-set',
    `The variable ${variable} is not set on this node.`,
  );
}
