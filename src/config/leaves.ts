/**
 * The settings as a flat list, taken from the schema: what each is called, what kind of value it
 * takes and how a text (environment variable, flag) becomes one. It checks kinds only; ranges are
 * the schema's.
 */
import type { z } from 'zod';
import { configSchema } from './schema.ts';

export type LeafKind = 'text' | 'number' | 'boolean' | 'list' | 'map';

export interface Leaf {
  /** `section.key` */
  readonly path: string;
  readonly kind: LeafKind;
  readonly description: string;
  /** `SHOAL_SECTION_KEY` */
  readonly variable: string;
}

/** The text was not of the kind that a setting takes. */
export interface Unreadable {
  readonly expected: string;
}

/** Just as much of zod's inner structure as the walk needs. */
interface Inspectable {
  readonly description?: string | undefined;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly _zod: { readonly def: { readonly type: string; readonly innerType?: z.core.$ZodType } };
}

const KINDS: Readonly<Record<string, LeafKind>> = {
  string: 'text',
  enum: 'text',
  number: 'number',
  boolean: 'boolean',
  array: 'list',
  record: 'map',
};

/** `inputMaxBytes` → `INPUT_MAX_BYTES` */
const upperSnake = (key: string): string =>
  key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();

function collect(schema: z.core.$ZodType, keys: readonly string[], found: Map<string, Leaf>): void {
  const description = (schema as unknown as Inspectable).description ?? '';
  let bare = schema as unknown as Inspectable;
  while (bare._zod.def.innerType !== undefined)
    bare = bare._zod.def.innerType as unknown as Inspectable;
  if (bare.shape !== undefined) {
    for (const [key, child] of Object.entries(bare.shape)) collect(child, [...keys, key], found);
    return;
  }
  const kind = KINDS[bare._zod.def.type];
  const path = keys.join('.');
  if (kind === undefined) throw new TypeError(`no kind for ${path}: ${bare._zod.def.type}`);
  found.set(path, {
    path,
    kind,
    description,
    variable: ['SHOAL', ...keys.map(upperSnake)].join('_'),
  });
}

function allLeaves(): ReadonlyMap<string, Leaf> {
  const found = new Map<string, Leaf>();
  collect(configSchema, [], found);
  return found;
}

/** By path, in the order of the schema. */
export const leaves: ReadonlyMap<string, Leaf> = allLeaves();

/** Makes a value of a text. Lists are separated by commas; maps are `KEY=VALUE` separated by commas. */
export function fromText(kind: LeafKind, text: string): { readonly value: unknown } | Unreadable {
  switch (kind) {
    case 'text':
      return { value: text };
    case 'number':
      return /^-?\d+$/.test(text.trim()) ? { value: Number(text) } : { expected: 'a whole number' };
    case 'boolean':
      if (/^(true|1|yes|on)$/i.test(text.trim())) return { value: true };
      return /^(false|0|no|off)$/i.test(text.trim())
        ? { value: false }
        : { expected: 'true or false' };
    case 'list':
      return { value: parts(text) };
    case 'map':
      return mapOf(parts(text));
  }
}

/** The values of a repeated flag; commas inside a value stay. */
export function fromTexts(
  kind: LeafKind,
  texts: readonly string[],
): { readonly value: unknown } | Unreadable {
  if (kind === 'list') return { value: texts };
  if (kind === 'map') return mapOf(texts);
  return texts.length === 1 ? fromText(kind, texts[0] ?? '') : { expected: 'one value' };
}

const parts = (text: string): string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

function mapOf(pairs: readonly string[]): { readonly value: unknown } | Unreadable {
  const entries = pairs.map((pair) => {
    const at = pair.indexOf('=');
    return at < 1 ? null : ([pair.slice(0, at).trim(), pair.slice(at + 1).trim()] as const);
  });
  const complete = entries.filter((entry) => entry !== null);
  if (complete.length < entries.length) return { expected: 'KEY=VALUE' };
  return { value: Object.fromEntries(complete) };
}

/** The known name nearest to a misspelt one, if any is near; for "did you mean". */
export function nearest(name: string, known: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(left: string, right: string): number {
  let previous = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (let row = 1; row <= left.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const change = left[row - 1] === right[column - 1] ? 0 : 1;
      current[column] = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + change,
      );
    }
    previous = current;
  }
  return previous[right.length] ?? 0;
}
