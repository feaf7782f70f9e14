/**
 * Messages that fit a frame. What a list in a message may grow to depends on the job, so every message is
 * cut here, by the bytes that it will have on the wire, into as many as it takes. Each part is a message
 * of its own: it may be lost, repeated or overtaken like any other, and means the same without the rest.
 */
import { JOBS_NAMED_MAX, MESSAGE_FILL_BYTES, MESSAGE_ITEMS_MAX } from '../contract/limits.ts';
import type { CertifiedValue, Message, MessageType } from '../contract/messages.ts';
import type { ExecutionId, RecordId } from '../record/ids.ts';
import type { AnyRecord, Signed } from '../record/records.ts';
import type { Suite } from '../record/suite.ts';

/** So few records fit without being measured, of 64 KiB each; nearly all messages have fewer. */
const FITS_ALWAYS = 12;
/** Of the map, the names of its fields and the slot around a record, for each. */
const ITEM_BYTES = 96;
/** An id as text, with a number beside it. */
const ID_BYTES = 64;

type MessageOf<T extends MessageType> = Extract<Message, { readonly type: T }>;
type Cut<T extends MessageType> = (
  message: MessageOf<T>,
  suite: Pick<Suite, 'sizeOf'>,
) => readonly Message[];
type Measure<Item> = (item: Item, suite: Pick<Suite, 'sizeOf'>) => number;
type ItemOf<
  T extends MessageType,
  K extends keyof MessageOf<T>,
> = MessageOf<T>[K] extends readonly (infer Item)[] ? Item : never;

export const recordBytes: Measure<AnyRecord> = (record, suite) => suite.sizeOf(record) + ITEM_BYTES;

export const certifiedBytes: Measure<CertifiedValue> = ({ record, votes }, suite) =>
  votes.reduce((sum, vote) => sum + suite.sizeOf(vote) + 4, recordBytes(record, suite));

/** How many of the items from `from` on fit one message beside what it has anyway; at least one. */
export function roomFor<Item>(
  items: readonly Item[],
  from: number,
  bytesOf: (item: Item) => number,
): number {
  let bytes = 0;
  let count = 0;
  for (let at = from; at < items.length && count < MESSAGE_ITEMS_MAX; at += 1) {
    bytes += bytesOf(items[at] as Item);
    if (count > 0 && bytes > MESSAGE_FILL_BYTES) break;
    count += 1;
  }
  return count;
}

function groupsOf<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
): readonly (readonly Item[])[] {
  const groups: (readonly Item[])[] = [];
  for (let at = 0; at < items.length; ) {
    const count = roomFor(items, at, bytesOf);
    groups.push(items.slice(at, at + count));
    at += count;
  }
  return groups;
}

/** Cuts a message with one list that may grow. */
const byList =
  <T extends MessageType, K extends keyof MessageOf<T>>(
    key: K,
    bytesOf: Measure<ItemOf<T, K>>,
  ): Cut<T> =>
  (message, suite) => {
    // The type of the list is what `ItemOf` says; the compiler does not see it through the key.
    const items = message[key] as unknown as readonly ItemOf<T, K>[];
    if (items.length <= FITS_ALWAYS) return [message];
    const groups = groupsOf(items, (item) => bytesOf(item, suite));
    if (groups.length === 1) return [message];
    return groups.map((group) => ({ ...message, [key]: group }) as unknown as Message);
  };

type Proposed = MessageOf<'propose'>['values'][number];

const listOf = <T>(one: T | undefined): readonly T[] => (one === undefined ? [] : [one]);

/** Each value travels with what it rests on: the keeper looks for it in the same message. */
const byValue: Cut<'propose'> = (message, suite) => {
  const { values, states, commands } = message;
  if (values.length + states.length <= FITS_ALWAYS) return [message];
  const byExecution = new Map<ExecutionId, Signed<'state'>>();
  const byId = new Map<RecordId, Signed<'state'>>();
  const byPartition = new Map<number, Signed<'state'>>();
  for (const state of states) {
    byPartition.set(state.body.partition, state);
    byExecution.set(state.body.execution, state);
    byId.set(state.id, state);
  }
  const supportOf = ({ value }: Proposed): readonly Signed<'state'>[] => {
    if (value.type === 'close') return value.body.evidence.flatMap((id) => byId.get(id) ?? []);
    if (value.type === 'accept') return listOf(byExecution.get(value.body.execution));
    // What was heard last of the attempt before.
    const takesOver = value.type === 'assign' && value.body.replaces !== null;
    return takesOver ? listOf(byPartition.get(value.body.partition)) : [];
  };
  const bytesOf = (proposed: Proposed): number =>
    supportOf(proposed).reduce(
      (sum, state) => sum + recordBytes(state, suite),
      recordBytes(proposed.value, suite),
    );
  return groupsOf(values, bytesOf).map((group) => ({
    ...message,
    values: group,
    states: [...new Set(group.flatMap(supportOf))],
    commands: group.some(({ value }) => restsOnCommands(value)) ? commands : [],
  }));
};

/** An end may be what the owner wants; who keeps the job from now on must know that as well. */
const restsOnCommands = ({ type }: { readonly type: string }): boolean =>
  type === 'close' || type === 'config';

/** Its parts are bounded one by one, or it was measured when it was made: a spec, certificates, a page. */
const bounded = <T extends MessageType>(message: MessageOf<T>): readonly Message[] => [message];

/** Few enough that their bytes need not be counted. */
const byJobs = (
  message: MessageOf<'status-wanted' | 'leading' | 'not-leading'>,
): readonly Message[] => {
  const { jobs } = message;
  if (jobs.length <= JOBS_NAMED_MAX) return [message];
  const parts = Array.from({ length: Math.ceil(jobs.length / JOBS_NAMED_MAX) }, (_, at) =>
    jobs.slice(at * JOBS_NAMED_MAX, (at + 1) * JOBS_NAMED_MAX),
  );
  return parts.map((part) => ({ ...message, jobs: part }) as Message);
};

const cuts: { readonly [T in MessageType]: Cut<T> } = {
  admit: bounded,
  admitted: bounded,
  'not-admitted': bounded,
  activate: bounded,
  activated: bounded,
  'job-wanted': bounded,
  over: bounded,
  invite: bounded,
  live: bounded,
  'live-wanted': bounded,
  'live-job': bounded,
  'spec-wanted': bounded,
  spec: bounded,
  bid: bounded,
  decline: bounded,
  'bid-closed': bounded,
  prepare: bounded,
  promise: bounded,
  ledger: bounded,
  'page-wanted': bounded,
  page: bounded,
  outdated: bounded,
  propose: byValue,
  voted: byList('votes', recordBytes),
  commit: byList('values', certifiedBytes),
  change: bounded,
  join: bounded,
  'change-agreed': bounded,
  branch: bounded,
  'branch-known': bounded,
  'commit-ack': byList('slots', () => ID_BYTES),
  assign: byList('assigns', certifiedBytes),
  started: byList('executions', () => ID_BYTES),
  'not-started': bounded,
  states: byList('states', recordBytes),
  'states-ack': byList('seen', () => ID_BYTES),
  renew: byList('executions', () => 2 * ID_BYTES),
  renewed: byList('executions', () => ID_BYTES),
  leads: bounded,
  'tenure-wanted': bounded,
  tenure: bounded,
  cancel: bounded,
  closed: bounded,
  'closed-ack': bounded,
  replicate: bounded,
  entrust: bounded,
  replicated: bounded,
  update: bounded,
  version: bounded,
  command: bounded,
  'command-refused': bounded,
  'command-ack': bounded,
  'status-wanted': byJobs,
  leading: byJobs,
  'not-leading': byJobs,
  advert: bounded,
  ping: bounded,
  pong: bounded,
  'ping-for-me': bounded,
  find: bounded,
  found: bounded,
};

/** The message in as many parts as it takes, in the order of its lists; mostly itself. */
export function fitting(suite: Pick<Suite, 'sizeOf'>, message: Message): readonly Message[] {
  // The table pairs each type with its own cut; the compiler cannot follow that through the look-up.
  return (cuts[message.type] as Cut<MessageType>)(message, suite);
}
