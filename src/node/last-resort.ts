/**
 * What becomes of a throw that nobody caught and of a promise that nobody waits for. The libraries of
 * the network leave some behind when a stream breaks, and a broken stream costs that stream; a full disk
 * costs what was to be written (`disk-watch.ts` says the rest); anything else says that the program is not
 * what it seems, and ends the peer in order.
 */
import type { Defects } from './defects.ts';

/** Errors by which libp2p, its muxers and Node's streams say that the other side is gone or broken. */
const STREAM_ERRORS: ReadonlySet<string> = new Set([
  'AbortError',
  'ConnectionClosedError',
  'ConnectionClosingError',
  'ConnectionFailedError',
  'DialError',
  'InvalidCryptoExchangeError',
  'InvalidDataLengthError',
  'InvalidDataLengthLengthError',
  'InvalidFrameError',
  'InvalidMessageError',
  'InvalidMessageLengthError',
  'MaxEarlyStreamsError',
  'MuxerClosedError',
  'NotMatchingPingError',
  'ProtocolError',
  'QueueFullError',
  'ReceiveWindowExceededError',
  'StreamAbortedError',
  'StreamAlreadyExistsError',
  'StreamBufferError',
  'StreamClosedError',
  'StreamResetError',
  'StreamStateError',
  'TimeoutError',
  'TooManyInboundProtocolStreamsError',
  'TooManyOutboundProtocolStreamsError',
  'UnexpectedEOFError',
  'UnexpectedPeerError',
  'UnRequestedPingError',
  'UnsupportedProtocolError',
]);
const STREAM_CODES: ReadonlySet<string> = new Set([
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTCONN',
  'EPIPE',
  'ERR_STREAM_DESTROYED',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ERR_STREAM_WRITE_AFTER_END',
  'ETIMEDOUT',
]);

/** No room on the disk; it passes, and nothing was acknowledged that was not written. */
const DISK_CODES: ReadonlySet<string> = new Set(['EDQUOT', 'ENOSPC']);

/** Whether an error says no more than that a stream is gone, or that there is no room. */
function isSurroundings(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? String(error.code) : '';
  return STREAM_ERRORS.has(error.name) || STREAM_CODES.has(code) || DISK_CODES.has(code);
}

/**
 * @param end ends the peer; called at most once.
 * @returns takes the handlers away
 */
export function catchTheUncaught(defects: Defects, end: (error: unknown) => void): () => void {
  let ended = false;
  const caught = (where: string) => (error: unknown) => {
    defects.report(where, error);
    if (ended || isSurroundings(error)) return;
    ended = true;
    end(error);
  };
  const thrown = caught('process.uncaught');
  const rejected = caught('process.unhandled');
  process.on('uncaughtException', thrown);
  process.on('unhandledRejection', rejected);
  return () => {
    process.removeListener('uncaughtException', thrown);
    process.removeListener('unhandledRejection', rejected);
  };
}
