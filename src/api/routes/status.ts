/** `/shoal/status` and `/shoal/doctor`: how this peer is. `/metrics` is beside the API, where scrapers look. */
import type { FastifyInstance } from 'fastify';
import { send } from '../http.ts';
import { rfc3339 } from '../times.ts';
import type { FindingJson, StatusJson } from '../types.ts';
import type { RouteContext } from './context.ts';

export function statusRoutes(app: FastifyInstance, { service }: RouteContext): void {
  app.get('/shoal/status', async (_request, reply) => {
    const self = await service.self();
    const status: StatusJson = {
      NodeID: self.node,
      Version: self.version,
      Network: self.network,
      Owner: self.owner,
      Addresses: self.addresses,
      Labels: self.labels,
      StartedAt: rfc3339(self.startedAt),
      UptimeMs: Math.max(0, Date.now() - self.startedAt),
      PeersConnected: self.peersConnected,
      PeerProblems: self.peerProblems.map(({ peer, problem, at }) => ({
        Peer: peer,
        Problem: problem,
        At: rfc3339(at),
      })),
      JobsKept: self.jobsKept,
      ExecutionsRunning: self.executionsRunning,
    };
    return send(reply, status);
  });
  app.get('/shoal/doctor', async (_request, reply) => {
    const findings: FindingJson[] = (await service.doctor()).map(
      ({ subject, level, detail, remedy }) => ({
        Subject: subject,
        Level: level,
        Detail: detail,
        Remedy: remedy,
      }),
    );
    return send(reply, { Items: findings });
  });
}

export function metricsRoute(app: FastifyInstance, { service }: RouteContext): void {
  app.get('/metrics', async (_request, reply) =>
    reply.type('text/plain; version=0.0.4; charset=utf-8').send(await service.metrics()),
  );
}
