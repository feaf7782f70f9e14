/**
 * What messages and rows would measure on the wire and on disk, by the real codecs. A message that does
 * not fit its frame is never sent, and nobody is told: here it is a violation.
 */
import {
  GOSSIP_MAX_BYTES,
  MESSAGE_MAX_BYTES,
  createMessageCodec,
} from '../../p2p/wire/messages.ts';
import type { Gossip, Message } from '../../src/core/contract/messages.ts';
import { hashText } from './fast-suite.ts';
import type { FactsContext } from './facts.ts';
import type { Observer } from './observer.ts';

/** The codecs hash what they decode only; here they encode. */
const codec = createMessageCodec({
  net: 'simulated',
  sha256: (data) =>
    Uint8Array.from({ length: 32 }, (_, at) => hashText(String(data)).charCodeAt(at)),
});

/** A peer id has 52 characters, a simulated node's ten: each of them costs one byte more for its head. */
const PER_NODE_ID = 43;
/** The head of a text of ten, and the first letter of a simulated node's id. */
const NODE_ID_HEAD = [0x6a, 0x6e] as const;

function sizeOf(bytes: Uint8Array): number {
  let size = bytes.length;
  for (
    let at = bytes.indexOf(NODE_ID_HEAD[0]);
    at >= 0;
    at = bytes.indexOf(NODE_ID_HEAD[0], at + 1)
  )
    if (bytes[at + 1] === NODE_ID_HEAD[1]) size += PER_NODE_ID;
  return size;
}

export function createFrames(context: FactsContext): Observer {
  const check = (
    node: Parameters<Required<Observer>['onSend']>[0],
    what: Message | Gossip,
    bytes: number,
    most: number,
  ): void => {
    if (bytes <= most) return;
    const job = 'job' in what ? what.job : null;
    context.violation('frames', node, job, `a ${what.type} of ${bytes} bytes; ${most} fit a frame`);
  };
  return {
    onSend: (node, _to, message) => {
      check(node, message, sizeOf(codec.encodeMessage(message)), MESSAGE_MAX_BYTES);
    },
    onGossip: (node, gossip) => {
      check(node, gossip, sizeOf(codec.encodeGossip(gossip)), GOSSIP_MAX_BYTES);
    },
  };
}
