/**
 * Hearing announcements: what proves that a job was admitted, and who leads it, is looked at before anything is
 * done about it. Then this node bids, or, where each node decides for itself, enrols.
 */
import { JOB_TYPES } from '../../job/types.ts';
import { enrol } from '../executing/enrol.ts';
import { versionHeard } from '../executing/state.ts';
import { memberCount } from '../mesh/members.ts';
import type { Announcement } from '../contract/messages.ts';
import { answer, rememberOf } from './bidder.ts';
import { isEverywhere, rememberLive } from './live.ts';
import { drawn } from './sortition.ts';
import type { JobId, NodeId } from '../record/ids.ts';
import type { Signed } from '../record/records.ts';
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
  const { job, version, round, need, spec, leader } = announcement;
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
  const known = spec ?? keptSpec(core, job, version) ?? takenUp(core, job, version);
  // That this node leads proves nothing either, unless it says so itself.
  const isOwn = invited && from === core.self;
  const verdict = isOwn ? 'good' : checkProof(core, announcement, known);
  // Who repeats gossip has not looked into it.
  if (verdict !== 'good') return refuse(core, from, verdict.code, verdict.fault && invited);
  if (known === null) {
    const awaiting = { ...announcement, called };
    rememberOf(core.placing.awaitingSpec, awaiting, (other) => other.leader === leader);
    return send(core, leader, { type: 'spec-wanted', job, version });
  }
  const heard = { ...announcement, spec: known };
  if (isEverywhere(known)) rememberLive(core, heard, known);
  if (JOB_TYPES[known.body.spec.Type].counted) answer(core, heard, known.body, invited);
  else enrol(core, heard, known, called);
}

/** Of what this node took up itself it has the spec, though it does not keep the job. */
function takenUp(
  { executing }: With<'executing'>,
  job: JobId,
  version: number,
): Signed<'spec'> | null {
  for (const { stored } of executing.own.values())
    if (stored.order.job === job && stored.order.version === version) return stored.spec;
  return null;
}

function keptSpec({ keeping }: With<'keeping'>, job: JobId, version: number) {
  const spec = keeping.kept.get(job)?.ledger.spec;
  return spec?.body.version === version ? spec : null;
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
  return sound === 'good' ? checkAdmission(core.suite, spec, admission.record) : sound;
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
