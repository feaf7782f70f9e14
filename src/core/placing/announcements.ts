/**
 * Hearing announcements: what proves that a job was admitted, and who leads it, is looked at before anything is
 * done about it. Then this node bids, or, where each node decides for itself, enrols.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { enrol } from '../executing/enrol.ts';
import { versionHeard } from '../executing/state.ts';
import { memberCount } from '../mesh/members.ts';
import type { Announcement, Message } from '../contract/messages.ts';
import type { StoredExecution } from '../contract/stored.ts';
import { answer, rememberOf } from './bidder.ts';
import { isEverywhere, rememberLive } from './live.ts';
import { drawn } from './sortition.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import { rootsOf } from '../record/chain.ts';
import type { Ledger } from '../record/ledger.ts';
import type { Signed } from '../record/records.ts';
import { isProven } from '../record/versions.ts';
import { reached } from '../mesh/reach.ts';
import { endOf } from '../keeping/books.ts';
import { refuse, send, wallMs } from '../node/outbox.ts';
import { checkAdmission, checkLeader, checkSpec } from '../record/verify.ts';
import type { Verdict } from '../record/verify.ts';
import type { Node, With } from '../node/state.ts';

/**
 * By gossip: only the nodes drawn answer. Directly (`invited`): always. Nothing is held for a leader
 * that does not prove that W keepers admitted the job and that it leads it.
 * @param called the leader itself says that it calls nodes; that it sends a spec says nothing of that
 */
export function onAnnouncement(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  announcement: Announcement,
  invited: boolean,
  called = invited,
): void {
  const { job, version, round, need, leader } = announcement;
  if (invited && from !== leader) return refuse(core, from, 'wrong-signer', true);
  // A bid must reach somebody: one who is only named would be dialled for nothing.
  if (leader !== core.self && !core.mesh.members.has(leader) && !reached(core, leader))
    return refuse(core, from, 'unknown-node', false);
  const end = endOf(core, job);
  if (end !== null && end.close.record.body.version >= version)
    return send(core, leader, { type: 'closed', job, ...end });
  if (core.profile === null || versionHeard(core, job) > version) return;
  const lot = { job, version, round, need };
  if (!invited && !drawn(core.suite, lot, core.self, memberCount(core))) return;
  const told = withSpec(core, announcement);
  const { spec } = told;
  // That this node leads proves nothing either, unless it says so itself.
  const isOwn = invited && from === core.self;
  const verdict = isOwn ? 'good' : checkProof(core, told, spec);
  // Who repeats gossip has not looked into it.
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault && invited);
  if (spec === null) {
    const awaiting = { ...announcement, called };
    rememberOf(core.placing.awaitingSpec, awaiting, (other) => other.leader === leader);
    return send(core, leader, { type: 'spec-wanted', job, version });
  }
  if (isEverywhere(spec)) rememberLive(core, told, spec);
  if (JOB_TYPES[spec.body.spec.Type].counted) answer(core, told, spec.body, invited);
  else enrol(core, told, spec, called);
}

/** The announcement with its spec, and what made that the job's, as far as they are in it or known here. */
export function withSpec(
  core: With<'keeping' | 'executing'>,
  announcement: Announcement,
): Announcement {
  const { job, version, spec, decided } = announcement;
  if (decided !== undefined)
    return { ...announcement, spec: core.suite.specIn(decided.record.body.spec) };
  if (spec !== null) return announcement;
  const here = keptHere(core, job, version) ?? takenUp(core, job, version);
  if (here === null) return announcement;
  return {
    ...announcement,
    spec: here.spec,
    ...(here.version == null ? {} : { decided: here.version }),
  };
}

/** Of what this node took up itself it has the spec, though it does not keep the job. */
function takenUp(
  { executing }: With<'executing'>,
  job: JobId,
  version: number,
): StoredExecution | null {
  for (const { stored } of executing.own.values())
    if (stored.order.job === job && stored.order.version === version) return stored;
  return null;
}

function keptHere({ keeping }: With<'keeping'>, job: JobId, version: number): Ledger | null {
  const ledger = keeping.kept.get(job)?.ledger;
  return ledger?.spec.body.version === version ? ledger : null;
}

/** The job was admitted and its leader leads it; the spec may still be on its way. */
export function checkProof(
  core: Node,
  announcement: Announcement,
  spec: Signed<'spec'> | null,
): Verdict {
  const { job, version, admission, grant, leader } = announcement;
  const about = admission.record.body;
  // Whoever repeats it may have changed it: what is run, or told, as another version than the spec's ends nowhere.
  const isOne =
    about.job === job &&
    about.version <= version &&
    (spec === null || (spec.body.job === job && spec.body.version === version));
  if (!isOne) return { code: 'contradiction', fault: true };
  const led = checkLeader(core.suite, announcement, grant, leader);
  if (led !== 'good' || spec === null) return led;
  const sound = checkSpec(core.suite, spec, wallMs(core));
  const second = sound === 'good' ? checkAdmission(core.suite, spec, admission.record) : sound;
  if (second !== 'good' || isDecided(core, announcement, spec)) return second;
  return { code: 'bad-certificate', fault: true };
}

/** What its owner signed need not have become a version: without that no node runs it. */
function isDecided(
  { suite }: Node,
  { decided, ...roots }: Announcement,
  spec: Signed<'spec'>,
): boolean {
  const version = decided === undefined ? {} : { version: decided };
  return isProven(suite, { ...rootsOf(roots), ...version, spec });
}

/** The leader shows which version the job has, with its spec inside. */
export function onVersionShown(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  { job, version: decided }: Extract<Message, { type: 'version' }>,
): void {
  const awaiting = core.placing.awaitingSpec.get(job);
  if (awaiting?.leader !== from || awaiting.version !== decided.record.body.version) return;
  core.placing.awaitingSpec.delete(job);
  const { called, ...announcement } = awaiting;
  onAnnouncement(core, from, { ...announcement, decided }, true, called);
}

export function onSpec(
  core: With<'mesh' | 'keeping' | 'placing' | 'executing'>,
  from: NodeId,
  spec: Signed<'spec'>,
): void {
  const awaiting = core.placing.awaitingSpec.get(spec.body.job);
  if (awaiting?.leader !== from) return;
  core.placing.awaitingSpec.delete(spec.body.job);
  const { called, ...announcement } = awaiting;
  onAnnouncement(core, from, { ...announcement, spec }, true, called);
}
