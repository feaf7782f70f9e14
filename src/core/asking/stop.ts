/**
 * The owner's stop: a signed command that is sent until W keepers have it on disk. Whoever asked is
 * answered then, or after a moment with how many have it; the command itself is on disk here, and goes on
 * over restarts until it expires.
 */
import { isKeeper, isQuorum, keeperNodes, quorumSize } from '../record/keeper-set.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import type { JobRecords, Message } from '../contract/messages.ts';
import type { StoredRecord } from '../contract/stored.ts';
import type { Certified, Signed } from '../record/records.ts';
import { checkCommitted } from '../record/verify.ts';
import { persist, reply, seal, send, wallMs, refuse } from '../node/outbox.ts';
import type { Stopping } from './state.ts';
import type { Node, With } from '../node/state.ts';

/** What the wire carries. A stop that says the same again is as good as a newer one. */
const SEQUENCE_MAX = 0x7fff_ffff;
/** Keepers answer within milliseconds; whoever asks need not wait for those that are away. */
const STOP_MS = 3_000;
const REASON_MAX = 500;
/** A stop is sent for a day: long enough for a partition. It is good for longer, as long as the spec of its job. */
const COMMAND_SENT_MS = 24 * 3_600_000;
/** Stops under way; the oldest makes room. */
const STOPS_MAX = 1_000;

/** Rows of the table `records`; the keepers are read from the admission. */
const ROW_KEYS = ['stopping', 'stopping-admission'] as const;

export function stopJob(
  core: With<'asking'>,
  request: RequestId,
  records: JobRecords,
  reason: string,
): void {
  const { job, owner } = records.spec.body;
  const close = records.committed.find(({ record }) => record.type === 'close');
  if (close?.record.type === 'close') {
    const state = close.record.body.outcome;
    return reply(core, request, { type: 'failed', problem: { code: 'job-terminal', job, state } });
  }
  if (owner !== core.suite.owner) {
    return reply(core, request, { type: 'failed', problem: { code: 'not-owner', job, owner } });
  }
  const wait = { request, until: after(core.now, STOP_MS) };
  const running = core.asking.stops.get(job);
  if (running !== undefined) {
    running.waiting.push(wait);
    core.timers.set(timerOf(job), wait.until);
    return;
  }
  const last = Math.max(0, ...records.commands.map((command) => command.body.sequence));
  const sequence = Math.min(last + 1, SEQUENCE_MAX);
  const notAfter = Math.max(wallMs(core) + COMMAND_SENT_MS, records.spec.body.notAfter);
  const body = {
    job,
    sequence,
    command: 'stop',
    reason: reason.slice(0, REASON_MAX),
    notAfter,
  } as const;
  const command = seal(core, 'command', body, 'owner');
  const { admission } = records;
  const values = [{ record: command, votes: [] }, admission];
  for (const [index, key] of ROW_KEYS.entries())
    persist(core, { table: 'records', job, key, value: values[index] ?? null });
  begin(core, command, admission).waiting.push(wait);
  for (const oldest of core.asking.stops.keys()) {
    if (core.asking.stops.size <= STOPS_MAX) break;
    end(core, oldest);
  }
  tickStop(core, job);
}

const timerOf = (job: JobId): string => `stop:${job}`;

function begin(
  core: With<'asking'>,
  command: Signed<'command'>,
  admission: Certified<'admission'>,
): Stopping {
  const stop: Stopping = {
    command,
    admission,
    acked: new Set(),
    waiting: [],
    until: after(core.now, COMMAND_SENT_MS),
    resend: toSay(core),
  };
  core.asking.stops.set(command.body.job, stop);
  return stop;
}

/** Takes a stop up where the last process of this node left it. */
export function resumeStop(
  core: With<'asking'>,
  job: JobId,
  rows: ReadonlyMap<string, StoredRecord>,
): void {
  const [command, admission] = ROW_KEYS.map((key) => rows.get(key));
  if (command?.record.type !== 'command' || admission?.record.type !== 'admission') return;
  begin(core, command.record, { record: admission.record, votes: admission.votes });
  core.timers.set(timerOf(job), core.now);
}

export function tickStop(core: With<'asking'>, job: JobId): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  for (const wait of stop.waiting.splice(0)) {
    if (wait.until > core.now) stop.waiting.push(wait);
    else reply(core, wait.request, underWay(core, stop));
  }
  if (core.now >= stop.until) return end(core, job);
  if (isDue(core, stop.resend)) {
    for (const node of keeperNodes(stop.admission.record.body))
      if (!stop.acked.has(node)) send(core, node, { type: 'command', command: stop.command });
    said(core, stop.resend);
  }
  for (const { until } of stop.waiting) core.timers.set(timerOf(job), until);
  core.timers.set(timerOf(job), stop.resend.at);
}

function underWay(core: Node, { command, admission, acked, until }: Stopping) {
  const needed = quorumSize(admission.record.body);
  const { job } = command.body;
  const notAfter = wallMs(core) + until - core.now;
  return { type: 'stopping', job, signed: acked.size, needed, notAfter } as const;
}

/** Whoever still waits for it was answered, or is answered now. */
function end(core: With<'asking'>, job: JobId): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  core.asking.stops.delete(job);
  core.timers.clear(timerOf(job));
  for (const key of ROW_KEYS) persist(core, { table: 'records', job, key, value: null });
  for (const { request } of stop.waiting.splice(0)) reply(core, request, underWay(core, stop));
}

/** W keepers have the command on disk: it will be carried out whatever happens to this node. */
export function onCommandAck(
  core: With<'asking'>,
  from: NodeId,
  message: Extract<Message, { type: 'command-ack' }>,
): void {
  const stop = core.asking.stops.get(message.job);
  if (stop?.command.body.sequence !== message.sequence) return;
  const { body } = stop.admission.record;
  if (!isKeeper(body, from)) return refuse(core, from, 'not-keeper', false);
  stop.acked.add(from);
  if (isQuorum(body, stop.acked)) end(core, message.job);
}

/** A keeper proves that the job is closed already. */
export function onStopTooLate(core: With<'asking'>, close: Certified<'close'>): void {
  const { job, outcome } = close.record.body;
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  if (checkCommitted(core.suite, stop.admission.record.body, close) !== 'good') return;
  stopOvertaken(core, job, outcome);
}

/** The job is closed: nothing is left to stop. */
export function stopOvertaken(core: With<'asking'>, job: JobId, outcome: string): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  const problem = { code: 'job-terminal', job, state: outcome } as const;
  for (const { request } of stop.waiting.splice(0))
    reply(core, request, { type: 'failed', problem });
  end(core, job);
}
