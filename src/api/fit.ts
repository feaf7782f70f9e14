/** Which of the nodes known here could run a job, by what each tells everybody of itself. Pure. */
import { mayRun } from '../core/placing/eligibility.ts';
import { shortages, takenBy } from '../core/placing/resources.ts';
import type { AdvertBody } from '../core/record/records.ts';
import type { Refusal } from '../core/record/refusals.ts';
import { favourOf, matches } from '../job/constraints.ts';
import type { Job } from '../job/model.ts';
import { own } from '../job/own.ts';
import { explainWaiting } from './explain.ts';
import type { FitAnswer } from './types.ts';

/** Reasons that are told, the most frequent first. */
const REASONS_MAX = 20;

function refusalsOf(advert: AdvertBody, { Constraints, Task }: Job): readonly Refusal[] {
  const { Engine, Publisher, InputSources } = Task;
  const refusals: Refusal[] = [];
  if (!advert.engines.includes(Engine.Type))
    refusals.push({ code: 'engine-missing', engine: Engine.Type, detail: '' });
  if (Publisher.Type !== '' && !advert.publishers.includes(Publisher.Type))
    refusals.push({ code: 'publisher-missing', publisher: Publisher.Type });
  for (const { Source } of InputSources)
    if (!advert.sources.includes(Source.Type))
      refusals.push({ code: 'source-missing', source: Source.Type });
  for (const constraint of Constraints)
    if (favourOf(constraint) === null && !matches(constraint, advert.labels)) {
      const actual = own(advert.labels, constraint.Key) ?? null;
      refusals.push({ code: 'constraint', constraint, actual });
    }
  for (const { resource, wanted, available } of shortages(takenBy(Task, {}), advert.capacity))
    refusals.push({ code: 'too-big', resource, wanted, capacity: available });
  return refusals;
}

/** The answer for a person who would otherwise submit it and see it wait. */
export function fitOf(adverts: readonly AdvertBody[], job: Job): FitAnswer {
  const counted = new Map<string, { readonly refusal: Refusal; nodes: number }>();
  for (const advert of adverts)
    for (const refusal of refusalsOf(advert, job)) {
      const key = JSON.stringify(refusal);
      const known = counted.get(key) ?? { refusal, nodes: 0 };
      known.nodes += 1;
      counted.set(key, known);
    }
  const refusals = [...counted.values()].sort((a, b) => b.nodes - a.nodes).slice(0, REASONS_MAX);
  const nodes = adverts.length;
  const known = { nodesKnown: nodes, nodesAnswered: nodes, partitionsWaiting: 0 };
  return {
    Nodes: nodes,
    Fit: adverts.filter((advert) => mayRun(advert, job)).length,
    Reasons: explainWaiting({ ...known, refusals, keepersReached: 1, keepers: 1 }),
  };
}
