/** The first three descriptors of a program: an empty input and two outputs. */
import { writeSync } from 'node:fs';
import { Fd, wasi } from '@bjorn3/browser_wasi_shim';
import { attempt, ERRNO } from './errno.ts';
import { filestatWithoutHost } from './host-file.ts';

const NOTHING = new Uint8Array();

/** stdin (always at its end), stdout or stderr. The parent caps and stores what is written. */
export class StreamFile extends Fd {
  readonly #descriptor: number | null;

  /** @param descriptor the host descriptor that takes the output; null = an empty input. */
  constructor(descriptor: number | null) {
    super();
    this.#descriptor = descriptor;
  }

  override fd_fdstat_get(): { ret: number; fdstat: wasi.Fdstat } {
    // Not a character device: programs take that for a terminal.
    const fdstat = new wasi.Fdstat(wasi.FILETYPE_UNKNOWN, 0);
    fdstat.fs_rights_base = BigInt(
      this.#descriptor === null ? wasi.RIGHTS_FD_READ : wasi.RIGHTS_FD_WRITE,
    );
    return { ret: ERRNO.OK, fdstat };
  }

  override fd_fdstat_set_flags(): number {
    return ERRNO.OK;
  }

  override fd_filestat_get(): { ret: number; filestat: wasi.Filestat } {
    return { ret: ERRNO.OK, filestat: filestatWithoutHost(wasi.FILETYPE_UNKNOWN) };
  }

  override fd_read(): { ret: number; data: Uint8Array } {
    return { ret: this.#descriptor === null ? ERRNO.OK : ERRNO.BADF, data: NOTHING };
  }

  override fd_write(data: Uint8Array): { ret: number; nwritten: number } {
    const descriptor = this.#descriptor;
    if (descriptor === null) return { ret: ERRNO.BADF, nwritten: 0 };
    return attempt(
      () => ({ ret: ERRNO.OK, nwritten: writeSync(descriptor, data) }),
      (ret) => ({ ret, nwritten: 0 }),
    );
  }

  override fd_seek(): { ret: number; offset: bigint } {
    return { ret: ERRNO.SPIPE, offset: 0n };
  }

  override fd_tell(): { ret: number; offset: bigint } {
    return { ret: ERRNO.SPIPE, offset: 0n };
  }

  override fd_pread(): { ret: number; data: Uint8Array } {
    return { ret: ERRNO.SPIPE, data: NOTHING };
  }

  override fd_pwrite(): { ret: number; nwritten: number } {
    return { ret: ERRNO.SPIPE, nwritten: 0 };
  }
}
