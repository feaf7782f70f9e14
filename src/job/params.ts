/**
 * Typed plug-ins (`{Type, Params}`): the common part of engines, sources and publishers. Known
 * parameters get their canonical spelling and are checked, unknown ones are kept as written.
 */
import type { Json, SpecConfig } from './model.ts';
import {
  isGiven,
  readBoolean,
  readJson,
  readKnown,
  readStruct,
  readText,
  readTexts,
} from './reader.ts';
import { show, suggestion, type Field, type Report } from './problem.ts';

/** Reads one parameter; `undefined` leaves it out. */
export type ParamReader = (report: Report, field: Field) => Json | undefined;

/** Parameters by canonical name. */
export type ParamReaders = Readonly<Record<string, ParamReader>>;

export interface PlugIn {
  /** Trimmed, lower case. */
  readonly type: string;
  readonly typeField: Field;
  readonly params: Field;
}

/** `{Type, Params}`; a plug-in that is not given has the type ''. */
export function readPlugIn(report: Report, field: Field): PlugIn {
  const struct = readKnown(report, field, ['Type', 'Params']);
  if (struct === null)
    return { type: '', typeField: field, params: { ...field, value: undefined } };
  const typeField = struct.get('Type');
  const type = readText(report, typeField).trim().toLowerCase();
  return { type, typeField, params: struct.get('Params') };
}

/** The parameters with their canonical names, then the unknown ones. */
export function readParams(
  report: Report,
  field: Field,
  readers: ParamReaders,
): SpecConfig['Params'] {
  const names = Object.keys(readers);
  const struct = readStruct(report, field, names);
  if (struct === null) return {};
  const params: [string, Json][] = [];
  for (const [name, read] of Object.entries(readers)) {
    const value = read(report, struct.get(name));
    if (value !== undefined) params.push([name, value]);
  }
  for (const { key, field: member } of struct.unknown) {
    params.push([key, readJson(report, member)]);
    const hint = suggestion(key, names);
    const message = `unknown parameter ${show(key)} is kept but not used.${hint}`;
    report.warningAtKey(member, 'unknown-field', message);
  }
  return Object.fromEntries(params);
}

/** The parameters of a plug-in that is not ours to know. */
export function readFreeParams(report: Report, field: Field): SpecConfig['Params'] {
  if (!isGiven(field)) return {};
  const struct = readStruct(report, field, []);
  const entries = struct?.unknown.map(({ key, field: member }): [string, Json] => [
    key,
    readJson(report, member),
  ]);
  return Object.fromEntries(entries ?? []);
}

/** Warns of a type that is none of ours: accepted, but no node may have it. */
export function warnUnknownType(
  report: Report,
  plugIn: PlugIn,
  kind: string,
  known: readonly string[],
): void {
  const hint = suggestion(plugIn.type, known);
  const message = `${show(plugIn.type)} is no ${kind} of shoal; the job waits for a node that has it.${hint}`;
  report.warning(plugIn.typeField, 'doubtful', message);
}

/** Text without blanks around it; left out when empty. */
export const optionalText: ParamReader = (report, field) =>
  readText(report, field).trim() || undefined;

/** Text that must be there. `what`: for the message. */
export function requiredText(what: string): ParamReader {
  return (report, field) => {
    const text = readText(report, field).trim();
    if (text === '') reportMissing(report, field, what);
    return text;
  };
}

/** Reports a parameter that is not there, unless it is there with a wrong type (reported before). */
export function reportMissing(report: Report, field: Field, what: string): void {
  if (isGiven(field) && typeof field.value !== 'string') return;
  report.problem(field, 'required', `${what} is missing`);
}

/** A list of texts; left out when empty. */
export const optionalTexts: ParamReader = (report, field) => {
  const texts = readTexts(report, field);
  return texts.length === 0 ? undefined : texts;
};

export const optionalBoolean: ParamReader = (report, field) =>
  readBoolean(report, field) ?? undefined;

/** One of the words, in any case; left out when empty. */
export function optionalWord(words: readonly string[]): ParamReader {
  return (report, field) => {
    const text = readText(report, field).trim();
    if (text === '') return undefined;
    const word = words.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
    if (word === undefined) {
      const hint = suggestion(text, words);
      report.problem(
        field,
        'unknown-value',
        `expected one of ${words.join(', ')}, got ${show(text)}.${hint}`,
      );
    }
    return word;
  };
}
