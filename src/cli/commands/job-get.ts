/** `job get`: fetches what a job produced and lays it into one directory. */
import { join, resolve } from 'node:path';
import { ShoalError } from '../../failures/shoal-error.ts';
import type { JobAnswer } from '../../api/types.ts';
import type { CommandCode, CommandContext } from '../command.ts';
import { jobPath, jobRef } from '../ids.ts';
import { mergeResults } from '../merge-results.ts';
import { checkState, outcomeOf, type Outcome } from '../outcome.ts';
import { printLines } from '../output.ts';
import { checkTarget, openPartial } from '../partial.ts';
import { shortId, shortNode } from '../text.ts';
import { fetchContent, Progress } from '../transfer.ts';
import { waitForJob } from '../waiting.ts';

interface Options {
  readonly namespace: string;
  readonly outputDir?: string;
  readonly raw?: boolean;
  readonly wait?: boolean;
  readonly overwrite?: boolean;
}

export interface FetchRequest {
  readonly job: string;
  readonly outcome: Outcome;
  readonly outputDir: string | undefined;
  readonly raw: boolean;
  readonly overwrite: boolean;
}

/** Fetches all results of a job; says where they are. @throws ShoalError `output-exists`, `result-conflict`, … */
export async function fetchResults(
  { io, client }: CommandContext,
  request: FetchRequest,
): Promise<void> {
  const { results, answer } = request.outcome;
  const names = answer.Job.Type === 'ops' ? namesByNode(results) : null;
  const target = resolve(io.cwd, request.outputDir ?? `job-${shortId(request.job)}`);
  await checkTarget(target, io.cwd, request.overwrite);
  const partial = await openPartial(
    target,
    JSON.stringify(results.map(({ Params }) => [Params.ExecutionID, Params.CID])),
  );
  const stop = new AbortController();
  const release = io.onInterrupt(() => stop.abort());
  const raw = join(partial.path, 'raw');
  try {
    for (const [index, { Params }] of results.entries()) {
      await fetchContent({
        client: client(),
        cid: Params.CID,
        holders: Params.Holders,
        destination: join(raw, names?.[index] ?? Params.ExecutionID),
        shown: target,
        fileName: 'result',
        progress: new Progress(io, `Result ${index + 1} of ${results.length}:`),
        signal: stop.signal,
      });
    }
    const merged = join(partial.path, 'merged');
    const merges = !request.raw && names === null;
    if (merges) {
      const named = results.map(({ Params }) => ({
        name: `${shortId(Params.ExecutionID)} (partition ${Params.Partition})`,
        directory: join(raw, Params.ExecutionID),
      }));
      await mergeResults(named, merged);
    }
    await partial.complete(merges ? merged : raw);
  } finally {
    release();
    await partial.close();
  }
  await printLines(io, [
    `Results of ${results.length === 1 ? 'one execution' : `${results.length} executions`} are in ${target}`,
  ]);
}

/**
 * Each node of an ops job made the same files, and whose they are is what one wants to know: a directory for
 * each, named as tables name nodes, or in full where two of them would be the same.
 */
function namesByNode(results: Outcome['results']): readonly string[] {
  const short = results.map(({ Params }) => shortNode(Params.NodeID));
  const isOnce = new Set(short).size === short.length;
  return isOnce ? short : results.map(({ Params }) => Params.NodeID);
}

/** @throws ShoalError `result-not-ready` – the job is not over and has nothing to give yet. */
function checkReady({ answer, results }: Outcome): void {
  const { ID, State, Type, Count } = answer.Job;
  const over = ['Completed', 'Failed', 'Stopped'].includes(State.StateType);
  // How many nodes run an ops job is known at its end.
  const isWhole = Type !== 'ops' && results.length > 0 && results.length >= Count;
  if (!over && !isWhole) {
    throw new ShoalError({ code: 'result-not-ready', job: ID, state: State.StateType });
  }
}

export const jobGet: CommandCode<Options> = async (context, [given], options) => {
  const { io } = context;
  const client = context.client();
  const { namespace } = options;
  const { Job } = await client.get<JobAnswer>(jobPath(jobRef(given)), { namespace });
  if (Job.Type === 'service' || Job.Type === 'daemon') {
    const what = `A ${Job.Type} leaves no results, as it does not end. What it prints: shoal job logs ${Job.ID}`;
    return printLines(io, [what]);
  }
  if (options.wait === true) {
    await waitForJob({
      io,
      client,
      job: Job.ID,
      namespace,
      quiet: false,
      untilRunning: false,
      timeoutMs: 0,
    });
  }
  const outcome = await outcomeOf(client, Job.ID, namespace);
  checkReady(outcome);
  if (outcome.results.length === 0) {
    const why = Job.Tasks[0]?.Publisher.Type ? '' : ' Its task names no publisher.';
    await printLines(io, [`Job ${Job.ID} has no results.${why}`]);
    return checkState(outcome);
  }
  await fetchResults(context, {
    job: Job.ID,
    outcome,
    outputDir: options.outputDir,
    raw: options.raw === true,
    overwrite: options.overwrite === true,
  });
  // What there was of it is there, and is not all that was wanted.
  checkState(outcome);
};
