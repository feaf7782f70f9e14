/** Which job an input, a message or an alarm is about: whose fault it is when it cannot be handled. */
import { asExecutionId, asJobId } from '../record/ids.ts';
import type { ExecutionId, JobId, RequestId } from '../record/ids.ts';
import type { Input } from '../contract/input.ts';
import type { Gossip, Message } from '../contract/messages.ts';
import type { With } from './state.ts';

/** The one job that a message is about; null for those about several, or about none. */
export function jobOfMessage(message: Message): JobId | null {
  if ('job' in message) return message.job;
  switch (message.type) {
    case 'admit':
    case 'activate':
    case 'join':
    case 'assign':
    case 'entrust':
    case 'spec':
      return message.spec.body.job;
    case 'invite':
    case 'live-job':
      return message.announcement.job;
    case 'command':
      return message.command.body.job;
    default:
      return null;
  }
}

function jobOfGossip(gossip: Gossip): JobId | null {
  if (gossip.type === 'announce') return gossip.announcement.job;
  return gossip.type === 'closed' ? gossip.close.record.body.job : null;
}

const jobOfExecution = (core: With<'executing'>, execution: ExecutionId): JobId | null =>
  core.executing.executions.get(execution)?.stored.order.job ?? null;

export function jobOfInput(core: With<'executing'>, input: Input): JobId | null {
  switch (input.type) {
    case 'message':
      return jobOfMessage(input.message);
    case 'gossip':
      return jobOfGossip(input.gossip);
    case 'run-event':
      return jobOfExecution(core, input.execution);
    case 'replicated':
      return core.executing.replicas.get(input.execution)?.job ?? null;
    case 'reload':
      return input.job;
    default:
      return null;
  }
}

/** Keys are `<what>` or `<what>:<id>`. */
export function jobOfTimer(core: With<'executing'>, key: string): JobId | null {
  const id = key.slice(key.indexOf(':') + 1);
  if (id.startsWith('j-')) return asJobId(id);
  return id.startsWith('e-') ? jobOfExecution(core, asExecutionId(id)) : null;
}

/** The local request that waits for an answer to this input. */
export function requestOf(input: Input): RequestId | null {
  switch (input.type) {
    case 'submit':
    case 'stop':
    case 'update':
    case 'query':
      return input.request;
    default:
      return null;
  }
}
