/**
 * Guests of a job: nodes that are to keep it, and nodes that kept it. They know its keepers, send whoever asks on
 * to them, and vote for nothing but the configuration that names them. Who kept the job remembers the
 * configurations until its end: with the admission alone it would vote again.
 */
import { allow, pointsFor } from '../mesh/allowance.ts';
import type { Message } from '../contract/messages.ts';
import { note, persist, send, touch } from '../node/outbox.ts';
import type { Node, With } from '../node/state.ts';
import { firstEpoch } from '../record/ballot.ts';
import { changes, configurationOf, currentOf, everKept } from '../record/chain.ts';
import { keeperNodes, members } from '../record/keeper-set.ts';
import { slotOf } from '../record/slot.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import type { Signed } from '../record/records.ts';
import { rowsOf, WANTED_KEYS } from './books.ts';
import { isGuest } from './changing.ts';
import { tellWishes } from './crossing.ts';
import { dropPast } from './past-books.ts';
import type { KeptJob } from './state.ts';

/** Who kept the job asks so often how it stands; who never did forgets it after twice as long. */
const GUEST_MS = 60_000;

/** The changes of the keepers, for one who may not know them. */
export function tellChanges(core: With<'mesh'>, to: NodeId, { ledger }: KeptJob): void {
  const { job, configs } = ledger;
  if (configs.length === 0 || !allow(core, to, pointsFor(configs.length))) return;
  send(core, to, { type: 'commit', job, values: [...configs] });
}

/**
 * It is to keep the job and does not yet: nobody may rely on what it knows, which it forgets when nothing comes of it.
 * Who promised something where the job was re-seeded may have kept it in another branch.
 */
export const isAspirant = (core: Node, kept: KeptJob): boolean =>
  isGuest(core, kept) && kept.promised.config.major === 0 && !everKept(kept.ledger, core.self);

/** What it votes for, or keeps from now on, is on its disk from the ground up. */
export function saveGuest(core: Node, kept: KeptJob): void {
  if (!kept.unsaved) return;
  kept.unsaved = false;
  const { job, spec, admission, configs } = kept.ledger;
  persist(core, { table: 'records', job, key: 'spec', value: { record: spec, votes: [] } });
  persist(core, { table: 'records', job, key: 'admission', value: { ...admission } });
  for (const value of configs)
    persist(core, { table: 'records', job, key: slotOf(value.record), value: { ...value } });
}

/** A configuration was learned: whoever has no part in it leads no more, and whoever has begins to keep the job. */
export function keepersChanged(core: Node, kept: KeptJob): void {
  const { ledger } = kept;
  const current = currentOf(ledger);
  if (current.former.length === 0) kept.changedAt = core.now;
  // Nobody has promised anything to these: who has no say for another reason says so when it is asked.
  if (current.reseeds !== undefined) kept.forfeited.clear();
  if (kept.lead !== null && configurationOf(ledger, kept.lead.epoch.config) === null)
    kept.lead = null;
  // Of another branch: nobody leads there for this node.
  if (configurationOf(ledger, kept.seen.config) === null)
    kept.seen = ledger.grant?.record.body.epoch ?? firstEpoch(ledger.configurations[0]);
  if (!isGuest(core, kept)) saveGuest(core, kept);
  else {
    kept.candidateAt = null;
    kept.guestAt = core.now;
    if (kept.lead !== null && kept.lead.stage !== 'closing') kept.lead = null;
    note(core, 'job.kept-elsewhere', { job: ledger.job });
  }
  touch(core, ledger.job);
}

/** A keeper, or one that was asked to be one, says that it has lost what it promised of the job. */
export function onForfeit(
  core: With<'keeping'>,
  from: NodeId,
  { job, refusal }: Extract<Message, { type: 'not-admitted' }>,
): void {
  const kept = core.keeping.kept.get(job);
  if (kept === undefined || refusal.code !== 'damaged') return;
  const change = kept.lead?.stage === 'leader' ? kept.lead.change : null;
  const asked = [change, kept.reseeding].flatMap((one) => one?.next.body.keepers ?? []);
  const keeper = [...members(currentOf(kept.ledger)), ...asked].find(({ node }) => node === from);
  if (keeper === undefined || kept.forfeited.has(keeper.store)) return;
  kept.forfeited.add(keeper.store);
  touch(core, job);
}

export const tellForfeit = (core: Node, to: NodeId, job: JobId): void =>
  send(core, to, { type: 'not-admitted', job, refusal: { code: 'damaged' } });

/** Who keeps the job now, for whoever runs or stops it. */
export function tellKeepers(core: Node, to: NodeId, { ledger, seen }: KeptJob): void {
  const { job, grant, configs } = ledger;
  send(core, to, { type: 'leads', job, epoch: seen, ...changes(configs), grant });
}

/** A stop that reaches a guest: those that keep the job have it, and whoever gave it learns who they are. */
export function passOn(core: Node, from: NodeId, kept: KeptJob, command: Signed<'command'>): void {
  tellKeepers(core, from, kept);
  for (const node of keeperNodes(currentOf(kept.ledger)))
    if (node !== from) send(core, node, { type: 'command', command });
}

/** Now and then: a guest asks how the job stands, and is none for ever. */
export function tickGuests(core: With<'mesh' | 'keeping' | 'executing'>): void {
  for (const [job, kept] of core.keeping.kept) {
    if (kept.ledger.close !== null || !isGuest(core, kept)) continue;
    const idleMs = core.now - kept.guestAt;
    if (idleMs < GUEST_MS) continue;
    if (!isAspirant(core, kept)) {
      kept.guestAt = core.now;
      for (const node of keeperNodes(currentOf(kept.ledger))) {
        send(core, node, { type: 'status-wanted', jobs: [job] });
        tellWishes(core, node, kept.ledger);
      }
    } else if (idleMs >= 2 * GUEST_MS) forget(core, kept);
  }
}

/** It was never a keeper, so what it voted for binds nobody. */
function forget(
  core: With<'keeping' | 'executing'>,
  { ledger, accepted, votedBefore }: KeptJob,
): void {
  const { job, commands, opaque } = ledger;
  core.keeping.kept.delete(job);
  dropPast(core, job);
  core.timers.clear(`job:${job}`);
  // What runs here obeys no lower epoch than it saw.
  const runs = [...core.executing.executions.values()].some(
    ({ stored }) => stored.order.job === job,
  );
  if (!runs) persist(core, { table: 'promises', job, key: job, value: null });
  for (const slot of [...accepted.keys(), ...votedBefore.keys()])
    persist(core, { table: 'accepted', job, key: slot, value: null });
  const keys = [
    ...['spec', 'admission', 'grant', ...rowsOf(ledger), ...Object.values(WANTED_KEYS)],
    ...[...commands.keys()].map((id) => `command/${id}`),
    ...[...opaque.keys()].map((id) => `opaque/${id}`),
  ];
  for (const key of keys) persist(core, { table: 'records', job, key, value: null });
}
