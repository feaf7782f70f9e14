/**
 * The `Engine` of a task: docker, wasm (also in its older form, where modules were input sources
 * inside the parameters) and noop. An engine of another name is accepted; it waits for a node that
 * has it.
 */
import { readEnvironmentList } from './environment.ts';
import { whyNotImage } from './image.ts';
import type { InputSource, Json, SpecConfig } from './model.ts';
import {
  optionalText,
  optionalTexts,
  readFreeParams,
  readParams,
  readPlugIn,
  reportMissing,
  warnUnknownType,
  type ParamReader,
  type ParamReaders,
} from './params.ts';
import { show, type Field, type Report } from './problem.ts';
import { isGiven, readItems, readText } from './reader.ts';
import { readInput } from './sources.ts';

export interface ReadEngine {
  readonly engine: SpecConfig;
  /** Inputs that the older form of wasm parameters carried. */
  readonly inputs: readonly { readonly value: InputSource; readonly field: Field }[];
  /** Targets that must be inputs, with the field that names them. */
  readonly modules: readonly { readonly target: string; readonly field: Field }[];
}

const image: ParamReader = (report, field) => {
  const text = readText(report, field).trim();
  const why = text === '' ? null : whyNotImage(text);
  if (text === '') reportMissing(report, field, 'the image to run');
  else if (why !== null)
    report.problem(field, 'malformed', `${show(text)} is no image reference: ${why}`);
  return text;
};

const workingDirectory: ParamReader = (report, field) => {
  const text = readText(report, field).trim();
  if (text === '') return undefined;
  if (!text.startsWith('/')) {
    report.problem(field, 'malformed', `expected an absolute path, got ${show(text)}`);
  }
  return text;
};

const environment: ParamReader = (report, field) => {
  const list = readEnvironmentList(report, field);
  return list.length === 0 ? undefined : list;
};

const DOCKER: ParamReaders = {
  Image: image,
  Entrypoint: optionalTexts,
  Parameters: optionalTexts,
  EnvironmentVariables: environment,
  WorkingDirectory: workingDirectory,
};

const ENGINES = ['docker', 'wasm', 'noop'];

const LEGACY_ENTRY_TARGET = '/wasm/entry.wasm';
const legacyImportTarget = (index: number): string => `/wasm/imports/module_${index}.wasm`;

export function readEngine(report: Report, field: Field): ReadEngine {
  const plugIn = readPlugIn(report, field);
  const { type: Type, params } = plugIn;
  if (Type === 'wasm') return readWasm(report, params);
  if (Type === '')
    reportMissing(report, plugIn.typeField, 'the type of the engine (docker or wasm)');
  else if (!ENGINES.includes(Type)) warnUnknownType(report, plugIn, 'engine', ENGINES);
  const Params =
    Type === 'docker' ? readParams(report, params, DOCKER) : readFreeParams(report, params);
  return { engine: { Type, Params }, inputs: [], modules: [] };
}

function readWasm(report: Report, params: Field): ReadEngine {
  const inputs: { value: InputSource; field: Field }[] = [];
  const modules: { target: string; field: Field }[] = [];
  const readModule = (field: Field, defaultTarget: string): string => {
    const target = readModuleTarget(report, field, defaultTarget, inputs);
    if (target !== '') modules.push({ target, field });
    return target;
  };
  const readers: ParamReaders = {
    EntryModule: (_, field) => {
      const target = readModule(field, LEGACY_ENTRY_TARGET);
      if (target === '') reportMissing(report, field, 'the target of the input that is the module');
      return target;
    },
    Entrypoint: optionalText,
    Parameters: optionalTexts,
    ImportModules: (_, field): Json | undefined => {
      const items = readItems(report, field);
      const targets = items.map((item, index) => {
        const target = readModule(item, legacyImportTarget(index));
        if (target === '')
          reportMissing(report, item, 'the target of the input that is the module');
        return target;
      });
      return targets.length === 0 ? undefined : targets;
    },
  };
  const Params = readParams(report, params, readers);
  return { engine: { Type: 'wasm', Params }, inputs, modules };
}

/** A module is named by its target; the older form describes the input itself, which becomes one. */
function readModuleTarget(
  report: Report,
  field: Field,
  defaultTarget: string,
  inputs: { value: InputSource; field: Field }[],
): string {
  const { value } = field;
  if (!isGiven(field) || typeof value !== 'object' || Array.isArray(value)) {
    return readText(report, field).trim();
  }
  const input = readInput(report, field, { engine: 'wasm', defaultTarget });
  if (input === null) return '';
  inputs.push({ value: input, field });
  return input.Target;
}
