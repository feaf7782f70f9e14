/**
 * Publishers: `ipfs` keeps a result directory as a DAG on this node, and so does `local`, whose results the API
 * gives an address of their own; none and `noop` keep nothing beyond the heads of the output. Copies on other
 * nodes are made by those, on the leader's word.
 */
import type { ContentStore } from '../lib/content.ts';
import { diskError } from './content-failures.ts';
import type { Publisher } from './source.ts';

export function createIpfsPublisher(
  content: ContentStore,
  type: 'ipfs' | 'local' = 'ipfs',
): Publisher {
  return {
    type,
    async publish(directory, signal) {
      try {
        const { cid, bytes, dropped } = await content.add(directory, signal);
        return { result: { cid, bytes }, dropped };
      } catch (error) {
        signal.throwIfAborted();
        throw diskError(error, 'The result could not be published');
      }
    },
  };
}

/** @param type `''` (the job names none) or `noop`. */
export function createNoopPublisher(type: '' | 'noop'): Publisher {
  return { type, publish: async () => ({ result: null, dropped: [] }) };
}
