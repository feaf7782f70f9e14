/** What every route file is handed. */
import type { Socket } from 'node:net';
import type { Links } from '../links.ts';
import type { HistoryBook } from '../history.ts';
import type { ShoalService } from '../service.ts';

export interface RouteContext {
  readonly service: ShoalService;
  readonly history: HistoryBook;
  /** null when no key is asked for. */
  readonly links: Links | null;
  /** Version of shoal without a leading `v`. */
  readonly version: string;
  /** Directory for uploads under way; created when needed. */
  readonly spoolDir: string;
  /** Bytes that one upload may have. */
  readonly uploadMaxBytes: number;
  /** Bytes of a DAG that may be fetched for a client. */
  readonly fetchMaxBytes: number;
  /** Upgraded connections that are being served; see `connections.ts`. */
  readonly streaming: WeakSet<Socket>;
  /** Fires when the server stops: streams end then. */
  readonly stopping: AbortSignal;
  /** Told of every error that is not the client's, for the log. */
  readonly onDefect: (error: unknown, requestId: string) => void;
}
