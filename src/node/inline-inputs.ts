/**
 * Large inline inputs of a submission become content: a record holds at most 64 KiB, and its keepers have it in
 * memory. What a node would make of the input is added, so that the program sees the same: the file itself, or
 * the tree that a compressed archive holds.
 */
import { randomUUID } from 'node:crypto';
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../failures/shoal-error.ts';
import type { InputSource, Job } from '../job/model.ts';
import type { ContentStore } from '../lib/content.ts';
import { removeTree } from '../lib/remove-tree.ts';
import { createInlineSource } from '../storage/inline-source.ts';
import { StorageError } from '../storage/source.ts';

/** Characters of a `data:` URL that stay in the record; of all of them, beyond which the small ones leave it, too. */
const STAYS_MAX = 8_192;
const STAY_TOGETHER_MAX = 32_768;
/** Smaller than what names the content. */
const SMALL = 256;
/** Unpacking and adding 10 MB takes a second or two. */
const MOVE_MS = 60_000;

export interface InlineInputs {
  readonly content: Pick<ContentStore, 'add'>;
  /** Directory of the peer's own for what is under way. */
  readonly spoolDir: string;
  /** Bytes of one input, as it is and once it is unpacked. */
  readonly maxBytes: number;
}

/**
 * @param warnings what was moved, in sentences with the bytes that were found
 * @throws ShoalError `spec-invalid` for an input that cannot be read
 */
export async function moveLargeInputs(
  deps: InlineInputs,
  job: Job,
  warnings: string[],
): Promise<Job> {
  const all = job.Task.InputSources.reduce((sum, input) => sum + lengthOf(input), 0);
  const staysMax = all > STAY_TOGETHER_MAX ? SMALL : STAYS_MAX;
  const InputSources: InputSource[] = [];
  // One after the other: each may take its unpacked size in memory.
  for (const input of job.Task.InputSources)
    InputSources.push(lengthOf(input) > staysMax ? await moved(deps, input, warnings) : input);
  return { ...job, Task: { ...job.Task, InputSources } };
}

/** 0 when it is not inline. */
function lengthOf({ Source: { Type, Params } }: InputSource): number {
  const url = Params['URL'];
  return Type === 'inline' && typeof url === 'string' ? url.length : 0;
}

async function moved(
  { content, spoolDir, maxBytes }: InlineInputs,
  input: InputSource,
  warnings: string[],
): Promise<InputSource> {
  const destination = join(spoolDir, `inline-${randomUUID()}`);
  const signal = AbortSignal.timeout(MOVE_MS);
  try {
    const { bytes } = await createInlineSource(maxBytes).stage(input, {
      destination,
      maxBytes,
      spend: () => {},
      signal,
    });
    const { cid } = await content.add(destination, signal);
    const what = (await lstat(destination)).isDirectory() ? 'unpacked, ' : '';
    warnings.push(
      `The inline input for ${input.Target} (${what}${bytes} bytes) travels as ${cid}.`,
    );
    return { ...input, Source: { Type: 'ipfs', Params: { CID: cid } } };
  } catch (error) {
    if (!(error instanceof StorageError) || error.failure.class === 'node') throw error;
    throw new ShoalError({ code: 'spec-invalid', problems: [error.failure.message] });
  } finally {
    await removeTree(destination);
  }
}
