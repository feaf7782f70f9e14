/** `cid get`: fetches a file or directory by its CID through the peer. */
import { join, resolve } from 'node:path';
import type { CommandCode } from '../command.ts';
import { printLines } from '../output.ts';
import { checkTarget, openPartial } from '../partial.ts';
import { fetchContent, Progress } from '../transfer.ts';

interface Options {
  readonly overwrite?: boolean;
}

/** `ipfs://CID`, `/ipfs/CID` and the CID itself are the same; a path may follow. */
const bare = (text: string): string => text.replace(/^(ipfs:\/\/|\/ipfs\/)/, '').replace(/\/$/, '');

export const cidGet: CommandCode<Options> = async ({ io, client }, [given = '', path], options) => {
  const cid = bare(given);
  const target = resolve(io.cwd, path ?? encodeURIComponent(cid.split('/').at(-1) ?? cid));
  await checkTarget(target, io.cwd, options.overwrite === true);
  const partial = await openPartial(target, cid);
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  const content = join(partial.path, 'content');
  try {
    await fetchContent({
      client: client(),
      cid,
      holders: [],
      destination: content,
      shown: target,
      fileName: null,
      progress: new Progress(io, 'Fetching'),
      signal: stop.signal,
    });
    await partial.complete(content);
  } finally {
    release();
    await partial.close();
  }
  await printLines(io, [target]);
};
