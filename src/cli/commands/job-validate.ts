/**
 * `job validate`: reads a spec as `job run` does and says what is wrong with it. Needs no peer; one that
 * answers is asked whether any node could run it.
 */
import type { FitAnswer } from '../../api/types.ts';
import { jobToBacalhau } from '../../job/to-bacalhau.ts';
import type { Job } from '../../job/model.ts';
import type { Client } from '../client.ts';
import type { CommandCode } from '../command.ts';
import { codeOf } from '../errors.ts';
import { printLines, printValue } from '../output.ts';
import { readSpec, type TemplateOptions } from '../spec-source.ts';
import { plainLine, plainText } from '../text.ts';

interface Options extends TemplateOptions {
  readonly output: 'text' | 'json' | 'yaml';
  readonly pretty?: boolean;
}

/** What the peer knows of it; null when there is none to ask, or it does not tell. */
async function fitOf(client: Client, job: Job): Promise<FitAnswer | null> {
  try {
    return await client.send<FitAnswer>('PUT', '/shoal/fit', { Job: jobToBacalhau(job) });
  } catch (error) {
    if (codeOf(error) === null) throw error;
    return null;
  }
}

export const jobValidate: CommandCode<Options> = async ({ io, client }, [file], options) => {
  const { job, warnings } = await readSpec(io, file, options);
  const fit = await fitOf(client(), job);
  // The spec is right: it may be for nodes that have yet to come.
  const unfit = fit !== null && fit.Fit === 0;
  if (options.output !== 'text') {
    const value = { valid: true, warnings, nodes: fit?.Nodes ?? null, fit: fit?.Fit ?? null };
    await printValue(io, value, options.output, options.pretty === true);
  } else for (const warning of warnings) io.stderr.write(`Warning: ${plainText(warning)}\n`);
  if (!unfit) return options.output === 'text' ? printLines(io, ['OK']) : 0;
  const many = fit.Nodes === 1 ? 'the one node' : `any of the ${fit.Nodes} nodes`;
  const said = `The spec is right, but nothing of it can run on ${many} connected now:`;
  io.stderr.write(`${[said, ...fit.Reasons.map((line) => `- ${plainLine(line)}`)].join('\n')}\n`);
  return 3;
};
