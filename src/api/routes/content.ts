/**
 * `/shoal/content`: bytes into and out of the content store. The daemon never reads a path that a
 * client names: clients send bytes, and get bytes.
 */
import { pipeline, Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { NODE_ID } from '../../core/record/ids.ts';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { ContentStore, FetchOptions } from '../../lib/content.ts';
import { stringifyExact } from '../../lib/exact-json.ts';
import { whyUnsafe } from '../../lib/safe-path.ts';
import { encodeTar } from '../../lib/tar-stream.ts';
import { keptMode, whyLinkLeaves } from '../../lib/tree-modes.ts';
import { TREE_MEDIA_TYPE, type TreeItem } from '../../lib/tree-stream.ts';
import { errorJson, failureOf } from '../failures.ts';
import { clientSignal, invalid, param, send, text, texts } from '../http.ts';
import { withReceivedTree } from '../receive-tree.ts';
import { Permits } from '../permits.ts';
import type { ContentLine } from '../types.ts';
import type { RouteContext } from './context.ts';

const HOLDERS_MAX = 16;
const HOLDER = new RegExp(`^${NODE_ID}$`);
/** The processors are there for jobs. */
const GZIP_LEVEL = 1;
/** Each upload fills the spool with up to the bytes of an input. */
const UPLOADS_MAX = 16;
/** Each fetch asks other peers, for as long as they take. */
const FETCHES_MAX = 64;

async function* limited(
  source: AsyncIterable<Uint8Array>,
  maxBytes: number,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > maxBytes)
      throw new ShoalError({ code: 'content-too-large', cid: 'The upload', bytes, maxBytes });
    yield chunk;
  }
}

/** Takes the first item at once, so that what fails at the start still gets a status of its own. */
async function started<T>(source: AsyncIterable<T>): Promise<AsyncGenerator<T>> {
  const iterator = source[Symbol.asyncIterator]();
  const first = await iterator.next();
  return (async function* () {
    try {
      for (let next = first; next.done !== true; next = await iterator.next()) yield next.value;
    } finally {
      await iterator.return?.();
    }
  })();
}

/** Permission bits in octal digits, as `chmod` takes them. */
function modeOf(given: string): number | null {
  if (given === '') return null;
  if (!/^[0-7]{3}$/.test(given)) throw invalid('mode', given, 'three octal digits, such as 755');
  return keptMode(Number.parseInt(given, 8), 'file');
}

function upload({ service, spoolDir, uploadMaxBytes, stopping }: RouteContext) {
  const uploads = new Permits(UPLOADS_MAX);
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const body = request.body;
    if (!(body instanceof Readable)) {
      throw new ShoalError({
        code: 'media-type-refused',
        given: 'JSON',
        expected: `application/octet-stream or ${TREE_MEDIA_TYPE}`,
      });
    }
    reply.raw.once('close', uploads.take());
    const signal = clientSignal(reply, stopping);
    // The request must outlive a refusal: destroying it resets the connection, perhaps before the answer.
    const bytes: AsyncIterable<Uint8Array> = body.iterator({ destroyOnReturn: false });
    if (request.headers['content-type']?.startsWith(TREE_MEDIA_TYPE)) {
      const added = await withReceivedTree(bytes, spoolDir, uploadMaxBytes, (path) =>
        service.content.add(path, signal),
      );
      return send(reply, { CID: added.cid, Bytes: added.bytes, Dropped: added.dropped });
    }
    const mode = modeOf(text(request, 'mode'));
    const added = await service.content.addStream(limited(bytes, uploadMaxBytes), signal, mode);
    return send(reply, { CID: added.cid, Bytes: added.bytes, Dropped: [] });
  };
}

async function* listLines(
  context: RouteContext,
  cid: string,
  options: FetchOptions,
  requestId: string,
): AsyncGenerator<string> {
  const line = (value: ContentLine): string => `${stringifyExact(value, 0)}\n`;
  let entries = 0;
  let bytes = 0;
  try {
    for await (const entry of await started(context.service.content.list(cid, options))) {
      entries += 1;
      bytes += entry.bytes;
      yield line({ entry });
    }
    yield line({ end: { entries, bytes } });
  } catch (error) {
    // Before the first line the request as a whole fails; after it only a last line can say so.
    if (entries === 0) throw error;
    yield line({ error: errorJson(failureOf(error).failure, requestId) });
  }
}

const ARCHIVE_NAME = /^[\w.-]{1,128}\.tar\.gz$/;

/** What is below the root; a file is in its archive under the name that the archive has. */
async function* treeOf(
  content: ContentStore,
  cid: string,
  name: string,
  options: FetchOptions,
): AsyncGenerator<TreeItem> {
  for await (const { path, kind, bytes, mode, link } of content.list(cid, options)) {
    if (path === '' && kind === 'directory') continue;
    if (kind === 'symlink' && whyLinkLeaves(path, link ?? '') !== null) continue;
    const data = kind === 'file' ? content.read(cid, path, options) : nothing();
    const more = {
      ...(mode === undefined ? {} : { mode }),
      ...(link === undefined ? {} : { link }),
    };
    yield { path: path || name, kind, bytes: kind === 'file' ? bytes : 0, data, ...more };
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

export function contentRoutes(app: FastifyInstance, context: RouteContext): void {
  const fetches = new Permits(FETCHES_MAX);
  const optionsOf = (request: FastifyRequest, reply: FastifyReply): FetchOptions => {
    const holders = texts(request, 'holder').slice(0, HOLDERS_MAX);
    const wrong = holders.find((holder) => !HOLDER.test(holder));
    if (wrong !== undefined) throw invalid('holder', wrong, 'the id of a peer');
    reply.raw.once('close', fetches.take());
    return {
      holders,
      maxBytes: context.fetchMaxBytes,
      signal: clientSignal(reply, context.stopping),
    };
  };
  app.post('/shoal/content', upload(context));
  app.get('/shoal/content/:cid/list', async (request, reply) => {
    const lines = await started(
      listLines(context, param(request, 'cid'), optionsOf(request, reply), request.id),
    );
    return reply.type('application/x-ndjson; charset=utf-8').send(Readable.from(lines));
  });
  app.get('/shoal/content/:cid/archive/:name', async (request, reply) => {
    const name = param(request, 'name');
    if (!ARCHIVE_NAME.test(name)) throw invalid('name', name, 'a name that ends in .tar.gz');
    const file = name.slice(0, -'.tar.gz'.length);
    const options = optionsOf(request, reply);
    const { content } = context.service;
    const tar = await started(encodeTar(treeOf(content, param(request, 'cid'), file, options)));
    const gzip = createGzip({ level: GZIP_LEVEL });
    // What breaks in the middle cuts the connection off: nobody takes a part for the whole.
    pipeline(Readable.from(tar, { objectMode: false }), gzip, () => {});
    return reply.type('application/gzip').header('content-disposition', 'attachment').send(gzip);
  });
  app.get('/shoal/content/:cid/file', async (request, reply) => {
    const path = text(request, 'path');
    const why = path === '' ? null : whyUnsafe(path);
    if (why !== null) throw new ShoalError({ code: 'path-unsafe', path: path.slice(0, 200), why });
    const bytes = await started(
      context.service.content.read(param(request, 'cid'), path, optionsOf(request, reply)),
    );
    return reply
      .type('application/octet-stream')
      .header('content-disposition', 'attachment')
      .send(Readable.from(bytes, { objectMode: false }));
  });
}
