/**
 * Addresses as people and peers write them: checks multiaddrs, tells how far one reaches, and picks
 * what a node announces. Dials nothing.
 */
import { networkInterfaces } from 'node:os';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { peerIdFromString } from '@libp2p/peer-id';
import { asNodeId } from '../../src/core/record/ids.ts';
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Failure } from '../../src/failures/failure.ts';
import { brief } from '../log.ts';
import { reachOfHost } from './reach.ts';
import type { Reach } from './reach.ts';

export interface PeerAddress {
  readonly peer: NodeId;
  readonly address: Multiaddr;
}

export type AddressCheck =
  | { readonly ok: true; readonly value: PeerAddress }
  | { readonly ok: false; readonly failure: Failure & { readonly code: 'multiaddr-invalid' } };

/** Checks an address that must name the peer behind it. `self`: this node, which it must not name. */
export function checkPeerAddress(text: string, self: NodeId | null): AddressCheck {
  const bad = (why: string): AddressCheck => ({
    ok: false,
    failure: { code: 'multiaddr-invalid', value: brief(text), why },
  });
  const badPort = /\/tcp\/(\d{1,9})(?:\/|$)/.exec(text)?.[1];
  if (badPort !== undefined && (Number(badPort) < 1 || Number(badPort) > 65_535)) {
    return bad(`the port is ${badPort}; it must be between 1 and 65535`);
  }
  let address: Multiaddr;
  try {
    address = multiaddr(text);
  } catch (error) {
    return bad(brief(error instanceof Error ? error.message : String(error)));
  }
  const parts = address.getComponents();
  const other = parts.find(({ name }) => !DIALLED.has(name));
  if (other !== undefined && parts.some(({ name }) => name === 'tcp'))
    return bad(
      `peers are dialled by TCP alone, as in /ip4/192.0.2.1/tcp/4711/p2p/…, and not by ${other.name}`,
    );
  const peer = parts.findLast((part) => part.name === 'p2p')?.value;
  if (peer === undefined) {
    return bad(
      'it does not name the peer; it must end in /p2p/ and the peer id, as `shoal serve` prints it after "bootstrap"',
    );
  }
  try {
    peerIdFromString(peer);
  } catch {
    return bad(`"${brief(peer)}" is not a peer id`);
  }
  if (!parts.some((part) => part.name === 'tcp'))
    return bad(
      'it has no TCP port, e.g. /ip4/192.0.2.1/tcp/4711/p2p/…; peers are dialled by TCP alone',
    );
  if (peer === self) return bad('it is the address of this peer itself');
  return { ok: true, value: { peer: asNodeId(peer), address } };
}

/** An address reaches no farther than the nearest host it names, whichever part of it is dialled. */
export function reachOf(address: Multiaddr): Reach {
  let reach: Reach = 2;
  for (const { name, value } of address.getComponents()) {
    const one = HOSTS.has(name) ? reachOfHost(value ?? '') : 2;
    if (one < reach) reach = one;
  }
  return reach;
}

/** Host and port of an address, whoever is there. */
export const endpointOf = (address: Multiaddr): string =>
  address.toString().replace(/\/p2p\/.*$/, '');

/** What an address may be made of: there is one transport. */
const DIALLED: ReadonlySet<string> = new Set([
  'ip4',
  'ip6',
  'ip6zone',
  'dns',
  'dns4',
  'dns6',
  'tcp',
  'p2p',
]);

const HOSTS = new Set(['ip4', 'ip6', 'dns', 'dns4', 'dns6', 'dnsaddr']);

/**
 * What is announced of what a transport listens on. Few addresses, because every dial tries them all:
 * no loopback where there is another one, and none of the bridges of container engines, which look
 * the same on every machine and lead a dial to the wrong peer.
 */
export function announced(addresses: readonly Multiaddr[]): Multiaddr[] {
  const bridges = new Set(
    Object.entries(networkInterfaces())
      .filter(([name]) => /^(docker|br-|veth|virbr|cni|podman)/.test(name))
      .flatMap(([, entries]) => (entries ?? []).map((entry) => entry.address)),
  );
  const outside = addresses.filter((address) => {
    const host = address.getComponents().find((part) => HOSTS.has(part.name))?.value ?? '';
    return reachOf(address) > 0 && !bridges.has(host);
  });
  return outside.length > 0 ? outside : [...addresses];
}
