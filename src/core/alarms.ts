/** Which part of the core a timer wakes. */
import { tickPending } from './admitting.ts';
import { tickHolds } from './bidder.ts';
import { probeAll, retryUnreachable, tickWatch } from './detector.ts';
import { confirmLonely } from './epochs.ts';
import { asExecutionId, asJobId, asNodeId, asRequestId } from './ids.ts';
import { tickJob } from './jobs.ts';
import { checkLeaders } from './keeper.ts';
import { renewLeases } from './lease.ts';
import { tickLookup } from './lookup.ts';
import { advertise } from './members.ts';
import { tickExecution } from './reporting.ts';
import { tickShelf } from './shelf.ts';
import { tickSubmission } from './sponsor.ts';
import type { Core } from './state.ts';
import { tickStop } from './stop.ts';

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
      return advertise(core);
    case 'holds':
      return tickHolds(core);
    case 'renew':
      return renewLeases(core);
    case 'probe':
      confirmLonely(core);
      return probeAll(core);
    case 'shelf':
      return tickShelf(core);
    case 'lead-check':
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
    case 'lookup':
      return tickLookup(core, asRequestId(id));
    case 'stop':
      return tickStop(core, asJobId(id));
    case 'job': {
      const kept = core.kept.get(asJobId(id));
      return kept === undefined ? undefined : tickJob(core, kept);
    }
    default:
      throw new Error(`a timer without a handler: ${key}`);
  }
}
