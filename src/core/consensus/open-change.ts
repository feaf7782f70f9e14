/**
 * A change of keepers that somebody voted for, and nobody knows the end of. Its voters look for themselves whether
 * keepers are gone, so it may hang for ever: those are back, or who would have voted for it is not. Its slot is free
 * again for whoever knows that it was never decided: when so many keepers say that they did not accept it that the
 * others, and those who say nothing, are too few to have decided it. What is proposed last is enough to look at: who
 * proposed it had to propose whatever was decided before. So it is with a version that its owner wanted until a moment
 * that has passed: nobody votes for it any more, and the next one has the same slot.
 */
import type { AcceptedValue, SlotValue } from '../contract/messages.ts';
import type { KeptJob } from '../keeping/state.ts';
import type { Leader } from '../leading/state.ts';
import { heardLately } from '../mesh/reach.ts';
import { wallMs } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { isChosen } from '../record/certificate.ts';
import { configurationAt, electorate, voters } from '../record/chain.ts';
import type { NodeId } from '../record/ids.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { chunkOfValue, isPulled } from './snapshot.ts';
import type { Candidacy, Promised } from './state.ts';

/** So long the promises of all that are there are waited for, when a change may have been decided: less than a candidacy. */
export const PROMISING_MS = 2_000;
/**
 * A change that is not decided within this hangs: it is asked anew who accepted it. A vote takes milliseconds. Doubles
 * up to the second number, as who would have to answer may be gone for good.
 */
const HANGING_MS = 30_000;
const HANGING_MAX_MS = 960_000;

/** For this not everybody votes who could: it may hang. */
export function mayHang(core: Node, value: SlotValue): boolean {
  if (value.type !== 'version') return value.type === 'config';
  const spec = core.suite.specIn(value.body.spec);
  return spec === null || spec.body.notAfter < wallMs(core);
}

/** Whether this may have been decided, for all that the promises say. */
export function mayBeDecided(
  kept: KeptJob,
  candidacy: Candidacy,
  { value }: AcceptedValue,
): boolean {
  const { epoch } = candidacy.grant.body;
  const may = new Set(voters(electorate(kept.ledger, value, epoch)));
  for (const [node, promise] of candidacy.promises)
    if (isPulled(promise.pull) && !hasAccepted(kept, promise, value)) may.delete(node);
  return isChosen(kept.ledger, value, epoch, may);
}

/** By its own word, or by this node's, where it has the same as this node. */
function hasAccepted(
  { accepted, ledger }: KeptJob,
  { pull, changes }: Promised,
  value: AcceptedValue['value'],
): boolean {
  if (pull.differing.includes(chunkOfValue(ledger.spec.body, value))) return changes.has(value.id);
  return [...accepted.values()].some((own) => own.value.id === value.id);
}

/** What was told to be accepted, may hang, and is not known to have been decided. */
const openChanges = (
  core: Node,
  { ledger }: KeptJob,
  { inherited }: Candidacy,
): readonly AcceptedValue[] =>
  [...inherited.values()].filter(
    ({ slot, value }) => mayHang(core, value) && !ledger.committed.has(slot),
  );

/** One more promise may show that a change was never decided: those that are there have a moment for theirs. */
export function waitsForMore(core: With<'mesh'>, kept: KeptJob, candidacy: Candidacy): boolean {
  const { promises, grant, since } = candidacy;
  if (core.now - since >= PROMISING_MS) return false;
  const isMissing = (node: NodeId): boolean => {
    const promise = promises.get(node);
    if (promise !== undefined) return !isPulled(promise.pull);
    return core.mesh.watches.get(node)?.dead !== true && heardLately(core, node);
  };
  if (!openChanges(core, kept, candidacy).some((open) => mayBeDecided(kept, candidacy, open)))
    return false;
  return keeperNodes(configurationAt(kept.ledger, grant.body.epoch)).some(isMissing);
}

/** What this leader proposed is not voted for, and may never be. */
export function changeHangs(core: Node, { commits, hung }: Leader): boolean {
  const hangingMs = Math.min(HANGING_MS * 2 ** hung, HANGING_MAX_MS);
  for (const { value, since } of commits.proposals.values())
    if (core.now - since >= hangingMs && mayHang(core, value)) return true;
  return false;
}
