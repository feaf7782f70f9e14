/** Counts for the report of a run, and the trace hash that proves two runs equal. Judges nothing. */
import type { Input } from '../../src/core/contract/input.ts';
import { textWord } from './random.ts';
import type { NodeView, Observer } from './observer.ts';

export interface Statistics {
  readonly observer: Observer;
  /** Unicast messages by type. */
  readonly messages: Map<string, number>;
  /** Gossip publications by type. */
  readonly gossip: Map<string, number>;
  /** Faults and refusals by name. */
  readonly events: Map<string, number>;
  inputs(): number;
  /** Depends on every input handled and every effect asked for, in order, with time and place. */
  traceHash(): string;
}

const count = (map: Map<string, number>, key: string): void => {
  map.set(key, (map.get(key) ?? 0) + 1);
};

export function createStatistics(now: () => number): Statistics {
  const messages = new Map<string, number>();
  const gossip = new Map<string, number>();
  const events = new Map<string, number>();
  const words = new Map<string, number>();
  let inputs = 0;
  let low = 0x811c9dc5;
  let high = 0x01000193;

  const word = (text: string): number => {
    const known = words.get(text);
    if (known !== undefined) return known;
    const fresh = textWord(text);
    // Ids make many texts: those are few enough in small runs, and large runs must not keep them.
    if (words.size < 10_000) words.set(text, fresh);
    return fresh;
  };
  const add = (value: number): void => {
    low = Math.imul(low ^ value, 0x01000193);
    high = Math.imul(high ^ (value + low), 0x85ebca6b) ^ (high >>> 15);
  };
  const kindOf = (input: Input): string =>
    input.type === 'message' ? input.message.type : input.type;

  return {
    messages,
    gossip,
    events,
    inputs: () => inputs,
    traceHash: () =>
      (low >>> 0).toString(16).padStart(8, '0') + (high >>> 0).toString(16).padStart(8, '0'),
    observer: {
      onHandled: (node: NodeView, input, effects) => {
        inputs += 1;
        add(now());
        add(node.index);
        add(word(kindOf(input)));
        for (const effect of effects) {
          add(word(effect.type));
          if (effect.type === 'send') {
            add(word(effect.to));
            add(word(effect.message.type));
          }
          if (effect.type === 'note' && effect.data['execution'] !== undefined) {
            add(textWord(String(effect.data['execution'])));
          }
        }
      },
      onSend: (_node, _to, message) => count(messages, message.type),
      onGossip: (_node, { type }) => count(gossip, type),
      onEffect: (_node, effect) => {
        if (effect.type === 'refuse') count(events, `refused ${effect.code}`);
        if (effect.type === 'note') count(events, effect.event);
      },
      onCrash: (_node, diskLost) => count(events, diskLost === null ? 'crash' : 'crash with disk'),
    },
  };
}
