/** Which part of the core a timer wakes. */
import { tickExpiry, tickShelf } from './keeping/shelf.ts';
import { tickBranchEnd } from './keeping/crossing.ts';
import { tickPast } from './keeping/past-books.ts';
import { tickAges } from './keeping/age.ts';
import { tickPending } from './keeping/admitting.ts';
import { tickHolds } from './placing/bidder.ts';
import { tickLive } from './placing/handing-on.ts';
import { probeAll, retryUnreachable, tickWatch } from './mesh/detector.ts';
import { tickHeld } from './consensus/transfer.ts';
import { confirmLonely } from './consensus/candidacy.ts';
import { asExecutionId, asJobId, asNodeId, asRequestId } from './record/ids.ts';
import { tickJob } from './jobs.ts';
import { checkLeaders } from './keeping/keeper.ts';
import { tickEntrusted } from './executing/entrusted.ts';
import { renewLeases } from './executing/lease.ts';
import { beginQueued } from './executing/queue.ts';
import { tickLookup } from './asking/lookup.ts';
import { advertiseChanges } from './mesh/members.ts';
import { tickExecution } from './executing/reporting.ts';
import { tickRestart } from './executing/restarting.ts';
import { tickSubmission } from './keeping/sponsor.ts';
import { tickTenure } from './executing/tenure.ts';
import type { Core } from './node/state.ts';
import { tickStop } from './asking/stop.ts';
import { tickUpdate } from './asking/update.ts';

/** What rings: the part of a key before its id. */
export function timerKind(key: string): string {
  const colon = key.indexOf(':');
  return colon < 0 ? key : key.slice(0, colon);
}

/** A timer rang. Keys are `<what>` or `<what>:<id>`. */
export function ring(core: Core, key: string): void {
  const id = key.slice(key.indexOf(':') + 1);
  switch (timerKind(key)) {
    case 'advert':
      return advertiseChanges(core);
    case 'holds':
      return tickHolds(core);
    case 'renew':
      // What others did in vain is forgiven with time alone: then there is more room for what waits here.
      beginQueued(core);
      return renewLeases(core);
    case 'probe':
      confirmLonely(core);
      return probeAll(core);
    case 'live':
      return tickLive(core);
    case 'entrusted':
      return tickEntrusted(core);
    case 'shelf':
      return tickShelf(core);
    case 'shelf-expiry':
      return tickExpiry(core);
    case 'past':
      return tickPast(core);
    case 'ages':
      return tickAges(core);
    case 'leaders':
      return checkLeaders(core);
    case 'watch':
      return tickWatch(core, asNodeId(id));
    case 'retry':
      return retryUnreachable(core, asNodeId(id));
    case 'submit':
      return tickSubmission(core, asJobId(id));
    case 'pending':
      return tickPending(core, asJobId(id));
    case 'exec':
      return tickExecution(core, asExecutionId(id));
    case 'restart':
      return tickRestart(core, asExecutionId(id));
    case 'tenure':
      return tickTenure(core, asExecutionId(id));
    case 'held':
      return tickHeld(core, asJobId(id));
    case 'lookup':
      return tickLookup(core, asRequestId(id));
    case 'stop':
      return tickStop(core, asJobId(id));
    case 'branch-end':
      return tickBranchEnd(core, asJobId(id));
    case 'update':
      return tickUpdate(core, asJobId(id));
    case 'job': {
      const kept = core.keeping.kept.get(asJobId(id));
      return kept === undefined ? undefined : tickJob(core, kept);
    }
    default:
      throw new Error(`a timer without a handler: ${key}`);
  }
}
