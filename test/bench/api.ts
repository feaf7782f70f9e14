/** The HTTP API as a client of the measurements sees it: as little of its own cost as possible. */
import { Agent, request } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

export interface TaskSpec {
  readonly Name?: string;
  readonly Engine: { readonly Type: string; readonly Params: object };
  readonly InputSources?: readonly object[];
  readonly Publisher?: { readonly Type: string };
  readonly Resources?: object;
  readonly Timeouts?: object;
}

export interface JobSpec {
  readonly Type: 'batch' | 'service' | 'daemon';
  readonly Count: number;
  readonly Tasks: readonly TaskSpec[];
}

export const batch = (task: TaskSpec): JobSpec => ({
  Type: 'batch',
  Count: 1,
  Tasks: [{ Name: 'main', ...task }],
});

export interface Execution {
  readonly ID: string;
  readonly NodeID: string;
  readonly Phase: string;
}

export interface HistoryEvent {
  readonly Time: string;
  readonly Event: { readonly Message: string; readonly Details: Readonly<Record<string, string>> };
}

export interface JobView {
  readonly state: string;
  readonly message: string;
  readonly executions: readonly Execution[];
  readonly history: readonly HistoryEvent[];
}

export interface Download {
  readonly bytes: number;
  readonly firstByteMs: number;
  readonly totalMs: number;
}

export interface Api {
  submit(spec: JobSpec): Promise<string>;
  /** `Completed`, `Running`, … */
  state(job: string): Promise<string>;
  job(job: string): Promise<JobView>;
  /**
   * What has become of the job and of each of its executions. How far a live one is, is told to the
   * leader alone, so whoever does not ask it may not know.
   */
  described(job: string): Promise<string>;
  stop(job: string): Promise<void>;
  /** Asks every `pollMs` until the job is over. @throws Error when it is not `Completed`, or after `limitMs`. */
  completed(job: string, pollMs: number, limitMs?: number): Promise<void>;
  addContent(bytes: Iterable<Uint8Array>): Promise<string>;
  download(cid: string, holder: string): Promise<Download>;
  /** Peers that this one sees as connected, itself included. */
  connectedNodes(): Promise<number>;
  /** Sum over all labels of one figure for Prometheus. */
  metric(name: string): Promise<number>;
  close(): void;
}

const LIMIT_MS = 60_000;
const ENDED: ReadonlySet<string> = new Set(['completed', 'failed', 'cancelled', 'lost']);
const OVER: ReadonlySet<string> = new Set(['Completed', 'Failed', 'Stopped']);

/** @param where a port of loopback, or the path of a Unix socket */
export function createApi(where: number | string): Api {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });

  const open = (
    method: string,
    path: string,
    body: Readable | string | null,
    type: string,
  ): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const headers = body === null ? {} : { 'content-type': type };
      const outgoing = request(
        {
          ...(typeof where === 'string'
            ? { socketPath: where }
            : { host: '127.0.0.1', port: where }),
          path: path === '/metrics' ? path : `/api/v1${path}`,
          method,
          agent,
          headers,
        },
        resolve,
      );
      outgoing.once('error', reject);
      if (body instanceof Readable) body.pipe(outgoing);
      else outgoing.end(body ?? undefined);
    });

  const textOf = async (
    method: string,
    path: string,
    body: Readable | string | null,
    type: string,
  ): Promise<string> => {
    const answer = await open(method, path, body, type);
    const parts: Buffer[] = [];
    for await (const part of answer as AsyncIterable<Buffer>) parts.push(part);
    const text = Buffer.concat(parts).toString();
    if (answer.statusCode !== 200)
      throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 500)}`);
    return text;
  };

  const json = async <T>(
    method: string,
    path: string,
    body: Readable | string | null = null,
    type = 'application/json',
  ): Promise<T> => JSON.parse(await textOf(method, path, body, type)) as T;

  const stateOf = async (job: string): Promise<string> => {
    const { Job } = await json<{ Job: { State: { StateType: string } } }>(
      'GET',
      `/orchestrator/jobs/${job}`,
    );
    return Job.State.StateType;
  };

  return {
    async submit(spec) {
      const body = JSON.stringify({ Job: spec });
      return (await json<{ JobID: string }>('PUT', '/orchestrator/jobs', body)).JobID;
    },
    state: stateOf,
    async job(job) {
      const answer = await json<{
        Job: { State: { StateType: string; Message: string } };
        Executions: { Items: readonly Execution[] };
        History: { Items: readonly HistoryEvent[] };
      }>('GET', `/orchestrator/jobs/${job}?include=executions,history`);
      const { StateType, Message } = answer.Job.State;
      return {
        state: StateType,
        message: Message,
        executions: answer.Executions.Items,
        history: answer.History.Items,
      };
    },
    async described(job) {
      const { state, executions } = await this.job(job);
      const of = executions.map(
        ({ ID, NodeID, Phase }) => `${ID} ${NodeID} ${ENDED.has(Phase) ? Phase : 'live'}`,
      );
      return [state, ...of].join('\n');
    },
    async stop(job) {
      await json('DELETE', `/orchestrator/jobs/${job}`);
    },
    async completed(job, pollMs, limitMs = LIMIT_MS) {
      const deadline = performance.now() + limitMs;
      for (;;) {
        const state = await stateOf(job);
        if (state === 'Completed') return;
        if (OVER.has(state)) throw new Error(`job ${job} is ${state}`);
        if (performance.now() > deadline)
          throw new Error(`job ${job} is ${state} after ${limitMs} ms`);
        await pause(pollMs);
      }
    },
    async addContent(bytes) {
      const body = Readable.from(bytes, { objectMode: false });
      return (
        await json<{ CID: string }>('POST', '/shoal/content', body, 'application/octet-stream')
      ).CID;
    },
    async download(cid, holder) {
      const began = performance.now();
      const answer = await open('GET', `/shoal/content/${cid}/file?holder=${holder}`, null, '');
      if (answer.statusCode !== 200) throw new Error(`GET ${cid}: ${answer.statusCode}`);
      let bytes = 0;
      let firstByteMs = 0;
      for await (const part of answer as AsyncIterable<Buffer>) {
        if (bytes === 0) firstByteMs = performance.now() - began;
        bytes += part.length;
      }
      return { bytes, firstByteMs, totalMs: performance.now() - began };
    },
    async connectedNodes() {
      const { Nodes } = await json<{ Nodes: readonly { Connection: string }[] }>(
        'GET',
        '/orchestrator/nodes',
      );
      return Nodes.filter(({ Connection }) => Connection === 'CONNECTED').length;
    },
    async metric(name) {
      const lines = (await textOf('GET', '/metrics', null, '')).split('\n');
      const values = lines.filter(
        (line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `),
      );
      return values.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
    },
    close: () => agent.destroy(),
  };
}
