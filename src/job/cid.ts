/**
 * CIDs as users write them. Checks what can be checked without the network and gives the canonical
 * text; whether anybody has the content is found out when it is fetched.
 */
import { base16 } from 'multiformats/bases/base16';
import { base32 } from 'multiformats/bases/base32';
import { base36 } from 'multiformats/bases/base36';
import { base58btc } from 'multiformats/bases/base58';
import { base64, base64url } from 'multiformats/bases/base64';
import { CID } from 'multiformats/cid';

export type CidText =
  | { readonly ok: true; readonly cid: string }
  /** `why`: the end of a sentence that begins with the value. */
  | { readonly ok: false; readonly why: string };

export const RAW = 0x55;
export const DAG_PB = 0x70;
const LIBP2P_KEY = 0x72;
export const IDENTITY = 0x00;
/** The hash functions that peers can verify: sha2-256, sha2-512. */
const HASHES = [0x12, 0x13];
/** Bytes; a longer identity "hash" is a way to smuggle data past block limits. */
export const IDENTITY_MAX_BYTES = 128;
/** Characters; no CID with the hashes above is as long in any base. */
const CID_MAX = 512;
/** Characters, with the path below it. */
const TEXT_MAX = CID_MAX + 3_000;

const decoder = base32.decoder
  .or(base58btc.decoder)
  .or(base36.decoder)
  .or(base16.decoder)
  .or(base64.decoder)
  .or(base64url.decoder);

/**
 * The CID without `ipfs://` or `/ipfs/`: CIDv0 as it is, CIDv1 in base32; a path below it stays behind it.
 * Never throws.
 */
export function normaliseCid(text: string): CidText {
  const trimmed = text.trim();
  if (trimmed.length > TEXT_MAX) return { ok: false, why: `is longer than ${TEXT_MAX} characters` };
  const bare = trimmed
    .replace(/^ipfs:\/\//i, '')
    .replace(/^\/?ipfs\//, '')
    .replace(/\/+$/, '');
  if (bare === '') return { ok: false, why: 'is empty' };
  const slash = bare.indexOf('/');
  const root = slash < 0 ? bare : bare.slice(0, slash);
  const path = slash < 0 ? '' : bare.slice(slash + 1);
  if (root.length > CID_MAX) return { ok: false, why: `is longer than ${CID_MAX} characters` };
  const cid = parseCid(root);
  if (cid === null) return { ok: false, why: whyNot(root) };
  const why = whyUnusable(cid) ?? whyNotPath(path);
  if (why !== null) return { ok: false, why };
  return { ok: true, cid: path === '' ? cid.toString() : `${cid.toString()}/${path}` };
}

/** Names below a CID are the tree's own: nothing leads up, and nothing is asked of a gateway. */
function whyNotPath(path: string): string | null {
  if (path === '') return null;
  const isPath = path.split('/').every((name) => !['', '.', '..'].includes(name));
  return isPath && !path.includes('\0')
    ? null
    : 'names no path below a CID: it has an empty name, . or .. in it';
}

function parseCid(bare: string): CID | null {
  try {
    return bare.startsWith('Qm') ? CID.parse(bare) : CID.parse(bare, decoder);
  } catch {
    return null;
  }
}

function whyNot(bare: string): string {
  if (bare.startsWith('Qm') && bare.length !== 46) {
    return `has ${bare.length} characters; a CID that begins with Qm has 46`;
  }
  return 'is cut off, mistyped or not a CID at all; a CID begins with Qm or bafy';
}

function whyUnusable(cid: CID): string | null {
  if (cid.code === LIBP2P_KEY) return 'is the name of a peer, not of content';
  if (cid.code !== RAW && cid.code !== DAG_PB) {
    return `has the codec 0x${cid.code.toString(16)}; only files and directories (dag-pb, raw) can be used`;
  }
  const { code, digest } = cid.multihash;
  if (code === IDENTITY) {
    return digest.length <= IDENTITY_MAX_BYTES
      ? null
      : `has an identity hash of ${digest.length} bytes; at most ${IDENTITY_MAX_BYTES} are allowed`;
  }
  if (HASHES.includes(code))
    return digest.length === (code === 0x12 ? 32 : 64) ? null : 'is cut off';
  return `has the hash function 0x${code.toString(16)}; only sha2-256 and sha2-512 can be verified`;
}
