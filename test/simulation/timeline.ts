/**
 * One fixed-width line per event, by job: what a person reads when a seed fails. Switched on for the
 * replay of a failing seed only; it costs time and memory.
 *
 *   time ms  node        event
 */
import type { JobId } from '../../src/core/record/ids.ts';
import { shortId } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { NodeView, Observer } from './observer.ts';

export interface Timeline {
  readonly observer: Observer;
  /** The lines of this job and of the whole mesh, in order of time. `null`: every line. */
  lines(job: JobId | null): readonly string[];
}

const LINES_MAX = 200_000;
/** Messages that say how a job goes; the rest is noise at this level. */
const TOLD: ReadonlySet<Message['type']> = new Set([
  'admit',
  'admitted',
  'not-admitted',
  'activate',
  'prepare',
  'promise',
  'page',
  'outdated',
  'propose',
  'voted',
  'commit',
  'assign',
  'started',
  'not-started',
  'leads',
  'cancel',
  'closed',
  'command',
  'command-ack',
  'command-refused',
  'bid',
  'decline',
  'states',
]);

export function createTimeline(now: () => number): Timeline {
  const entries: { readonly job: string | null; readonly text: string }[] = [];
  const add = (node: NodeView | null, job: string | null, text: string): void => {
    if (entries.length >= LINES_MAX) return;
    const time = String(now()).padStart(8);
    const who = (node?.id ?? '').padEnd(11);
    const about = (job === null ? '' : shortId(job)).padEnd(11);
    entries.push({ job, text: `${time}  ${who} ${about} ${text}` });
  };

  return {
    observer: {
      onWorld: (text, node, job) => add(node, job, `* ${text}`),
      onStart: (node) => add(node, null, `starts, incarnation ${node.incarnation}`),
      onCrash: (node, diskLost) =>
        add(node, null, diskLost === null ? 'dies' : 'dies with its disk'),
      onReply: (node, client, reply) => {
        const what = reply.type === 'failed' ? `failed ${reply.problem.code}` : reply.type;
        const job = 'job' in reply ? reply.job : null;
        add(node, job, `< reply ${what} (${client?.spec.Name ?? '?'})`);
      },
      onSend: (node, to, message) => {
        if (TOLD.has(message.type)) add(node, jobOf(message), `${describe(message)} > ${to}`);
      },
      onEffect: (node, effect) => {
        if (effect.type === 'note') {
          const job = effect.data['job'];
          const data = Object.entries(effect.data).filter(([key]) => key !== 'job');
          const text = data.map(([key, value]) => `${key}=${String(value).slice(0, 20)}`).join(' ');
          add(node, typeof job === 'string' ? job : null, `${effect.event} ${text}`);
        }
        if (effect.type === 'run') {
          add(
            node,
            effect.order.job,
            `run ${shortId(effect.order.execution)} resume=${effect.resume}`,
          );
        }
        if (effect.type === 'refuse') add(node, null, `refuses ${effect.code} of ${effect.from}`);
        if (effect.type === 'cancel-run')
          add(node, null, `cancel-run ${shortId(effect.execution)}`);
      },
      onInput: (node, input) => {
        if (input.type !== 'run-event') return;
        const what = input.event.type === 'phase' ? input.event.phase : input.event.type;
        add(node, null, `run-event ${shortId(input.execution)} ${what}`);
      },
    },
    lines: (job) =>
      entries
        .filter((entry) => job === null || entry.job === null || entry.job === job)
        .map((entry) => entry.text),
  };
}

function jobOf(message: Message): string | null {
  if ('job' in message) return message.job;
  if ('spec' in message) return message.spec.body.job;
  if (message.type === 'command') return message.command.body.job;
  return message.type === 'states' ? (message.states[0]?.body.job ?? null) : null;
}

function describe(message: Message): string {
  switch (message.type) {
    case 'propose':
      return `propose ${message.epoch.number} ${message.values.map(({ slot }) => slot).join(' ')}`;
    case 'voted':
      return `voted ${message.votes.map(({ body }) => `${body.slot}@${body.epoch.number}`).join(' ')}`;
    case 'commit':
      return `commit ${message.values.map(({ record }) => record.type).join(' ')}`;
    case 'promise':
      return `promise ${message.epoch.number} of ${message.digest.snapshot.slice(0, 8)}`;
    case 'page':
      return `page ${message.chunk}/${message.from} accepted=${message.accepted.map(({ slot }) => slot).join(' ')}`;
    case 'outdated':
      return `outdated promised=${message.promised.number}`;
    case 'leads':
      return `leads ${message.epoch.number}`;
    case 'states':
      return `states ${message.states.map(({ body }) => `${body.partition}/${body.attempt}:${body.phase}`).join(' ')}`;
    default:
      return message.type;
  }
}
