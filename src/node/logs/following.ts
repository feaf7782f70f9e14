/**
 * Which execution somebody who reads logs is shown. Whoever follows a job may come before it has any: he
 * waits for the first one, as long as the job goes on.
 */
import { ShoalError } from '../../failures/shoal-error.ts';
import type { ExecutionId, NodeId } from '../../core/record/ids.ts';
import { asNodeId } from '../../core/record/ids.ts';
import type { JobRecords } from '../../core/contract/messages.ts';
import { attemptsOf, closeIn, isTerminal, ledgerOf } from '../../core/record/ledger.ts';
import type { Ledger } from '../../core/record/ledger.ts';
import type { Published } from './logs.ts';

export interface Chosen {
  readonly execution: ExecutionId;
  readonly node: NodeId;
  /** null when it has published nothing, or not yet. */
  readonly result: Published | null;
  /** What it failed of, in words; null when it did not, or not yet. */
  readonly failure: string | null;
  /** Whether its end is known here. */
  readonly over: boolean;
}

/** Between two looks at a job without executions, milliseconds: at first, and at last when none comes. */
const LOOK_FIRST_MS = 150;
const LOOK_MAX_MS = 2_000;

export interface Following {
  /** The versions of the job that are looked at, as they are now; one at least. */
  readonly look: () => Promise<readonly JobRecords[]>;
  /** Beginning of the id of the execution that is wanted; null = the newest one. */
  readonly ref: string | null;
  readonly follow: boolean;
  /** @returns false when nobody waits any more. */
  readonly pause: (ms: number) => Promise<boolean>;
}

/** @throws ShoalError `execution-not-found`, and what `look` throws. */
export async function executionToShow({ look, ref, follow, pause }: Following): Promise<Chosen> {
  for (let ms = LOOK_FIRST_MS; ; ms = Math.min(2 * ms, LOOK_MAX_MS)) {
    const views = await look();
    const chosen = newest(views.map(ledgerOf), ref);
    if (chosen !== null) return chosen;
    const comes = follow && ref === null && views.some((records) => closeIn(records) === null);
    if (comes && (await pause(ms))) continue;
    const job = views[0]?.spec.body.job ?? '';
    throw new ShoalError({ code: 'execution-not-found', ref: ref ?? '', job });
  }
}

/** The execution named, else the newest one that was not discarded; null when there is none. */
function newest(ledgers: readonly Ledger[], ref: string | null): Chosen | null {
  const all = ledgers.flatMap((ledger) =>
    [...ledger.partitions.values()].flatMap((partition) =>
      attemptsOf(partition).map((attempt) => ({ ...attempt, accept: partition.accept })),
    ),
  );
  const found = all
    .filter((attempt) => ref === null || attempt.assign.record.body.execution.startsWith(ref))
    .sort((a, b) => a.assign.record.hlc - b.assign.record.hlc);
  const live = found.filter(
    ({ state }) => state?.body.phase !== 'cancelled' && state?.body.phase !== 'failed',
  );
  const chosen = live.at(-1) ?? found.at(-1);
  if (chosen === undefined) return null;
  const { execution, node } = chosen.assign.record.body;
  const accepted = chosen.accept?.record.body;
  const holders = accepted?.execution === execution ? accepted.holders : [node];
  const cid = chosen.state?.body.result?.cid;
  const last = chosen.state?.body;
  return {
    ...{ execution, node: asNodeId(node), result: cid === undefined ? null : { cid, holders } },
    failure: last?.failure?.message ?? null,
    over: last !== undefined && isTerminal(last.phase),
  };
}
