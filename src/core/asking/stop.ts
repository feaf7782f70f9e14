/**
 * The owner's stop: a signed command that is sent until W keepers have it on disk. Whoever asked is
 * answered then, or after a moment with how many have it; the command itself is on disk here, and goes on
 * over restarts until it expires.
 */
import { chainOf, changes, compareConfigs, currentOf, rootsOf } from '../record/chain.ts';
import type { Roots } from '../record/chain.ts';
import { configsIn } from '../keeping/books.ts';
import type { End } from '../keeping/books.ts';
import { isKeeper, isQuorum, keeperNodes, quorumSize } from '../record/keeper-set.ts';
import { anew, isDue, said, toSay } from '../node/repeat.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import type { JobRecords, Message } from '../contract/messages.ts';
import type { Reply } from '../contract/reply.ts';
import type { StoredRecord } from '../contract/stored.ts';
import { closeIn } from '../record/ledger.ts';
import type { CloseBody, Signed } from '../record/records.ts';
import { checkCommitted, extended } from '../record/verify.ts';
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

/** Rows of the table `records`: the command, and what says who keeps the job. */
const COMMAND_KEY = 'stopping';
const ADMISSION_KEY = 'stopping-admission';
const CONFIG_KEY = 'stopping-config/';

export function stopJob(
  core: With<'asking'>,
  request: RequestId,
  records: JobRecords,
  reason: string,
): void {
  const { job, owner } = records.spec.body;
  const close = closeIn(records);
  if (close !== null) return reply(core, request, overAnswer(core, close.body, rootsOf(records)));
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
    ...(records.spec.body.version === 1 ? {} : { version: records.spec.body.version }),
  } as const;
  const command = seal(core, 'command', body, 'owner');
  for (const [key, value] of rowsOf(command, records))
    persist(core, { table: 'records', job, key, value });
  begin(core, command, rootsOf(records)).waiting.push(wait);
  for (const oldest of core.asking.stops.keys()) {
    if (core.asking.stops.size <= STOPS_MAX) break;
    end(core, oldest);
  }
  tickStop(core, job);
}

/** The version that it stops. */
const versionOf = ({ command }: Stopping): number => command.body.version ?? 1;

/** The job has another version than the one that was to be stopped: whoever asked decides anew. */
export function onStopOutdated(
  core: With<'asking'>,
  from: NodeId,
  { job, version, configs = [] }: Extract<Message, { type: 'version' }>,
): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined || version.record.body.version <= versionOf(stop)) return;
  const chain = extended(core.suite, stop.chain, configs);
  if (chain === null || checkCommitted(core.suite, chain, version) !== 'good')
    return refuse(core, from, 'bad-certificate', false);
  const problem = { code: 'job-changed', job, version: version.record.body.version } as const;
  for (const { request } of stop.waiting.splice(0))
    reply(core, request, { type: 'failed', problem });
  end(core, job);
}

const timerOf = (job: JobId): string => `stop:${job}`;

const rowsOf = (
  command: Signed<'command'>,
  { admission, configs = [] }: Roots,
): readonly (readonly [string, StoredRecord])[] => [
  [COMMAND_KEY, { record: command, votes: [] }],
  [ADMISSION_KEY, admission],
  ...configs.map((config, at) => [`${CONFIG_KEY}${at}`, config] as const),
];

function begin(core: With<'asking'>, command: Signed<'command'>, roots: Roots): Stopping {
  const stop: Stopping = {
    command,
    roots,
    chain: chainOf(roots),
    acked: new Set(),
    refused: new Set(),
    refusal: null,
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
  const [command, first] = [rows.get(COMMAND_KEY), rows.get(ADMISSION_KEY)];
  if (command?.record.type !== 'command' || first?.record.type !== 'admission') return;
  const admission = { record: first.record, votes: first.votes };
  const later = [...rows].filter(([key]) => key.startsWith(CONFIG_KEY)).map(([, row]) => row);
  const configs = [...configsIn(later)].sort((a, b) =>
    compareConfigs(a.record.body.config, b.record.body.config),
  );
  begin(core, command.record, { admission, ...changes(configs) });
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
    for (const node of keeperNodes(currentOf(stop.chain)))
      if (!stop.acked.has(node)) send(core, node, { type: 'command', command: stop.command });
    said(core, stop.resend);
  }
  for (const { until } of stop.waiting) core.timers.set(timerOf(job), until);
  core.timers.set(timerOf(job), stop.resend.at);
}

function underWay(core: Node, { command, chain, acked, refused, refusal, until }: Stopping) {
  const needed = quorumSize(currentOf(chain));
  const { job } = command.body;
  const notAfter = wallMs(core) + until - core.now;
  const told = refusal === null ? null : { refusal, keepers: refused.size };
  return { type: 'stopping', job, signed: acked.size, needed, notAfter, refused: told } as const;
}

/** Whoever still waits for it was answered, or is answered now. */
function end(core: With<'asking'>, job: JobId): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  core.asking.stops.delete(job);
  core.timers.clear(timerOf(job));
  for (const [key] of rowsOf(stop.command, stop.roots))
    persist(core, { table: 'records', job, key, value: null });
  for (const { request } of stop.waiting.splice(0)) reply(core, request, underWay(core, stop));
}

/** W keepers have the command on disk: it will be carried out whatever happens to this node. */
export function onCommandAck(
  core: With<'asking'>,
  from: NodeId,
  message: Extract<Message, { type: 'command-ack' }>,
): void {
  const stop = core.asking.stops.get(message.job);
  if (stop?.command.id !== message.command) return;
  const keepers = currentOf(stop.chain);
  if (!isKeeper(keepers, from)) return refuse(core, from, 'not-keeper', false);
  stop.acked.add(from);
  stop.refused.delete(from);
  if (isQuorum(keepers, stop.acked)) end(core, message.job);
}

/**
 * It goes on being sent, as clocks may be set right; but once it cannot become certain without one of those
 * that refuse it, whoever waits is told.
 */
export function onCommandRefused(
  core: With<'asking'>,
  from: NodeId,
  message: Extract<Message, { type: 'command-refused' }>,
): void {
  const stop = core.asking.stops.get(message.job);
  if (stop?.command.id !== message.command || stop.acked.has(from)) return;
  const keepers = currentOf(stop.chain);
  if (!isKeeper(keepers, from)) return refuse(core, from, 'not-keeper', false);
  stop.refused.add(from);
  stop.refusal = message.refusal;
  const willing = keeperNodes(keepers).filter((node) => !stop.refused.has(node));
  if (isQuorum(keepers, willing)) return;
  for (const { request } of stop.waiting.splice(0)) reply(core, request, underWay(core, stop));
}

/** Others keep the job by now: they are to have it as well. */
export function stopElsewhere(
  core: With<'asking'>,
  { job, configs = [] }: Extract<Message, { type: 'leads' }>,
): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  const chain = extended(core.suite, stop.chain, configs);
  const known = stop.chain.configurations.length - 1;
  if (chain === null || chain.configurations.length - 1 === known) return;
  // Those that are known make the beginning of what was told.
  const longer = configs.slice(configs.length - (chain.configurations.length - 1 - known));
  stop.roots = rootsOf({ ...stop.roots, configs: [...(stop.roots.configs ?? []), ...longer] });
  stop.chain = chain;
  for (const [key, value] of rowsOf(stop.command, stop.roots))
    persist(core, { table: 'records', job, key, value });
  anew(core, stop.resend);
  if (isQuorum(currentOf(chain), stop.acked)) end(core, job);
  else core.timers.set(timerOf(job), core.now);
}

/** A keeper proves that the job is closed already. */
export function onStopTooLate(core: With<'asking'>, { close, configs = [] }: End): void {
  const { job } = close.record.body;
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  const chain = extended(core.suite, stop.chain, configs);
  if (chain === null || checkCommitted(core.suite, chain, close) !== 'good') return;
  stopOvertaken(core, job, close.record.body);
}

/** The job is closed: nothing is left to stop. */
export function stopOvertaken(core: With<'asking'>, job: JobId, close: CloseBody): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined || close.version < versionOf(stop)) return;
  const answer = overAnswer(core, close, stop.roots);
  for (const { request } of stop.waiting.splice(0)) reply(core, request, answer);
  end(core, job);
}

/** Whoever asked for a stop is told that the job is over. Stopped is what it should be, whoever was first. */
function overAnswer(core: Node, { job, outcome }: CloseBody, roots: Roots): Reply {
  if (outcome !== 'stopped')
    return { type: 'failed', problem: { code: 'job-terminal', job, state: outcome } };
  const needed = quorumSize(currentOf(chainOf(roots)));
  return { type: 'stopping', job, signed: needed, needed, notAfter: wallMs(core), refused: null };
}
