/** Looking at a kept job as a whole: what is due for it, and what its end means on this node. */
import { dropInterest } from './placing/bidder.ts';
import { dropLive } from './placing/live.ts';
import { endExecutions, endVersionsBefore } from './executing/ending.ts';
import { learnClose, tickKept } from './keeping/keeper.ts';
import type { Message } from './contract/messages.ts';
import { countAnew } from './keeping/age.ts';
import { rememberEnd } from './keeping/books.ts';
import { noteGrown, notePast } from './keeping/past-books.ts';
import { isOver } from './keeping/shelf.ts';
import { forgetStale, tellVersion } from './keeping/versions.ts';
import type { KeptJob } from './keeping/state.ts';
import { entrustOwn } from './leading/entrusting.ts';
import { stopOvertaken } from './asking/stop.ts';
import { versionDecided } from './asking/update.ts';
import type { ExecutionId } from './record/ids.ts';
import type { Core, With } from './node/state.ts';

export function tickJob(core: Core, kept: KeptJob): void {
  forgetStale(core, kept);
  if (kept.isTurned) turnJob(core, kept);
  noteGrown(core, kept);
  const closing = kept.ledger.close !== null && kept.closedAt === null;
  tickKept(core, kept);
  if (!closing || kept.ledger.close === null) return;
  const { job, close } = kept.ledger;
  dropInterest(core, job);
  dropLive(core, job, close.record.body.version);
  if (kept.lead === null) entrustOwn(core, kept);
  endExecutions(core, job, close.record.body.version);
  stopOvertaken(core, job, close.record.body);
}

/** It has another version: whoever asked for one is told, and what belongs to those before it ends. */
function turnJob(core: Core, kept: KeptJob): void {
  const { job, spec, version } = kept.ledger;
  kept.isTurned = false;
  countAnew(core, kept);
  notePast(core, kept);
  dropInterest(core, job);
  dropLive(core, job, spec.body.version - 1);
  endVersionsBefore(core, job, spec.body.version);
  if (version !== null) versionDecided(core, job, version.record);
  for (const node of kept.askers) tellVersion(core, node, kept);
  kept.askers.clear();
}

/** Something happened to an execution: it may be of a job, or a version, that this node knows to be over. */
export function endIfOver(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  execution: ExecutionId,
): void {
  const order = core.executing.executions.get(execution)?.stored.order;
  if (order === undefined || !isOver(core, order.job, order.version)) return;
  const ledger = core.keeping.kept.get(order.job)?.ledger;
  // What is kept running may wait for its turn to give way.
  if (ledger?.close === null) endVersionsBefore(core, order.job, ledger.spec.body.version);
  else endExecutions(core, order.job, order.version);
}

/** A proven close of a job that runs here, or that this node keeps and had not heard the end of. */
export function onProvenClose(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  message: Pick<Extract<Message, { type: 'closed' }>, 'job' | 'close' | 'configs'>,
): void {
  const { job, close } = message;
  const kept = core.keeping.kept.get(job);
  const { version } = close.record.body;
  if (kept !== undefined && kept.ledger.spec.body.version === version)
    return learnClose(core, kept, close);
  if (kept === undefined) rememberEnd(core, job, message);
  if (kept === undefined) dropInterest(core, job);
  dropLive(core, job, version);
  endExecutions(core, job, version);
}
