/** Puts the figures of meshes of several sizes into a table and a plot, 80 columns wide. */
import type { ScaleFigures } from './scale.ts';

/** Sizes that are looked at, up to the one asked for; and how many jobs at least. */
const SIZES = [30, 100, 300, 1_000, 3_000, 10_000];
const JOBS_MIN = 200;
/** Jobs submitted in a second, of all clients together. */
const JOBS_PER_SECOND = 100;
const SPREAD_MIN_MS = 60_000;
const PLOT_COLUMNS = 40;

export const scaleSizes = (most: number): readonly number[] => [
  ...SIZES.filter((size) => size < most),
  most,
];

/** As many jobs as nodes, or as many as were asked for. */
export function scaleOptions(nodes: number, asked: number | null, seed: number) {
  const jobs = asked ?? Math.max(JOBS_MIN, nodes);
  const spreadMs = Math.max(SPREAD_MIN_MS, (jobs * 1_000) / JOBS_PER_SECOND);
  return { nodes, jobs, seed, spreadMs };
}

const HEAD = [
  '          what one node takes in          for each job             leader  on every',
  '  nodes   idle/s  kB/s  busy/s  kB/s  sent  heard   µs  p50     most     node',
];

export const scaleHead = (): string => HEAD.join('\n');

/** One line of the table. */
export function scaleLine(figures: ScaleFigures): string {
  const { idle, busy, failoverMs, everywhereMs } = figures;
  const seconds = (ms: number | undefined): string =>
    ms === undefined ? '-' : `${(ms / 1_000).toFixed(2)} s`;
  return [
    figures.nodes.toLocaleString('en').padStart(7),
    idle.messages.toFixed(1).padStart(8),
    (idle.bytes / 1_000).toFixed(1).padStart(5),
    busy.messages.toFixed(1).padStart(7),
    (busy.bytes / 1_000).toFixed(1).padStart(5),
    figures.messagesPerJob.toFixed(0).padStart(5),
    figures.heardPerJob.toFixed(2).padStart(6),
    figures.hearingUs.toFixed(1).padStart(5),
    seconds(failoverMs[Math.floor(failoverMs.length / 2)]).padStart(7),
    seconds(failoverMs.at(-1)).padStart(7),
    (everywhereMs === null ? `${figures.ranOn}` : seconds(everywhereMs)).padStart(7),
  ].join(' ');
}

/** The cost of a job against the size of the mesh: what is sent for it, and what others have of it. */
export function scalePlot(all: readonly ScaleFigures[]): string {
  return [
    ...bars('messages sent for one job', all, ({ messagesPerJob }) => messagesPerJob),
    '',
    ...bars(
      'processor time of one job, µs, at a node without a part in it',
      all,
      (figures) => figures.heardPerJob * figures.hearingUs,
    ),
  ].join('\n');
}

function bars(
  title: string,
  all: readonly ScaleFigures[],
  of: (figures: ScaleFigures) => number,
): readonly string[] {
  const most = Math.max(...all.map(of));
  const lines = all.map((figures) => {
    const value = of(figures);
    const bar = '█'.repeat(Math.max(1, Math.round((value / most) * PLOT_COLUMNS)));
    return `${figures.nodes.toLocaleString('en').padStart(7)} ${bar} ${value.toFixed(value < 100 ? 1 : 0)}`;
  });
  return [title, ...lines];
}
