/**
 * Inputs of type `ipfs`: a DAG fetched by its CID, from the nodes likely to hold it first, and
 * written to a copy that belongs to one execution alone, so it may write to it.
 */
import type { ContentStore } from '../lib/content.ts';
import { inputError } from './content-failures.ts';
import { ENTRY_BYTES } from '../lib/walk-tree.ts';
import { StorageError } from './source.ts';
import type { Source } from './source.ts';

export function createIpfsSource(content: ContentStore): Source {
  return {
    type: 'ipfs',
    async stage(input, context) {
      const cid = input.Source.Params['CID'];
      if (typeof cid !== 'string' || cid === '') {
        throw new StorageError(
          'spec',
          'input-invalid',
          `The input at ${input.Target} names no CID.`,
        );
      }
      try {
        const { maxBytes, signal, spend } = context;
        const written = await content.writeTo(cid, context.destination, {
          holders: context.order.holders,
          maxBytes,
          signal,
          onWrite: (bytes) => spend(bytes ?? ENTRY_BYTES),
        });
        return {
          mounts: [{ source: context.destination, target: input.Target, writable: true }],
          bytes: written.bytes,
          cleanup: async () => {},
        };
      } catch (error) {
        context.signal.throwIfAborted();
        throw inputError(error, `The input ${cid} for ${input.Target}`);
      }
    },
  };
}
