/** `node drain`: the peer leaves without breaking off what it does; waited for, unless somebody has no time. */
import type { DrainJson } from '../../api/types.ts';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { ExitCode } from '../../failures/table.ts';
import { pause } from '../../lib/abort.ts';
import type { Client } from '../client.ts';
import type { CommandCode } from '../command.ts';
import { codeOf } from '../errors.ts';
import type { Io } from '../io.ts';
import { printLines } from '../output.ts';
import { StatusLine } from '../status-line.ts';
import { plainLine } from '../text.ts';

interface Options {
  readonly deadline?: number;
  readonly off?: boolean;
  readonly detach?: boolean;
}

const PATH = '/shoal/drain';
const LOOK_MS = 500;

const executionsText = (count: number): string =>
  count === 1 ? '1 execution' : `${count} executions`;

function beginText({ Executions, LeavesBy }: DrainJson): string {
  if (Executions === 0) return 'The peer takes nothing new. Nothing runs there: it leaves now.';
  return `The peer takes nothing new. It leaves when ${executionsText(Executions)} ${Executions === 1 ? 'is' : 'are'} done or ${Executions === 1 ? 'runs' : 'run'} elsewhere, at ${plainLine(LeavesBy)} at the latest.`;
}

function warnings({ OnlyHere }: DrainJson): readonly string[] {
  return OnlyHere.map(
    (job) =>
      `warning    job ${plainLine(job)} can run on no other node that this peer knows: it waits for one, if it is not done before.`,
  );
}

export const nodeDrain: CommandCode<Options> = async ({ io, client }, _args, options) => {
  const { deadline, off, detach } = options;
  if (off === true && (deadline !== undefined || detach === true)) {
    const what = 'node drain: --off takes back what was begun, and goes with no other flag.';
    throw new ShoalError({ code: 'usage', what, hint: 'Give it alone.' });
  }
  if (off === true) {
    const { Draining } = await client().send<DrainJson>('DELETE', PATH, {});
    if (Draining) {
      io.stderr.write('The peer has begun to close: that cannot be taken back.\n');
      return 1;
    }
    await printLines(io, ['The peer stays, and takes new work again.']);
    return 0;
  }
  const body = deadline === undefined ? {} : { DeadlineSeconds: deadline };
  const begun = await client().send<DrainJson>('PUT', PATH, body);
  await printLines(io, [beginText(begun)]);
  for (const line of warnings(begun)) io.stderr.write(`${line}\n`);
  return detach === true ? 0 : untilLeft(io, client());
};

/** The peer answers until it leaves. */
async function untilLeft(io: Io, client: Client): Promise<ExitCode> {
  const status = new StatusLine(io, false);
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  try {
    while (!stop.signal.aborted) {
      const { Draining, Executions } = await client.get<DrainJson>(PATH);
      if (!Draining) {
        status.say('Taken back: the peer stays.');
        return 1;
      }
      status.now(`${executionsText(Executions)} left`);
      await pause(LOOK_MS, stop.signal);
    }
    status.say('The peer goes on leaving; `shoal node drain --off` takes it back.');
    return 130;
  } catch (error) {
    if (codeOf(error) !== 'daemon-unreachable') throw error;
  } finally {
    release();
    status.clear();
  }
  await printLines(io, ['The peer has left.']);
  return 0;
}
