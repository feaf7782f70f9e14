/**
 * The facts of a job that was re-seeded. Those whose keepers only seemed to be gone may have gone on: then the job has
 * two branches of configurations, and what was decided in the one is nothing in the other. A ledger follows one of them,
 * and has no place for what belongs to configurations that are not on its way.
 */
import { certifiedEpoch } from './certificate.ts';
import { compareConfigs, configurationOf, currentOf } from './chain.ts';
import type { Chain } from './chain.ts';
import type { Ledger } from './ledger.ts';
import type { CertifiedValue } from '../contract/messages.ts';
import type { Certified, ConfigId, RecordType, Signed } from './records.ts';

/** The configuration that a committed value belongs to; a configuration to itself. */
const configOf = ({ record, votes }: CertifiedValue): ConfigId | null => {
  if (record.type === 'config') return record.body.config;
  return votes.length === 0
    ? null
    : certifiedEpoch({ record, votes } as Certified<RecordType>).config;
};

/** It was passed over: the way from the admission to the latest configuration does not lead through it. */
const isPassed = (chain: Chain, config: ConfigId): boolean =>
  compareConfigs(config, currentOf(chain).config) < 0 && configurationOf(chain, config) === null;

/** It belongs to a configuration that this chain has passed over. One above it may still come to be known. */
export function isOff(chain: Chain, value: CertifiedValue): boolean {
  // So it is with nearly every job.
  if (currentOf(chain).config.major === 0) return false;
  const config = configOf(value);
  return config !== null && isPassed(chain, config);
}

/**
 * Of two values of one slot, decided by configurations on one way, before and after the job was re-seeded: the later
 * one, which the job went on with; but the first end, after which nothing should have been decided. null when neither
 * is there by right: one configuration decides once.
 */
export function outranks(fresh: CertifiedValue, known: CertifiedValue): boolean | null {
  const [a, b] = [configOf(fresh), configOf(known)];
  if (a === null || b === null || a.major === b.major) return null;
  return a.major > b.major !== (fresh.record.type === 'close');
}

/** What a ledger has that belongs to this chain. */
export interface Staying {
  /** Of the first version that is known and still was one: the others follow from what was committed. */
  readonly spec: Signed<'spec'>;
  readonly values: readonly CertifiedValue[];
  readonly states: readonly Signed<'state'>[];
  readonly grant: Certified<'grant'> | null;
}

/** @param without a value that another has taken the place of */
export function stayingOf(
  ledger: Ledger,
  chain: Chain,
  without: CertifiedValue | null = null,
): Staying {
  const { spec, others, admission, grant } = ledger;
  const values = committedIn(ledger).filter(
    (value) =>
      value.record.type !== 'config' &&
      value.record.id !== without?.record.id &&
      isOn(chain, configOf(value)),
  );
  const versions = new Set([admission.record.body.version]);
  for (const { record } of values) if (record.type === 'version') versions.add(record.body.version);
  const [first] = [spec, ...[...others.values()].flatMap((facts) => facts.spec ?? [])]
    .filter(({ body }) => versions.has(body.version))
    .sort((a, b) => a.body.version - b.body.version);
  return {
    spec: first ?? spec,
    values,
    states: [ledger, ...others.values()].flatMap(({ states }) => [...states.values()]),
    grant: grant !== null && isOn(chain, grant.record.body.epoch.config) ? grant : null,
  };
}

const isOn = (chain: Chain, config: ConfigId | null): boolean =>
  config === null || configurationOf(chain, config) !== null;

function committedIn({ committed, others }: Ledger): readonly CertifiedValue[] {
  const past = [...others.values()].flatMap((facts) => [
    ...facts.committed.values(),
    ...(facts.version === null ? [] : [facts.version]),
    ...(facts.close === null ? [] : [facts.close]),
  ]);
  return [...committed.values(), ...past];
}
