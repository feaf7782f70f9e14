/** Looking at a kept job as a whole: what is due for it, and what its end means on this node. */
import { dropInterest } from './placing/bidder.ts';
import { endExecutions } from './executing/ending.ts';
import { learnClose, tickKept } from './keeping/keeper.ts';
import type { Message } from './contract/messages.ts';
import { rememberEnd } from './keeping/books.ts';
import type { KeptJob } from './keeping/state.ts';
import { entrustOwn } from './leading/entrusting.ts';
import { stopOvertaken } from './asking/stop.ts';
import type { Core, With } from './node/state.ts';

export function tickJob(core: Core, kept: KeptJob): void {
  const closing = kept.ledger.close !== null && kept.closedAt === null;
  tickKept(core, kept);
  if (!closing || kept.ledger.close === null) return;
  const { job } = kept.ledger;
  dropInterest(core, job);
  if (kept.lead === null) entrustOwn(core, kept);
  endExecutions(core, job);
  stopOvertaken(core, job, kept.ledger.close.record.body.outcome);
}

/** A proven close of a job that runs here, or that this node keeps and had not heard the end of. */
export function onProvenClose(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  message: Extract<Message, { type: 'closed' }>,
): void {
  const { job, close } = message;
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) return learnClose(core, kept, close);
  rememberEnd(core, job, message);
  dropInterest(core, job);
  endExecutions(core, job);
}
