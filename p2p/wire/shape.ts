/**
 * Shapes of decoded values: small checkers that combine, each of which reads (checks a value from
 * outside) and writes (gives what the encoder takes). Strict: a missing or unknown key is refused.
 * Most shapes are plain, that is the checked value is passed on as it is, which keeps a record's
 * check at a few microseconds. Knows no bytes; `cbor.ts` does.
 *
 * A later version may say more: what it says in a message is read as far as it is known here (an open
 * reading), what it signs is taken whole or not at all.
 */
import type { WireCode } from './cbor.ts';

/** What `read` returns for a value that does not fit. */
export const bad: unique symbol = Symbol('bad');
export type Bad = typeof bad;

/** Collects the first fault of one reading. */
export class Faults {
  code: WireCode = 'bad-shape';
  place = '';
  /** Keys that nobody here knows are left out; else they are a fault. */
  readonly open: boolean;

  constructor(open = false) {
    this.open = open;
  }

  /** Keeps the innermost code; the place grows outwards. */
  at(key: string | number): Bad {
    this.place = this.place === '' ? String(key) : `${key}.${this.place}`;
    return bad;
  }

  because(code: WireCode, place: string): Bad {
    this.code = code;
    this.place = place;
    return bad;
  }
}

export interface Shape<T> {
  read(value: unknown, faults: Faults): T | Bad;
  write(value: T): unknown;
  /** True when reading and writing pass the very same value on. */
  readonly plain: boolean;
}

/** The type a shape describes. */
export type Shaped<S> = S extends Shape<infer T> ? T : never;

const same = <T>(value: T): unknown => value;

/** A plain shape made of a test. */
export function test<T>(fits: (value: unknown) => boolean): Shape<T> {
  return { read: (value) => (fits(value) ? (value as T) : bad), write: same, plain: true };
}

/** `maxLength` counts UTF-16 units. */
export const text = <T extends string = string>(maxLength: number, minLength = 0): Shape<T> =>
  test((value) => {
    if (typeof value !== 'string') return false;
    return value.length >= minLength && value.length <= maxLength;
  });

/** Bytes that are kept as they are. */
export const octets = (maxLength: number): Shape<Uint8Array> =>
  test((value) => value instanceof Uint8Array && value.length <= maxLength);

/** The pattern must be anchored, without flags. */
export const pattern = <T extends string = string>(expression: RegExp): Shape<T> =>
  test((value) => typeof value === 'string' && expression.test(value));

export const integer = <T extends number = number>(min: number, max: number): Shape<T> =>
  test((value) => Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max);

/** A finite number, fractions allowed: only where nothing signed depends on its last bit. */
export const fraction = (min: number, max: number): Shape<number> =>
  test((value) => typeof value === 'number' && value >= min && value <= max);

export const flag: Shape<boolean> = test((value) => typeof value === 'boolean');

export const literal = <const T extends string | number | boolean>(wanted: T): Shape<T> =>
  test((value) => value === wanted);

/** One of a closed union of strings; the record makes the compiler check that none is forgotten. */
export function oneOf<T extends string>(names: Readonly<Record<T, true>>): Shape<T> {
  const known = new Set<unknown>(Object.keys(names));
  return {
    plain: true,
    read(value, faults) {
      if (known.has(value)) return value as T;
      return typeof value === 'string' ? faults.because('unknown-type', '') : bad;
    },
    write: same,
  };
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return {
    plain: shape.plain,
    read: (value, faults) => (value === null ? null : shape.read(value, faults)),
    write: shape.plain ? same : (value) => (value === null ? null : shape.write(value)),
  };
}

export function list<T>(shape: Shape<T>, max: number, min = 0): Shape<readonly T[]> {
  return {
    plain: shape.plain,
    read(value, faults) {
      if (!Array.isArray(value) || value.length > max || value.length < min) return bad;
      let members: T[] | null = shape.plain ? null : [];
      for (const [index, member] of value.entries()) {
        const read = shape.read(member, faults);
        if (read === bad) return faults.at(index);
        // A plain member is another one only when something was left out of it.
        if (members === null && read !== member) members = value.slice(0, index) as T[];
        members?.push(read);
      }
      return members ?? (value as readonly T[]);
    },
    write: shape.plain ? same : (value) => value.map((member) => shape.write(member)),
  };
}

export function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}

/** A map with free keys. */
export function dictionary<T>(
  shape: Shape<T>,
  max: number,
  maxKeyLength: number,
): Shape<Readonly<Record<string, T>>> {
  return {
    plain: true,
    read(value, faults) {
      if (!isMap(value)) return bad;
      const keys = Object.keys(value);
      if (keys.length > max) return bad;
      for (const key of keys) {
        if (key.length > maxKeyLength) return bad;
        if (shape.read(value[key], faults) === bad) return faults.at('*');
      }
      return value as Readonly<Record<string, T>>;
    },
    write: same,
  };
}

/** The shape of a field that may be absent. */
export interface Optional<T> {
  readonly optional: Shape<T>;
}

export const optional = <T>(shape: Shape<T>): Optional<T> => ({ optional: shape });

/** One shape per key of `T`; the compiler refuses a table that lacks or invents one. */
export type Fields<T> = {
  readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional<NonNullable<T[K]>> : Shape<T[K]>;
};

/** A map with these keys, of which the optional ones may be absent, and no others ({@link Faults.open}). */
export function map<T extends object>(fields: Fields<T>): Shape<T> {
  const entries = Object.entries<Shape<unknown> | Optional<unknown>>(fields).map(
    ([key, field]): Entry =>
      'optional' in field ? [key, field.optional, true] : [key, field, false],
  );
  const plain = entries.every(([, shape]) => shape.plain);
  return {
    plain,
    read(value, faults) {
      if (!isMap(value)) return bad;
      let copy: Record<string, unknown> | null = plain ? null : {};
      let known = 0;
      for (const [key, shape, isOptional] of entries) {
        if (!Object.hasOwn(value, key)) {
          if (isOptional) continue;
          return faults.at(key);
        }
        const read = shape.read(value[key], faults);
        if (read === bad) return faults.at(key);
        known += 1;
        if (copy === null && read !== value[key]) copy = only(entries, value);
        if (copy !== null) copy[key] = read;
      }
      if (Object.keys(value).length === known) return (copy ?? value) as T;
      if (!faults.open) return faults.because('unknown-field', stranger(entries, value));
      return (copy ?? only(entries, value)) as T;
    },
    write: plain
      ? same
      : (value) => writeFields(entries, value as Readonly<Record<string, unknown>>),
  };
}

type Entry = readonly [key: string, shape: Shape<unknown>, isOptional: boolean];
type Members = Readonly<Record<string, unknown>>;

/** What of a map is of the shape. */
const only = (entries: readonly Entry[], value: Members): Record<string, unknown> =>
  Object.fromEntries(
    entries.flatMap(([key]) => (Object.hasOwn(value, key) ? [[key, value[key]]] : [])),
  );

/** The first key that is not. */
function stranger(entries: readonly Entry[], value: Members): string {
  const known = new Set(entries.map(([key]) => key));
  return Object.keys(value).find((key) => !known.has(key)) ?? '';
}

/**
 * A plain map with at least these keys; the others are kept as they are. For what is signed elsewhere and
 * handed on as a whole.
 */
export function atLeast<T extends object>(fields: Fields<T>): Shape<T> {
  const entries = Object.entries<Shape<unknown> | Optional<unknown>>(fields);
  return {
    plain: true,
    read(value, faults) {
      if (!isMap(value)) return bad;
      for (const [key, field] of entries) {
        const isHere = Object.hasOwn(value, key);
        if (!isHere && 'optional' in field) continue;
        const shape = 'optional' in field ? field.optional : field;
        if (!isHere || shape.read(value[key], faults) === bad) return faults.at(key);
      }
      return value as T;
    },
    write: same,
  };
}

/** Plain shapes of one type, chosen by the string under `tag`, with one for all that have none of their own. */
export function byKind<T extends object>(
  tag: keyof T & string,
  kinds: Readonly<Record<string, Shape<T>>>,
  otherwise: Shape<T>,
): Shape<T> {
  const shapes = new Map<unknown, Shape<T>>(Object.entries(kinds));
  return {
    plain: true,
    read: (value, faults) =>
      isMap(value) ? (shapes.get(value[tag]) ?? otherwise).read(value, faults) : bad,
    write: same,
  };
}

function writeFields(
  entries: readonly Entry[],
  value: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const written: Record<string, unknown> = {};
  for (const [key, shape, isOptional] of entries) {
    if (isOptional && value[key] === undefined) continue;
    written[key] = shape.write(value[key]);
  }
  return written;
}

/** A shape per member of a union, chosen by the string under `tag`. */
export type Variants<U, Tag extends keyof U> = {
  readonly [K in U[Tag] & string]: Shape<Extract<U, { readonly [T in Tag]: K }>>;
};

/** A union of maps told apart by one key; a table that lacks a member does not compile. */
export function union<U extends object, Tag extends keyof U & string>(
  tag: Tag,
  variants: Variants<U, Tag>,
): Shape<U> {
  const shapes = new Map(Object.entries(variants)) as ReadonlyMap<unknown, Shape<U>>;
  return {
    plain: [...shapes.values()].every((shape) => shape.plain),
    read(value, faults) {
      if (!isMap(value)) return bad;
      const kind = value[tag];
      const shape = shapes.get(kind);
      if (shape !== undefined) return shape.read(value, faults);
      return typeof kind === 'string' ? faults.because('unknown-type', tag) : faults.at(tag);
    },
    write(value) {
      const shape = shapes.get(value[tag]);
      if (shape === undefined) throw new TypeError(`no shape for ${tag} ${String(value[tag])}`);
      return shape.write(value);
    },
  };
}
