/**
 * Jobs that were re-seeded: nobody does so while a majority of the keepers is in touch with one of those that vote for
 * it (S24), somebody does so when a majority is gone for good (L2), and when the faults are over all keepers go by
 * one line within a minute (L3).
 */
import type { Inspection } from '../../src/core/contract/inspection.ts';
import type { JobRecords } from '../../src/core/contract/messages.ts';
import type { JobId, RecordId } from '../../src/core/record/ids.ts';
import { isQuorum, members } from '../../src/core/record/keeper-set.ts';
import type { ConfigBody, Configuration, Signed } from '../../src/core/record/records.ts';
import type { JobFacts } from './facts.ts';
import { slotText } from './facts.ts';
import {
  configurationAt,
  isDecided,
  isOrphaned,
  isReseeded,
  isStuck,
  keepersThere,
  lineOf,
  nodeOf,
} from './lines.ts';
import type { LivenessContext } from './liveness.ts';
import { openJobs } from './liveness.ts';
import type { NodeView, Observer } from './observer.ts';
import { inTouch, isFair } from './strict.ts';
import type { StrictContext, Touch } from './strict.ts';

/** All keepers go by one line so long after the faults: those that are asked may be silent, which takes a minute of it. */
const ONE_LINE_MS = 120_000;
/** One that is left is found to be gone by then: three probes, one after the other, and a suspicion. */
const NOTICED_MS = 30_000;
/** Who is left begins in turn, and asks anew when nobody answers. */
const RANK_MS = 10_000;
const ASKING_MS = 30_000;
/** Clocks run a twentieth too fast or too slow. */
const CLOCKS = 1.1;
/** Votes are asked for during this. */
const VOTING_MS = 35_000;

/** Since when something is as it is, by job. */
class Since {
  readonly #at = new Map<JobId, number>();

  /** @returns for how long it has been so */
  ms(job: JobId, isSo: boolean, now: number): number {
    if (!isSo) this.#at.delete(job);
    else if (!this.#at.has(job)) this.#at.set(job, now);
    return now - (this.#at.get(job) ?? now);
  }
}

export type LinesContext = LivenessContext & Touch & Pick<StrictContext, 'faults' | 'isHostile'>;

export interface Lines {
  readonly observer: Observer;
  /** Called every second while healed: looks, and has the facts follow the line that the keepers go by. */
  check(): void;
}

export function createLines(context: () => LinesContext): Lines {
  const looked = new Set<RecordId>();
  const apart = new Since();
  const orphaned = new Since();
  return {
    observer: {
      onHandled: (_node, _input, effects) => {
        for (const effect of effects)
          if (effect.type === 'note' && effect.event === 'job.reseeded')
            checkReseeded(context(), effect.data['job'] as JobId, looked);
      },
    },
    check: () => {
      checkOneLine(context(), apart);
      checkTakenUp(context(), orphaned);
    },
  };
}

/** S24 */
function checkReseeded(context: LinesContext, job: JobId, looked: Set<RecordId>): void {
  const facts = context.facts.jobs.get(job);
  if (facts === undefined || !isFair(context.faults())) return;
  for (const [id, body] of facts.configs) {
    if (body.reseeds === undefined || looked.has(id)) continue;
    if (!isDecided(facts, `config/${body.config.major}/${body.config.minor}`)) continue;
    looked.add(id);
    const before = configurationAt(facts, body.reseeds);
    if (before !== null) checkVoters(context, facts, body, before, id);
  }
}

function checkVoters(
  context: LinesContext,
  facts: JobFacts,
  body: ConfigBody,
  before: Configuration,
  id: RecordId,
): void {
  const ms = CLOCKS * context.limits.reseedAfterMs + VOTING_MS;
  const signers = context.facts.signers(id);
  for (const { node, store } of body.keepers) {
    const voter = nodeOf({ node, store }, context.nodes);
    if (voter === undefined || !signers.has(`${node}|${store}`) || context.isHostile(voter))
      continue;
    const heard = members(before).filter((keeper) => {
      const other = nodeOf(keeper, context.nodes);
      if (other === undefined || hasGone(other, facts, before)) return false;
      return inTouch(context, voter, other, ms);
    });
    if (
      !isQuorum(
        before,
        heard.map(({ node: one }) => one),
      )
    )
      continue;
    const text = `votes to re-seed it and hears ${heard.length} of ${members(before).length} keepers`;
    context.violation('S24', voter, facts.job, text);
  }
}

/** It promised something in a higher line: in this one it votes for nothing any more. */
const hasGone = ({ store }: NodeView, { job }: JobFacts, { config }: Configuration): boolean =>
  (store.get('promises', job, job)?.config.major ?? 0) > config.major;

/** L3: all go by one line, or know of an end: lines that came to theirs apart each have their own. */
function checkOneLine(context: LinesContext, apart: Since): void {
  const reseeded = [...context.facts.jobs.values()].filter(isReseeded);
  if (reseeded.length === 0) return;
  const seen = new Map<NodeView, Inspection>();
  for (const node of context.nodes) if (node.up) seen.set(node, node.inspect());
  for (const facts of reseeded) {
    const told = new Map<string, string[]>();
    const lines = new Set<number>();
    for (const [node, inspection] of seen) {
      const job = inspection.jobs.find((one) => one.job === facts.job);
      if (job === undefined || !job.keeper || context.isHostile(node)) continue;
      const close = closeIn(job.records);
      const line = close === undefined ? lineOf(job.records) : lineWith(facts, close);
      const what = close === undefined ? `line ${line}` : 'an end';
      told.set(what, [...(told.get(what) ?? []), node.id]);
      lines.add(line);
    }
    const [only] = lines;
    if (lines.size === 1 && only !== undefined && only !== facts.line)
      context.facts.follow(facts.job, only);
    const apartMs = apart.ms(facts.job, told.size > 1, context.now());
    if (apartMs <= ONE_LINE_MS) continue;
    const text = [...told].map(([what, nodes]) => `${what}: ${nodes.join(' ')}`).join('; ');
    context.violation(
      'L3',
      null,
      facts.job,
      `they go by more than one after ${apartMs} ms: ${text}`,
    );
  }
}

const closeIn = ({ committed, spec }: JobRecords): Signed<'close'> | undefined =>
  committed
    .flatMap(({ record }) => (record.type === 'close' ? [record] : []))
    .find(({ body }) => body.version === spec.body.version);

/** The line in which the job came to this end. */
function lineWith(facts: JobFacts, close: Signed<'close'>): number {
  for (const [line, chosen] of facts.lines)
    if (chosen.get(slotText(close))?.record.id === close.id) return line;
  return facts.line;
}

/** L2 */
function checkTakenUp(context: LinesContext, orphaned: Since): void {
  const { reseedAfterMs } = context.limits;
  for (const facts of openJobs(context)) {
    const isSo = isOrphaned(facts, context.nodes) && !isStuck(facts, context.nodes);
    const ms = orphaned.ms(facts.job, isSo, context.now());
    const left = keepersThere(facts, context.nodes).length;
    const dueMs = CLOCKS * reseedAfterMs + NOTICED_MS + ASKING_MS + left * RANK_MS;
    if (ms <= dueMs) continue;
    const text = `${left} of its keepers are left and it is not re-seeded after ${ms} ms`;
    context.violation('L2', null, facts.job, text);
  }
}
