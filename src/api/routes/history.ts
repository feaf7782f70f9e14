/**
 * `/orchestrator/jobs/<id>/history`. Clients wait for a job by paging through this: `NextToken` stays
 * until everything has been told *and* the job (or the execution asked for) is over.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ShoalError } from '../../failures/shoal-error.ts';
import { executionFacts, isTerminalPhase } from '../execution-facts.ts';
import { count, flag, invalid, namespaceOf, param, send, text, versionOf } from '../http.ts';
import { isOver } from '../job-json.ts';
import { decodeToken, encodeToken, LIMIT_MAX, type Page } from '../paging.ts';
import type { JobView } from '../service.ts';
import type { HistoryJson } from '../types.ts';
import type { RouteContext } from './context.ts';
import { checkVersion } from './jobs.ts';

const LIMIT_DEFAULT = 100;

/** Offset = number of the last event that was looked at. */
function historyPage(request: FastifyRequest): Page {
  const token = text(request, 'next_token');
  const limit = Math.min(count(request, 'limit') ?? LIMIT_DEFAULT, LIMIT_MAX) || LIMIT_DEFAULT;
  if (token === '') return { orderBy: '', reverse: false, limit, offset: 0 };
  const page = decodeToken(token);
  return { ...page, limit: page.limit || LIMIT_DEFAULT };
}

/** @throws ShoalError `execution-not-found`. */
function executionOf(view: JobView, ref: string): { readonly id: string; readonly over: boolean } {
  const facts = executionFacts(view.records).filter((one) => one.id.startsWith(ref));
  const [only] = facts;
  if (only === undefined || facts.length > 1)
    throw new ShoalError({ code: 'execution-not-found', ref: ref.slice(0, 80) });
  return { id: only.id, over: isTerminalPhase(only.standing.phase) };
}

function typeFilter(request: FastifyRequest): (event: HistoryJson) => boolean {
  const type = text(request, 'event_type').toLowerCase();
  if (type === '' || type === 'all') return () => true;
  if (type === 'job') return (event) => event.Type === 'JobLevel';
  if (type === 'execution') return (event) => event.Type === 'ExecutionLevel';
  throw invalid('event_type', type, 'all, job or execution');
}

const lastOf = (events: readonly HistoryJson[]): number => events.at(-1)?.SeqNum ?? 0;

/** The next `limit` wanted events after `offset`, and the number of the last one looked at. */
function take(events: readonly HistoryJson[], page: Page, wanted: (event: HistoryJson) => boolean) {
  const items: HistoryJson[] = [];
  let last = Math.min(page.offset, lastOf(events));
  // The number of an event is its place as long as none before it was let go.
  const from = events.length === lastOf(events) ? page.offset : 0;
  for (const event of events.slice(from)) {
    if (event.SeqNum <= page.offset) continue;
    if (items.length >= page.limit) break;
    last = event.SeqNum;
    if (wanted(event)) items.push(event);
  }
  return { items, last };
}

export function historyRoutes(app: FastifyInstance, { service, history }: RouteContext): void {
  app.get('/orchestrator/jobs/:id/history', async (request, reply) => {
    const page = historyPage(request);
    const ofType = typeFilter(request);
    const since = (count(request, 'since') ?? 0) * 1000;
    const id = param(request, 'id');
    const view = await service.getJob(id, namespaceOf(request), false, versionOf(request));
    checkVersion(request, view);
    const all = flag(request, 'all_job_versions');
    if (all)
      for (const { records } of await service.versions(id, namespaceOf(request)))
        history.tell(records);
    const { version } = view.records.spec.body;
    const ref = text(request, 'execution_id');
    const execution = ref === '' ? null : executionOf(view, ref);
    const wanted = (event: HistoryJson): boolean =>
      ofType(event) &&
      (all || event.JobVersion === version) &&
      (execution === null || event.ExecutionID === execution.id) &&
      (since === 0 || Date.parse(event.Time) >= since);
    const events = history.tell(view.records);
    const { items, last } = take(events, page, wanted);
    const isEnded = isOver(view.state) || version < view.current;
    const over = execution === null ? isEnded : execution.over || isEnded;
    const done = over && last >= lastOf(events);
    return send(reply, {
      NextToken: done ? '' : encodeToken({ ...page, offset: last }),
      Items: items,
    });
  });
}
