/**
 * Chooses the host ports of a job before its container exists, because the program is told them in
 * its environment. A port is tried, not reserved: if another program takes it in between, starting
 * fails and the mesh tries again.
 */
import { createServer } from 'node:net';
import type { ExecutionFailure } from '../../core/record/execution.ts';
import type { Network } from '../../job/model.ts';
import type { DockerEngineConfig } from './config.ts';
import type { BoundPort } from './container-spec.ts';
import { networkMode } from './container-spec.ts';
import { failureOf } from './failures.ts';

/** A service is reachable from its own machine only, unless spec and operator want another address. */
const LOOPBACK = '127.0.0.1';

export type PortsResult =
  | { readonly ok: true; readonly ports: readonly BoundPort[] }
  | { readonly ok: false; readonly failure: ExecutionFailure };

/** Lower ports belong to the system, whatever a spec says. */
const PORT_MIN = 1024;

/** Free host ports for everything the job asks for. */
export async function choosePorts(
  network: Network,
  config: Pick<DockerEngineConfig, 'portFirst' | 'portLast' | 'portAddresses' | 'defaultNetwork'>,
): Promise<PortsResult> {
  const { portFirst: first, portLast: last } = config;
  const mode = networkMode(network, config.defaultNetwork);
  if (mode === 'none') return { ok: true, ports: [] };
  const ports: BoundPort[] = [];
  const taken = new Set(network.Ports.map((port) => port.Static));
  for (const port of network.Ports) {
    const hostIp = mode === 'host' || port.HostNetwork === '' ? LOOPBACK : port.HostNetwork;
    if (hostIp !== LOOPBACK && !config.portAddresses.includes(hostIp)) {
      const text = `Ports of jobs are not published on ${hostIp} here; the operator of this node allows ${config.portAddresses.join(', ') || LOOPBACK}.`;
      return { ok: false, failure: failureOf('host-address-not-allowed', 'node', text) };
    }
    if (port.Static > 0 && port.Static < PORT_MIN) {
      const text = `Port ${port.Static} for "${port.Name}" belongs to the system; use ${PORT_MIN} or above.`;
      return { ok: false, failure: failureOf('host-port-reserved', 'spec', text) };
    }
    const hostPort = port.Static === 0 ? await freePort(hostIp, first, last, taken) : port.Static;
    if (hostPort === null || !(await isFree(hostIp, hostPort))) {
      const asked = port.Static === 0 ? `between ${first} and ${last}` : String(port.Static);
      const text = `No free port ${asked} on ${hostIp} of this node for "${port.Name}".`;
      return { ok: false, failure: failureOf('host-port-taken', 'node', text) };
    }
    taken.add(hostPort);
    const containerPort = mode === 'host' || port.Target === 0 ? hostPort : port.Target;
    ports.push({ name: port.Name, hostIp, hostPort, containerPort });
  }
  return { ok: true, ports };
}

async function freePort(
  hostIp: string,
  first: number,
  last: number,
  taken: ReadonlySet<number>,
): Promise<number | null> {
  for (let port = first; port <= last; port += 1) {
    if (!taken.has(port) && (await isFree(hostIp, port))) return port;
  }
  return null;
}

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
