/** The verbs that every part of the core uses: what an input causes is collected, and leaves when it is done. */
import type { NoteEvent, RefuseCode } from '../contract/effect.ts';
import type { Message } from '../contract/messages.ts';
import type { Reply } from '../contract/reply.ts';
import type { StoreWrite } from '../contract/stored.ts';
import type { Hlc, JobId, NodeId, RequestId } from '../record/ids.ts';
import { asHlc } from '../record/ids.ts';
import type { Bodies, RecordType, Signed } from '../record/records.ts';
import type { Signer } from '../record/suite.ts';
import { fitting } from './fitting.ts';
import type { Node } from './state.ts';

export function send(core: Node, to: NodeId, message: Message): void {
  if (to === core.self) return void core.inbox.push(message);
  for (const part of fitting(core.suite, message))
    core.out.push({ type: 'send', to, message: part });
}

/** Something happened to a kept job: decide again what it needs. */
export function touch(core: Node, job: JobId): void {
  core.dirty.add(job);
}

export function persist(core: Node, write: StoreWrite): void {
  core.writes.push(write);
}

/**
 * @param fault no honest node sends this, whatever others told it. Who keeps a job and which epoch it has
 * come to is no such thing: a job that is admitted twice is another one to each of two honest nodes.
 */
export function refuse(core: Node, from: NodeId, code: RefuseCode, fault: boolean): void {
  core.refused[code] = (core.refused[code] ?? 0) + 1;
  // Honest nodes pass on gossip whose records nobody has checked for them.
  core.out.push({ type: 'refuse', from, code, fault: fault && !core.relayed });
}

export function reply(core: Node, request: RequestId, answer: Reply): void {
  core.out.push({ type: 'reply', request, reply: answer });
}

export function note(
  core: Node,
  event: NoteEvent,
  data: Readonly<Record<string, string | number>>,
): void {
  core.out.push({ type: 'note', event, data });
}

/** Signs with the next tick of the hybrid logical clock. */
export function seal<T extends RecordType>(
  core: Node,
  type: T,
  body: Bodies[T],
  signer: Signer = 'node',
): Signed<T> {
  core.hlc = asHlc(Math.round((core.hlc + 0.001) * 1000) / 1000);
  return core.suite.seal(type, body, core.hlc, signer);
}

/** A remote clock further ahead than this is wrong, not just faster; it is not followed. */
const FOLLOW_MS = 60_000;

/** The hybrid part of the clock: what is signed after a record was seen is later than that record. */
export function observe(core: Node, hlc: Hlc): void {
  if (hlc > core.hlc && hlc - core.wall < FOLLOW_MS) core.hlc = hlc;
}

/** Wall clock in whole milliseconds; for expiry and display only. */
export const wallMs = (core: Node): number => Math.floor(core.wall);
