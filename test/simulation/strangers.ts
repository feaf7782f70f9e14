/**
 * A hostile member: it says to others what was said to somebody else, as if it were its own, some of
 * it changed. It is a stranger to the job it speaks of, neither keeper nor executor, so nothing it says
 * may count: what it knows is what everybody could have heard.
 */
import type { JobId } from '../../src/core/record/ids.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { Facts } from './facts.ts';
import type { Random } from './random.ts';
import type { SimNode } from './sim-node.ts';
import type { World } from './world.ts';

export interface Strangers {
  /** One message of a stranger, to a node that may care. */
  speak(): void;
}

interface Recorded {
  readonly from: SimNode;
  readonly message: Message;
}

export function createStrangers(
  world: World,
  facts: Facts,
  recorded: readonly Recorded[],
  random: Random,
): Strangers {
  const others = (job: JobId): readonly SimNode[] => {
    const known = facts.jobs.get(job);
    const insiders = new Set<string>();
    for (const { keepers } of known?.admissions.values() ?? [])
      for (const { node } of keepers) insiders.add(node);
    for (const { record } of known?.chosen.values() ?? [])
      if (record.type === 'assign') insiders.add(record.body.node);
    return world.nodes.filter((node) => !insiders.has(node.id));
  };
  return {
    speak: () => {
      if (recorded.length === 0) return;
      const { message } = random.pick(recorded);
      const job = jobOf(message);
      if (job === null) return;
      const strangers = others(job);
      if (strangers.length === 0) return;
      const from = random.pick(strangers);
      const to = random.pick(world.nodes);
      if (to === from) return;
      const said = random.chance(0.5) ? message : (changed(message, random) as Message);
      world.tell(`${from.id} says to ${to.id} a ${said.type} that is not its own`, to, job);
      to.deliver({ type: 'message', from: from.id, message: said });
    },
  };
}

export function jobOf(message: Message): JobId | null {
  if ('job' in message) return message.job;
  if ('spec' in message) return message.spec.body.job;
  if (message.type === 'command') return message.command.body.job;
  return message.type === 'states' ? (message.states[0]?.body.job ?? null) : null;
}

/** A copy with some numbers, flags and lists changed; ids and signatures stay what they were. */
export function changed(value: unknown, random: Random): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) {
    return random.chance(0.1) ? Math.max(0, value + random.pick([-1, 1, 1_000])) : value;
  }
  if (typeof value === 'boolean') return random.chance(0.2) ? !value : value;
  if (Array.isArray(value)) {
    const kept = value.filter(() => random.chance(0.9));
    return kept.map((item: unknown) => changed(item, random));
  }
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, changed(of, random)]));
}
