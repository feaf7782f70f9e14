/**
 * Structured logging: data first, a constant event name second (`log.info({ job }, 'job.closed')`).
 * One JSON object per line, or one readable line on a terminal. No worker threads, no transports, so
 * that nothing is lost when the process ends.
 */
import { pino } from 'pino';
import type { Logger } from 'pino';
import { escapeHidden, withoutHidden } from './hidden-text.ts';

export type Log = Logger;
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Where lines go: `process.stderr`, or anything that takes text. */
export interface LogDestination {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** The root logger. Each component takes a child: `log.child({ component: 'runner' })`. */
export function createLog(level: LogLevel, destination: LogDestination): Log {
  const sink =
    destination.isTTY === true
      ? { write: (line: string): void => void destination.write(readable(line)) }
      : { write: (line: string): void => void destination.write(escapeHidden(line)) };
  const options = {
    level,
    messageKey: 'event',
    errorKey: 'error',
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, sink);
}

/** A text of someone else's, cut to `max` characters and without control characters, fit for a log line. */
export function limited(text: string, max = 200): string {
  const clean = withoutHidden(text.replace(/\p{Cc}+/gu, ' '));
  return clean.length > max ? `${clean.slice(0, max)}…` : clean;
}

/** `12:00:01.250 info  runner  execution.ended execution=e-1a2b exitCode=0` */
function readable(line: string): string {
  const {
    time,
    level,
    component,
    event,
    error,
    node: _,
    ...data
  } = JSON.parse(line) as Record<string, unknown>;
  const head = [
    String(time).slice(11, 23),
    String(level).padEnd(5),
    typeof component === 'string' ? component.padEnd(8) : '-'.padEnd(8),
    String(event ?? ''),
  ];
  const facts = Object.entries(data).map(([key, value]) => `${key}=${plain(value)}`);
  return `${[...head, ...facts, ...errorFacts(error)].join(' ')}\n`;
}

function errorFacts(error: unknown): string[] {
  if (error === undefined || error === null) return [];
  if (typeof error !== 'object' || !('message' in error)) return [`error=${plain(error)}`];
  return [`error=${plain(error.message)}`];
}

function plain(value: unknown): string {
  if (typeof value !== 'string') return limited(JSON.stringify(value) ?? 'undefined', 400);
  const text = limited(value, 400);
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text);
}
