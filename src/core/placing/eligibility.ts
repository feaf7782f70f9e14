/**
 * Whether a node takes a job: every check gives its reason, and all reasons are given up to a bound, so
 * that the leader can say which one keeps how many nodes out. Pure: profile and spec in, refusals out.
 */
import { registryOf, whyNotRegistry } from '../../job/image.ts';
import { favourOf, matches } from '../../job/constraints.ts';
import type { Job, Resources } from '../../job/model.ts';
import { own } from '../../job/own.ts';
import { covers } from '../../job/wildcard.ts';
import { pathAllowed } from './allowed-paths.ts';
import type { ExecutorPolicy, Profile } from '../contract/profile.ts';
import type { AdvertBody, SpecBody } from '../record/records.ts';
import type { Refusal } from '../record/refusals.ts';
import { shortages, takenBy } from './resources.ts';

/** As many as one message carries: of a spec with a thousand constraints the first ones say enough. */
const REFUSALS_MAX = 64;

/**
 * Reasons that stand whatever else runs on the node now, at most 64. Empty = this node can run the
 * job.
 */
export function refusalsFor(profile: Profile, spec: SpecBody): readonly Refusal[] {
  const all = [
    ...policyRefusals(profile, spec),
    ...pluginRefusals(profile, spec.spec),
    ...constraintRefusals(profile, spec.spec),
    ...accessRefusals(profile, spec.spec),
    ...shortages(takenBy(spec.spec.Task, profile.overheads), profile.capacity).map(
      (short): Refusal => ({
        code: 'too-big',
        resource: short.resource,
        wanted: short.wanted,
        capacity: short.available,
      }),
    ),
  ];
  return all.slice(0, REFUSALS_MAX);
}

/** By what a node tells everybody of itself; whom it works for it says only when it is asked. */
export function mayRun(advert: AdvertBody, { Constraints, Task }: Job): boolean {
  const { Engine, Publisher, InputSources } = Task;
  return (
    advert.engines.includes(Engine.Type) &&
    (Publisher.Type === '' || advert.publishers.includes(Publisher.Type)) &&
    InputSources.every(({ Source }) => advert.sources.includes(Source.Type)) &&
    Constraints.every((one) => favourOf(one) !== null || matches(one, advert.labels)) &&
    shortages(takenBy(Task, {}), advert.capacity).length === 0
  );
}

/** Reasons that pass with time: what is missing in `free` now. */
export function busyRefusals(wanted: Resources, free: Resources): readonly Refusal[] {
  return shortages(wanted, free).map((short) => ({
    code: 'busy',
    resource: short.resource,
    wanted: short.wanted,
    free: short.available,
  }));
}

function policyRefusals(profile: Profile, spec: SpecBody): readonly Refusal[] {
  const { policy } = profile;
  const refusals: Refusal[] = [];
  const owners = policy.allowOwners;
  if (
    policy.denyOwners.includes(spec.owner) ||
    (owners.length > 0 && !owners.includes(spec.owner))
  ) {
    refusals.push({ code: 'owner-not-allowed' });
  }
  const namespace = spec.spec.Namespace;
  const spaces = policy.allowNamespaces;
  if (
    policy.denyNamespaces.includes(namespace) ||
    (spaces.length > 0 && !spaces.includes(namespace))
  ) {
    refusals.push({ code: 'namespace-not-allowed', namespace });
  }
  return refusals;
}

function pluginRefusals(profile: Profile, job: Job): readonly Refusal[] {
  const { Engine, Publisher, InputSources } = job.Task;
  const refusals: Refusal[] = [];
  const engine = own(profile.engines, Engine.Type);
  if (engine === undefined || !engine.available) {
    refusals.push({
      code: 'engine-missing',
      engine: Engine.Type,
      detail: engine?.detail ?? 'no such engine here',
    });
  }
  if (Publisher.Type !== '' && !profile.publishers.includes(Publisher.Type)) {
    refusals.push({ code: 'publisher-missing', publisher: Publisher.Type });
  }
  for (const type of new Set(InputSources.map((input) => input.Source.Type))) {
    if (!profile.sources.includes(type)) refusals.push({ code: 'source-missing', source: type });
  }
  return refusals;
}

function constraintRefusals(profile: Profile, job: Job): readonly Refusal[] {
  return job.Constraints.filter(
    (constraint) => favourOf(constraint) === null && !matches(constraint, profile.labels),
  ).map((constraint) => ({
    code: 'constraint',
    constraint,
    actual: own(profile.labels, constraint.Key) ?? null,
  }));
}

function accessRefusals(profile: Profile, job: Job): readonly Refusal[] {
  const { Engine, Env, InputSources, Network } = job.Task;
  const refusals: Refusal[] = [];
  const network =
    own(profile.networks, `${Engine.Type}/${Network.Type}`) ?? own(profile.networks, Network.Type);
  if (network === undefined || !network.allowed) {
    refusals.push({ code: 'network', network: Network.Type, detail: network?.detail ?? '' });
  }
  for (const { HostNetwork } of Network.Ports) {
    if (HostNetwork === '' || profile.portAddresses.includes(HostNetwork)) continue;
    const allowed = profile.portAddresses.join(', ') || 'none';
    const detail = `ports may not be published on ${HostNetwork} there, only on ${allowed}`;
    refusals.push({ code: 'network', network: Network.Type, detail });
  }
  for (const { Source } of InputSources) {
    if (Source.Type !== 'localdirectory') continue;
    const path = String(Source.Params['SourcePath'] ?? '');
    const writable = Source.Params['ReadWrite'] === true;
    if (!pathAllowed(profile.allowedPaths, path, writable)) {
      refusals.push({ code: 'path-not-allowed', path, writable });
    }
  }
  for (const value of Object.values(Env)) {
    const variable = /^env:(.+)$/.exec(value)?.[1];
    if (variable !== undefined && !profile.allowedEnv.some((rule) => covers(rule, variable))) {
      refusals.push({ code: 'env-not-allowed', variable });
    }
  }
  const image = Engine.Params['Image'];
  if (typeof image === 'string' && !imageAllowed(image, profile.policy)) {
    refusals.push({ code: 'image-not-allowed', image });
  }
  return refusals;
}

function imageAllowed(image: string, policy: ExecutorPolicy): boolean {
  const { allowImages, privateRegistries } = policy;
  if (whyNotRegistry(registryOf(image), privateRegistries) !== null) return false;
  return allowImages.length === 0 || allowImages.some((prefix) => image.startsWith(prefix));
}
