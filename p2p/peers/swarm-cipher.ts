/**
 * The pre-shared key in front of everything, with a cipher that stays within its memory. All ciphers of
 * the process share 62 MiB of WebAssembly. One that is used after another made that memory grow takes it
 * for too small, and makes it grow again, for ever; a single write above 600 KiB is enough to begin, and
 * so are 4,600 connections, as none of them gives its place back. When nothing is left, the library throws
 * where nobody can catch it. So what is enciphered at once is small, and a place ends with its connection.
 */
import { preSharedKey } from '@libp2p/pnet';

/** Enciphered at once, bytes: one Noise frame. */
const PIECE_BYTES = 64 * 1024;
/** Two nonces; a stranger who says nothing must not hold a connection for long. */
const NONCES_MS = 5_000;

type Protector = ReturnType<ReturnType<typeof preSharedKey>>;

/** As `xsalsa20` makes them; `_xor` is its WebAssembly, or plain JavaScript where there is none. */
interface Cipher {
  readonly _xor: { readonly _memory?: Uint8Array; realloc?(bytes: number): void };
  update(input: Uint8Array, output?: Uint8Array): Uint8Array;
  finalize(): void;
}

/** What `@libp2p/pnet` makes of a connection, as far as its types do not say. */
interface Box {
  inboundXor: Pick<Cipher, 'update'>;
  outboundXor: Pick<Cipher, 'update'>;
}

/** @param swarmKey the bytes of a swarm key file */
export function swarmKeyProtector(swarmKey: Uint8Array): () => Protector {
  const create = preSharedKey({ psk: swarmKey, timeout: NONCES_MS });
  return () => {
    const protector = create();
    const protect = protector.protect.bind(protector);
    return Object.assign(protector, {
      async protect(...given: Parameters<Protector['protect']>) {
        const connection = await protect(...given);
        const box = connection as unknown as Box;
        const ciphers = [box.inboundXor, box.outboundXor].map((one) => bounded(one as Cipher));
        const [inbound, outbound] = ciphers;
        if (inbound === undefined || outbound === undefined) return connection;
        Object.assign(box, { inboundXor: inbound, outboundXor: outbound });
        const end = (): void => {
          for (const cipher of ciphers) cipher.end();
        };
        connection.addEventListener('close', end);
        if (connection.status !== 'open') end();
        return connection;
      },
    });
  };
}

function bounded(cipher: Cipher): Pick<Cipher, 'update'> & { end(): void } {
  let ended = false;
  /** The memory grew, and what this cipher knows of it is gone: it looks anew, and asks for nothing. */
  const refresh = (): void => {
    if (cipher._xor._memory?.length === 0) cipher._xor.realloc?.(0);
  };
  return {
    update(input) {
      const output = new Uint8Array(input.byteLength);
      // Of a connection that is closed nothing leaves any more.
      if (ended) return output;
      for (let at = 0; at < input.byteLength; at += PIECE_BYTES) {
        refresh();
        const to = at + PIECE_BYTES;
        cipher.update(input.subarray(at, to), output.subarray(at, to));
      }
      return output;
    },
    end() {
      if (ended) return;
      ended = true;
      refresh();
      cipher.finalize();
    },
  };
}
