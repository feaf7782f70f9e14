/** `/shoal/fit`: whether anybody known here could run a job that is not submitted. */
import type { FastifyInstance } from 'fastify';
import { fitOf } from '../fit.ts';
import { bodyOf, send } from '../http.ts';
import type { RouteContext } from './context.ts';
import { jobOf } from './jobs.ts';

export function fitRoutes(app: FastifyInstance, { service }: RouteContext): void {
  app.put('/shoal/fit', async (request, reply) => {
    const { job } = jobOf(bodyOf(request));
    const nodes = await service.nodes();
    const there = nodes.filter(({ connected }) => connected).map(({ advert }) => advert);
    return send(reply, fitOf(there, job));
  });
}
