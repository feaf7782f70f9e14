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
import { wrapped } from './table.ts';
import { msOfText, painter, plainLine, shortId, timeOfDay, type Painter } from './text.ts';

/** Columns of a terminal that has room for the topic of an event. */
const WIDE = 110;
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

/** `e-…` with 8 digits and its partition, blank for a job-level event. */
function eventLines(event: HistoryJson, paint: Painter, width: number): string[] {
  const { Details, Message } = event.Event;
  const failed = Details['IsError'] === 'true';
  const time = timeOfDay(msOfText(event.Time));
  const partition = Details['Partition'];
  const of = partition === undefined ? '' : ` [${plainLine(partition)}]`;
  const execution = `${plainLine(shortId(event.ExecutionID ?? ''))}${of}`;
  const head = `${paint('dim', time)}  ${execution.padEnd(14)}  `;
  const indent = ' '.repeat(time.length + 18);
  // What happened says what it is about; the topic is what there may be no room for.
  const topic = width < WIDE ? '' : plainLine(event.Event.Topic).padEnd(22);
  const hint = failed ? plainLine(Details['Hint'] ?? '') : '';
  const lines = (text: string): string =>
    wrapped(text, Math.max(20, width - indent.length))
      .map((line) => (failed ? paint('red', line) : line))
      .join(`\n${indent}`);
  const told = `${head}${lines(`${topic}${plainLine(Message)}`)}`;
  return hint === '' ? [told] : [told, `${indent}${lines(`Hint: ${hint}`)}`];
}

function summary(
  executions: readonly ExecutionJson[],
  answer: JobAnswer,
  startedAt: number,
  /** Whether the reason was seen before: once, the bids may just be on their way. */
  lasts: boolean,
): string {
  // A partition that was tried twice is one all the same.
  const count = (phases: readonly string[]): number =>
    new Set(
      executions
        .filter(({ Phase }) => phases.includes(Phase))
        .map(({ PartitionIndex }) => PartitionIndex),
    ).size;
  const done = count(['completed']);
  const running = count(['running', 'publishing']);
  const coming = count(['assigned', 'received', 'preparing', 'starting', 'restarting']);
  const { Type, Count } = answer.Job;
  const ends = Type === 'batch' || Type === 'ops';
  const nodes = new Set(executions.map(({ PartitionIndex }) => PartitionIndex)).size;
  const total = Type === 'ops' ? nodes : Count;
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
  /** Peers that keep the job; 0 = not known. */
  #keepers = 0;

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
      if (patienceMs === undefined) throw error;
      const silentMs = Date.now() - this.#heardAt;
      if (silentMs > patienceMs)
        throw code === 'daemon-unreachable' ? this.#deserted(silentMs, error) : error;
      const what =
        code === 'daemon-unreachable'
          ? `The peer at ${client.address} is away`
          : 'Nobody who keeps the job answers';
      this.#line.now(`${what}; the job goes on. Waiting for an answer.`);
      return null;
    }
  }

  /** The peer that was asked is gone; what becomes of the job is another matter. */
  #deserted(silentMs: number, cause: unknown): ShoalError {
    const { client, job } = this.#options;
    const silent = `it has not answered for ${Math.round(silentMs / 1000)} s`;
    const goesOn =
      this.#keepers === 1
        ? `Job ${job} is kept by it alone, and goes on when it is started again`
        : `Job ${job} goes on without it; follow it through any other peer: shoal --api-host HOST job describe ${job}`;
    const failure = { code: 'peer-unreachable', node: client.address } as const;
    return new ShoalError({ ...failure, why: `${silent}. ${goesOn}` }, { cause });
  }

  #show(events: readonly HistoryJson[]): void {
    const { io } = this.#options;
    const width = io.terminal.stderr ? io.columns() : Number.POSITIVE_INFINITY;
    for (const event of events)
      for (const text of eventLines(event, this.#paint, width)) this.#line.sayStyled(text);
  }

  /** The line in place on a terminal; elsewhere a line for each reason that lasts. */
  async #explain(): Promise<void> {
    if (Date.now() - this.#reasonAt < REASON_MS) return;
    this.#reasonAt = Date.now();
    const { client, job, namespace, version, io } = this.#options;
    const answer = await client
      .get<JobAnswer>(jobPath(job), { namespace, job_version: version, include: 'executions' })
      .catch(() => null);
    // Whatever it is, the next look at the history meets it too, and says so.
    if (answer === null) return;
    this.#keepers = answer.Keepers?.Total ?? this.#keepers;
    if (this.#options.quiet) return;
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
