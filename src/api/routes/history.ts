/**
 * `/orchestrator/jobs/<id>/history`. Clients wait for a job by paging through this: `NextToken` stays
 * until everything has been told *and* the job (or the execution asked for) is over.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ShoalError } from '../../failures/shoal-error.ts';
import { executionFacts, isTerminalPhase } from '../execution-facts.ts';
import { count, flag, invalid, namespaceOf, param, send, text, versionOf } from '../http.ts';
import { isOver } from '../job-json.ts';
import { ofToken, toToken } from '../history-token.ts';
import type { Wanted } from '../history-token.ts';
import type { HistoryBook } from '../history.ts';
import { LIMIT_MAX } from '../paging.ts';
import type { JobView } from '../service.ts';
import type { HistoryJson } from '../types.ts';
import type { RouteContext } from './context.ts';
import { checkVersion } from './jobs.ts';

const LIMIT_DEFAULT = 100;

/** Where a reader is, and how much it wants. @throws ShoalError `request-invalid`. */
function wantedOf(request: FastifyRequest, { start }: HistoryBook): Wanted {
  const limit = Math.min(count(request, 'limit') ?? LIMIT_DEFAULT, LIMIT_MAX);
  const token = text(request, 'next_token');
  const { place, limit: asked } = token === '' ? { place: start, limit } : ofToken(token);
  return { place, limit: asked || LIMIT_DEFAULT };
}

/** @throws ShoalError `execution-not-found`. */
function executionOf(view: JobView, ref: string): { readonly id: string; readonly over: boolean } {
  const facts = executionFacts(view.records).filter((one) => one.id.startsWith(ref));
  const [only] = facts;
  if (only === undefined || facts.length > 1)
    throw new ShoalError({
      code: 'execution-not-found',
      ref: ref.slice(0, 80),
      job: view.records.spec.body.job,
    });
  return { id: only.id, over: isTerminalPhase(only.standing.phase) };
}

function typeFilter(request: FastifyRequest): (event: HistoryJson) => boolean {
  const type = text(request, 'event_type').toLowerCase();
  if (type === '' || type === 'all') return () => true;
  if (type === 'job') return (event) => event.Type === 'JobLevel';
  if (type === 'execution') return (event) => event.Type === 'ExecutionLevel';
  throw invalid('event_type', type, 'all, job or execution');
}

export function historyRoutes(app: FastifyInstance, { service, history }: RouteContext): void {
  app.get('/orchestrator/jobs/:id/history', async (request, reply) => {
    const { place, limit } = wantedOf(request, history);
    const ofType = typeFilter(request);
    const since = (count(request, 'since') ?? 0) * 1000;
    const id = param(request, 'id');
    const view = await service.getJob(id, namespaceOf(request), false, versionOf(request));
    checkVersion(request, view);
    const all = flag(request, 'all_job_versions');
    const views = all ? await service.versions(id, namespaceOf(request)) : [view];
    const ref = text(request, 'execution_id');
    const execution = ref === '' ? null : executionOf(view, ref);
    const wanted = (event: HistoryJson): boolean =>
      ofType(event) &&
      (execution === null || event.ExecutionID === execution.id) &&
      (since === 0 || Date.parse(event.Time) >= since);
    const { items, next, isLast } = history.page(views, place, limit, wanted);
    const isEnded = isOver(view.state) || view.records.spec.body.version < view.current;
    const over = execution === null ? isEnded : execution.over || isEnded;
    return send(reply, {
      NextToken: over && isLast ? '' : toToken({ place: next, limit }),
      Items: items,
    });
  });
}
