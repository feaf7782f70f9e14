/**
 * Reads a JSON body: bounded in bytes, in depth and in time, and without keys that would reach into
 * an object's prototype.
 */
import type { Readable } from 'node:stream';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Failure } from '../failures/failure.ts';

/** As in Bacalhau: inline inputs make large specs; what a record may hold is checked later. */
const BODY_MAX_BYTES = 10_000_000;
/** A spec needs nine levels. */
const DEPTH_MAX = 64;
/** More than a spec may hold (`job/bounds.ts`); the most that is worth decoding. */
const VALUES_MAX = 50_000;
/** A body that takes longer than this is not sent by a client that works. */
const READ_MAX_MS = 20_000;

/** A spec without inline inputs. So much of each body may be in memory whatever others send. */
const SMALL_BYTES = 65_536;
/** What all larger bodies may take together while they come in. */
const ROOM_BYTES = 64 * 1_048_576;
const AGAIN_MS = 5_000;

/** The memory for large bodies that are being read. */
export interface BodyRoom {
  taken: number;
}

export const createBodyRoom = (): BodyRoom => ({ taken: 0 });

const refuse = (failure: Failure): never => {
  throw new ShoalError(failure);
};

const invalid = (expected: string, value = 'it'): never =>
  refuse({ code: 'request-invalid', place: 'body', value, expected });

async function readText(body: Readable, room: BodyRoom): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  let taken = 0;
  const deadline = AbortSignal.timeout(READ_MAX_MS);
  const stop = (): void =>
    void body.destroy(
      new ShoalError({ code: 'timeout', what: 'Reading the body', ms: READ_MAX_MS }),
    );
  deadline.addEventListener('abort', stop, { once: true });
  try {
    // The stream must outlive a refusal: destroying it resets the connection, perhaps before the answer.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      const piece = chunk as Buffer;
      bytes += piece.length;
      if (bytes > BODY_MAX_BYTES) refuse({ code: 'body-too-large', maxBytes: BODY_MAX_BYTES });
      const large = Math.max(0, bytes - SMALL_BYTES) - taken;
      if (room.taken + large > ROOM_BYTES) refuse({ code: 'rate-limited', retryAfterMs: AGAIN_MS });
      room.taken += large;
      taken += large;
      chunks.push(piece);
    }
  } finally {
    deadline.removeEventListener('abort', stop);
    room.taken -= taken;
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The index of the quote that ends the string which begins at `start`; the text's end for none. */
function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/** Brackets and commas are counted outside of strings, so the parser never sees what would be too much. */
function checkSize(text: string): void {
  let depth = 0;
  let values = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        break;
      case '{':
      case '[':
        depth += 1;
        if (depth > DEPTH_MAX) invalid(`JSON of at most ${DEPTH_MAX} levels`);
        break;
      case '}':
      case ']':
        depth -= 1;
        break;
      case ',':
        values += 1;
        if (values > VALUES_MAX) invalid(`JSON of at most ${VALUES_MAX} values`);
        break;
      default:
    }
  }
}

function refusePrototypeKeys(key: string, value: unknown): unknown {
  if (key === '__proto__') invalid('no key of that name', '__proto__');
  if (
    key === 'constructor' &&
    typeof value === 'object' &&
    value !== null &&
    Object.hasOwn(value, 'prototype')
  ) {
    invalid('no key of that name', 'constructor.prototype');
  }
  return value;
}

/**
 * @returns the value; `{}` for an empty body, which some clients send with DELETE.
 * @throws ShoalError `request-invalid`, `body-too-large`, `rate-limited`, `timeout`.
 */
export async function readJson(body: Readable, room: BodyRoom): Promise<unknown> {
  const text = await readText(body, room);
  if (text.trim() === '') return {};
  checkSize(text);
  try {
    return JSON.parse(text, refusePrototypeKeys);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    return invalid('JSON', 'the text');
  }
}
