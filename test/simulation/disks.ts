/**
 * What becomes of a disk when its process ends: it may be lost, have lost a row, be put back as it was
 * earlier, or have failed at a write. Respects what makes the healed phase provable: every job keeps a
 * majority of keepers that have forgotten nothing, because this version does not replace keepers.
 */
import type { JobId, NodeId, StoreId } from '../../src/core/record/ids.ts';
import { isTerminal } from '../../src/core/record/ledger.ts';
import type { Keeper, Slot } from '../../src/core/record/records.ts';
import type { Facts } from './facts.ts';
import { majorityOf } from './facts.ts';
import type { Random } from './random.ts';
import type { DiskFate, SimNode } from './sim-node.ts';
import type { SimStore } from './sim-store.ts';
import { BINDING } from './sim-store.ts';
import type { World } from './world.ts';

export interface Disks {
  /** What this end of its process does to the node's disk. */
  fateOf(node: SimNode): DiskFate;
  /** The disk failed at a write: it goes on under another id, if the jobs can bear it. */
  failed(node: SimNode): DiskFate;
  /** Remembers the disk as it is now, to be put back some day. */
  remember(node: SimNode): void;
  /** The node goes for good, and its disk with it. */
  leave(node: SimNode): void;
  /** Whether every job would still have its majority if these nodes were gone, too. */
  survive(dead: ReadonlySet<NodeId>): boolean;
}

/** @param keepersMax of a job */
export function createDisks(world: World, facts: Facts, keepersMax: number, random: Random): Disks {
  /** Stores that are gone or have another id, as `node|store`; keepers that lost a row, as `node|store|job`. */
  const lost = new Set<string>();
  const older = new Map<SimNode, SimStore>();
  const rowRandom = random.fork('rows');

  /** Every set of keepers that may count from now on: of admissions that anyone has seen, certified or not, and of changes. */
  const sets = (): readonly { readonly job: JobId; readonly keepers: readonly Keeper[] }[] =>
    [...facts.jobs.values()].flatMap((of) => {
      const { job } = of;
      const configs = [...of.configs.values()];
      const latest = Math.max(
        0,
        ...configs
          .filter(({ config, keepers }) => isKnown(job, `config/0/${config.minor}`, keepers))
          .map(({ config }) => config.minor),
      );
      const open = configs.filter(({ config }) => config.minor >= latest);
      const first = latest === 0 ? [...of.admissions.values()].map(({ keepers }) => keepers) : [];
      const all = [...first, ...open.flatMap(({ keepers, former }) => [keepers, former])];
      return all.filter((keepers) => keepers.length > 0).map((keepers) => ({ job, keepers }));
    });

  /** A majority of them has it on disk: it is lost no more, whether its votes were counted or not. */
  const isKnown = (job: JobId, slot: Slot, keepers: readonly Keeper[]): boolean =>
    keepers.filter(({ node: id, store }) => {
      const node = world.nodes.find((one) => one.id === id);
      return node?.store.id === store && node.store.get('records', job, slot) !== null;
    }).length >= majorityOf(keepers.length);

  function survives(isGone: (node: NodeId, store: StoreId, job: JobId) => boolean): boolean {
    return sets().every(({ keepers, job }) => {
      const gone = keepers.filter(({ node, store }) => isGone(node, store, job)).length;
      return keepers.length - gone >= majorityOf(keepers.length);
    });
  }

  const isLost = (node: NodeId, store: StoreId, job: JobId): boolean =>
    lost.has(`${node}|${store}`) || lost.has(`${node}|${store}|${job}`);

  /**
   * A store may be lost while every job keeps a majority of its keepers. Besides, no more nodes than a
   * minority of the smallest usual keeper set lose one: an admission made from stale adverts may name
   * stores that are gone already.
   */
  function mayLose(node: SimNode): boolean {
    const size = Math.min(keepersMax, world.nodes.length);
    const minority = Math.floor((size - 1) / 2);
    const losers = new Set([...lost].map((text) => text.split('|')[0]));
    if (!losers.has(node.id) && losers.size >= minority) return false;
    const { id: storeId } = node.store;
    return survives(
      (id, store, job) => isLost(id, store, job) || (id === node.id && store === storeId),
    );
  }

  const lose = (node: SimNode): void => void lost.add(`${node.id}|${node.store.id}`);
  const tell = (node: SimNode, text: string): void => world.tell(`${node.id} ${text}`, node, null);

  /** A row is gone: the store goes on under another id. */
  function loseRow(node: SimNode): DiskFate {
    const rows = [...BINDING, 'shelved' as const].flatMap((table) => node.store.rows(table));
    if (rows.length === 0 || !mayLose(node)) return 'kept';
    const row = rowRandom.pick(rows);
    lose(node);
    node.store.lose(row);
    tell(node, `has lost a row of ${row.table}: ${row.key}`);
    return node.store;
  }

  /** A row is damaged: the store has no say in its job any more. */
  function damageRow(node: SimNode): void {
    // An end that was told and forgotten may come again: a program runs at least once.
    const executions = node.store
      .rows('executions')
      .filter(({ value }) => value !== null && !isTerminal(value.state.body.phase));
    const rows = [...BINDING.flatMap((table) => node.store.rows(table)), ...executions];
    if (rows.length === 0) return;
    const row = rowRandom.pick(rows);
    const { store } = node;
    const own = (id: NodeId, of: StoreId, job: JobId): boolean =>
      id === node.id && of === store.id && job === row.job;
    // What is over is left on the shelf, and read when somebody asks.
    if (store.rows('shelved').some(({ job }) => job === row.job)) return;
    if (!survives((id, of, job) => isLost(id, of, job) || own(id, of, job))) return;
    tell(node, `has a damaged row of ${row.table}: ${row.key} of ${row.job}`);
    store.lose(row);
    if (row.table === 'executions') return;
    lost.add(`${node.id}|${store.id}|${row.job}`);
    store.forfeits.add(row.job);
  }

  function putBack(node: SimNode): DiskFate {
    const before = older.get(node);
    if (before?.id !== node.store.id || !mayLose(node)) return 'kept';
    lose(node);
    tell(node, 'has its store put back as it was earlier');
    return before;
  }

  return {
    fateOf: (node) => {
      const { diskLossRate, rowLossRate, rowDamageRate, rollbackRate } = world.faults();
      if (random.chance(diskLossRate) && mayLose(node)) {
        lose(node);
        tell(node, 'loses its disk');
        return 'lost';
      }
      if (rowRandom.chance(rowDamageRate)) damageRow(node);
      if (rowRandom.chance(rowLossRate)) return loseRow(node);
      return rowRandom.chance(rollbackRate) ? putBack(node) : 'kept';
    },
    failed: (node) => {
      if (!mayLose(node)) return 'kept';
      lose(node);
      return node.store;
    },
    remember: (node) => void older.set(node, node.store.copy()),
    leave: lose,
    survive: (dead) => survives((id, store, job) => dead.has(id) || isLost(id, store, job)),
  };
}
