/** What is said of jobs with fewer keepers than there could be, or than were asked for. */
import { ShoalError } from '../failures/shoal-error.ts';
import type { JobId } from '../core/record/ids.ts';

/**
 * @param wanted keepers that a job could have with all members of the last minutes
 * @returns null when there is nothing to say
 */
export function fewKeepers(keepers: number, wanted: number): string | null {
  if (keepers < wanted) {
    const lost = Math.floor((keepers - 1) / 2);
    const survives =
      lost === 0 ? 'does not survive the loss of one' : `survives the loss of ${lost} of them`;
    return `The job is kept by ${peers(keepers)} instead of ${wanted}, since not all peers of the last minutes can keep it, and ${survives}.`;
  }
  if (keepers > 1) return null;
  return 'The job is kept by one peer alone, and lost with it: it takes three peers to survive the loss of one.';
}

const peers = (count: number): string => (count === 1 ? '1 peer' : `${count} peers`);

/** A token stands for a job that was submitted before, whatever was asked for then. @throws ShoalError `too-few-keepers`. */
export function demandKeepers(job: JobId, keepers: number, minKeepers: number): void {
  if (keepers >= minKeepers) return;
  throw new ShoalError({ code: 'too-few-keepers', job, keepers, minKeepers, peers: 0 });
}
