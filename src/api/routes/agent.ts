/** `/agent/…`: this peer itself. */
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../../failures/shoal-error.ts';
import { send } from '../http.ts';
import { configJson } from '../config-json.ts';
import { nodeInfoJson } from '../node-json.ts';
import { versionJson } from '../version.ts';
import type { RouteContext } from './context.ts';

export function agentRoutes(app: FastifyInstance, { service, version }: RouteContext): void {
  app.get('/agent/alive', async (_request, reply) => send(reply, { Status: 'OK' }));
  app.get('/agent/version', async (_request, reply) => send(reply, versionJson(version)));
  app.get('/agent/node', async (_request, reply) => {
    const self = (await service.nodes()).find((node) => node.self);
    if (self === undefined)
      throw new ShoalError({ code: 'node-not-found', ref: 'this peer itself' });
    return send(reply, nodeInfoJson(self));
  });
  app.get('/agent/config', async (_request, reply) => send(reply, await configJson(service)));
  app.get('/agent/debug', async (_request, reply) => {
    const [self, findings] = await Promise.all([service.self(), service.doctor()]);
    return send(reply, { self, findings });
  });
  app.get('/agent/authconfig', async (_request, reply) =>
    send(reply, { Version: '1.0.0', Config: {} }),
  );
}
