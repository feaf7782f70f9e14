/** `job stop`: a job that has ended already is stopped enough. */
import type { StopAnswer } from '../../api/types.ts';
import type { CommandCode } from '../command.ts';
import { codeOf } from '../errors.ts';
import { jobPath, jobRef } from '../ids.ts';
import { printLines } from '../output.ts';
import { plainLine } from '../text.ts';

interface Options {
  readonly namespace: string;
  readonly quiet?: boolean;
  readonly reason?: string;
}

const pendingText = (
  ref: string,
  { Signed, Needed, Until, Refused }: NonNullable<StopAnswer['Pending']>,
): string =>
  `The stop of job ${ref} is recorded, and goes on by itself: ${Signed} of the ${Needed} keepers needed have it${Refused === '' ? '' : `, ${plainLine(Refused)}`}. This peer sends it to the others until ${plainLine(Until)}.`;

export const jobStop: CommandCode<Options> = async ({ io, client }, [given], options) => {
  const ref = jobRef(given);
  const path = `${jobPath(ref)}?namespace=${encodeURIComponent(options.namespace)}`;
  const say = async (line: string): Promise<void> => {
    if (options.quiet !== true) await printLines(io, [line]);
  };
  try {
    const reason = options.reason ?? 'Stopped at user request';
    const { EvaluationID, Pending } = await client().send<StopAnswer>('DELETE', path, { reason });
    if (EvaluationID === '') await say(`Job ${ref} is stopped already.`);
    else if (Pending === null) await say(`Job ${ref} is being stopped.`);
    else await say(pendingText(ref, Pending));
  } catch (error) {
    if (codeOf(error) !== 'job-terminal') throw error;
    await say((error as Error).message);
  }
};
