/**
 * Hostile members that keep, lead and run jobs like any other, and say something else than their machine
 * wants to: nothing, something changed and signed anew, what they said long ago, or lies about who leads and
 * what is over. A liar also votes for whatever it is asked, and keeps quiet about what it voted for: what
 * W keepers signed is then not unique any more, and only what one honest keeper checks still holds.
 */
import type { Message } from '../../src/core/contract/messages.ts';
import type { Hlc, JobId, NodeId } from '../../src/core/record/ids.ts';
import type { AdmissionBody, Signed } from '../../src/core/record/records.ts';
import { majorityOf } from './facts.ts';
import { createFastSuite, nodeKey } from './fast-suite.ts';
import type { FaultPlan } from './faults.ts';
import type { Random } from './random.ts';
import type { SimNode } from './sim-node.ts';
import { changed, jobOf } from './strangers.ts';

export interface Hostile {
  readonly nodes: ReadonlySet<SimNode>;
  /** What it really says to this node. */
  says(from: SimNode, message: Message): readonly Message[];
  /** What it answers at once, whatever its machine does. */
  answers(node: SimNode, message: Message): readonly Message[];
}

/** Old messages that a hostile node has at hand. */
const KEPT_MAX = 60;

interface Character {
  readonly silence: number;
  readonly change: number;
  readonly repeat: number;
  readonly lie: number;
  readonly kept: Message[];
}

export function createHostile(
  nodes: readonly SimNode[],
  faults: () => FaultPlan,
  random: Random,
): Hostile {
  const chosen = random.shuffled(nodes).slice(0, faults().hostileNodes);
  const characters = new Map<SimNode, Character>(
    chosen.map((node) => {
      const rate = (most: number): number => (random.chance(0.6) ? random.between(0, most) : 0);
      const change = rate(0.3);
      return [node, { silence: rate(0.5), change, repeat: rate(0.3), lie: rate(0.2), kept: [] }];
    }),
  );
  const keepers = (): NodeId => random.pick(nodes).id;

  function lieAbout(job: JobId): Message {
    const config = { major: 0, minor: random.integer(0, 1) };
    const epoch = { config, number: random.integer(0, 40), leader: keepers() };
    return random.pick<Message>([
      { type: 'over', job },
      { type: 'outdated', job, promised: epoch },
      { type: 'leading', jobs: [{ job, epoch }] },
      { type: 'not-leading', jobs: [job] },
      { type: 'status-wanted', jobs: [job] },
      { type: 'job-wanted', job },
      { type: 'commit-ack', job, slots: ['close/1', 'assign/1/0/0', 'accept/1/0'] },
      { type: 'closed-ack', job, version: 1 },
      { type: 'activated', job },
    ]);
  }

  const isLiar = (): boolean => faults().liars > 0;

  return {
    nodes: new Set(chosen),
    says: (from, message) => {
      const character = characters.get(from);
      if (character === undefined || faults().hostileNodes === 0) return [message];
      const { kept } = character;
      if (kept.length < KEPT_MAX) kept.push(message);
      else kept[random.integer(0, KEPT_MAX - 1)] = message;
      const job = jobOf(message);
      const said: Message[] = [];
      if (job !== null && random.chance(character.lie)) said.push(lieAbout(job));
      if (random.chance(character.repeat)) said.push(random.pick(kept));
      if (random.chance(character.silence)) return said;
      const other = random.chance(character.change)
        ? (signedAnew(changed(message, random), from) as Message)
        : message;
      return [...said, isLiar() ? quiet(other) : other];
    },
    answers: (node, message) => {
      if (!characters.has(node) || !isLiar() || message.type !== 'propose') return [];
      const { job, epoch, values } = message;
      const suite = createFastSuite({ node: nodeKey(node.index), owner: node.owner, freeze: true });
      const votes = values.map(({ slot, value }) => {
        const body = { job, of: value.id, slot, epoch, store: node.store.id };
        return suite.seal('vote', body, node.wall(), 'node');
      });
      return [{ type: 'voted', job, votes }];
    },
  };
}

/** It promises, and tells of nothing that it accepted or knows to be chosen. */
function quiet(message: Message): Message {
  if (message.type === 'page') return { ...message, accepted: [], committed: [] };
  if (message.type !== 'promise') return message;
  // As if it had nothing: what it has in common with the candidate is not taken for its word.
  const { digest } = message;
  return { ...message, digest: { ...digest, chunks: digest.chunks.map(() => '0'.repeat(32)) } };
}

/** Whatever in it this node had signed it signs again as it is now. */
function signedAnew(value: unknown, node: SimNode): unknown {
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item: unknown) => signedAnew(item, node));
  const parts = Object.fromEntries(
    Object.entries(value).map(([key, of]) => [key, signedAnew(of, node)]),
  );
  if (!('sig' in parts) || parts['by'] !== nodeKey(node.index)) return parts;
  const { type, body, hlc } = parts as unknown as Signed<'assign'> & { readonly hlc: Hlc };
  const suite = createFastSuite({ node: nodeKey(node.index), owner: node.owner, freeze: true });
  return suite.seal(type, body, hlc, 'node');
}

/** These hold whoever keeps, leads or sponsors a job. */
const ALWAYS: ReadonlySet<string> = new Set(['S6', 'S10', 'S11', 'S13', 'defect']);
/** These do not while a keeper may vote for two values, and hide what it voted for. */
const UNIQUE: ReadonlySet<string> = new Set(['S2', 'S4', 'L3', 'ledgers']);
/** A hostile leader gives work to whom it likes, and hears whom it likes. */
const FAIR: ReadonlySet<string> = new Set(['losses', 'possible', 'keepers']);

/**
 * Whether nothing is promised there: a job whose sponsor is hostile, or most of whose keepers are, is at
 * their mercy but for what each honest node checks by itself; and liars make two of one.
 */
export function isExcused(
  hostile: ReadonlySet<{ readonly id: NodeId }>,
  liars: boolean,
  checker: string,
  admissions: Iterable<AdmissionBody>,
): boolean {
  if (hostile.size === 0 || ALWAYS.has(checker)) return false;
  if (FAIR.has(checker) || (liars && UNIQUE.has(checker))) return true;
  const ids = new Set([...hostile].map(({ id }) => id));
  return [...admissions].some(({ sponsor, keepers }) => {
    const bad = keepers.filter(({ node }) => ids.has(node)).length;
    return ids.has(sponsor) || bad >= majorityOf(keepers.length);
  });
}
