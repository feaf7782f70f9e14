/**
 * The grammar of image references (`docker.io/library/python:3.12@sha256:…`), so that a mistyped
 * one is told at once and in words, instead of after a round trip to a registry. It does not
 * resolve anything: whether the image exists is the registry's business.
 */
import { own } from '../../job/own.ts';

export interface ImageReference {
  /** Registry host with port; `docker.io` when none is written. */
  readonly domain: string;
  /** Repository below the host; `library/` is added for Docker Hub's own images. */
  readonly path: string;
  /** null when none is written (`latest` is meant unless there is a digest). */
  readonly tag: string | null;
  /** `sha256:…`; null when none is written. */
  readonly digest: string | null;
}

export type ReferenceResult =
  | { readonly ok: true; readonly reference: ImageReference }
  | { readonly ok: false; readonly why: string };

/** Longest repository name that registries accept, host included. */
const NAME_MAX = 255;

const HOST_LABEL = '[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?';
const DOMAIN = new RegExp(
  `^(?:${HOST_LABEL}(?:\\.${HOST_LABEL})*|\\[[0-9a-fA-F:]+\\])(?::[0-9]{1,5})?$`,
);
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const DIGEST = /^([A-Za-z][A-Za-z0-9]*(?:[+._-][A-Za-z][A-Za-z0-9]*)*):([0-9a-fA-F]+)$/;
/** Hex digits of the two hash functions that registries use. */
const DIGEST_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha512: 128 };

const wrong = (why: string): ReferenceResult => ({ ok: false, why });

/** Parses a reference as Docker does. Never throws. */
export function parseImageReference(text: string): ReferenceResult {
  if (text === '') return wrong('it is empty');
  if (/\s/.test(text)) return wrong('it contains a blank');
  if (/^[a-z]+:\/\//i.test(text)) return wrong('it starts with a scheme; leave out "http://"');

  const { name, tag, digest } = splitReference(text);
  if (digest !== null) {
    const why = digestProblem(digest);
    if (why !== null) return wrong(why);
  }
  if (tag !== null && !TAG.test(tag)) {
    return wrong(`"${tag}" is not a tag (letters, digits, "_", ".", "-", at most 128)`);
  }
  const { domain, path } = splitDomain(name);
  if (!DOMAIN.test(domain)) return wrong(`"${domain}" is not a registry host`);
  const why = pathProblem(path);
  if (why !== null) return wrong(why);
  if (domain.length + 1 + path.length > NAME_MAX) {
    return wrong(`its name has more than ${NAME_MAX} characters`);
  }
  if (domain === 'docker.io' && !path.includes('/') && /^[0-9a-f]{64}$/.test(path)) {
    return wrong('64 hex digits are an image id, not a name');
  }
  const full = domain === 'docker.io' && !path.includes('/') ? `library/${path}` : path;
  return { ok: true, reference: { domain, path: full, tag, digest } };
}

interface Parts {
  readonly name: string;
  readonly tag: string | null;
  readonly digest: string | null;
}

function splitReference(text: string): Parts {
  const at = text.indexOf('@');
  const digest = at < 0 ? null : text.slice(at + 1);
  const rest = at < 0 ? text : text.slice(0, at);
  // A colon before the last slash belongs to the host's port.
  const colon = rest.lastIndexOf(':');
  if (colon <= rest.lastIndexOf('/')) return { name: rest, tag: null, digest };
  return { name: rest.slice(0, colon), tag: rest.slice(colon + 1), digest };
}

/**
 * The part before the first slash is a host only when it looks like one: `a/b` is on Docker Hub.
 */
function splitDomain(name: string): { domain: string; path: string } {
  const slash = name.indexOf('/');
  const first = name.slice(0, slash);
  const isHost = slash >= 0 && (/[.:]/.test(first) || first === 'localhost');
  if (!isHost) return { domain: 'docker.io', path: name };
  const domain = first === 'index.docker.io' ? 'docker.io' : first;
  return { domain, path: name.slice(slash + 1) };
}

function pathProblem(path: string): string | null {
  if (path === '') return 'it names no repository';
  if (path !== path.toLowerCase()) return `the repository "${path}" must be in lower case`;
  const bad = path.split('/').find((component) => !COMPONENT.test(component));
  return bad === undefined ? null : `"${bad}" is not a part of a repository name`;
}

function digestProblem(digest: string): string | null {
  const match = DIGEST.exec(digest);
  if (match === null) return `"${digest}" is not a digest such as sha256:<64 hex digits>`;
  const [, algorithm = '', hex = ''] = match;
  const length = own(DIGEST_LENGTHS, algorithm);
  if (length === undefined) return `the digest "${algorithm}" is of an unknown kind`;
  if (hex.length !== length) {
    return `the ${algorithm} digest has ${hex.length} hex digits instead of ${length}`;
  }
  return hex === hex.toLowerCase() ? null : 'the digest must be in lower case';
}
