/**
 * Lists and values on stdout: a table without borders, CSV, JSON or YAML. The same rows feed all of
 * them; JSON and YAML print the API's items as they are.
 */
import { stringifyExact } from '../lib/exact-json.ts';
import { write, type Io } from './io.ts';
import { tableLines, type Shape } from './table.ts';
import { painter, plainLine, plainText, type Style } from './text.ts';

export type OutputFormat = 'table' | 'wide' | 'csv' | 'json' | 'yaml' | 'name';

export interface OutputOptions {
  readonly output?: OutputFormat;
  readonly pretty?: boolean;
  readonly hideHeader?: boolean;
  /** False for `--no-style`. */
  readonly style?: boolean;
  readonly wide?: boolean;
}

export interface Column<T> extends Shape {
  /** May hold remote text; it is made harmless here. */
  readonly value: (item: T) => string;
  readonly style?: (item: T) => Style | null;
}

/**
 * A list in the format asked for.
 * @param nameOf what `--output name` prints of each
 */
export async function printList<T>(
  io: Io,
  items: readonly T[],
  columns: readonly Column<T>[],
  options: OutputOptions,
  nameOf: (item: T) => string = () => '',
): Promise<void> {
  const format = options.output ?? 'table';
  if (format === 'json' || format === 'yaml') {
    await printValue(io, items, format, options.pretty === true);
    return;
  }
  if (format === 'name') return printLines(io, items.map(nameOf).map(plainLine));
  const isWide = options.wide === true || format === 'wide';
  const rows = items.map((item) => columns.map((column) => plainLine(column.value(item))));
  const titles = columns.map((column) => column.title);
  const lines =
    format === 'csv'
      ? csv(titles, rows, options)
      : table(io, { items, columns, rows, isWide }, options);
  await write(io.stdout, lines.map((line) => `${line}\n`).join(''));
}

function csv(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  options: OutputOptions,
): string[] {
  const cell = (text: string): string =>
    /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const all = options.hideHeader === true ? rows : [titles, ...rows];
  return all.map((row) => row.map(cell).join(','));
}

interface Table<T> {
  readonly items: readonly T[];
  readonly columns: readonly Column<T>[];
  readonly rows: readonly (readonly string[])[];
  /** Nothing is shortened or left out, whatever the terminal. */
  readonly isWide: boolean;
}

function table<T>(
  io: Io,
  { items, columns, rows, isWide }: Table<T>,
  options: OutputOptions,
): string[] {
  const paint = painter(io, 'stdout', options.style === false);
  const cut = (text: string, max = Number.POSITIVE_INFINITY): string =>
    isWide || text.length <= max ? text : `${text.slice(0, max - 1)}…`;
  const shown = rows.map((row) => row.map((text, index) => cut(text, columns[index]?.maxWidth)));
  const titles =
    options.hideHeader === true ? null : columns.map(({ title }) => title.toUpperCase());
  const width = io.terminal.stdout && !isWide ? io.columns() : Number.POSITIVE_INFINITY;
  return tableLines(columns, shown, titles, width, (text, row, column) => {
    const item = items[row];
    const style = item === undefined ? 'bold' : (columns[column]?.style?.(item) ?? null);
    return style === null ? text : paint(style, text);
  });
}

/** Any value as JSON or YAML, from which remote text comes back as it was: what a terminal obeys or hides is escaped. */
export async function printValue(
  io: Io,
  value: unknown,
  format: 'json' | 'yaml',
  pretty: boolean,
): Promise<void> {
  if (format === 'json') {
    await write(io.stdout, `${stringifyExact(value, pretty ? 2 : 0)}\n`);
    return;
  }
  const { yamlText } = await import('./yaml-text.ts');
  await write(io.stdout, yamlText(value));
}

/** `KEY    value` lines, keys in one column; a value of several lines cannot pass for another key. */
export function keyValues(pairs: readonly (readonly [string, string])[]): string[] {
  const width = Math.max(0, ...pairs.map(([key]) => key.length));
  const indent = `\n${' '.repeat(width + 2)}`;
  return pairs.map(([key, value]) =>
    `${key.padEnd(width)}  ${plainText(value).replaceAll('\n', indent)}`.trimEnd(),
  );
}

/** Lines that may hold remote text, which is made harmless here. */
export const printLines = (io: Io, lines: readonly string[]): Promise<void> =>
  write(io.stdout, plainText(lines.map((line) => `${line}\n`).join('')));

/** A line of our own in bold, after an empty one. */
export const printHeading = (io: Io, title: string): Promise<void> =>
  write(io.stdout, `\n${painter(io, 'stdout', false)('bold', plainLine(title))}\n`);
