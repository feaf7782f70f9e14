/** Moves bytes between the buffers of a program and its descriptors. */
import { openAt } from './calls.ts';
import type { Argument, Call, Descriptors } from './calls.ts';
import { ERRNO } from './errno.ts';

/** Bytes moved by one step; more would only be held twice. */
const TRANSFER_BYTES_MAX = 1 << 20;
const VECTOR_BYTES = 8;

/** An offset arrives signed, as every 64-bit number from WebAssembly, and is meant unsigned. */
const offsetOf = (value: Argument | undefined): bigint => BigInt.asUintN(64, BigInt(value ?? 0n));

/**
 * Moves bytes between a descriptor and the buffers of a call. Stops at the first short transfer; an
 * error counts only when nothing was moved before it, as in POSIX.
 * @param move moves one part and says how much of it, or an error number below zero.
 */
function transfer(
  memory: WebAssembly.Memory,
  [vectors, count, result]: readonly number[],
  move: (part: Uint8Array<ArrayBuffer>, moved: number) => number,
): number {
  const view = new DataView(memory.buffer);
  let moved = 0;
  for (let index = 0; index < (count ?? 0); index += 1) {
    const at = (vectors ?? 0) + index * VECTOR_BYTES;
    const length = view.getUint32(at + 4, true);
    if (length === 0) continue;
    const part = new Uint8Array(memory.buffer, view.getUint32(at, true), length);
    const step = move(part.subarray(0, TRANSFER_BYTES_MAX), moved);
    if (step < 0 && moved === 0) return -step;
    if (step > 0) moved += step;
    if (step < length) break;
  }
  view.setUint32(result ?? 0, moved, true);
  return ERRNO.OK;
}

/** Without the shim, which holds all bytes twice and counts partial writes as none. */
export function transferCalls(
  descriptors: Descriptors,
  memory: () => WebAssembly.Memory,
): Record<string, Call> {
  const take = (part: Uint8Array, { ret, data }: { ret: number; data: Uint8Array }): number => {
    if (ret !== ERRNO.OK) return -ret;
    part.set(data);
    return data.length;
  };
  const given = ({ ret, nwritten }: { ret: number; nwritten: number }): number =>
    ret === ERRNO.OK ? nwritten : -ret;
  return {
    fd_read: (fd, ...rest) => {
      const file = openAt(descriptors, fd);
      return transfer(memory(), rest.map(Number), (part) => take(part, file.fd_read(part.length)));
    },
    fd_write: (fd, ...rest) => {
      const file = openAt(descriptors, fd);
      return transfer(memory(), rest.map(Number), (part) => given(file.fd_write(part)));
    },
    fd_pread: (fd, vectors, count, offset, result) => {
      const file = openAt(descriptors, fd);
      const start = offsetOf(offset);
      return transfer(memory(), [vectors, count, result].map(Number), (part, moved) =>
        take(part, file.fd_pread(part.length, start + BigInt(moved))),
      );
    },
    fd_pwrite: (fd, vectors, count, offset, result) => {
      const file = openAt(descriptors, fd);
      const start = offsetOf(offset);
      return transfer(memory(), [vectors, count, result].map(Number), (part, moved) =>
        given(file.fd_pwrite(part, start + BigInt(moved))),
      );
    },
  };
}
