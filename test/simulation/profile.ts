/** What a simulated node offers: the same everywhere but for its zone and address. */
import type { NodeId } from '../../src/core/record/ids.ts';
import type { Profile } from '../../src/core/contract/profile.ts';
import type { Random } from './random.ts';

export function profileOf(index: number, id: NodeId): Profile {
  return {
    labels: { zone: `z${index % 5}` },
    engines: { docker: { available: true, detail: 'simulated' } },
    publishers: ['ipfs'],
    sources: ['ipfs'],
    capacity: {
      cpuMillis: 4_000,
      memoryBytes: 8 * 1_073_741_824,
      diskBytes: 100 * 1_073_741_824,
      gpus: 0,
    },
    overheads: {},
    addresses: [`/ip4/10.${index >> 16}.${(index >> 8) & 255}.${index & 255}/tcp/1234/p2p/${id}`],
    software: 'shoal/simulated',
    networks: {
      None: { allowed: true, detail: '' },
      Default: { allowed: true, detail: '' },
      Host: { allowed: false, detail: 'not here' },
    },
    allowedPaths: [],
    allowedEnv: [],
    portAddresses: ['127.0.0.1'],
    policy: {
      allowOwners: [],
      denyOwners: [],
      allowNamespaces: [],
      denyNamespaces: [],
      allowImages: [],
      privateRegistries: [],
    },
  };
}

/** A node of its own size, which may lack the engine or the publisher. */
export function unequalProfileOf(index: number, id: NodeId, random: Random): Profile {
  const profile = profileOf(index, id);
  const size = random.pick([0.25, 0.5, 1, 1, 2]);
  const { cpuMillis, memoryBytes } = profile.capacity;
  return {
    ...profile,
    engines: { docker: { available: random.chance(0.8), detail: 'simulated' } },
    publishers: random.chance(0.8) ? profile.publishers : [],
    capacity: {
      ...profile.capacity,
      cpuMillis: cpuMillis * size,
      memoryBytes: memoryBytes * size,
    },
  };
}
