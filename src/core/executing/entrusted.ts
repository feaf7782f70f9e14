/**
 * Accepted results that this node holds and looks after together with the others that hold them. Nobody
 * asks about them while all is well: who is away and who has another store by now is known from adverts
 * and connections. When too few are left that can have one, another node is asked to hold it as well,
 * with the certified accept as proof. Two parts of a cut mesh do so each for itself; there are then more
 * copies than needed, and none too few.
 */
import { chainOf, changes, currentOf, rootsOf } from '../record/chain.ts';
import { keeperNodes } from '../record/keeper-set.ts';
import { configsIn } from '../keeping/books.ts';
import { COPIES_WANTED, HOLDERS_MAX } from '../contract/limits.ts';
import type { Message } from '../contract/messages.ts';
import type { StoredEntrusted as Stored } from '../contract/stored.ts';
import { aliveMembers, reachedMembers } from '../mesh/members.ts';
import { isNear } from '../mesh/reach.ts';
import { countedMs } from '../node/counted.ts';
import { note, persist, send, wallMs } from '../node/outbox.ts';
import { isDue, said, toSay } from '../node/repeat.ts';
import type { With } from '../node/state.ts';
import { after } from '../record/ids.ts';
import type { ExecutionId, JobId, NodeId, StoreId } from '../record/ids.ts';
import { goodForMs } from '../record/verify.ts';
import type { Entrusted } from './state.ts';

type Entrust = Extract<Message, { type: 'entrust' }>;
type Holder = With<'mesh' | 'executing'>;

/** Results looked after; beyond that the oldest are only held. Each takes some 6 KB. */
const ENTRUSTED_MAX = 4_096;
/** Copies that one holder has made of one result, whatever becomes of them. */
const MADE_MAX = 8;
/** Between two looks at the other holders. */
const LOOK_MAX_MS = 30_000;
/** Copies begun in a minute, and under way at a time. */
const BEGUN_MAX = 30;
const BEGUN_MS = 60_000;
const ASKED_MAX = 8;
/** Who did not make a copy is asked again after this; and when it connects, unless it was asked just now. */
const AGAIN_MS = 600_000;

const lookMs = (core: Holder): number => Math.min(LOOK_MAX_MS, core.config.limits.holderLostMs / 4);

/** Takes a result into its care, or learns who else holds it. It lies on this disk already. */
export function takeCare(core: Holder, from: NodeId, message: Entrust): void {
  const { spec, accept } = message;
  const { execution, result } = accept.record.body;
  const known = core.executing.entrusted.get(execution);
  if (known !== undefined) {
    // Those that were accepted are known from the beginning. Who of them is gone since is no holder again by the
    // word of a keeper, who repeats what was accepted, or by this node's own when it reads the job anew.
    const first = new Set(accept.record.body.holders);
    const news = message.holders.filter((node) => node === from || !first.has(node));
    return hearOfHolders(core, from, execution, known, news);
  }
  if (result === null) return;
  const others = othersOf(core, message.holders);
  addEntrusted(core, {
    spec,
    ...rootsOf(message),
    accept,
    others,
    since: countedMs(core),
    made: 0,
  });
  save(core, execution);
}

/** Only somebody who holds it, or a keeper of its job, knows who holds it. */
function hearOfHolders(
  core: Holder,
  from: NodeId,
  execution: ExecutionId,
  entrusted: Entrusted,
  holders: readonly NodeId[],
): void {
  if (!entrusted.others.has(from) && !entrusted.keepers.includes(from)) return;
  const before = entrusted.others.size;
  for (const node of holders) addOther(core, entrusted, node);
  if (entrusted.others.size !== before) save(core, execution);
}

function addOther(core: Holder, { others }: Entrusted, node: NodeId): void {
  if (node === core.self || others.has(node) || others.size >= HOLDERS_MAX) return;
  others.set(node, storeOf(core, node));
}

/** @param holders as the message says, whoever brings it; this node among them or not */
function othersOf(core: Holder, holders: readonly NodeId[]): Stored['others'] {
  const others = [...new Set(holders)].filter((node) => node !== core.self);
  return others.slice(0, HOLDERS_MAX).map((node) => ({ node, store: storeOf(core, node) }));
}

const storeOf = (core: Holder, node: NodeId): StoreId | null =>
  core.mesh.members.get(node)?.advert.body.store ?? null;

/** What the disk has, or is about to get. */
export function addEntrusted(core: Holder, stored: Stored): void {
  const { spec, admission, configs = [], accept, others, made } = stored;
  // What the node has counted may be lost with its row, and nothing is older than what it has counted.
  const since = Math.min(stored.since, countedMs(core));
  const { execution, result, job } = accept.record.body;
  if (result === null) return;
  const until =
    since + Math.min(goodForMs(spec, wallMs(core)), core.config.limits.resultRetentionMs);
  const { entrusted } = core.executing;
  entrusted.set(execution, {
    job,
    cid: result.cid,
    accept: accept.record.id,
    keepers: keeperNodes(currentOf(chainOf(stored))),
    proof: core.suite.pack([{ record: spec, votes: [] }, admission, accept, ...configs]),
    others: new Map(others.map(({ node, store }) => [node, store])),
    since,
    until,
    made,
    tried: new Map(),
    asked: null,
  });
  for (const [oldest, { job: itsJob }] of entrusted) {
    if (entrusted.size <= ENTRUSTED_MAX) break;
    forget(core, oldest, itsJob);
  }
  core.timers.set('entrusted', after(core.now, lookMs(core)));
}

function forget(core: Holder, execution: ExecutionId, job: JobId): void {
  core.executing.entrusted.delete(execution);
  persist(core, { table: 'entrusted', job, key: execution, value: null });
}

function save(core: Holder, execution: ExecutionId): void {
  const entrusted = core.executing.entrusted.get(execution);
  if (entrusted === undefined) return;
  const { job, others, since, made } = entrusted;
  const proof = proofOf(core, entrusted);
  const value = {
    ...proof,
    others: [...others].map(([node, store]) => ({ node, store })),
    since,
    made,
  };
  persist(core, { table: 'entrusted', job, key: execution, value });
}

function proofOf(core: Holder, { proof }: Entrusted): Omit<Entrust, 'type' | 'holders'> {
  const [first, second, third, ...later] = core.suite.unpack(proof);
  const spec = first?.record;
  const [admission, accept] = [second?.record, third?.record];
  if (spec?.type !== 'spec' || admission?.type !== 'admission' || accept?.type !== 'accept')
    throw new Error('the proof of a result cannot be read');
  return {
    spec,
    admission: { record: admission, votes: second?.votes ?? [] },
    ...changes(configsIn(later)),
    accept: { record: accept, votes: third?.votes ?? [] },
  };
}

/** Looks who of the other holders is gone, and sees to as many copies as are missing. */
export function tickEntrusted(core: Holder): void {
  const { entrusted, awaySince } = core.executing;
  if (entrusted.size === 0) return awaySince.clear();
  core.timers.set('entrusted', after(core.now, lookMs(core)));
  const alive = new Set(aliveMembers(core).map((member) => member.advert.body.node));
  const named = new Set<NodeId>();
  let open = [...entrusted.values()].filter(({ asked }) => asked !== null).length;
  for (const [execution, result] of entrusted) {
    core.atHand = result.job;
    if (countedMs(core) >= result.until) {
      forget(core, execution, result.job);
      continue;
    }
    let changed = false;
    for (const [node, store] of result.others) {
      named.add(node);
      if (alive.has(node) || isNear(core, node)) awaySince.delete(node);
      else if (!awaySince.has(node)) awaySince.set(node, core.now);
      const now = storeOf(core, node);
      if (isGone(core, node) || (store !== null && now !== null && now !== store)) {
        result.others.delete(node);
        changed = true;
      } else if (store === null && now !== null) {
        result.others.set(node, now);
        changed = true;
      }
    }
    if (changed) save(core, execution);
    if (seeToCopies(core, execution, result, open < ASKED_MAX)) open += 1;
  }
  core.atHand = null;
  for (const node of awaySince.keys()) if (!named.has(node)) awaySince.delete(node);
}

function isGone(core: Holder, node: NodeId): boolean {
  const since = core.executing.awaySince.get(node);
  return since !== undefined && core.now - since >= core.config.limits.holderLostMs;
}

/** @returns whether another node was asked for the first time */
function seeToCopies(
  core: Holder,
  execution: ExecutionId,
  result: Entrusted,
  mayBegin: boolean,
): boolean {
  const { asked } = result;
  const enough = 1 + result.others.size >= COPIES_WANTED || result.made >= MADE_MAX;
  if (enough) result.asked = null;
  else if (asked !== null && (asked.deadline <= core.now || !isNear(core, asked.node)))
    giveUp(core, result);
  if (enough) return false;
  const fresh = result.asked === null;
  if (fresh) result.asked = mayBegin ? begin(core, execution, result) : null;
  if (result.asked === null) return false;
  const { node, resend } = result.asked;
  if (isDue(core, resend)) {
    const holders = [core.self, ...result.others.keys()];
    send(core, node, { type: 'entrust', ...proofOf(core, result), holders });
    said(core, resend);
  }
  core.timers.set('entrusted', resend.at);
  return fresh;
}

function begin(core: Holder, execution: ExecutionId, result: Entrusted): Entrusted['asked'] {
  const { begun } = core.executing;
  if (core.now - begun.since >= BEGUN_MS) Object.assign(begun, { since: core.now, count: 0 });
  const node = begun.count >= BEGUN_MAX ? null : nextHolder(core, execution, result);
  if (node === null) return null;
  begun.count += 1;
  const deadline = after(core.now, core.config.limits.replicateTimeoutMs);
  return { node, deadline, resend: toSay(core) };
}

function giveUp(core: Holder, result: Entrusted): void {
  if (result.asked !== null) result.tried.set(result.asked.node, core.now);
  result.asked = null;
}

/** Each result has an order of nodes of its own, so that copies spread and two holders choose alike. */
function nextHolder(core: Holder, execution: ExecutionId, result: Entrusted): NodeId | null {
  for (const [node, at] of result.tried) if (core.now - at >= AGAIN_MS) result.tried.delete(node);
  const place = (node: NodeId): string => core.suite.hash(`shoal/holder|${execution}|${node}`);
  let best: { readonly node: NodeId; readonly place: string } | null = null;
  for (const { advert } of reachedMembers(core)) {
    const { node } = advert.body;
    if (result.others.has(node) || result.tried.has(node)) continue;
    const one = { node, place: place(node) };
    if (best === null || one.place < best.place) best = one;
  }
  return best?.node ?? null;
}

/** An answer of the node that was asked; or another holder says that it has lost the result. */
export function onHolder(
  core: Holder,
  from: NodeId,
  { execution, cid, outcome }: Extract<Message, { type: 'replicated' }>,
): void {
  const result = core.executing.entrusted.get(execution);
  if (result === undefined || result.cid !== cid) return;
  if (outcome === 'made') {
    if (result.asked?.node !== from && !result.tried.has(from)) return;
    addOther(core, result, from);
    result.asked = null;
    result.made += 1;
    note(core, 'result.copied', { job: result.job, execution, node: from });
  } else if (result.others.delete(from)) result.tried.set(from, core.now);
  else if (result.asked?.node === from) giveUp(core, result);
  else return;
  save(core, execution);
  core.timers.set('entrusted', core.now);
}

/** The disk has lost it and it could not be had from elsewhere: the other holders must know. */
export function loseContent(core: Holder, cid: string): void {
  for (const [execution, result] of core.executing.entrusted) {
    if (result.cid !== cid) continue;
    const { job } = result;
    for (const node of result.others.keys())
      send(core, node, { type: 'replicated', job, execution, cid, outcome: 'missing' });
    forget(core, execution, job);
  }
}

/** A node connected: it may only have been away when it was asked for a copy. */
export function takerIsBack(core: Holder, node: NodeId): void {
  for (const { tried } of core.executing.entrusted.values()) {
    const at = tried.get(node);
    if (at === undefined || core.now - at < LOOK_MAX_MS) continue;
    tried.delete(node);
    core.timers.set('entrusted', core.now);
  }
}

/** A node is there with another store than before: whatever it held is looked at now. */
export function storeChanged(core: Holder): void {
  if (core.executing.entrusted.size > 0) core.timers.set('entrusted', core.now);
}
