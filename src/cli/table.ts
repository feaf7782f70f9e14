/**
 * A table without borders that fits its terminal: what there is no room for is shortened, goes on below
 * itself, or is left out as a column, so that a line is never broken by the terminal. Pure.
 */

export interface Shape {
  readonly title: string;
  /** It may be shortened to so many characters; longer text ends with `…`. */
  readonly maxWidth?: number;
  /** Left out where there is no room for all, the highest number first. Without it the column stays. */
  readonly spare?: number;
  /** Goes on in lines below itself instead of being shortened. */
  readonly wraps?: boolean;
}

const GAP = '  ';
/** With fewer characters a text tells nothing any more; a column less is better then. */
const TEXT_MIN = 10;
const WRAPPED_MIN = 24;

const isFlexible = ({ maxWidth, wraps }: Shape): boolean =>
  maxWidth !== undefined || wraps === true;

const narrowest = (shape: Shape, natural: number): number =>
  isFlexible(shape)
    ? Math.min(natural, Math.max(shape.title.length, shape.wraps === true ? WRAPPED_MIN : TEXT_MIN))
    : natural;

const sum = (widths: readonly number[]): number =>
  widths.reduce((all, width) => all + width, 0) + GAP.length * Math.max(0, widths.length - 1);

/** Which columns stay, and how wide each is. */
function layOut(
  shapes: readonly Shape[],
  natural: readonly number[],
  width: number,
): { readonly index: number; readonly width: number }[] {
  let kept = shapes.map((_, index) => index);
  const least = (): number[] =>
    kept.map((index) => narrowest(shapes[index] as Shape, natural[index] ?? 0));
  while (sum(least()) > width) {
    const spare = kept
      .filter((index) => shapes[index]?.spare !== undefined)
      .sort((a, b) => (shapes[b]?.spare ?? 0) - (shapes[a]?.spare ?? 0));
    const [first] = spare;
    if (first === undefined) break;
    kept = kept.filter((index) => index !== first);
  }
  const widths = kept.map((index) => natural[index] ?? 0);
  const floor = least();
  // The widest gives first, a character at a time.
  while (sum(widths) > width) {
    let widest = -1;
    for (const [at, one] of widths.entries())
      if (one > (floor[at] ?? 0) && one > (widths[widest] ?? 0)) widest = at;
    if (widest < 0) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return kept.map((index, at) => ({ index, width: widths[at] ?? 0 }));
}

const shortened = (text: string, width: number): string =>
  text.length <= width ? text : `${text.slice(0, Math.max(0, width - 1))}…`;

/** Lines of at most `width` characters, broken between words where there are any. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const space = rest.lastIndexOf(' ', width);
    const at = space > width / 3 ? space : width;
    lines.push(rest.slice(0, at));
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/**
 * The lines of a table.
 * @param titles null = without them
 * @param width of the terminal, characters; infinite where there is none
 * @param paint a cell, padded already, of a row; row -1 is the titles
 */
export function tableLines(
  shapes: readonly Shape[],
  rows: readonly (readonly string[])[],
  titles: readonly string[] | null,
  width: number,
  paint: (text: string, row: number, column: number) => string,
): string[] {
  const all = titles === null ? rows : [titles, ...rows];
  const natural = shapes.map((_, index) =>
    all.reduce((most, row) => Math.max(most, (row[index] ?? '').length), 0),
  );
  const layout = layOut(shapes, natural, width);
  const first = titles === null ? 0 : -1;
  return all.flatMap((row, at) => {
    const cells = layout.map(({ index, width: room }) =>
      shapes[index]?.wraps === true
        ? wrapped(row[index] ?? '', Math.max(1, room))
        : [shortened(row[index] ?? '', room)],
    );
    const height = Math.max(1, ...cells.map((lines) => lines.length));
    return Array.from({ length: height }, (_, line) =>
      layout
        .map(({ index, width: room }, column) => {
          const isLast = cells.slice(column + 1).every((lines) => (lines[line] ?? '') === '');
          const text = cells[column]?.[line] ?? '';
          const padded = isLast ? text : text.padEnd(room);
          return text === '' ? padded : paint(padded, at + first, index);
        })
        .join(GAP)
        .trimEnd(),
    );
  });
}
