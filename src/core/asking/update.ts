/**
 * The owner's next version of a job: its spec, signed, is sent to those who keep it until one of them proves which
 * version the job has. When two peers of one owner do this at once, one of them learns that it was the other's.
 */
import type { Job } from '../../job/model.ts';
import { JOB_TYPES } from '../../job/types.ts';
import type { JobRecords, Message, Wanted } from '../contract/messages.ts';
import type { Problem } from '../contract/reply.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import { refuse, reply, seal, send, wallMs } from '../node/outbox.ts';
import type { With } from '../node/state.ts';
import { chainOf, currentOf } from '../record/chain.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { isKeeper, isQuorum, keeperNodes, quorumSize } from '../record/keeper-set.ts';
import { closeIn } from '../record/ledger.ts';
import type { Follows, Signed } from '../record/records.ts';
import { VERSIONS_MAX } from '../record/slot.ts';
import { checkCommitted, extended, fitsKeepers } from '../record/verify.ts';
import { SPECS_MAX_BYTES, checkWanted, specsOf } from '../record/versions.ts';

export interface UpdateInput {
  readonly spec: Job;
  readonly how: Follows['how'];
  readonly reason: string;
  /** Wall clock, milliseconds. */
  readonly notAfter: number;
}

/** Jobs whose next version is under way here. */
const UPDATES_MAX = 1_000;
const REASON_MAX = 500;

const RESEEDED =
  "Meta['shoal/partition-policy']: this job goes on with other keepers since too many were lost, and what it ran before " +
  'may run still, so `wait` and `exclusive` would not hold; submit a new job';

const timerOf = (job: JobId): string => `update:${job}`;

export function updateJob(
  core: With<'asking'>,
  request: RequestId,
  records: JobRecords,
  input: UpdateInput,
): void {
  const { job, owner } = records.spec.body;
  const fail = (problem: Problem): void => reply(core, request, { type: 'failed', problem });
  if (owner !== core.suite.owner) return fail({ code: 'not-owner', job, owner });
  const known = records.spec.body;
  if (core.asking.updates.has(job) || core.asking.updates.size >= UPDATES_MAX)
    return fail({ code: 'job-changed', job, version: known.version });
  if (known.version >= VERSIONS_MAX)
    return fail({ code: 'job-terminal', job, state: `at its last version (${VERSIONS_MAX})` });
  const wanted = sign(core, records, input);
  if (!fitsKeepers(records, wanted.spec.body))
    return fail({ code: 'spec-invalid', problems: [RESEEDED] });
  const verdict = checkWanted(core.suite, records.spec, wanted, wallMs(core));
  if (verdict !== 'good') {
    const bytes = core.suite.sizeOf(wanted.spec);
    if (verdict.code === 'over-limit')
      return fail({ code: 'spec-too-large', bytes, maxBytes: SPECS_MAX_BYTES });
    return fail({ code: 'internal', what: `a version was signed that is none: ${verdict.code}` });
  }
  core.asking.updates.set(job, {
    request,
    wanted,
    known: records.spec,
    chain: chainOf(records),
    acked: new Set(),
    over: new Set(),
    refused: new Set(),
    until: after(core.now, core.config.limits.admitTimeoutMs),
    resend: toSay(core),
  });
  tickUpdate(core, job);
}

/** Its owner signs the next version, and that what runs now may come back when the next does not come up. */
function sign(core: With<'asking'>, records: JobRecords, input: UpdateInput): Wanted {
  const { body, id: of } = records.spec;
  const { how, reason, notAfter } = input;
  const follows = { of, how, reason: reason.slice(0, REASON_MAX) };
  const version = body.version + 1;
  const named = { ...input.spec, Name: body.spec.Name, Namespace: body.spec.Namespace };
  const spec = seal(core, 'spec', { ...body, version, spec: named, notAfter, follows }, 'owner');
  const { counted, ends } = JOB_TYPES[body.spec.Type];
  if (!counted || ends || version >= VERSIONS_MAX || closeIn(records) !== null)
    return { spec, fallback: null };
  const back = { of: spec.id, how: 'rollback', reason: '' } as const;
  const fallback = seal(
    core,
    'spec',
    { ...body, version: version + 1, notAfter, follows: back },
    'owner',
  );
  const isSmall = core.suite.sizeOf(spec) + core.suite.sizeOf(fallback) <= SPECS_MAX_BYTES;
  return { spec, fallback: isSmall ? fallback : null };
}

export function tickUpdate(core: With<'asking'>, job: JobId): void {
  const update = core.asking.updates.get(job);
  if (update === undefined) return;
  const keepers = currentOf(update.chain);
  if (core.now >= update.until) {
    const needed = quorumSize(keepers);
    return end(core, job, {
      code: 'keepers-unreachable',
      job,
      reached: update.acked.size,
      needed,
    });
  }
  if (isDue(core, update.resend)) {
    for (const node of keeperNodes(keepers))
      send(core, node, { type: 'update', job, ...update.wanted });
    said(core, update.resend);
  }
  core.timers.set(timerOf(job), update.resend.at);
  core.timers.set(timerOf(job), update.until);
}

function end(core: With<'asking'>, job: JobId, problem: Problem | null): void {
  const update = core.asking.updates.get(job);
  if (update === undefined) return;
  core.asking.updates.delete(job);
  core.timers.clear(timerOf(job));
  const { version } = update.wanted.spec.body;
  reply(
    core,
    update.request,
    problem === null ? { type: 'updated', job, version } : { type: 'failed', problem },
  );
}

/** The job is at this version, as is proven. */
export function versionDecided(
  core: With<'asking'>,
  job: JobId,
  { body }: Signed<'version'>,
): void {
  const update = core.asking.updates.get(job);
  if (update === undefined || body.version < update.wanted.spec.body.version) return;
  const isIt = specsOf(core.suite, update.known, body)?.spec.id === update.wanted.spec.id;
  // One later: it was, and is over again.
  end(core, job, isIt ? null : { code: 'job-changed', job, version: body.version });
}

export function onVersionTold(
  core: With<'asking'>,
  from: NodeId,
  { job, version, configs = [] }: Extract<Message, { type: 'version' }>,
): void {
  const update = core.asking.updates.get(job);
  if (update === undefined) return;
  const chain = extended(core.suite, update.chain, configs);
  if (chain === null || checkCommitted(core.suite, chain, version) !== 'good')
    return refuse(core, from, 'bad-certificate', false);
  versionDecided(core, job, version.record);
}

/** Others keep the job by now. */
export function updateElsewhere(
  core: With<'asking'>,
  { job, configs = [] }: Extract<Message, { type: 'leads' }>,
): void {
  const update = core.asking.updates.get(job);
  const chain = update === undefined ? null : extended(core.suite, update.chain, configs);
  if (update === undefined || chain === null) return;
  if (chain.configurations.length === update.chain.configurations.length) return;
  update.chain = chain;
  core.timers.set(timerOf(job), core.now);
}

/** A keeper has it on its disk. */
export function onUpdateAck(
  { asking }: With<'asking'>,
  from: NodeId,
  { job, command }: Extract<Message, { type: 'command-ack' }>,
): void {
  const update = asking.updates.get(job);
  if (update?.wanted.spec.id === command && isKeeper(currentOf(update.chain), from))
    update.acked.add(from);
}

/** A keeper has no room for a further version: when those that are left are too few, nothing comes of it now. */
export function onUpdateRefused(
  core: With<'asking'>,
  from: NodeId,
  { job, command, refusal }: Extract<Message, { type: 'command-refused' }>,
): void {
  const update = core.asking.updates.get(job);
  if (update?.wanted.spec.id !== command || refusal.code !== 'versions-full') return;
  const keepers = currentOf(update.chain);
  if (!isKeeper(keepers, from)) return;
  update.refused.add(from);
  const willing = keeperNodes(keepers).filter((node) => !update.refused.has(node));
  const { code, bytes, maxBytes } = refusal;
  if (!isQuorum(keepers, willing)) end(core, job, { code, job, bytes, maxBytes });
}

/** A keeper knows of the job only that it was once: when most say so, nothing can follow it. */
export function onUpdateTooLate(core: With<'asking'>, from: NodeId, job: JobId): void {
  const update = core.asking.updates.get(job);
  if (update === undefined) return;
  const keepers = currentOf(update.chain);
  if (!isKeeper(keepers, from)) return;
  update.over.add(from);
  if (isQuorum(keepers, update.over))
    end(core, job, { code: 'job-terminal', job, state: 'forgotten' });
}
