/** Log frames from a websocket, as an async iterable. Node's own client; loaded only when logs are read. */
import type { LogFrame } from '../api/types.ts';

/** Node's `WebSocket` takes headers, which the browser's does not, so the types do not know. */
type SocketFactory = new (
  url: URL,
  options: { readonly headers: Readonly<Record<string, string>> },
) => WebSocket;

/**
 * Ends at a normal close or at the signal.
 * @throws what `unreachable` makes when the connection fails or is cut.
 */
export async function* socketFrames(
  url: URL,
  key: string,
  signal: AbortSignal,
  unreachable: () => Error,
): AsyncGenerator<LogFrame> {
  const headers: Record<string, string> = key === '' ? {} : { authorization: `Bearer ${key}` };
  const socket = new (WebSocket as unknown as SocketFactory)(url, { headers });
  const frames: LogFrame[] = [];
  const end: { how: 'no' | 'normally' | 'cut' } = { how: 'no' };
  let wake = (): void => {};
  const stop = (): void => {
    end.how = 'normally';
    socket.close();
    wake();
  };
  socket.onmessage = ({ data }) => {
    frames.push(JSON.parse(String(data)) as LogFrame);
    wake();
  };
  socket.onclose = ({ code }) => {
    if (end.how === 'no') end.how = code === 1000 ? 'normally' : 'cut';
    wake();
  };
  signal.addEventListener('abort', stop, { once: true });
  if (signal.aborted) stop();
  try {
    for (;;) {
      for (let frame = frames.shift(); frame !== undefined; frame = frames.shift()) yield frame;
      if (end.how === 'cut') throw unreachable();
      if (end.how === 'normally') return;
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (frames.length > 0 || end.how !== 'no') resolve();
      });
    }
  } finally {
    signal.removeEventListener('abort', stop);
    socket.close();
  }
}
