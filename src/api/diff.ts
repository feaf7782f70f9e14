/** What changes between two texts, line by line: ` ` kept, `-` gone, `+` new. */

/** The comparison is quadratic; texts of more lines than this are shown as replaced. */
const LINES_MAX = 2000;

const linesOf = (text: string): readonly string[] => (text === '' ? [] : text.split('\n'));

export function diffLines(before: string, after: string): string {
  const left = linesOf(before);
  const right = linesOf(after);
  if (left.length > LINES_MAX || right.length > LINES_MAX) {
    return [...left.map((line) => `- ${line}`), ...right.map((line) => `+ ${line}`)].join('\n');
  }
  return merge(left, right);
}

/** Walks both texts along a longest common subsequence. */
function merge(left: readonly string[], right: readonly string[]): string {
  const common = lengths(left, right);
  const at = (row: number, column: number): number => common[row]?.[column] ?? 0;
  const lines: string[] = [];
  let row = 0;
  let column = 0;
  while (row < left.length || column < right.length) {
    if (row < left.length && column < right.length && left[row] === right[column]) {
      lines.push(`  ${left[row] ?? ''}`);
      row += 1;
      column += 1;
    } else if (
      row < left.length &&
      (column >= right.length || at(row + 1, column) >= at(row, column + 1))
    ) {
      lines.push(`- ${left[row] ?? ''}`);
      row += 1;
    } else {
      lines.push(`+ ${right[column] ?? ''}`);
      column += 1;
    }
  }
  return lines.join('\n');
}

/** At [row][column]: how many lines the rests from there have in common. */
function lengths(left: readonly string[], right: readonly string[]): number[][] {
  const table: number[][] = Array.from({ length: left.length + 1 }, () =>
    new Array<number>(right.length + 1).fill(0),
  );
  for (let row = left.length - 1; row >= 0; row -= 1) {
    for (let column = right.length - 1; column >= 0; column -= 1) {
      const line = table[row] as number[];
      const next = table[row + 1] as number[];
      line[column] =
        left[row] === right[column]
          ? (next[column + 1] ?? 0) + 1
          : Math.max(next[column] ?? 0, line[column + 1] ?? 0);
    }
  }
  return table;
}
