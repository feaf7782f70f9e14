/** A content store that tells when a DAG became complete here, so that jobs which read it come here. */
import type { ContentStore } from '../lib/content.ts';

export function announcingContent(
  content: ContentStore,
  announce: (cid: string, local: boolean) => void,
): ContentStore {
  const tell = <T extends { readonly cid: string }>(ref: T): T => {
    announce(ref.cid, true);
    return ref;
  };
  return {
    add: async (path, signal) => tell(await content.add(path, signal)),
    addStream: async (bytes, signal) => tell(await content.addStream(bytes, signal)),
    writeTo: async (cid, destination, options) =>
      tell(await content.writeTo(cid, destination, options)),
    replicate: async (cid, options) => tell(await content.replicate(cid, options)),
    list: (cid, options) => content.list(cid, options),
    read: (cid, path, options) => content.read(cid, path, options),
    has: (cid) => content.has(cid),
    pin: (cid) => content.pin(cid),
    async unpin(cid) {
      await content.unpin(cid);
      announce(cid, false);
    },
  };
}
