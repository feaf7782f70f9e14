/**
 * Puts what goes wrong with content and with this machine's disk into the words and classes of an
 * execution's failure.
 */
import { ShoalError } from '../failures/shoal-error.ts';
import { errorCode } from '../lib/durable-file.ts';
import { StorageError } from './source.ts';

/** The code of a failure for want of room. */
export const DISK_FULL = 'disk-full';

/** What to throw in place of `error` after an input could not be staged; `what` names the input. */
export function inputError(error: unknown, what: string): unknown {
  if (error instanceof StorageError) return error;
  if (error instanceof ShoalError) {
    const text = `${what}: ${error.message}`;
    switch (error.failure.code) {
      case 'content-not-found':
      case 'peer-unreachable':
      case 'timeout':
        return new StorageError('transient', 'input-not-found', text, { cause: error });
      case 'content-too-large':
        return new StorageError('limit', 'input-too-large', text, { cause: error });
      case 'cid-invalid':
      case 'content-corrupt':
      case 'path-not-found':
      // Its names, its depth or the number of its entries: the same on every node.
      case 'path-unsafe':
        return new StorageError('spec', 'input-invalid', text, { cause: error });
      default:
        return error;
    }
  }
  return diskError(error, what);
}

/** The system's errors of this node's disk; everything else stays as it is. */
export function diskError(error: unknown, what: string): unknown {
  switch (errorCode(error)) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new StorageError('node', DISK_FULL, `${what}: the disk of this node is full.`, {
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
      return new StorageError(
        'node',
        'access-denied',
        `${what}: this node is not allowed to (${String(errorCode(error))}).`,
        { cause: error },
      );
    default:
      return error;
  }
}
