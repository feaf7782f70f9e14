/** `job stop`: a job that has ended already is stopped enough. */
import type { CommandCode } from '../command.ts';
import { codeOf } from '../errors.ts';
import { jobPath, jobRef } from '../ids.ts';
import { printLines } from '../output.ts';

interface Options {
  readonly namespace: string;
  readonly quiet?: boolean;
  readonly reason?: string;
}

export const jobStop: CommandCode<Options> = async ({ io, client }, [given], options) => {
  const ref = jobRef(given);
  const path = `${jobPath(ref)}?namespace=${encodeURIComponent(options.namespace)}`;
  const say = async (line: string): Promise<void> => {
    if (options.quiet !== true) await printLines(io, [line]);
  };
  try {
    const reason = options.reason ?? 'Stopped at user request';
    const { EvaluationID } = await client().send<{ readonly EvaluationID: string }>(
      'DELETE',
      path,
      {
        reason,
      },
    );
    await say(
      EvaluationID === '' ? `Job ${ref} is stopped already.` : `Job ${ref} is being stopped.`,
    );
  } catch (error) {
    if (codeOf(error) !== 'job-terminal') throw error;
    await say((error as Error).message);
  }
};
