/** The result as Markdown. Computes nothing. */
import type { Machine } from './machine.ts';
import type { Row } from './statistics.ts';

export interface Report {
  readonly machine: Machine;
  readonly at: string;
  readonly quick: boolean;
  /** Load average of the last minute before and after. */
  readonly load: { readonly before: number; readonly after: number };
  readonly benches: readonly {
    readonly name: string;
    readonly seconds: number;
    readonly load: number;
    readonly rows: readonly Row[];
  }[];
  readonly skipped: readonly string[];
}

function figure(value: number): string {
  if (Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en-GB');
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(Math.abs(value) >= 10 ? 1 : 2);
}

function targetText({ target, met, median, p99, unit }: Row): string {
  if (target === null) return '–';
  const sign = target.wanted === 'at most' ? '≤' : '≥';
  const judged = target.of === 'p99' ? p99 : median;
  const share = `${((100 * judged) / target.limit).toFixed(0)} % of it`;
  const who = { median: '', p99: ', p99', 'every run': ', every run' }[target.of];
  return `${met === true ? '✓' : '✗'} ${sign} ${figure(target.limit)} ${unit}${who} (${share})`;
}

const cells = (texts: readonly string[]): string =>
  `| ${texts.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`;

export function markdown(report: Report): string {
  const { machine, load } = report;
  const lines = [
    `Machine: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGib.toFixed(0)} GiB, ${machine.kernel}, Node.js ${machine.node}, ${machine.docker === null ? 'no Docker' : `Docker ${machine.docker}`}. All peers and the measuring process share it.`,
    '',
    `Measured ${report.at}, load average ${load.before.toFixed(2)} before and ${load.after.toFixed(2)} after${report.quick ? '; quick run, not to be quoted' : ''}.`,
    '',
    cells(['', 'what', 'median', 'spread', 'runs', 'target', 'note']),
    cells(['---', '---', '---:', '---', '---:', '---', '---']),
  ];
  for (const { name, rows } of report.benches) {
    for (const one of rows) {
      const spread = `${figure(one.low)} – ${figure(one.high)} (${one.spread})`;
      lines.push(
        cells([
          name,
          one.what,
          `${figure(one.median)} ${one.unit}`,
          spread,
          String(one.runs),
          targetText(one),
          one.note,
        ]),
      );
    }
  }
  if (report.skipped.length > 0)
    lines.push('', ...report.skipped.map((why) => `Not measured: ${why}`));
  return lines.join('\n');
}
