/** Why a dial failed, in one word for programs and one clause for people. Total: never throws. */
import type { NodeId } from '../../src/core/record/ids.ts';
import { brief, reasonOf } from '../log.ts';

export type DialProblemName =
  | 'peer-id-mismatch'
  | 'handshake-failed'
  | 'wrong-network'
  | 'not-admitted'
  /** This node keeps it out for a while, for what it did. */
  | 'cooling'
  | 'refused'
  | 'timeout'
  | 'unreachable';

export interface DialProblem {
  readonly problem: DialProblemName;
  /** Ends a sentence that begins with the peer: "… cannot be reached: <why>". */
  readonly why: string;
}

/** @param ms until it may come back. */
export const coolingProblem = (ms: number): DialProblem => ({
  problem: 'cooling',
  why: `it broke the protocol too often; this node keeps it out for ${Math.ceil(ms / 1_000)} s more`,
});

/** All errors inside an error: libp2p wraps one per address. */
function flatten(error: unknown): Error[] {
  if (!(error instanceof Error)) return [new Error(String(error))];
  const inner = error instanceof AggregateError ? error.errors.flatMap(flatten) : [];
  return [...inner, ...(error.cause === undefined ? [] : flatten(error.cause)), error];
}

export function dialProblem(error: unknown, peer: NodeId): DialProblem {
  const errors = flatten(error);
  const named = (...names: string[]): Error | undefined =>
    errors.find((one) => names.some((name) => one.name === name || one.message.includes(name)));

  if (named('UnexpectedPeerError', 'Payload identity key', 'expected remote peer') !== undefined) {
    return {
      problem: 'peer-id-mismatch',
      why: `another peer than ${peer.slice(0, 16)}… answers at this address; check the id after /p2p/`,
    };
  }
  if (
    named('DialDeniedError', 'ConnectionDeniedError', 'ConnectionInterceptedError') !== undefined
  ) {
    return { problem: 'not-admitted', why: 'this node does not admit it' };
  }
  if (named('ECONNREFUSED') !== undefined) {
    return { problem: 'refused', why: 'nothing listens at this address and port' };
  }
  const late = named('TimeoutError', 'AbortError', 'ETIMEDOUT', 'timed out', 'due to timeout');
  // Before the handshake's own errors: libp2p wraps a silence in the same name as a refusal.
  if (late !== undefined && named('EncryptionFailedError') !== undefined) {
    return {
      problem: 'timeout',
      why: 'it takes the connection and says nothing: another program at this port, or a peer that hangs',
    };
  }
  const handshake = named(
    'EncryptionFailedError',
    'InvalidCryptoExchangeError',
    'UnexpectedEOFError',
    'UnexpectedEOF',
    'ECONNRESET',
    'EPIPE',
    'InvalidMessageError',
    'ConnectionClosedError',
    'Stream closed',
    'StreamClosedError',
    'protect',
  );
  if (handshake !== undefined) {
    return {
      problem: 'handshake-failed',
      why: 'it closed the connection during the handshake: a different or missing swarm key, or it does not admit this node',
    };
  }
  if (late !== undefined) {
    return { problem: 'timeout', why: 'it did not answer in time' };
  }
  return { problem: 'unreachable', why: brief(reasonOf(errors[0] ?? error), 160) };
}
