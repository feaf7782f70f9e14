/** Puts a run into words: what happened and what it cost, or what broke and how it came to that. */
import { endOf } from './facts.ts';
import { shortId } from '../../src/core/record/ids.ts';
import type { JobFacts } from './facts.ts';
import { describeOptions } from './options.ts';
import type { Report } from './run.ts';

/** Lines of a timeline that are printed with a violation: the last ones tell how it came. */
const LINES_SHOWN = 400;

/** `realMs`: measured by the caller; the simulation itself reads no clock. */
export function describeReport(report: Report, realMs: number): string {
  const { statistics, jobs, options } = report;
  const sent = sum(statistics.messages);
  const closed = jobs.filter((facts) => endOf(facts) !== undefined);
  const outcomes = new Map<string, number>();
  for (const facts of jobs) {
    const close = endOf(facts)?.record;
    const outcome = close?.type === 'close' ? `${close.body.outcome} (${close.body.code})` : 'open';
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  const attempts = jobs.map(attemptsOf);
  const times = completionTimes(report);
  return [
    `virtual time   ${seconds(report.virtualMs)}, real time ${seconds(realMs)}, ${report.inputs} inputs handled`,
    `jobs           ${closed.length} of ${jobs.length} over: ${table(outcomes, 8)}`,
    `failovers      ${jobs.reduce((total, facts) => total + facts.epochs.size, 0)} epochs after the first, in ${jobs.filter((facts) => facts.epochs.size > 0).length} jobs`,
    `attempts       ${attempts.reduce((total, count) => total + count, 0)} assignments for ${jobs.reduce((total, facts) => total + (facts.spec?.spec.Count ?? 0), 0)} partitions`,
    `time to end    p50 ${seconds(quantile(times, 0.5))}, p99 ${seconds(quantile(times, 0.99))} beyond the run itself`,
    `messages       ${sent}: ${(sent / Math.max(1, jobs.length)).toFixed(0)} per job, ${(sent / options.nodes).toFixed(0)} per node`,
    `  by type      ${table(statistics.messages, 10)}`,
    `gossip         ${sum(statistics.gossip)} published: ${table(statistics.gossip, 4)}`,
    `events         ${table(statistics.events, 20)}`,
    `trace          ${report.traceHash}`,
  ].join('\n');
}

/** Everything a person needs to start looking: options, violations, the timelines of their jobs. */
export function describeViolations(report: Report): string {
  const lines = [describeOptions(report.options), ''];
  for (const { checker, node, job, atMs, message } of report.violations) {
    lines.push(
      `${checker} broken at ${atMs} ms, node ${node ?? '-'}, job ${job === null ? '-' : shortId(job)}: ${message}`,
    );
  }
  const [first] = report.violations;
  const timeline = report.timeline?.lines(first?.job ?? null) ?? [];
  if (timeline.length > 0) {
    lines.push('', `timeline of ${first?.job ?? 'the mesh'} (last ${LINES_SHOWN} lines)`);
    lines.push(...timeline.slice(-LINES_SHOWN));
  }
  return lines.join('\n');
}

const attemptsOf = (facts: JobFacts): number =>
  [...facts.chosen.keys()].filter((slot) => slot.startsWith('assign/')).length;

/** From the first submission to the certified close, less the time the program itself takes. */
function completionTimes(report: Report): readonly number[] {
  const times: number[] = [];
  for (const facts of report.jobs) {
    const close = endOf(facts);
    const client = report.clients.find(
      (candidate) => candidate.spec.Name === facts.spec?.spec.Name,
    );
    if (close?.record.type !== 'close' || close.record.body.outcome !== 'completed') continue;
    if (client !== undefined) times.push(close.at - client.submitAt - client.runMs);
  }
  return times.sort((a, b) => a - b);
}

const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
const sum = (counts: ReadonlyMap<string, number>): number =>
  [...counts.values()].reduce((total, count) => total + count, 0);

/** `name count`, the largest first. */
const table = (counts: ReadonlyMap<string, number>, most: number): string =>
  [...counts]
    .sort(([, a], [, b]) => b - a)
    .slice(0, most)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ');
