/**
 * Ed25519 and sha-256 by `node:crypto`, synchronous: a verification takes about 0.1 ms, less than
 * handing it to another thread and back costs the core. Holds no keys but those it is given.
 */
import { createPrivateKey, createPublicKey, hash, sign, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

/** DER of an Ed25519 private key up to its seed (RFC 8410). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
/** DER of an Ed25519 public key up to its bytes. */
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
/** Parsed keys kept; one is some hundred bytes, parsing one costs a third of a verification. */
const KEYS_MAX = 4_096;

export interface NodeCrypto {
  /** Text is hashed as UTF-8. 32 bytes. */
  readonly sha256: (data: Uint8Array | string) => Uint8Array;
  /** The same as 64 lower-case hex digits: for a fifth of the price of bytes and their digits. */
  readonly sha256Hex: (text: string) => string;
  /** The public key (32 bytes) of a 32-byte seed. */
  publicKeyOf(seed: Uint8Array): Uint8Array;
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** False for malformed keys and signatures too; never throws. */
  verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

export function createCrypto(): NodeCrypto {
  const privateKey = remembered((seed) =>
    createPrivateKey({ key: Buffer.concat([PKCS8, seed]), format: 'der', type: 'pkcs8' }),
  );
  const publicKey = remembered((key) =>
    createPublicKey({ key: Buffer.concat([SPKI, key]), format: 'der', type: 'spki' }),
  );
  return {
    sha256: (data) => hash('sha256', data, 'buffer'),
    sha256Hex: (text) => hash('sha256', text, 'hex'),
    publicKeyOf: (seed) =>
      createPublicKey(privateKey(seed))
        .export({ format: 'der', type: 'spki' })
        .subarray(SPKI.length),
    sign: (seed, message) => sign(null, message, privateKey(seed)),
    verify(key, message, signature) {
      if (key.length !== 32 || signature.length !== 64) return false;
      try {
        return verify(null, message, publicKey(key), signature);
      } catch {
        return false;
      }
    },
  };
}

/** Keeps the keys parsed last, and drops the one used longest ago. */
function remembered(parse: (bytes: Uint8Array) => KeyObject): (bytes: Uint8Array) => KeyObject {
  const keys = new Map<string, KeyObject>();
  return (bytes) => {
    const name = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    const key = keys.get(name) ?? parse(bytes);
    keys.delete(name);
    keys.set(name, key);
    const oldest = keys.keys().next();
    if (keys.size > KEYS_MAX && !oldest.done) keys.delete(oldest.value);
    return key;
  };
}
