/**
 * What becomes of a frame that a peer sent: an input of the core, or a refusal with what it costs.
 * Decides only; `start.ts` counts, blames and waits.
 */
import { isSendersFault } from '../../p2p/wire/cbor.ts';
import type { DecodedMessage } from '../../p2p/wire/messages.ts';
import type { Input } from '../core/contract/input.ts';
import type { NodeId } from '../core/record/ids.ts';
import type { Effect } from '../core/contract/effect.ts';

export type Heard =
  | { readonly type: 'input'; readonly input: Extract<Input, { readonly type: 'message' }> }
  | {
      readonly type: 'refused';
      /** For the counter of refusals. */
      readonly code: string;
      /** No honest peer sends this. */
      readonly fault: boolean;
      /** The stream stands still for so long, milliseconds; 0: not at all. */
      readonly pauseMs: number;
    };

/**
 * What was refused was received and decrypted all the same, so it costs its sender a millisecond per
 * KiB, a second for the largest frame.
 */
export function judgeFrame(from: NodeId, bytes: number, decoded: DecodedMessage): Heard {
  if (decoded.ok)
    return { type: 'input', input: { type: 'message', from, message: decoded.message } };
  const { code } = decoded;
  const pauseMs = bytes < 1_024 ? 0 : bytes / 1_024;
  return { type: 'refused', code, fault: isSendersFault(code), pauseMs };
}

type Word = Extract<Effect, { readonly type: 'send' | 'gossip' }>;

/**
 * Of what a machine says when it leaves: what others need to know and what promises nothing. For a peer
 * that can write nothing any more.
 */
export const lastWords = (effects: readonly Effect[]): readonly Word[] =>
  effects.filter(
    (effect): effect is Word =>
      effect.type === 'gossip' || (effect.type === 'send' && effect.message.type === 'advert'),
  );
