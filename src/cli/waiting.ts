/**
 * Waits for a job by paging through its history: prints each event as it comes, says in words why
 * nothing happens, and stops when the job is over, has begun (for what never ends), time is up, or the
 * user has had enough.
 */
import { ShoalError } from '../failures/shoal-error.ts';
import { pause } from '../lib/abort.ts';
import { formatDuration } from '../lib/units.ts';
import type { ExecutionJson, HistoryJson, JobAnswer, ListJson } from '../api/types.ts';
import type { Client } from './client.ts';
import { codeOf } from './errors.ts';
import { jobPath } from './ids.ts';
import type { Io } from './io.ts';
import { reasonsOf } from './reasons.ts';
import { StatusLine } from './status-line.ts';
import { painter, plainLine, shortId, type Painter } from './text.ts';

const POLL_MIN_MS = 150;
const POLL_MAX_MS = 1000;
/** While nothing happens, the reason is asked for at this interval. */
const REASON_MS = 2000;
/**
 * What passes, and how long it may take, milliseconds: a peer that is restarted is back by then, and a
 * leader that is gone replaced. A job is waited for only when it was there once.
 */
const PATIENCE_MS: ReadonlyMap<string, number> = new Map([
  ['daemon-unreachable', 15_000],
  ['job-not-found', 30_000],
  ['job-unreachable', 120_000],
]);
const PAGE = 100;

export interface WaitOptions {
  readonly io: Io;
  readonly client: Client;
  readonly job: string;
  readonly namespace: string;
  /** Of a job that had others before; undefined = the current one. */
  readonly version?: number | undefined;
  /** Print no events. */
  readonly quiet: boolean;
  /** Service and daemon jobs: it has begun is enough. */
  readonly untilRunning: boolean;
  /** Milliseconds; 0 = for ever. */
  readonly timeoutMs: number;
}

/** `e-…` with 8 digits, blank for a job-level event. */
function eventLine(event: HistoryJson, paint: Painter): string[] {
  const { Details, Message } = event.Event;
  const failed = Details['IsError'] === 'true';
  const time = plainLine(event.Time.slice(11, 19));
  const execution = plainLine(shortId(event.ExecutionID ?? ''));
  const text = `${plainLine(event.Event.Topic).padEnd(22)}${plainLine(Message)}`;
  const line = `${paint('dim', time)}  ${execution.padEnd(10)}  ${failed ? paint('red', text) : text}`;
  const hint = plainLine(Details['Hint'] ?? '');
  return failed && hint !== '' ? [line, `${' '.repeat(22)}Hint: ${hint}`] : [line];
}

function summary(
  executions: readonly ExecutionJson[],
  answer: JobAnswer,
  startedAt: number,
  /** Whether the reason was seen before: once, the bids may just be on their way. */
  lasts: boolean,
): string {
  const count = (phases: readonly string[]): number =>
    executions.filter(({ Phase }) => phases.includes(Phase)).length;
  const done = count(['completed']);
  const running = count(['running', 'publishing']);
  const coming = count(['assigned', 'received', 'preparing', 'starting', 'restarting']);
  const ends = answer.Job.Type === 'batch' || answer.Job.Type === 'ops';
  const total = Math.max(answer.Job.Count, executions.length);
  const parts = ends && total > 0 ? [`${done}/${total} done`] : [];
  if (running > 0) parts.push(`${running} running`);
  if (coming > 0) parts.push(`${coming} starting`);
  const [why] = reasonsOf(answer);
  const missing = (answer.Keepers?.Explanation ?? '') !== '';
  if (lasts && why !== undefined && (missing || running + coming + done === 0))
    parts.push(`waiting: ${why}`);
  const what = [answer.Job.State.StateType, parts.join(', ')].filter(Boolean).join(': ');
  return `${what} (${formatDuration(Math.floor((Date.now() - startedAt) / 1000) * 1000)})`;
}

class Waiter {
  readonly #options: WaitOptions;
  readonly #line: StatusLine;
  readonly #paint: Painter;
  readonly #startedAt = Date.now();
  #heardAt = Date.now();
  #lastReason = '';
  #toldReason = '';
  #reasonAt = 0;

  constructor(options: WaitOptions) {
    this.#options = options;
    this.#line = new StatusLine(options.io, options.quiet);
    this.#paint = painter(options.io, 'stderr', false);
  }

  /** @returns how it ended. */
  async run(signal: AbortSignal): Promise<'over' | 'running' | 'interrupted' | 'timeout'> {
    const { untilRunning, timeoutMs } = this.#options;
    let token = '';
    let wait = POLL_MIN_MS;
    try {
      for (;;) {
        const page = await this.#page(token);
        const events = page?.Items ?? [];
        this.#show(events);
        token = page?.NextToken ?? token;
        if (page !== null && token === '') return 'over';
        if (untilRunning && events.some(({ Event }) => Event.Details['Phase'] === 'running'))
          return 'running';
        if (timeoutMs > 0 && Date.now() - this.#startedAt >= timeoutMs) return 'timeout';
        wait = events.length > 0 ? POLL_MIN_MS : Math.min(POLL_MAX_MS, wait * 1.5);
        if (page !== null) await this.#explain();
        if (!(await pause(wait, signal))) return 'interrupted';
      }
    } finally {
      this.#line.clear();
    }
  }

  /**
   * The events after `token`; null while the peer is away, which it may be for a restart.
   * @throws what the client throws, once the peer was away for too long.
   */
  async #page(token: string): Promise<ListJson<HistoryJson> | null> {
    const { client, job, namespace, version } = this.#options;
    const query = {
      namespace,
      job_version: version,
      event_type: 'all',
      limit: PAGE,
      next_token: token,
    };
    try {
      const page = await client.get<ListJson<HistoryJson>>(`${jobPath(job)}/history`, query);
      this.#heardAt = Date.now();
      return page;
    } catch (error) {
      const code = codeOf(error);
      const patienceMs = PATIENCE_MS.get(code ?? '');
      if (patienceMs === undefined || Date.now() - this.#heardAt > patienceMs) throw error;
      const what =
        code === 'daemon-unreachable'
          ? `The peer at ${client.address} is away`
          : 'Nobody who keeps the job answers';
      this.#line.now(`${what}; the job goes on. Waiting for an answer.`);
      return null;
    }
  }

  #show(events: readonly HistoryJson[]): void {
    for (const event of events) {
      for (const text of eventLine(event, this.#paint)) this.#line.sayStyled(text);
    }
  }

  /** The line in place on a terminal; elsewhere a line for each reason that lasts. */
  async #explain(): Promise<void> {
    if (this.#options.quiet || Date.now() - this.#reasonAt < REASON_MS) return;
    this.#reasonAt = Date.now();
    const { client, job, namespace, version, io } = this.#options;
    const answer = await client
      .get<JobAnswer>(jobPath(job), { namespace, job_version: version, include: 'executions' })
      .catch(() => null);
    // Whatever it is, the next look at the history meets it too, and says so.
    if (answer === null) return;
    const reason = reasonsOf(answer).map(plainLine).join('; ');
    const lasting = reason !== '' && reason === this.#lastReason;
    this.#line.now(summary(answer.Executions?.Items ?? [], answer, this.#startedAt, lasting));
    this.#lastReason = reason;
    if (!lasting || reason === this.#toldReason || io.terminal.stderr) return;
    this.#toldReason = reason;
    this.#line.say(`Waiting: ${reason}`);
  }
}

/** How a user goes on after leaving a job alone. */
const goOn = (job: string): string =>
  `\`shoal job describe ${job}\` shows how far it is, \`shoal job stop ${job}\` stops it.`;

/**
 * Waits as `options` say.
 * @throws ShoalError `interrupted` on Ctrl-C, `timeout`; the job goes on in both cases.
 */
export async function waitForJob(options: WaitOptions): Promise<'over' | 'running'> {
  const stopping = new AbortController();
  const release = options.io.onInterrupt(() => stopping.abort());
  try {
    const end = await new Waiter(options).run(stopping.signal);
    if (end === 'interrupted') {
      throw new ShoalError({
        code: 'interrupted',
        what: `No longer waiting. Job ${options.job} goes on. ${goOn(options.job)}`,
      });
    }
    if (end === 'timeout') {
      throw new ShoalError({
        code: 'timeout',
        what: `Waiting for job ${options.job}, which goes on,`,
        ms: options.timeoutMs,
      });
    }
    return end;
  } finally {
    release();
  }
}
