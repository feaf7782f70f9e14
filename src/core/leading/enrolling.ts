/** What the leader of a job does about the nodes that enrol: each gets the lowest place that is free, once. */
import { propose } from '../consensus/proposer.ts';
import type { KeptJob } from '../keeping/state.ts';
import { seal } from '../node/outbox.ts';
import type { Node } from '../node/state.ts';
import type { ExecutionId } from '../record/ids.ts';
import { assignSlot, ENROLLED_MAX } from '../record/slot.ts';
import type { Signed } from '../record/records.ts';
import type { Leader } from './state.ts';

/** Gives a place to everybody who told that it runs the job. Who finds none free is not counted. */
export function placeEnrolled(core: Node, kept: KeptJob, lead: Leader): void {
  const { outlook, epoch } = lead;
  if (outlook.unplaced.size === 0) return;
  const { job, spec, states, assigned } = kept.ledger;
  const { version } = spec.body;
  const proposed = proposedIn(lead);
  const values: Signed<'assign'>[] = [];
  for (const execution of outlook.unplaced) {
    const state = states.get(execution);
    if (state === undefined || assigned.has(execution) || proposed.has(execution)) continue;
    const partition = freePlace(kept, lead);
    if (partition >= ENROLLED_MAX) break;
    outlook.nextPlace = partition + 1;
    const { node } = state.body;
    const about = {
      job,
      version,
      partition,
      attempt: 0,
      replaces: null,
      adopts: null,
      execution,
      node,
    };
    values.push(seal(core, 'assign', { ...about, epoch }));
  }
  outlook.unplaced.clear();
  propose(core, kept, lead, values);
}

/** Places that this leader, or the one before, has given away already. */
function proposedIn({ commits }: Leader): ReadonlySet<ExecutionId> {
  const executions = new Set<ExecutionId>();
  for (const { value } of commits.proposals.values())
    if (value.type === 'assign') executions.add(value.body.execution);
  return executions;
}

function freePlace({ ledger }: KeptJob, { outlook, commits }: Leader): number {
  const { version } = ledger.spec.body;
  let place = outlook.nextPlace;
  while (ledger.partitions.has(place) || commits.proposals.has(assignSlot(version, place, 0)))
    place += 1;
  return place;
}
