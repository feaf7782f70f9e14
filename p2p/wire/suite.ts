/**
 * The real `Suite`: Ed25519 over canonical dag-cbor. Pure: the cryptography itself is injected, so
 * that this compiles without Node's types; `src/store/crypto.ts` is what the daemon gives it.
 */
import { asPublicKey } from '../../src/core/record/ids.ts';
import type { Hlc, NodeId, PublicKey } from '../../src/core/record/ids.ts';
import { ShoalError } from '../../src/failures/shoal-error.ts';
import type { AnyRecord, Bodies, RecordType, Signed } from '../../src/core/record/records.ts';
import type { Signer, Suite } from '../../src/core/record/suite.ts';
import { bytesOfHex, hexOf } from './bytes.ts';
import { createEnvelopes, encodeBody, wireHlc } from './envelope.ts';
import type { Sha256 } from './envelope.ts';
import { peerIdOf } from './peer-id.ts';
import { createRecent } from './recent.ts';
import { createPacker } from './rows.ts';

/**
 * What a suite needs of a cryptography library. Seeds, keys and hashes are 32 bytes, signatures 64.
 */
export interface Crypto {
  readonly sha256: Sha256;
  /** Of the text as UTF-8, as lower-case hex digits: one for each member when keepers are chosen. */
  readonly sha256Hex: (text: string) => string;
  publicKeyOf(seed: Uint8Array): Uint8Array;
  sign(seed: Uint8Array, message: Uint8Array): Uint8Array;
  /** False for malformed keys and signatures too; never throws. */
  verify(key: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean;
}

export interface SuiteOptions {
  readonly net: string;
  readonly nodeSeed: Uint8Array;
  readonly ownerSeed: Uint8Array;
  readonly crypto: Crypto;
}

/** A few MiB at most: the same record comes from several keepers, each time as another object. */
const VERIFIED_MAX = 16_384;
const KEYS_MAX = 4_096;
const OPAQUE_KEYS = ['id', 'kind', 'by', 'job', 'notAfter'] as const;

export function createSuite(options: SuiteOptions): Suite {
  const { net, crypto } = options;
  const envelopes = createEnvelopes({ net, sha256: crypto.sha256 });
  const seeds: Readonly<Record<Signer, Uint8Array>> = {
    node: options.nodeSeed,
    owner: options.ownerSeed,
  };
  const keys: Readonly<Record<Signer, PublicKey>> = {
    node: asPublicKey(hexOf(crypto.publicKeyOf(options.nodeSeed))),
    owner: asPublicKey(hexOf(crypto.publicKeyOf(options.ownerSeed))),
  };
  const verified = createRecent<string, true>(VERIFIED_MAX);
  const checked = new WeakSet<AnyRecord>();
  const nodes = createRecent<PublicKey, NodeId>(KEYS_MAX);
  const opened = new WeakMap<Uint8Array, Signed<'spec'> | null>();

  function seal<T extends RecordType>(
    type: T,
    body: Bodies[T],
    hlc: Hlc,
    signer: Signer,
  ): Signed<T> {
    const encoded = encodeBody(type, body);
    // Submissions and engine reports are checked at the door, so this is our own defect.
    if (!encoded.ok) throw unsealable(type, encoded.code, encoded.place);
    const heading = { type, by: keys[signer], hlc: wireHlc(hlc) };
    const digest = crypto.sha256(envelopes.signingInput(heading, encoded.bytes));
    const sig = crypto.sign(seeds[signer], digest);
    const record = envelopes.assemble(heading, body, encoded.bytes, sig);
    checked.add(record);
    verified.set(record.id, true);
    return record as Signed<T>;
  }

  function check(record: AnyRecord): boolean {
    // The id covers every byte, so one that passed before passes again; but only the true id does.
    if (hexOf(crypto.sha256(envelopes.encode(record))) !== record.id) return false;
    if (verified.get(record.id) === true) return true;
    const key = bytesOfHex(record.by);
    if (key === null) return false;
    const digest = crypto.sha256(envelopes.signingInputOf(record));
    if (!crypto.verify(key, digest, record.sig)) return false;
    verified.set(record.id, true);
    return true;
  }

  return {
    owner: keys.owner,
    seal,
    verify(record) {
      if (checked.has(record)) return true;
      try {
        const valid = check(record);
        if (valid) checked.add(record);
        return valid;
      } catch {
        // Only a record that was not read by `envelope.ts` can fail to encode; it is not valid.
        return false;
      }
    },
    verifyOpaque({ bytes, ...claimed }) {
      const opened = envelopes.decodeOpaque(bytes);
      if (!opened.ok) return false;
      const { bytes: _, ...said } = opened.opaque;
      const [key, same] = [
        bytesOfHex(said.by),
        OPAQUE_KEYS.every((at) => said[at] === claimed[at]),
      ];
      return same && key !== null && crypto.verify(key, crypto.sha256(opened.input), opened.sig);
    },
    sizeOf: (record) => envelopes.encode(record).length,
    envelopeOf: (spec) => envelopes.encode(spec as AnyRecord),
    specIn(envelope) {
      const known = opened.get(envelope);
      if (known !== undefined) return known;
      const decoded = envelopes.decode(envelope);
      const spec = decoded.ok && decoded.record.type === 'spec' ? decoded.record : null;
      opened.set(envelope, spec);
      return spec;
    },
    ...createPacker(envelopes),
    hash: crypto.sha256Hex,
    nodeOf(key) {
      const known = nodes.get(key);
      if (known !== undefined) return known;
      const node = peerIdOf(bytesOfHex(key) ?? new Uint8Array(32));
      nodes.set(key, node);
      return node;
    },
  };
}

function unsealable(type: RecordType, code: string, place: string): ShoalError {
  const where = place === '' ? '' : ` at ${place}`;
  return new ShoalError({
    code: 'internal',
    what: `a ${type} record cannot be signed: ${code}${where}`,
  });
}
