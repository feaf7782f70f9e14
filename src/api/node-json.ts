/** A node in Bacalhau's JSON, and how the node list is ordered and filtered. Pure. */
import { own } from '../job/own.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Resources } from '../job/model.ts';
import { shortNode } from './execution-facts.ts';
import { resourcesJson } from './job-json.ts';
import type { NodeView } from './service.ts';
import { rfc3339 } from './times.ts';
import type { NodeInfoJson, NodeStateJson } from './types.ts';
import { versionJson } from './version.ts';

export function nodeInfoJson(view: NodeView): NodeInfoJson {
  const { advert } = view;
  const none: Resources = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
  return {
    NodeID: advert.node,
    NodeType: 'Compute',
    Labels: advert.labels,
    SupportedProtocols: ['bprotocol/v2', 'ncl/v1'],
    ComputeNodeInfo: {
      ExecutionEngines: advert.engines,
      Publishers: advert.publishers,
      StorageSources: advert.sources,
      MaxCapacity: resourcesJson(advert.capacity),
      QueueCapacity: resourcesJson(none),
      AvailableCapacity: resourcesJson(advert.free),
      MaxJobRequirements: resourcesJson(advert.capacity),
      RunningExecutions: advert.running,
      EnqueuedExecutions: 0,
      address: advert.addresses[0] ?? '',
    },
    BacalhauVersion: versionJson(advert.software),
  };
}

export function nodeStateJson(view: NodeView): NodeStateJson {
  const connected = view.self || view.connected;
  const status = connected ? 'CONNECTED' : 'DISCONNECTED';
  return {
    Info: nodeInfoJson(view),
    Membership: 'APPROVED',
    Connection: status,
    ConnectionState: {
      Status: status,
      LastHeartbeat: rfc3339(view.lastSeen),
      ConnectedSince: rfc3339(view.connectedSince ?? 0),
      DisconnectedSince: rfc3339(connected ? 0 : view.lastSeen),
      LastError: view.problem ?? '',
    },
    Shoal: {
      Self: view.self,
      Addresses: view.advert.addresses,
      LatencyMs: view.latencyMs,
      Keeps: view.advert.keeps,
    },
  };
}

const byId = (a: NodeView, b: NodeView): number => (a.advert.node < b.advert.node ? -1 : 1);
const mostFree =
  (member: keyof Resources) =>
  (a: NodeView, b: NodeView): number =>
    b.advert.free[member] - a.advert.free[member] || byId(a, b);

const ORDERS: Readonly<Record<string, (a: NodeView, b: NodeView) => number>> = {
  '': byId,
  id: byId,
  type: byId,
  approval: byId,
  status: (a, b) => Number(b.self || b.connected) - Number(a.self || a.connected) || byId(a, b),
  available_cpu: mostFree('cpuMillis'),
  available_memory: mostFree('memoryBytes'),
  available_disk: mostFree('diskBytes'),
  available_gpu: mostFree('gpus'),
};

/** @throws ShoalError `request-invalid` – an order that does not exist. */
export function orderNodes(
  nodes: readonly NodeView[],
  orderBy: string,
  reverse: boolean,
): NodeView[] {
  const order = own(ORDERS, orderBy);
  if (order === undefined) {
    const expected = Object.keys(ORDERS).filter(Boolean).join(', ');
    throw new ShoalError({ code: 'request-invalid', place: 'order_by', value: orderBy, expected });
  }
  const sorted = [...nodes].sort(order);
  return reverse ? sorted.reverse() : sorted;
}

/** Nodes are found by their whole id or its beginning, or by its last 8 characters (`n-…`) or the beginning of these. */
const PREFIX_MIN = 12;
const SHORT_MIN = 5;

/** @throws ShoalError `node-not-found`; `request-invalid` when several fit. */
export function findNode(nodes: readonly NodeView[], ref: string): NodeView {
  const fits = nodes.filter(
    ({ advert: { node } }) =>
      node === ref ||
      (ref.length >= SHORT_MIN && shortNode(node).startsWith(ref)) ||
      (ref.length >= PREFIX_MIN && node.startsWith(ref)),
  );
  const [only, other] = fits;
  if (only === undefined) throw new ShoalError({ code: 'node-not-found', ref: ref.slice(0, 80) });
  if (other !== undefined) {
    const expected = `more of the id; it stands for ${fits.length} nodes`;
    throw new ShoalError({
      code: 'request-invalid',
      place: 'node',
      value: ref.slice(0, 80),
      expected,
    });
  }
  return only;
}
