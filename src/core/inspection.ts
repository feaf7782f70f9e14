/** What checkers and status pages may see of a node; derived on demand, changes nothing. */
import { leaderIn } from './leading/state.ts';
import { isGuest } from './keeping/changing.ts';
import { JobSet } from './keeping/job-set.ts';
import { busyHeld } from './placing/capacity.ts';
import { recordsOf, stateOf } from './record/ledger.ts';
import type { Inspection, Sighting } from './contract/inspection.ts';
import { aliveMembers, ownOffer } from './mesh/members.ts';
import { mayRun } from './placing/eligibility.ts';
import type { JobId } from './record/ids.ts';
import { isQueued } from './placing/place.ts';
import { NOTHING } from './placing/resources.ts';
import type { Core, With } from './node/state.ts';

export function inspect(core: With<'mesh' | 'keeping' | 'placing' | 'executing'>): Inspection {
  const { reserved, held } = busyHeld(core);
  return {
    node: core.self,
    store: core.config.store,
    jobs: [...core.keeping.kept].map(([job, kept]) => ({
      job,
      keeper: !isGuest(core, kept),
      leading: leaderIn(kept.lead)?.epoch ?? null,
      promised: kept.promised,
      state: stateOf(kept.ledger, isQueued(core, kept)),
      records: recordsOf(kept.ledger),
    })),
    executions: [...core.executing.executions.values()].map(({ stored, epoch }) => ({
      job: stored.order.job,
      execution: stored.order.execution,
      version: stored.order.version,
      partition: stored.order.partition,
      attempt: stored.order.attempt,
      phase: stored.state.body.phase,
      epoch,
    })),
    capacity: core.profile?.capacity ?? NOTHING,
    reserved,
    held,
    holds: [...core.placing.holds.values()].map(({ job, since, until }) => ({ job, since, until })),
    members: core.mesh.members.size + 1,
    setAside: [...core.troubles]
      .filter(([, trouble]) => trouble.state === 'aside')
      .map(([job, { why }]) => ({ job, why })),
    refused: { ...core.refused },
  };
}

/** Entries of every map and set, those of kept jobs added up, so that a test can tell that each has a bound. */
export function sizesOf(core: Core): Readonly<Record<string, number>> {
  const sizes = new Map([['timers', core.timers.size]]);
  const count = (of: string, holder: object): void => {
    for (const [name, value] of Object.entries(holder)) {
      if (!(value instanceof Map || value instanceof Set || value instanceof JobSet)) continue;
      sizes.set(of + name, (sizes.get(of + name) ?? 0) + value.size);
    }
  };
  const { mesh, asking, keeping, placing, executing } = core;
  for (const part of [core, mesh, asking, keeping, placing, executing]) count('', part);
  for (const kept of core.keeping.kept.values()) {
    count('kept.', { accepted: kept.accepted });
    count('ledger.', kept.ledger);
    const lead = kept.lead ?? {};
    count('lead.', lead);
    for (const part of Object.values(lead))
      if (typeof part === 'object' && part !== null) count('lead.', part);
  }
  return Object.fromEntries(sizes);
}

export function sightings(core: With<'mesh' | 'placing' | 'executing'>): readonly Sighting[] {
  const own = ownOffer(core);
  const self = own === null ? [] : [{ advert: own, connected: true, silentMs: 0 }];
  const others = [...core.mesh.members.values()].map(({ advert, heardAt }) => ({
    advert: advert.body,
    connected: core.mesh.connected.has(advert.body.node),
    silentMs: core.now - Math.max(heardAt, core.mesh.heardAt.get(advert.body.node) ?? heardAt),
  }));
  return [...self, ...others];
}

/** Found anew at each call: whoever asks is a person who wants this node to leave. */
export function onlyHere(core: With<'mesh' | 'executing'>): readonly JobId[] {
  const others = aliveMembers(core).map(({ advert }) => advert.body);
  const jobs = new Set<JobId>();
  const seen = new Set<JobId>();
  for (const { stored } of core.executing.live.values()) {
    const { job, spec } = stored.spec.body;
    if (seen.has(job)) continue;
    seen.add(job);
    if (!others.some((advert) => advert.keeps && mayRun(advert, spec))) jobs.add(stored.order.job);
  }
  return [...jobs];
}
