/**
 * A node's name from its key: the libp2p peer id of an Ed25519 key, computed without libp2p,
 * because the codecs must stay pure. It is the identity multihash of the protobuf-encoded public
 * key.
 */
import { base58btc } from 'multiformats/bases/base58';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import { joinBytes } from './bytes.ts';

/** Identity multihash of 36 bytes; protobuf: field 1 = key type 1 (Ed25519), field 2 = 32 bytes. */
const PREFIX = Uint8Array.of(0x00, 0x24, 0x08, 0x01, 0x12, 0x20);

/** `key`: 32 bytes. */
export const peerIdOf = (key: Uint8Array): NodeId =>
  asNodeId(base58btc.baseEncode(joinBytes(PREFIX, key)));
