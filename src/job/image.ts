/**
 * The grammar of image references (`registry:port/path:tag@digest`). Whether the image exists is
 * found out by the node that pulls it.
 */

import { isIpAddress, isPublicAddress } from './addresses.ts';

/** Characters of the name without tag and digest. */
const NAME_MAX = 255;
/** Characters of a whole reference: name, tag (128) and digest. */
const REFERENCE_MAX = 600;

const HOST =
  /^(?:(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(?:\.(?:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/;
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/;
const SHA256_DIGEST = /^sha256:[0-9a-f]{64}$/;

/** The registry that a reference names, with its port; `docker.io` when it names none. */
export function registryOf(reference: string): string {
  const first = reference.split('@')[0]?.split('/') ?? [];
  const host = first[0] ?? '';
  return first.length > 1 && looksLikeHost(host) ? host : 'docker.io';
}

/** Names that stand for this machine or its surroundings, whatever they resolve to. */
const LOCAL_NAME = /(?:^|\.)(?:localhost|local|localdomain|internal|intranet|lan|home|corp|arpa)$/i;

/**
 * Why no image is pulled from this registry; null when one may be. Docker asks whatever is named, so a
 * name must be one of the public internet, or one of `allowed`.
 */
export function whyNotRegistry(registry: string, allowed: readonly string[]): string | null {
  const host = registry.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
  if (allowed.includes(registry) || allowed.includes(host)) return null;
  if (isIpAddress(host)) return isPublicAddress(host) ? null : 'its address is not a public one';
  const last = host.split('.').at(-1) ?? '';
  // `127.1` and `0x7f000001` are addresses to those who look names up.
  if (/^(?:\d+|0x[0-9a-f]*)$/i.test(last) || host.includes(':')) return 'it is no plain address';
  if (!host.includes('.')) return 'its name is not one of the public internet';
  return LOCAL_NAME.test(host) ? 'its name is not one of the public internet' : null;
}

/** Why a text is no image reference; null when it is one. */
export function whyNotImage(reference: string): string | null {
  if (reference === '') return 'it is empty';
  if (reference.length > REFERENCE_MAX) return `it is longer than ${REFERENCE_MAX} characters`;
  if (/^https?:\/\//i.test(reference)) return 'it begins with a URL scheme; leave that out';
  if (/\s/.test(reference)) return 'it holds blanks';
  const at = reference.indexOf('@');
  const digest = at < 0 ? null : reference.slice(at + 1);
  const rest = at < 0 ? reference : reference.slice(0, at);
  const colon = rest.lastIndexOf(':');
  const tagged = colon > rest.lastIndexOf('/');
  const name = tagged ? rest.slice(0, colon) : rest;
  if (tagged && !TAG.test(rest.slice(colon + 1))) return 'its tag is malformed';
  if (digest !== null && !isDigest(digest)) return 'its digest is malformed or cut off';
  if (name.length > NAME_MAX) return `its name is longer than ${NAME_MAX} characters`;
  return whyNotName(name);
}

function isDigest(digest: string): boolean {
  return digest.startsWith('sha256:') ? SHA256_DIGEST.test(digest) : DIGEST.test(digest);
}

/** As Docker tells a registry from the first part of a name. */
const looksLikeHost = (first: string): boolean =>
  /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase();

function whyNotName(name: string): string | null {
  const parts = name.split('/');
  const first = parts[0] ?? '';
  const path = parts.length > 1 && looksLikeHost(first) ? parts.slice(1) : parts;
  if (path !== parts && !HOST.test(first)) return 'its registry is malformed';
  if (path.some((part) => part !== part.toLowerCase())) return 'its name must be in lower case';
  return path.every((part) => COMPONENT.test(part)) ? null : 'its name is malformed';
}
