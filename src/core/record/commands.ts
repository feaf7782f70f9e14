/**
 * What an owner wants of a job: one rule for each kind of command, saying who may sign it, how many of it a
 * job keeps, and what it means. Kinds that this version does not know, as those of a later one, are kept and
 * handed on like the others, within a bound, and have no effect.
 */
import { own } from '../../job/own.ts';
import type { PublicKey } from './ids.ts';
import type { CommandBody, Signed, SpecBody } from './records.ts';

interface CommandRule {
  /** The kinds that share a bound. */
  readonly group: string;
  /** Of its group a job keeps so many, the latest. */
  readonly most: number;
  /** How large one may be, in bytes; what it rests on travels by itself. */
  readonly maxBytes: number;
  /** A job that has one is to be closed as stopped. */
  readonly stops: boolean;
  /** Whether this key may sign one for the job of this spec. Delegations come later. */
  readonly maySign: (spec: SpecBody, by: PublicKey) => boolean;
}

const byOwner: CommandRule['maySign'] = (spec, by) => by === spec.owner;

const RULES: Readonly<Record<string, CommandRule>> = {
  // Any stop of the owner is as good as another, so one is enough; a stop with its reason is some 13 KB.
  stop: { group: 'stop', most: 1, maxBytes: 16_384, stops: true, maySign: byOwner },
};

/** What they mean nobody here knows, so they must not cost much; their owner's key is all that can be asked for. */
const UNKNOWN: CommandRule = {
  group: 'unknown',
  most: 15,
  maxBytes: 2_048,
  stops: false,
  maySign: byOwner,
};

/** Commands that a job keeps, of all kinds together. */
export const COMMANDS_MAX =
  UNKNOWN.most + Object.values(RULES).reduce((sum, { most }) => sum + most, 0);

export const ruleOf = (body: CommandBody): CommandRule => own(RULES, body.command) ?? UNKNOWN;

/** The commands that a job keeps of these: of each group the latest, by sequence and then the smaller id. */
export function keptOf(commands: Iterable<Signed<'command'>>): readonly Signed<'command'>[] {
  const left = new Map<string, number>();
  return [...commands].sort(latestFirst).filter(({ body }) => {
    const { group, most } = ruleOf(body);
    const room = left.get(group) ?? most;
    left.set(group, room - 1);
    return room > 0;
  });
}

function latestFirst(a: Signed<'command'>, b: Signed<'command'>): number {
  if (a.body.sequence !== b.body.sequence) return b.body.sequence - a.body.sequence;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

/** The owner's stop of this version among these; null when there is none. */
export function stopAmong(
  commands: Iterable<Signed<'command'>>,
  version: number,
): Signed<'command'> | null {
  for (const command of commands)
    if (ruleOf(command.body).stops && (command.body.version ?? 1) >= version) return command;
  return null;
}
