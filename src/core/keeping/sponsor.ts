/**
 * The sponsor's part of a job's life: pick the keepers, collect W signatures,
 * give the client its receipt, activate the keepers. The sponsor is the only writer of an admission:
 * the spec that the owner signs names it, and everybody refuses the admission of another node; the
 * nonce, and with it the job id, is made from its id and store, so that the same text submitted
 * elsewhere is another job; and it is on disk before it is sent, so that a restart sends the same.
 */
import { recall, shelveSubmission } from './shelf.ts';
import { anew, isDue, said, toSay } from '../node/repeat.ts';
import { isKeeper, isQuorum, keeperNodes, quorumSize } from '../record/keeper-set.ts';
import type { Job } from '../../job/model.ts';
import { noteSound } from '../../job/recheck.ts';
import { validVote } from '../record/certificate.ts';
import { currentOf, firstConfiguration, firstOf } from '../record/chain.ts';
import { shut } from '../node/door.ts';
import { firstEpoch, sameEpoch } from '../record/ballot.ts';
import { after } from '../record/ids.ts';
import type { JobId, NodeId, RequestId } from '../record/ids.ts';
import { indexJob } from '../asking/job-index.ts';
import { chooseKeepers } from './choose-keepers.ts';
import type { Problem } from '../contract/reply.ts';
import { keeperCandidates } from '../mesh/members.ts';
import type { Message } from '../contract/messages.ts';
import type { Refusal, RefusalCode } from '../record/refusals.ts';
import type { Certified, Signed } from '../record/records.ts';
import type { Submission } from './state.ts';
import { note, persist, reply, seal, send, refuse, wallMs } from '../node/outbox.ts';
import { jobIdOf } from '../record/verify.ts';
import { noteAnswered, noteSilent } from '../mesh/welcome.ts';
import type { Node, With } from '../node/state.ts';

export interface SubmitInput {
  readonly request: RequestId;
  readonly spec: Job;
  readonly nonce: string;
  readonly notAfter: number;
  readonly minKeepers: number;
}

/** Submissions remembered; a client that repeats one does so within minutes. */
const SUBMISSIONS_MAX = 256;

const timerOf = (job: JobId): string => `submit:${job}`;

export function submit(
  core: With<'mesh' | 'keeping'>,
  input: SubmitInput & { readonly type: 'submit' },
): void {
  const refuseWith = (problem: Problem): void =>
    reply(core, input.request, { type: 'failed', problem });
  const closed = shut(core);
  if (closed !== null) return refuseWith(closed);
  const { suite, config } = core;
  const nonce = suite.hash(`${input.nonce}|${core.self}|${config.store}`).slice(0, 32);
  const job = jobIdOf(suite, suite.owner, nonce);
  const deadline = after(core.now, config.limits.admitTimeoutMs);
  const known = core.keeping.submissions.get(job);
  if (known !== undefined) {
    known.waiting.push({ request: input.request, deadline, again: true });
    core.timers.set(timerOf(job), deadline);
    return tellOutcome(core, known);
  }
  if (answerAgain(core, job, input)) return;
  const name = input.spec.Name === '' ? job : input.spec.Name;
  const spec = seal(
    core,
    'spec',
    {
      job,
      owner: suite.owner,
      version: 1,
      nonce,
      sponsor: core.self,
      spec: { ...input.spec, Name: name },
      notAfter: input.notAfter,
    },
    'owner',
  );
  // The API has read it by its rules; the receipt waits for what this node's own vote takes.
  noteSound(spec.body.spec);
  const candidates = keeperCandidates(core);
  const keepers = chooseKeepers(job, candidates, config.limits.keepersMax, core.now, suite);
  if (keepers.length === 0) {
    return refuseWith({ code: 'keepers-unreachable', job, reached: 0, needed: 1 });
  }
  if (keepers.length < input.minKeepers) {
    const { minKeepers } = input;
    const problem = { keepers: keepers.length, minKeepers, peers: candidates.length };
    return refuseWith({ code: 'too-few-keepers', job: null, ...problem });
  }
  const admission = seal(core, 'admission', {
    job,
    version: 1,
    spec: spec.id,
    keepers,
    sponsor: core.self,
  });
  const submission = createSubmission(core, spec, admission);
  submission.waiting.push({ request: input.request, deadline, again: false });
  persist(core, { table: 'submissions', job, key: 'admission', value: { spec, admission } });
  note(core, 'job.submitted', { job, name, keepers: keepers.length });
  core.timers.set(timerOf(job), deadline);
  sendOut(core, submission);
}

export function createSubmission(
  core: With<'keeping'>,
  spec: Signed<'spec'>,
  admission: Signed<'admission'>,
): Submission {
  const submission: Submission = {
    spec,
    admission,
    votes: new Map(),
    certified: null,
    refused: new Set(),
    lost: new Map(),
    activated: new Set(),
    askedAt: null,
    waiting: [],
    resend: toSay(core),
  };
  core.keeping.submissions.set(spec.body.job, submission);
  return submission;
}

/** Sends what each keeper still has to answer: `admit` until W votes, then `activate`. */
function sendOut(core: With<'mesh' | 'keeping'>, submission: Submission): void {
  const { spec, admission, certified } = submission;
  for (const { node } of admission.body.keepers) {
    if (submission.lost.has(node)) continue;
    if (certified !== null) {
      if (submission.activated.has(node)) continue;
      send(core, node, { type: 'activate', spec, admission: certified });
    } else if (!submission.votes.has(node)) {
      if (submission.askedAt !== null) noteSilent(core, node, submission.askedAt);
      send(core, node, { type: 'admit', spec, admission });
    }
  }
  submission.askedAt = core.now;
  said(core, submission.resend);
  core.timers.set(timerOf(spec.body.job), submission.resend.at);
}

export function tickSubmission(core: With<'mesh' | 'keeping'>, job: JobId): void {
  const submission = core.keeping.submissions.get(job);
  if (submission === undefined) return;
  const { notAfter } = submission.spec.body;
  if (notAfter < core.wall) {
    // Within one process only when its clock was set.
    const refusal = { code: 'wrong-time', notAfter, wall: wallMs(core) } as const;
    return fail(core, submission, { code: 'not-admitted', job, refusal });
  }
  giveUpWaiting(core, submission);
  if (submission.certified === null && isLost(submission)) return waitForExpiry(core, submission);
  if (isDue(core, submission.resend)) sendOut(core, submission);
  else core.timers.set(timerOf(job), submission.resend.at);
}

function giveUpWaiting(core: With<'mesh' | 'keeping'>, submission: Submission): void {
  const { job } = submission.spec.body;
  const needed = quorumSize(firstConfiguration(submission.admission.body));
  for (const wait of submission.waiting.splice(0)) {
    if (wait.deadline > core.now) {
      submission.waiting.push(wait);
      core.timers.set(timerOf(job), wait.deadline);
    } else {
      const problem: Problem = {
        code: 'keepers-unreachable',
        job,
        reached: submission.votes.size,
        needed,
      };
      reply(core, wait.request, { type: 'failed', problem });
    }
  }
}

export function onAdmitted(
  core: With<'mesh' | 'keeping' | 'asking'>,
  from: NodeId,
  message: Extract<Message, { type: 'admitted' }>,
): void {
  const submission = core.keeping.submissions.get(message.job);
  if (submission === undefined || submission.certified !== null) return;
  // A vote from before a loss makes no majority that still has a say.
  if (isLost(submission)) return;
  const { admission } = submission;
  if (!validAdmissionVote(core, message.vote, admission)) return;
  if (core.suite.nodeOf(message.vote.by) !== from) return;
  noteAnswered(core, from);
  submission.votes.set(from, message.vote);
  const configuration = currentOf(firstOf(admission.body));
  if (!isQuorum(configuration, submission.votes.keys())) return;
  submission.certified = { record: submission.admission, votes: [...submission.votes.values()] };
  note(core, 'job.admitted', { job: message.job, votes: submission.votes.size });
  // Not before there is such a job, and so that this node can tell whom to ask for it.
  const keepers = keeperNodes(configuration);
  if (!keepers.includes(core.self)) indexJob(core, submission.spec, keepers);
  // The receipt is good now: W keepers hold the job on disk and can activate it without us.
  tellOutcome(core, submission);
  anew(core, submission.resend);
  sendOut(core, submission);
}

export function onNotAdmitted(
  core: With<'mesh' | 'keeping'>,
  from: NodeId,
  message: Extract<Message, { type: 'not-admitted' }>,
): void {
  const submission = core.keeping.submissions.get(message.job);
  if (submission === undefined || submission.certified !== null) return;
  const configuration = firstConfiguration(submission.admission.body);
  if (!isKeeper(configuration, from)) return refuse(core, from, 'not-keeper', false);
  const { refusal } = message;
  const named = submission.admission.body.keepers.find(({ node }) => node === from);
  // The answer to an earlier admission, which named the store that this keeper had before.
  if (refusal.code === 'other-store' && refusal.store === named?.store) return;
  if (FOR_GOOD.has(refusal.code)) submission.lost.set(from, refusal);
  else submission.refused.add(from);
  // One keeper's refusal ends it only when a majority can no longer be had.
  const { refused, lost } = submission;
  const willing = keeperNodes(configuration).filter(
    (node) => !refused.has(node) && !lost.has(node),
  );
  if (isQuorum(configuration, willing)) return;
  if (lost.size === 0)
    return putAside(core, submission, { code: 'not-admitted', job: message.job, refusal });
  // Who lost what it knew may have voted before, and another may have that vote: no second admission is made.
  answerAll(core, submission, lostProblem(submission, refusal));
  if (isLost(submission)) waitForExpiry(core, submission);
}

/** Who says so will never vote for it: it has lost its say in the job, or the job is over. The other reasons pass. */
const FOR_GOOD: ReadonlySet<RefusalCode> = new Set(['other-store', 'damaged', 'over']);

/** That it is over says more than why others have no say in it. */
function lostProblem({ spec, lost }: Submission, refusal: Refusal): Problem {
  const { job } = spec.body;
  const isOver = [...lost.values()].some(({ code }) => code === 'over');
  if (isOver) return { code: 'job-terminal', job, state: 'over' };
  return { code: 'not-admitted', job, refusal };
}

/** So many of its keepers lost their say that it will never be admitted. */
function isLost({ admission, lost }: Submission): boolean {
  const configuration = firstConfiguration(admission.body);
  return !isQuorum(
    configuration,
    keeperNodes(configuration).filter((node) => !lost.has(node)),
  );
}

/** Nobody is asked any more. It stays, so that the same token never makes a second admission of the job. */
function waitForExpiry(core: Node, { spec }: Submission): void {
  const { job, notAfter } = spec.body;
  core.timers.set(timerOf(job), after(core.now, Math.max(1, notAfter - core.wall)));
}

function answerAll(core: Node, submission: Submission, problem: Problem): void {
  for (const wait of submission.waiting.splice(0)) {
    reply(core, wait.request, { type: 'failed', problem });
  }
}

/**
 * Its keepers have no room for it now. Nobody is asked any more, but it stays on disk: one of them may have
 * voted, or vote for what is still on its way, so that the same token asks the same keepers again.
 */
function putAside(core: With<'mesh' | 'keeping'>, submission: Submission, problem: Problem): void {
  const { spec } = submission;
  answerAll(core, submission, problem);
  core.timers.clear(timerOf(spec.body.job));
  core.keeping.submissions.delete(spec.body.job);
  shelveSubmission(core, spec);
}

/** It comes to nothing. */
function fail(core: With<'mesh' | 'keeping'>, submission: Submission, problem: Problem): void {
  answerAll(core, submission, problem);
  forget(core, submission.spec.body.job);
}

function tellOutcome(core: Node, submission: Submission): void {
  const receipt: Certified<'admission'> | null = submission.certified;
  const { job, version } = submission.spec.body;
  if (receipt === null) {
    const [refusal] = submission.lost.values();
    if (refusal !== undefined && isLost(submission))
      answerAll(core, submission, lostProblem(submission, refusal));
    return;
  }
  for (const wait of submission.waiting.splice(0)) {
    reply(core, wait.request, { type: 'receipt', job, version, receipt, again: wait.again });
  }
}

/** A keeper has activated the job. */
export function onActivated(core: With<'mesh' | 'keeping'>, from: NodeId, job: JobId): void {
  const submission = core.keeping.submissions.get(job);
  if (submission === undefined || submission.certified === null) return;
  const keepers = keeperNodes(firstConfiguration(submission.admission.body));
  if (!keepers.includes(from)) return refuse(core, from, 'not-keeper', false);
  submission.activated.add(from);
  const { activated, lost } = submission;
  if (!keepers.every((node) => activated.has(node) || lost.has(node))) return;
  core.timers.clear(timerOf(job));
  makeRoom(core);
}

/**
 * Finished submissions stay, so that the same nonce submitted again finds its job instead of making
 * a second admission for the same id; the oldest of them make room.
 */
function makeRoom(core: With<'mesh' | 'keeping'>): void {
  for (const [job, submission] of core.keeping.submissions) {
    if (core.keeping.submissions.size <= SUBMISSIONS_MAX) return;
    if (submission.certified === null) continue;
    core.keeping.submissions.delete(job);
    core.timers.clear(timerOf(job));
    shelveSubmission(core, submission.spec);
  }
}

/** The same token again, for a job that this node keeps or kept: its receipt, or that it is over. */
function answerAgain(
  core: With<'mesh' | 'keeping'>,
  job: JobId,
  input: SubmitInput & { readonly type: 'submit' },
): boolean {
  if (recall(core, job, input, null)) return true;
  const kept = core.keeping.kept.get(job);
  if (kept !== undefined) {
    const { spec, admission: receipt } = kept.ledger;
    const { version } = spec.body;
    reply(core, input.request, { type: 'receipt', job, version, receipt, again: true });
    return true;
  }
  const { tombs, forfeits } = core.keeping;
  if (!tombs.has(job) && !forfeits.has(job)) return false;
  const state = tombs.has(job) ? 'over' : 'admitted, and what this peer knew of it was damaged';
  const problem = { code: 'job-terminal', job, state } as const;
  reply(core, input.request, { type: 'failed', problem });
  return true;
}

function forget(core: With<'mesh' | 'keeping'>, job: JobId): void {
  persist(core, { table: 'submissions', job, key: 'admission', value: null });
  core.timers.clear(timerOf(job));
  core.keeping.submissions.delete(job);
}

/** Votes under several epochs make no certificate: one such vote would spoil those of all others. */
export const validAdmissionVote = (
  { suite }: Node,
  vote: Signed<'vote'>,
  admission: Signed<'admission'>,
): boolean =>
  sameEpoch(vote.body.epoch, firstEpoch(firstConfiguration(admission.body))) &&
  validVote(vote, firstOf(admission.body), admission, 'admission', suite);

/** The vote a keeper gives for an admission. */
export const admissionVote = (core: Node, admission: Signed<'admission'>): Signed<'vote'> =>
  seal(core, 'vote', {
    job: admission.body.job,
    of: admission.id,
    slot: 'admission',
    epoch: firstEpoch(firstConfiguration(admission.body)),
    store: core.config.store,
  });
