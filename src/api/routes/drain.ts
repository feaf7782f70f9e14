/** `/shoal/drain`: has this peer leave without breaking off what it does. */
import type { FastifyInstance } from 'fastify';
import { bodyOf, invalid, member, send } from '../http.ts';
import type { Draining } from '../service.ts';
import { rfc3339 } from '../times.ts';
import type { DrainJson } from '../types.ts';
import type { RouteContext } from './context.ts';

/** An hour: long for most jobs, and short enough for whoever waits to take a machine away. */
const DEADLINE_SECONDS = 3_600;
const DEADLINE_MAX_SECONDS = 7 * 86_400;

const drainJson = ({ leavesBy, executions, onlyHere }: Draining): DrainJson => ({
  Draining: leavesBy !== null,
  LeavesBy: leavesBy === null ? '' : rfc3339(leavesBy),
  Executions: executions,
  OnlyHere: onlyHere,
});

function secondsOf(value: unknown): number {
  if (value === undefined) return DEADLINE_SECONDS;
  const isGood = Number.isInteger(value) && (value as number) >= 0;
  if (!isGood || (value as number) > DEADLINE_MAX_SECONDS)
    throw invalid(
      'DeadlineSeconds',
      JSON.stringify(value),
      `a whole number of seconds, 0 to ${DEADLINE_MAX_SECONDS}`,
    );
  return value as number;
}

export function drainRoutes(app: FastifyInstance, { service }: RouteContext): void {
  app.get('/shoal/drain', async (_request, reply) =>
    send(reply, drainJson(await service.draining())),
  );
  app.put('/shoal/drain', async (request, reply) => {
    const seconds = secondsOf(member(bodyOf(request), 'DeadlineSeconds'));
    return send(reply, drainJson(await service.drain(seconds * 1_000)));
  });
  app.delete('/shoal/drain', async (_request, reply) =>
    send(reply, drainJson(await service.drain(null))),
  );
}
