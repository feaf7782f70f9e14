/**
 * The port to content-addressed data: bytes go in and come out by CID, and out by `CID/path` as well. `p2p/content/content.ts` is the
 * adapter (Helia and the direct block streams); sources, publishers and the API are its users.
 */

/** A UnixFS DAG: its root and the bytes below it. */
export interface ContentRef {
  /** CIDv1 text. */
  readonly cid: string;
  /** Sum of the file sizes below the root. */
  readonly bytes: number;
}

export interface FetchOptions {
  /** Peer ids that hold the content, best first; empty = ask every connected peer. */
  readonly holders: readonly string[];
  /** Refuse a DAG with more file bytes than this. */
  readonly maxBytes: number;
  readonly signal: AbortSignal;
  /** Called as bytes arrive; `total` is the DAG header's claim, not verified. */
  readonly onProgress?: ((bytes: number, total: number) => void) | undefined;
  /** `writeTo`: called before bytes are written, and with null before a file or directory is made. */
  readonly onWrite?: ((bytes: number | null) => void) | undefined;
}

export interface ContentEntry {
  /** Path below the root, `/`-separated, never absolute, never with `..`; '' for the root itself. */
  readonly path: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly bytes: number;
  /** Of a symlink: what it holds, unchecked. */
  readonly link?: string;
  /** Permission bits (0o000 to 0o777), where the tree says some. */
  readonly mode?: number;
}

export interface ContentStore {
  /**
   * Imports a file or directory of the host and pins it. Symlinks that stay inside (`whyLinkLeaves`)
   * are kept as UnixFS symlinks, others dropped; sockets, fifos and devices are dropped. Of modes that
   * are kept which `keptMode` names.
   * @returns the root and what was dropped, each with its reason.
   */
  add(
    path: string,
    signal: AbortSignal,
  ): Promise<ContentRef & { readonly dropped: readonly string[] }>;
  /** Imports a stream as one file and pins it. `mode`: its permission bits, null = those of any file. */
  addStream(
    bytes: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
    mode?: number | null,
  ): Promise<ContentRef>;
  /**
   * Makes the whole DAG local (from holders when it is not), then writes it to `destination`, which
   * must not exist: a file for a file root, a directory for a directory root. Creates symlinks that stay
   * inside, after everything else; modes are as `keptMode` names them.
   * @throws ShoalError `content-not-found`, `content-too-large`, `content-corrupt`, `cid-invalid`.
   */
  writeTo(
    cid: string,
    destination: string,
    options: FetchOptions,
  ): Promise<ContentRef & { readonly kind: 'file' | 'directory' }>;
  /** Makes the whole DAG local and pins it, without writing files. */
  replicate(cid: string, options: FetchOptions): Promise<ContentRef>;
  /** Everything below the root, in depth-first order. */
  list(cid: string, options: FetchOptions): AsyncIterable<ContentEntry>;
  /** The bytes of one file; `path` below the root, '' when the root is the file. */
  read(cid: string, path: string, options: FetchOptions): AsyncIterable<Uint8Array>;
  /** True when every block of the DAG is here. */
  has(cid: string): Promise<boolean>;
  pin(cid: string): Promise<void>;
  unpin(cid: string): Promise<void>;
}
