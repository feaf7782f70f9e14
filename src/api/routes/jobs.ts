/** `/orchestrator/jobs`: submitting, looking up, listing and stopping jobs. */
import { JOB_TYPES } from '../../job/types.ts';
import { createHash } from 'node:crypto';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ShoalError } from '../../failures/shoal-error.ts';
import { KEEPERS_MAX } from '../../core/contract/limits.ts';
import type { ListedJob } from '../../core/contract/messages.ts';
import type { Job } from '../../job/model.ts';
import { parseJobValue } from '../../job/parse.ts';
import { formatProblem } from '../../job/problem.ts';
import { stringifySorted } from '../../lib/exact-json.ts';
import { diffLines } from '../diff.ts';
import {
  bodyOf,
  flag,
  invalid,
  labelFilter,
  member,
  namespaceIn,
  namespaceOf,
  pageOf,
  param,
  send,
  text,
  versionIn,
  versionOf,
} from '../http.ts';
import { executionsJson, jobAnswer, resultsJson, specJson } from '../job-json.ts';
import { evaluationIdOf } from '../evaluation-id.ts';
import { wholeJobs } from '../job-lists.ts';
import { toToken } from '../history-token.ts';
import { countsOf, EXECUTION_ORDERS, firstPage, inPages, withJobs } from '../execution-lists.ts';
import { cut, LIMIT_MAX, sorted, type Order } from '../paging.ts';
import { explainRefusal } from '../explain.ts';
import { isRolling } from '../rolling.ts';
import type { JobView, Stopped } from '../service.ts';
import type {
  ExecutionJson,
  HistoryJson,
  JobAnswer,
  JobJson,
  ListJson,
  ResultJson,
  StopAnswer,
} from '../types.ts';
import { archiveUrl, publishedExecutions, publishedResults } from '../links.ts';
import type { RouteContext } from './context.ts';

/** Jobs looked at for one list; the newest ones. */
const LIST_MAX = 10_000;

/** The job of a body. @throws ShoalError `spec-invalid` with every problem. */
export function jobOf(body: Readonly<Record<string, unknown>>): {
  readonly job: Job;
  readonly warnings: readonly string[];
} {
  const value = member(body, 'Job');
  if (value === undefined)
    throw new ShoalError({ code: 'spec-invalid', problems: ['Job: it is missing from the body'] });
  const parsed = parseJobValue(value);
  if (!parsed.ok)
    throw new ShoalError({ code: 'spec-invalid', problems: parsed.problems.map(formatProblem) });
  return { job: parsed.job, warnings: parsed.warnings.map(formatProblem) };
}

/** A token of the client, whatever its form, as one of bounded size. */
function tokenOf(request: FastifyRequest, body: Readonly<Record<string, unknown>>): string | null {
  const given =
    request.headers['idempotency-key'] ??
    (text(request, 'idempotency_token') || member(body, 'IdempotencyToken'));
  if (typeof given !== 'string' || given === '') return null;
  return createHash('sha256').update(given).digest('hex');
}

/** shoal's own: keepers that a job has at least, or it is refused. @throws ShoalError `request-invalid`. */
function minKeepersOf(body: Readonly<Record<string, unknown>>): number {
  const given = member(body, 'MinKeepers') ?? 0;
  if (typeof given === 'number' && Number.isInteger(given) && given >= 0 && given <= KEEPERS_MAX)
    return given;
  throw invalid('MinKeepers', JSON.stringify(given), `a whole number of at most ${KEEPERS_MAX}`);
}

/** Of very old versions nothing is kept. @throws ShoalError `version-not-found`. */
export function checkVersion(request: FastifyRequest, { current, records }: JobView): void {
  const asked = versionOf(request);
  const { job, version } = records.spec.body;
  if (asked !== 0 && asked !== version)
    throw new ShoalError({ code: 'version-not-found', job, version: asked, current });
}

const wholeList = <T>(items: readonly T[]): ListJson<T> => ({ NextToken: '', Items: items });

const created: Order<ListedJob> = (a, b) => a.createdAt - b.createdAt || (a.job < b.job ? -1 : 1);
const modified: Order<ListedJob> = (a, b) =>
  a.modifiedAt - b.modifiedAt || (a.job < b.job ? -1 : 1);
const JOB_ORDERS = { '': created, created_at: created, modified_at: modified };

function submitRoutes(app: FastifyInstance, { service }: RouteContext): void {
  const submit = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const body = bodyOf(request);
    const { job, warnings } = jobOf(body);
    const minKeepers = minKeepersOf(body);
    const done = await service.submit(job, {
      idempotencyToken: tokenOf(request, body),
      minKeepers,
      force: member(body, 'Force') === true,
    });
    return send(reply, {
      JobID: done.jobId,
      JobVersion: done.version,
      EvaluationID: evaluationIdOf(done.jobId, done.version),
      Warnings: [...warnings, ...done.warnings],
      Receipt: {
        Keepers: done.receipt.record.body.keepers.length,
        Wanted: done.keepersWanted,
        Signed: done.receipt.votes.length,
        Again: done.again,
      },
    });
  };
  app.put('/orchestrator/jobs', submit);
  app.post('/orchestrator/jobs', submit);
  app.put('/orchestrator/jobs/diff', async (request, reply) => {
    const { job, warnings } = jobOf(bodyOf(request));
    const before = await presentSpec(service, job);
    return send(reply, {
      Diff: diffLines(before, stringifySorted(specJson(job), 2)),
      Warnings: warnings,
    });
  });
  app.put('/orchestrator/jobs/:id/rerun', async (request, reply) => {
    const body = bodyOf(request);
    const version = versionIn('JobVersion', member(body, 'JobVersion') ?? 0);
    const reason = member(body, 'Reason');
    const namespace = member(body, 'Namespace');
    const done = await service.rerun(
      param(request, 'id'),
      typeof namespace === 'string' && namespace !== ''
        ? namespaceIn(namespace)
        : namespaceOf(request),
      { version, reason: typeof reason === 'string' ? reason : '' },
    );
    return send(reply, {
      JobID: done.jobId,
      JobVersion: done.version,
      EvaluationID: evaluationIdOf(done.jobId, done.version),
      Warnings: done.warnings,
    });
  });
}

/** The spec of the job that has this name now. @throws ShoalError `job-not-found`, as Bacalhau's clients expect of a new one. */
async function presentSpec(service: RouteContext['service'], job: Job): Promise<string> {
  if (job.Name === '')
    throw new ShoalError({
      code: 'job-not-found',
      ref: '(a job without a name)',
      asked: 0,
      silent: [],
    });
  const view = await service.getJob(job.Name, job.Namespace, false);
  return stringifySorted(specJson(view.records.spec.body.spec), 2);
}

/** Nodes say something of themselves every 20 s in a small mesh, seldomer in a large one. */
const AWAY_MS = 120_000;

/** The publisher that its job names. */
const publisherOf = ({ records }: JobView): string =>
  records.spec.body.spec.Task.Publisher.Type.toLowerCase();

function lookupRoutes(app: FastifyInstance, { service, history, links }: RouteContext): void {
  const urlsFor =
    (request: FastifyRequest) =>
    (result: ResultJson['Params']): string =>
      archiveUrl(request, links, result);
  const lookup = async (request: FastifyRequest, whole: boolean): Promise<JobView> => {
    const id = param(request, 'id');
    const view = await service.getJob(id, namespaceOf(request), whole, versionOf(request));
    checkVersion(request, view);
    return view;
  };
  const firstEvents = (view: JobView): ListJson<HistoryJson> => {
    const { items, next, isLast } = history.page([view], history.start, LIMIT_MAX, () => true);
    return {
      NextToken: isLast ? '' : toToken({ place: next, limit: LIMIT_MAX }),
      Items: items,
    };
  };
  const executionsIn = async (view: JobView, rolls = false): Promise<readonly ExecutionJson[]> => {
    const { counted, ends } = JOB_TYPES[view.records.spec.body.spec.Type];
    if (counted || ends) return executionsJson(view, () => false, rolls);
    const now = Date.now();
    const heard = new Set(
      (await service.nodes())
        .filter(({ connected, lastSeen }) => connected || now - lastSeen < AWAY_MS)
        .map(({ advert }) => advert.node as string),
    );
    return executionsJson(view, (node) => !heard.has(node));
  };
  /** Of the version asked for, or of all. */
  const executionsOf = async (
    request: FastifyRequest,
  ): Promise<{ readonly jobs: readonly JobJson[]; readonly all: readonly ExecutionJson[] }> => {
    const everyVersion = flag(request, 'all_job_versions');
    const views = everyVersion
      ? await service.versions(param(request, 'id'), namespaceOf(request))
      : [await lookup(request, true)];
    const rolls = everyVersion && views.some(isRolling);
    const urlOf = urlsFor(request);
    const all = await Promise.all(
      views.map(async (view) =>
        publishedExecutions(await executionsIn(view, rolls), publisherOf(view), urlOf),
      ),
    );
    return { jobs: views.map((view) => jobAnswer(view).Job), all: all.flat() };
  };
  app.get('/orchestrator/jobs/:id', async (request, reply) => {
    const include = new Set(
      text(request, 'include')
        .split(',')
        .map((name) => name.trim().toLowerCase()),
    );
    const withExecutions = include.has('executions');
    const view = await lookup(request, withExecutions);
    const executions = withExecutions ? await executionsIn(view) : [];
    const told = jobAnswer(view);
    const page = firstPage(
      publishedExecutions(inPages(executions), publisherOf(view), urlsFor(request)),
    );
    const { resultsMs, logsMs } = service.retention;
    const answer: JobAnswer = {
      ...told,
      Retention: { ResultsSeconds: resultsMs / 1_000, LogsSeconds: logsMs / 1_000 },
      ...(withExecutions
        ? {
            Counts: countsOf(executions),
            Executions: { ...page, Items: withJobs(page.Items, [told.Job]) },
          }
        : {}),
      ...(include.has('history') ? { History: firstEvents(view) } : {}),
    };
    return send(reply, answer);
  });
  app.get('/orchestrator/jobs/:id/executions', async (request, reply) => {
    const page = pageOf(request, reply);
    const { all, jobs } = await executionsOf(request);
    const { items, next } = cut(sorted(all, page, EXECUTION_ORDERS), page);
    return send(reply, { NextToken: next, Items: withJobs(items, jobs) });
  });
  app.get('/orchestrator/jobs/:id/versions', async (request, reply) =>
    send(
      reply,
      wholeList(
        (await service.versions(param(request, 'id'), namespaceOf(request))).map(
          (view) => jobAnswer(view).Job,
        ),
      ),
    ),
  );
  app.get('/orchestrator/jobs/:id/results', async (request, reply) => {
    const view = await lookup(request, true);
    const { Type } = view.records.spec.body.spec;
    if (!JOB_TYPES[Type].ends)
      throw invalid('job', Type, 'a batch or ops job; others have no results');
    const results = resultsJson(view.records);
    return send(reply, wholeList(publishedResults(results, publisherOf(view), urlsFor(request))));
  });
}

function refusedText(refused: NonNullable<Stopped['pending']>['refused']): string {
  if (refused === null) return '';
  const { keepers, refusal } = refused;
  return `${keepers} ${keepers === 1 ? 'keeper refuses' : 'keepers refuse'} it: ${explainRefusal(refusal)}`;
}

export function jobRoutes(app: FastifyInstance, context: RouteContext): void {
  const { service } = context;
  submitRoutes(app, context);
  lookupRoutes(app, context);
  app.get('/orchestrator/jobs', async (request, reply) => {
    const page = pageOf(request, reply);
    const namespace = namespaceIn(text(request, 'namespace'));
    const wanted = labelFilter(request);
    const all = await service.listJobs({
      namespace: namespace === '' || namespace === '*' ? null : namespace,
      limit: LIST_MAX,
    });
    const jobs = all.filter((job) => wanted(job.labels));
    const { items, next } = cut(sorted(jobs, page, JOB_ORDERS), page);
    return send(reply, { NextToken: next, Items: await wholeJobs(service, items) });
  });
  app.delete('/orchestrator/jobs/:id', async (request, reply) => {
    const given = member(bodyOf(request), 'reason') ?? text(request, 'reason');
    const reason =
      typeof given === 'string' && given !== '' ? given.slice(0, 500) : 'Stopped at user request';
    const stopped = await service.stop(param(request, 'id'), namespaceOf(request), reason);
    const { evaluationId, pending } = stopped;
    const answer: StopAnswer = {
      EvaluationID: evaluationId,
      Pending:
        pending === null
          ? null
          : {
              Signed: pending.signed,
              Needed: pending.needed,
              Until: new Date(pending.notAfter).toISOString(),
              Refused: refusedText(pending.refused),
            },
    };
    return send(reply, answer);
  });
}
