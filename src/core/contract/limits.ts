/**
 * The protocol's constants with the reason for each. Times in milliseconds on the monotonic clock,
 * sizes in bytes.
 */
/** Times in milliseconds, sizes in bytes. Defaults and reasons below. */
export interface Limits {
  readonly keepersMax: number;
  readonly admitTimeoutMs: number;
  readonly bidTtlMs: number;
  readonly bidWindowMs: number;
  readonly startTimeoutMs: number;
  readonly leaseRenewMs: number;
  readonly leaseLostMs: number;
  readonly probeMs: number;
  readonly probeTimeoutMs: number;
  readonly suspectMs: number;
  readonly resendMs: number;
  /** Attempts of one partition that may fail, or be lost and replaced, before the job fails. */
  readonly maxAttempts: number;
  /** Attempts of one partition that may come to nothing (never started) beside those. */
  readonly maxMisses: number;
  readonly retryBackoffMs: number;
  readonly advertMinMs: number;
  readonly advertMaxMs: number;
  readonly leaderGapMs: number;
  readonly leaderAloneMs: number;
  readonly announceSpecMaxBytes: number;
  readonly replicateTimeoutMs: number;
  readonly jobsMax: number;
  /** Closed jobs whose records are kept, whatever their age. */
  readonly closedJobsMax: number;
  /** Jobs of which nothing is kept but that they are over. */
  readonly tombsMax: number;
  readonly retentionMs: number;
  /** What a node keeps of versions before the current ones: of one job, of one owner, in all. */
  readonly pastJobMaxBytes: number;
  readonly pastOwnerMaxBytes: number;
  readonly pastMaxBytes: number;
  /** How long each holder looks after a result. */
  readonly resultRetentionMs: number;
  /** A holder that is away for so long is none any more. */
  readonly holderLostMs: number;
  /** A keeper that is away for so long is replaced. */
  readonly keeperReplaceAfterMs: number;
  /** A job is re-seeded when a majority of its keepers is away for so long. */
  readonly reseedAfterMs: number;
}

/** A spec is good for at most this long: nobody's job is in the books for years. */
export const SPEC_VALID_MAX_MS = 60 * 24 * 3_600_000;

/** Keepers of one job: each of them costs every other a signature per fact. */
export const KEEPERS_MAX = 5;
/** Executions that one bid offers at once, so that one job does not hold a whole node. */
export const BID_EXECUTIONS_MAX = 16;
/**
 * Of the lists of one message; beside them it may have a spec of 64 KiB and certificates. Far below the frame
 * limit of 1 MiB: a hundred certified values, whose signatures the receiver checks in 40 ms.
 */
export const MESSAGE_FILL_BYTES = 262_144;
/** Items of one list, however small: what reading a message may cost is limited, too. */
export const MESSAGE_ITEMS_MAX = 2_000;
/** Jobs that one message names, of which keepers ask each other who leads them. */
export const JOBS_NAMED_MAX = 256;
/** Lines of one answer to a question. */
export const LIST_MAX = 1_000;
/** Before a program that does not end is started again for the first time; doubles with each end soon after it. */
export const RESTART_FIRST_MS = 1_000;
/** The longest such pause: somebody who mended what it lacks does not wait for longer. */
export const RESTART_MAX_MS = 300_000;
/**
 * What ran for so long did not fail at its start: the pauses begin anew. Twice the longest of them, or a program
 * that fails after some minutes each time would be started again at once.
 */
export const STEADY_MS = 2 * RESTART_MAX_MS;
/**
 * Jobs that run on every node for as long as they go on, of which this node has heard and which it hands on: some
 * 5 KB each, and a line of 150 bytes each time a neighbour is told of them.
 */
export const LIVE_MAX = 512;
/** Of these, asked of a neighbour at a time: their specs may have 64 KiB each. */
export const LIVE_WANTED_MAX = 64;
/**
 * For how long a quorum of keepers lets the program of an exclusive job run, counted from the question: two further
 * questions may be lost, each `leaseRenewMs` after the one before.
 */
export const TENURE_MS = 15_000;
/** From the end of the tenure on, until the program has ended: with what is left to it to say goodbye. */
const TENURE_STOP_MS = 10_000;
/** A clock that is slow by so much tells of the tenure, one that is fast by so much of the wait for its end. */
const CLOCK_ERROR = 0.05;
/** The next attempt begins so long after it was committed, 28 s: when the one before has ended. */
export const PREDECESSOR_MS =
  1_000 * Math.ceil(((TENURE_MS + TENURE_STOP_MS) * (1 + CLOCK_ERROR)) / (1 - CLOCK_ERROR) / 1_000);
/** Specs of one answer, up to 64 KiB each. */
export const SPECS_MAX = 64;
/** Nodes that there shall be for each result, its executor included. */
export const COPIES_WANTED = 2;
/** Other holders of one result that are remembered, told of, or asked for it. */
export const HOLDERS_MAX = 8;
/** Newest closed jobs that are listed and found by name: about 1.5 KB each. */
export const CARDS_MAX = 2_000;

export const DEFAULT_LIMITS: Limits = {
  /** Five keepers survive two losses; repair within 20 s makes losing all of them a 5e-7 event at 20 % churn per minute. */
  keepersMax: KEEPERS_MAX,
  /** After this a client is told that its keepers do not answer; the admission itself goes on. */
  admitTimeoutMs: 20_000,
  /** A hold that nobody used is given back after this. */
  bidTtlMs: 10_000,
  /** How long a leader waits for more bids once it has one; answers take milliseconds, a stalled node must not hold up a job. */
  bidWindowMs: 250,
  /** An assigned node must say `started` within this, else the next attempt goes elsewhere. */
  startTimeoutMs: 5_000,
  leaseRenewMs: 5_000,
  /** Four renewals missed. With probing, a dead executor is replaced well within 30 s. */
  leaseLostMs: 20_000,
  probeMs: 2_000,
  probeTimeoutMs: 1_000,
  /** Suspicion to death. Silent leader: 2 + 1 + 1 + 5 s and one prepare round stay below 20 s. */
  suspectMs: 5_000,
  /** First repetition of an unanswered message; doubles up to 16 times this. */
  resendMs: 1_000,
  maxAttempts: 3,
  /** Assignments that nobody took up. They cost nothing, but must end. */
  maxMisses: 20,
  /** Before the second attempt of a partition; doubles with each further one. */
  retryBackoffMs: 1_000,
  /** Adverts of what changed: max(this, members × 50 ms), so the mesh carries at most 20 a second. */
  advertMinMs: 5_000,
  /** Adverts of what did not: whoever missed one, or has no connection to the node, waits for so long. */
  advertMaxMs: 20_000,
  /** A leader that did not run for this long confirms its epoch before it acts again. */
  leaderGapMs: 3_000,
  /** A leader that did not hear W keepers for this long does the same. */
  leaderAloneMs: 15_000,
  /** A larger spec is fetched from the leader: gossip messages stay below 32 KiB. */
  announceSpecMaxBytes: 16_384,
  /** For one holder to make its copy; a result of 1 GB at 10 MB/s. */
  replicateTimeoutMs: 120_000,
  /** Live jobs one keeper takes. */
  jobsMax: 10_000,
  /** About 10 KB of disk and 40 bytes of memory each; of the oldest nothing but the id is kept then. */
  closedJobsMax: 100_000,
  /** 40 bytes of memory and 150 of disk each. */
  tombsMax: 1_000_000,
  /** Ledgers of closed jobs are kept for a week. */
  retentionMs: 7 * 24 * 3_600_000,
  /** Sixteen of the largest specs, or how some 300 executions went. */
  pastJobMaxBytes: 1_000_000,
  /** A thousand jobs in twenty versions of the usual size; in memory while they live, else on the disk. */
  pastOwnerMaxBytes: 64_000_000,
  /** Twice as much in memory at most, if all of them live. */
  pastMaxBytes: 256_000_000,
  resultRetentionMs: 7 * 24 * 3_600_000,
  /** A restart of a machine is over by then; a copy made in vain costs a transfer and its room on a disk. */
  holderLostMs: 300_000,
  /** Most machines that are only started again are back by then; five keepers survive the loss of two meanwhile. */
  keeperReplaceAfterMs: 60_000,
  /** The same: nobody decides anything for the job meanwhile, and two that go on beside each other may run it twice. */
  reseedAfterMs: 60_000,
};
