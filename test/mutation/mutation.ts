/**
 * One small planted mistake: a text in a source file and what stands there instead. The tables beside
 * this file name them; `scripts/mutate.ts` plants each in a copy of the tree and looks who notices.
 */

export interface Mutation {
  /** What the core does wrong then, as a person would say it; unique. */
  readonly name: string;
  /** The function that holds the text; null = it stands only once in the whole file. */
  readonly within: string | null;
  readonly text: string;
  readonly instead: string;
  /** What it would cost; for an equivalent mutation why nothing shows. */
  readonly why: string;
  /** No test can see it, for the reason given: it is planted all the same, and may survive. */
  readonly equivalent?: true;
}

/** By file, its path from the root of the tree. */
export type Mutations = Readonly<Record<string, readonly Mutation[]>>;

/** The table and the tree have grown apart. */
export class MutationError extends Error {}

/**
 * The source of a file with the mistake in it.
 * @throws MutationError when the text is not there, or more than once: the table must be corrected
 */
export function planted(file: string, source: string, mutation: Mutation): string {
  const { name, within, text, instead } = mutation;
  const wrong = (what: string): MutationError =>
    new MutationError(`${file} ${what}. Correct the mutation "${name}" in test/mutation.`);
  const bounds = within === null ? { from: 0, to: source.length } : boundsOf(source, within);
  if (bounds === null) throw wrong(`has no function ${within}`);
  const part = source.slice(bounds.from, bounds.to);
  const at = part.indexOf(text);
  const place = within === null ? '' : ` in ${within}`;
  if (at < 0) throw wrong(`does not contain \`${text}\`${place}`);
  if (part.includes(text, at + 1)) throw wrong(`contains \`${text}\` more than once${place}`);
  const start = bounds.from + at;
  return source.slice(0, start) + instead + source.slice(start + text.length);
}

/** From the head of a function, or of a constant, to whatever comes next at the margin. */
function boundsOf(source: string, name: string): { from: number; to: number } | null {
  const head = new RegExp(`^(?:export )?(?:function\\*? |const )${name}\\b`, 'm').exec(source);
  if (head === null) return null;
  const from = head.index;
  const next = source
    .slice(from + head[0].length)
    .search(/^(?:export|function|const|type|\/\*\*|\/\/)/m);
  return { from, to: next < 0 ? source.length : from + head[0].length + next };
}
