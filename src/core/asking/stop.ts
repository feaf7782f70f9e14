/** The owner's stop: a signed command, durable on W keepers before it is answered. */
import { majority } from '../record/keeper-set.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import type { JobRecords, Message } from '../contract/messages.ts';
import { reply, seal, send, wallMs, refuse } from '../node/outbox.ts';
import type { With } from '../node/state.ts';

/** What the wire carries. A stop that says the same again is as good as a newer one. */
const sequenceMax = 0x7fff_ffff;
const stopMs = 20_000;
const reasonMax = 500;
const stopResendMs = 1_000;
/** A stop is valid for a day: long enough for a partition, too short to be replayed for ever. */
const commandValidMs = 24 * 3_600_000;

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
  const running = core.asking.stops.get(job);
  if (running !== undefined) {
    running.requests.push(request);
    return;
  }
  const last = Math.max(0, ...records.commands.map((command) => command.body.sequence));
  const sequence = Math.min(last + 1, sequenceMax);
  const notAfter = wallMs(core) + commandValidMs;
  const body = {
    job,
    sequence,
    command: 'stop',
    reason: reason.slice(0, reasonMax),
    notAfter,
  } as const;
  const command = seal(core, 'command', body, 'owner');
  const keepers = records.admission.record.body.keepers.map(({ node }) => node);
  core.asking.stops.set(job, {
    command,
    keepers,
    acked: new Set(),
    requests: [request],
    deadline: after(core.now, stopMs),
    resendAt: core.now,
  });
  tickStop(core, job);
}

export function tickStop(core: With<'asking'>, job: JobId): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  if (core.now >= stop.deadline) {
    core.asking.stops.delete(job);
    const needed = majority(stop.keepers.length);
    const problem = { code: 'keepers-unreachable', job, reached: stop.acked.size, needed } as const;
    for (const request of stop.requests) reply(core, request, { type: 'failed', problem });
    return;
  }
  for (const node of stop.keepers) {
    if (!stop.acked.has(node)) send(core, node, { type: 'command', command: stop.command });
  }
  stop.resendAt = after(core.now, stopResendMs);
  core.timers.set(`stop:${job}`, stop.resendAt);
}

/** W keepers have the command on disk: it will be carried out whatever happens to this node. */
export function onCommandAck(
  core: With<'asking'>,
  from: NodeId,
  message: Extract<Message, { type: 'command-ack' }>,
): void {
  const stop = core.asking.stops.get(message.job);
  if (stop?.command.body.sequence !== message.sequence) return;
  if (!stop.keepers.includes(from)) return refuse(core, from, 'not-keeper', false);
  stop.acked.add(from);
  if (stop.acked.size < majority(stop.keepers.length)) return;
  core.asking.stops.delete(message.job);
  core.timers.clear(`stop:${message.job}`);
  for (const request of stop.requests) reply(core, request, { type: 'stopping', job: message.job });
}

/** A keeper says the job is closed already: nothing is left to stop. */
export function stopOvertaken(core: With<'asking'>, job: JobId, outcome: string): void {
  const stop = core.asking.stops.get(job);
  if (stop === undefined) return;
  core.asking.stops.delete(job);
  const problem = { code: 'job-terminal', job, state: outcome } as const;
  for (const request of stop.requests) reply(core, request, { type: 'failed', problem });
}
