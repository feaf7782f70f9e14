/**
 * Constraints on the labels of a node, with the rules of Kubernetes selectors: reading, checking,
 * matching, and the one-line form of the command line. Who is matched is decided elsewhere.
 */
import type { Constraint, ConstraintOperator } from './model.ts';
import { own } from './own.ts';
import { readItems, readKnown, readText, readTexts } from './reader.ts';
import { show, suggestion, type Field, type Report } from './problem.ts';

type Labels = Readonly<Record<string, string>>;

/** A key with this prefix expresses a wish on the rest of the key; it never keeps a node out. */
const FAVOUR_PREFIX = 'favour_';

const OPERATORS: readonly ConstraintOperator[] = [
  '=',
  '!=',
  'in',
  'notin',
  'exists',
  '!',
  'gt',
  'lt',
];

/** Signed 64-bit integers, as Go reads them. */
const INTEGER = /^[+-]?\d{1,19}$/;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

function parseInt64(text: string): bigint | null {
  if (!INTEGER.test(text)) return null;
  const value = BigInt(text.replace(/^\+/, ''));
  return value >= INT64_MIN && value <= INT64_MAX ? value : null;
}

/** True when labels with these values satisfy the constraint. A favour is matched by its whole key. */
export function matches(constraint: Constraint, labels: Labels): boolean {
  const { Key, Operator, Values } = constraint;
  const actual = own(labels, Key);
  switch (Operator) {
    case '=':
    case 'in':
      return actual !== undefined && Values.includes(actual);
    case '!=':
    case 'notin':
      return actual === undefined || !Values.includes(actual);
    case 'exists':
      return actual !== undefined;
    case '!':
      return actual === undefined;
    case 'gt':
    case 'lt': {
      const have = actual === undefined ? null : parseInt64(actual);
      const limit = parseInt64(Values[0] ?? '');
      if (have === null || limit === null) return false;
      return Operator === 'gt' ? have > limit : have < limit;
    }
  }
}

/** True for a wish (`favour_` key), which never keeps a node out. */
export function isFavour(constraint: Constraint): boolean {
  return favourOf(constraint) !== null;
}

/** The wish behind a `favour_` key, with the plain key; null for a constraint that must hold. */
export function favourOf(constraint: Constraint): Constraint | null {
  const { Key } = constraint;
  if (!Key.startsWith(FAVOUR_PREFIX) || Key.length === FAVOUR_PREFIX.length) return null;
  return { ...constraint, Key: Key.slice(FAVOUR_PREFIX.length) };
}

/** Constraints that must hold, and wishes (their keys without the prefix). */
export function splitConstraints(constraints: readonly Constraint[]): {
  readonly required: readonly Constraint[];
  readonly favoured: readonly Constraint[];
} {
  return {
    required: constraints.filter((constraint) => !isFavour(constraint)),
    favoured: constraints.map(favourOf).filter((favour) => favour !== null),
  };
}

/** `region in (eu,us)`: the constraint as the command line takes it. */
export function formatConstraint({ Key, Operator, Values }: Constraint): string {
  switch (Operator) {
    case 'exists':
      return Key;
    case '!':
      return `!${Key}`;
    case 'in':
    case 'notin':
      return `${Key} ${Operator} (${Values.join(',')})`;
    case 'gt':
      return `${Key}>${Values[0] ?? ''}`;
    case 'lt':
      return `${Key}<${Values[0] ?? ''}`;
    case '=':
    case '!=':
      return `${Key}${Operator}${Values[0] ?? ''}`;
  }
}

/** Why a constraint can never be evaluated; null when it can. */
export function whyUnusable({ Key, Operator, Values }: Constraint): string | null {
  if (Key.trim() === '') return 'the key is empty';
  const count = Values.length;
  if (Operator === 'exists' || Operator === '!') {
    if (count > 0) return `operator ${Operator} takes no values, got ${count}`;
  } else if (Operator === 'in' || Operator === 'notin') {
    if (count === 0) return `operator ${Operator} needs at least one value`;
  } else if (count !== 1) {
    return `operator ${Operator} takes exactly one value, got ${count}`;
  }
  const plainKey = Key.startsWith(FAVOUR_PREFIX) ? Key.slice(FAVOUR_PREFIX.length) : Key;
  if (!isLabelKey(plainKey)) {
    return `${show(Key)} is no label key: at most 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or digit, with an optional DNS prefix and /`;
  }
  if (Operator === 'gt' || Operator === 'lt') {
    // No check as a label value: Kubernetes refuses -1 for its sign, although it compares with it.
    if (parseInt64(Values[0] ?? '') !== null) return null;
    return `operator ${Operator} compares whole numbers, got ${show(Values[0])}`;
  }
  const bad = Values.find((value) => !isLabelValue(value));
  if (bad !== undefined) {
    return `${show(bad)} is no label value: at most 63 of A-Z a-z 0-9 . _ -, beginning and ending with a letter or digit`;
  }
  return null;
}

const LABEL_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const DNS_LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

function isLabelKey(key: string): boolean {
  const parts = key.split('/');
  const name = parts.pop() ?? '';
  if (parts.length > 1 || !LABEL_NAME.test(name)) return false;
  const prefix = parts[0];
  if (prefix === undefined) return true;
  return prefix.length <= 253 && prefix.split('.').every((label) => DNS_LABEL.test(label));
}

function isLabelValue(value: string): boolean {
  return value === '' || LABEL_NAME.test(value);
}

/** The `Constraints` of a job; what cannot be evaluated is reported and left out. */
export function readConstraints(report: Report, field: Field): readonly Constraint[] {
  const constraints: Constraint[] = [];
  for (const item of readItems(report, field)) {
    const struct = readKnown(report, item, ['Key', 'Operator', 'Values']);
    if (struct === null) continue;
    const Key = readText(report, struct.get('Key')).trim();
    const written = readText(report, struct.get('Operator')).trim();
    const Values = readTexts(report, struct.get('Values'));
    const Operator = OPERATORS.find((name) => name === (written === '==' ? '=' : written));
    if (Operator === undefined) {
      const hint = suggestion(written, OPERATORS);
      const known = OPERATORS.join(' ');
      report.problem(
        struct.get('Operator'),
        written === '' ? 'required' : 'unknown-value',
        `expected one of ${known}, got ${show(written)}.${hint}`,
      );
      continue;
    }
    const constraint = { Key, Operator, Values };
    const why = whyUnusable(constraint);
    if (why === null) constraints.push(constraint);
    else report.problem(item, 'malformed', why);
  }
  return constraints;
}
