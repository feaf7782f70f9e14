/**
 * The log port of the p2p layer, and the adapter that sends libp2p's own lines into it. What a remote
 * peer made libp2p say never rises above `debug` and is cut to a fixed length.
 */
import { format } from 'node:util';
import type { ComponentLogger, Logger } from '@libp2p/interface';

/** First the data, then a constant event name; pino's child loggers fit as they are. */
export interface Log {
  debug(data: object, event: string): void;
  info(data: object, event: string): void;
  warn(data: object, event: string): void;
  error(data: object, event: string): void;
}

/** Remote strings are cut here: a peer must not be able to fill the operator's disk with one line. */
const LINE_MAX = 400;

const ignore = (): void => {};

/** Cuts any text that may come from a peer. */
export const brief = (text: string, max = 200): string =>
  text.length > max ? `${text.slice(0, max)}…` : text;

/** The message of anything thrown, cut. */
export const reasonOf = (error: unknown): string =>
  brief(error instanceof Error ? `${error.name}: ${error.message}` : String(error));

/** libp2p's formatters (%p peer, %a address, %b, %c cid, %e error …) all read well as plain text. */
const line = (template: unknown, values: unknown[]): string =>
  brief(format(String(template).replace(/%[a-zA-Z]/g, '%s'), ...values.map(plain)), LINE_MAX);

const plain = (value: unknown): string =>
  value instanceof Error ? reasonOf(value) : String(value);

/**
 * @param enabled false makes every logger a no-op with `.enabled === false`: libp2p builds hundreds of
 *   lines per start, and looks at that flag before it formats them.
 */
export function libp2pLogger(log: Log, enabled: boolean): ComponentLogger {
  const loggerOf = (component: string): Logger => {
    const write = enabled
      ? (template: unknown, ...values: unknown[]): void =>
          log.debug({ libp2p: component, line: line(template, values) }, 'libp2p.line')
      : ignore;
    return Object.assign((template: unknown, ...values: unknown[]) => write(template, ...values), {
      error: write,
      // Trace lines exist per frame: they would drown everything else.
      trace: ignore,
      enabled,
      newScope: (name: string) => loggerOf(`${component}:${name}`),
    });
  };
  return { forComponent: loggerOf };
}
