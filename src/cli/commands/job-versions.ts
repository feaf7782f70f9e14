/** `job versions`. */
import type { JobJson, ListJson } from '../../api/types.ts';
import { versionColumns } from '../columns.ts';
import type { CommandCode } from '../command.ts';
import { jobPath, jobRef } from '../ids.ts';
import { printList, type OutputOptions } from '../output.ts';

interface Options extends OutputOptions {
  readonly namespace: string;
}

export const jobVersions: CommandCode<Options> = async ({ io, client }, [ref], options) => {
  const page = await client().get<ListJson<JobJson>>(`${jobPath(jobRef(ref))}/versions`, {
    namespace: options.namespace,
  });
  await printList(io, page.Items, versionColumns, options);
};
