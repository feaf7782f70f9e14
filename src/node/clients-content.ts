/**
 * The content store as clients of the API use it: on a full disk nothing new is taken in for them,
 * neither what they add nor what would have to be fetched first. Executions that run already use the
 * store itself, and what is here is served in either case.
 */
import { ShoalError } from '../failures/shoal-error.ts';
import type { ContentStore } from '../lib/content.ts';

export function clientsContent(content: ContentStore, isFull: () => boolean): ContentStore {
  const takesIn = (): void => {
    if (isFull()) throw new ShoalError({ code: 'store-full' });
  };
  /** Asked of the blocks only when the disk is full: it walks them. */
  const mayFetch = async (cid: string): Promise<void> => {
    if (isFull() && !(await content.has(cid))) takesIn();
  };
  return {
    async add(path, signal) {
      takesIn();
      return content.add(path, signal);
    },
    async addStream(bytes, signal) {
      takesIn();
      return content.addStream(bytes, signal);
    },
    async writeTo(cid, destination, options) {
      takesIn();
      return content.writeTo(cid, destination, options);
    },
    async replicate(cid, options) {
      await mayFetch(cid);
      return content.replicate(cid, options);
    },
    async *list(cid, options) {
      await mayFetch(cid);
      yield* content.list(cid, options);
    },
    async *read(cid, path, options) {
      await mayFetch(cid);
      yield* content.read(cid, path, options);
    },
    has: (cid) => content.has(cid),
    pin: (cid) => content.pin(cid),
    unpin: (cid) => content.unpin(cid),
  };
}
