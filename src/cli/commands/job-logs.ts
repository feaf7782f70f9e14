/** `job logs`. */
import type { CommandCode } from '../command.ts';
import { jobRef } from '../ids.ts';
import { printLogs } from '../logs.ts';

interface Options {
  readonly namespace: string;
  readonly executionId?: string;
  readonly follow?: boolean;
  readonly tail?: boolean;
  readonly partition?: number;
  readonly version?: number;
  readonly allVersions?: boolean;
}

export const jobLogs: CommandCode<Options> = (context, [ref], options) =>
  printLogs(context, {
    job: jobRef(ref),
    namespace: options.namespace,
    execution: options.executionId === undefined ? '' : jobRef(options.executionId),
    follow: options.follow === true,
    tail: options.tail === true,
    partition: options.partition,
    version: options.version,
    allVersions: options.allVersions,
  });
