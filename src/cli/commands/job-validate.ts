/** `job validate`: reads a spec as `job run` does and says what is wrong with it. Needs no peer. */
import type { CommandCode } from '../command.ts';
import { printLines, printValue } from '../output.ts';
import { readSpec, type TemplateOptions } from '../spec-source.ts';
import { plainText } from '../text.ts';

interface Options extends TemplateOptions {
  readonly output: 'text' | 'json' | 'yaml';
  readonly pretty?: boolean;
}

export const jobValidate: CommandCode<Options> = async ({ io }, [file], options) => {
  const { warnings } = await readSpec(io, file, options);
  if (options.output !== 'text')
    return printValue(io, { valid: true, warnings }, options.output, options.pretty === true);
  for (const warning of warnings) io.stderr.write(`Warning: ${plainText(warning)}\n`);
  await printLines(io, ['OK']);
};
