/**
 * S17: an accepted result can be fetched. When its acceptance is first proposed or chosen a node has it that
 * is up or was a moment ago (what was proposed may have been chosen, whatever becomes of that node later),
 * and as long as not all its holders lose their disks within a while of each other, somebody goes on having it.
 */
import type { Effect } from '../../src/core/contract/effect.ts';
import type { Input } from '../../src/core/contract/input.ts';
import type { Message } from '../../src/core/contract/messages.ts';
import type { StoreWrite } from '../../src/core/contract/stored.ts';
import type { JobId, NodeId, StoreId } from '../../src/core/record/ids.ts';
import type { FactsContext } from './facts.ts';
import type { NodeView, Observer } from './observer.ts';
import type { SimStore } from './sim-store.ts';

/**
 * A node that went down is known to be down after this: at once where its connections break, else when it has
 * missed its probes and was suspected for `suspectMs`, 11 s after its death in seed 1255.
 */
const NOTICED_MS = 12_000;

export interface ResultsContext extends FactsContext {
  readonly nodes: () => readonly NodeView[];
  /** So long it may take until a lost copy is made anew; what is lost twice meanwhile is nobody's fault. */
  readonly repairMs: number;
}

interface Accepted {
  readonly id: string;
  readonly cid: string;
  readonly job: JobId;
  readonly holders: number;
}

/** The acceptances of something that can be fetched. */
function acceptsIn(writes: readonly StoreWrite[]): readonly Accepted[] {
  return writes.flatMap(({ value }) => {
    const record = value !== null && 'record' in value ? value.record : null;
    if (record?.type !== 'accept' || record.body.result === null) return [];
    const { job, result, holders } = record.body;
    return [{ id: record.id, cid: result.cid, job, holders: holders.length }];
  });
}

export function createResultsChecker(context: ResultsContext): Observer {
  /** Accepted contents, with the number of nodes that had them then. */
  const accepted = new Map<string, { readonly job: JobId; readonly holders: number }>();
  const stores = new Map<StoreId, SimStore>();
  /** When a disk that had it was last lost. */
  const losses = new Map<string, number>();
  const downSince = new Map<NodeView, number>();
  /** From when to when each node was up. */
  const lives = new Map<NodeView, { readonly from: number; to: number | null }[]>();
  const upSince = (node: NodeView, since: number): number =>
    (lives.get(node) ?? [])
      .map(({ from, to }) => Math.max(0, (to ?? context.now()) - Math.max(from, since)))
      .reduce((sum, ms) => sum + ms, 0);
  /** Acceptances that were proposed or chosen while somebody had the result. */
  const founded = new Set<string>();
  const there = (node: NodeView): boolean =>
    node.up || context.now() - (downSince.get(node) ?? Number.NEGATIVE_INFINITY) < NOTICED_MS;
  const onDisk = (cid: string): number =>
    context.nodes().filter((node) => node.store.blocks.has(cid)).length;
  const lately = (cid: string): boolean =>
    context.now() - (losses.get(cid) ?? Number.NEGATIVE_INFINITY) < context.repairMs;

  const someoneHas = (cid: string): boolean =>
    context.nodes().some((one) => one.store.blocks.has(cid) && there(one));

  return {
    onSend(_from: NodeView, _to: NodeId, message: Message): void {
      if (message.type !== 'propose') return;
      for (const { value } of message.values) {
        if (value.type !== 'accept' || value.body.result === null) continue;
        if (someoneHas(value.body.result.cid)) founded.add(value.id);
      }
    },
    /** An only keeper proposes to itself, and its disk may be full for long: what counts is when it chose. */
    onHandled(_node: NodeView, _input: Input, effects: readonly Effect[]): void {
      for (const effect of effects) {
        if (effect.type !== 'persist') continue;
        for (const { id, cid } of acceptsIn(effect.writes)) if (someoneHas(cid)) founded.add(id);
      }
    },
    onDurable(node: NodeView, writes: readonly StoreWrite[]): void {
      for (const { id, cid, job, holders } of acceptsIn(writes)) {
        if (accepted.has(cid)) continue;
        accepted.set(cid, { job, holders });
        if (!founded.has(id) && !someoneHas(cid) && !lately(cid))
          context.violation('S17', node, job, `${cid} was accepted, and nobody there has it`);
      }
    },
    onStart(node: NodeView): void {
      stores.set(node.store.id, node.store);
      lives.set(node, [...(lives.get(node) ?? []), { from: context.now(), to: null }]);
    },
    onCrash(node: NodeView, diskLost: StoreId | null): void {
      downSince.set(node, context.now());
      const life = lives.get(node)?.at(-1);
      if (life !== undefined) life.to = context.now();
      const lost = diskLost === null ? undefined : stores.get(diskLost);
      for (const cid of lost?.blocks ?? []) {
        // Nobody makes a copy while the only one that has the result is down.
        const last = losses.get(cid);
        const before = last !== undefined && upSince(node, last) < context.repairMs;
        losses.set(cid, context.now());
        const result = accepted.get(cid);
        if (result === undefined || result.holders < 2 || before || onDisk(cid) > 0) continue;
        context.violation('S17', node, result.job, `the last copy of ${cid} is lost`);
      }
    },
  };
}
