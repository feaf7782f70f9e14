/** A job spec from a file or from stdin: template, then parsed, with every problem at its place. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { ShoalError } from '../failures/shoal-error.ts';
import type { Job } from '../job/model.ts';
import { parseJob } from '../job/parse.ts';
import { formatProblem } from '../job/problem.ts';
import type { Io } from './io.ts';

export interface TemplateOptions {
  readonly templateVars?: readonly string[];
  readonly templateEnvs?: string;
  /** False for `--no-template`. */
  readonly template?: boolean;
}

/** More than any spec has; a wrong file is noticed before it fills the memory. */
const STDIN_MAX_BYTES = 16_777_216;

const usage = (what: string, hint: string): ShoalError =>
  new ShoalError({ code: 'usage', what, hint });

async function readAll(stdin: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const piece = Buffer.from(chunk as Buffer | string);
    bytes += piece.length;
    if (bytes > STDIN_MAX_BYTES) throw usage('What comes from stdin is too large for a spec.', '');
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function readText(
  io: Io,
  file: string | undefined,
): Promise<{ readonly text: string; readonly sourceName: string }> {
  if (file === undefined || file === '-') {
    if (io.terminal.stdin)
      io.stderr.write('Reading the spec from the terminal; end with Ctrl-D.\n');
    return { text: await readAll(io.stdin), sourceName: '<stdin>' };
  }
  try {
    return { text: await readFile(resolve(io.cwd, file), 'utf8'), sourceName: file };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT')
      throw new ShoalError({ code: 'path-not-found', path: file }, { cause: error });
    throw usage(
      `${file} cannot be read (${code ?? 'unknown reason'}).`,
      'Give a YAML or JSON file.',
    );
  }
}

/** `-E` first, then `-V`, which wins. */
function variablesOf(io: Io, options: TemplateOptions): Map<string, string> {
  const variables = new Map<string, string>();
  if (options.templateEnvs !== undefined) {
    const pattern = environmentPattern(options.templateEnvs);
    for (const [name, value] of Object.entries(io.env))
      if (value !== undefined && pattern.test(name)) variables.set(name, value);
  }
  for (const given of options.templateVars ?? []) {
    for (const pair of pairsOf(given)) {
      const at = pair.indexOf('=');
      if (at < 1) throw usage(`-V ${pair}: expected KEY=VALUE.`, '');
      variables.set(pair.slice(0, at), pair.slice(at + 1));
    }
  }
  return variables;
}

/** Several in one word, as Bacalhau's flag takes them: `a=1,b=2`. A comma that no name follows is of the value. */
const pairsOf = (given: string): readonly string[] => given.split(/,(?=[A-Za-z_]\w*=)/);

/** A bare `*` means anything, as in a file name. */
function environmentPattern(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text.replace(/(?<![.\])])\*/g, '.*')})$`);
  } catch (cause) {
    throw new ShoalError(
      { code: 'usage', what: `-E ${text}: it is not a regular expression.`, hint: '' },
      { cause },
    );
  }
}

export interface SpecSource {
  readonly job: Job;
  readonly warnings: readonly string[];
}

/** @throws ShoalError `spec-invalid` with every problem at its place, `path-not-found`, `usage`. */
export async function readSpec(
  io: Io,
  file: string | undefined,
  options: TemplateOptions,
): Promise<SpecSource> {
  const source = await readText(io, file);
  const text =
    options.template === false ? source.text : await rendered(source, variablesOf(io, options));
  const parsed = parseJob(text, { sourceName: source.sourceName });
  if (!parsed.ok) {
    // A key that is misspelt is often why another one is missing.
    const warnings = parsed.warnings.map((warning) => `Warning: ${formatProblem(warning)}`);
    const problems = [...parsed.problems.map(formatProblem), ...warnings];
    throw new ShoalError({ code: 'spec-invalid', problems });
  }
  return { job: parsed.job, warnings: parsed.warnings.map(formatProblem) };
}

async function rendered(
  { text, sourceName }: { readonly text: string; readonly sourceName: string },
  variables: Map<string, string>,
): Promise<string> {
  if (!text.includes('{{')) return text;
  const { renderTemplate } = await import('../job/template.ts');
  const result = renderTemplate(text, variables, sourceName);
  if (!result.ok)
    throw new ShoalError({ code: 'spec-invalid', problems: result.problems.map(formatProblem) });
  return result.text;
}
