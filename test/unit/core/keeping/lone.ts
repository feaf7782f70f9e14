/** Node 0 alone, of a job whose other keepers are played by the test; and the branches that they show it. */
import assert from 'node:assert/strict';
import type { CertifiedValue } from '../../../../src/core/contract/messages.ts';
import { firstEpoch } from '../../../../src/core/record/ballot.ts';
import { chainOf, currentOf, FIRST_CONFIG, reseedId } from '../../../../src/core/record/chain.ts';
import type { Certified, ConfigId, Epoch } from '../../../../src/core/record/records.ts';
import { slotOf } from '../../../../src/core/record/slot.ts';
import { Cluster } from '../cluster.ts';
import {
  admitted,
  advertOf,
  at,
  certify,
  grantOf,
  idOf,
  jobWith,
  setOf,
  suite,
  suiteOf,
} from '../fixtures.ts';
import type { Admitted } from '../fixtures.ts';
import { convince } from './telling.ts';

/** Node `by` re-seeds the job with these, two of whom vote for it. */
export function reseed(
  of: Admitted,
  by: number,
  keepers: readonly number[],
  reseeds = FIRST_CONFIG,
): Certified<'config'> {
  const { job } = of.spec.body;
  const config = reseedId(suite, job, reseeds, setOf(keepers));
  const body = { job, config, keepers: setOf(keepers), former: [], reseeds };
  const record = suiteOf(by).seal('config', body, at(5), 'node');
  return certify(record, slotOf(record), keepers.slice(0, 2), firstEpoch(body));
}

/** Those before go on: the next configuration after the one of this minor. */
export function goOn(
  of: Admitted,
  minor: number,
  keepers: readonly number[],
  former: readonly number[],
  voters: readonly number[],
): Certified<'config'> {
  const config = { major: 0, minor: minor + 1 };
  const body = { job: of.spec.body.job, config, keepers: setOf(keepers), former: setOf(former) };
  const record = suiteOf(1).seal('config', body, at(5), 'node');
  return certify(record, slotOf(record), voters, epochOf({ major: 0, minor }, 1, minor));
}

export const epochOf = (config: ConfigId, leader: number, number = 1): Epoch => ({
  config,
  number,
  leader: idOf(leader),
});

/** Node 0, of a job that these keep. The others are played by the test. */
export class Lone extends Cluster {
  readonly of: Admitted;

  constructor(
    keepers: readonly number[],
    configs: readonly Certified<'config'>[] = [],
    spec = jobWith(),
  ) {
    // It could not run the job itself, so that it finds nothing undone.
    super({ nodes: 1, program: () => [], profile: () => ({ engines: {} }) });
    this.of = admitted(spec, keepers);
    for (const node of [1, 2, 3, 4, 5])
      this.message(0, node, { type: 'advert', advert: advertOf(node) });
    const changed = configs.length === 0 ? {} : { configs };
    this.message(0, 1, { type: 'activate', ...this.of, ...changed });
  }

  get id() {
    return this.of.spec.body.job;
  }

  get config(): ConfigId {
    const { records } = this.inspect(0).jobs[0] ?? assert.fail('it knows the job');
    return currentOf(chainOf(records)).config;
  }

  tell(from: number, ...values: readonly CertifiedValue[]): void {
    convince(this, from, { type: 'commit', job: this.id, values });
  }

  tellOnce(from: number, ...values: readonly CertifiedValue[]): void {
    this.message(0, from, { type: 'commit', job: this.id, values });
  }

  promises(from: number, epoch: Epoch): boolean {
    const before = this.messages('promise').length;
    const grant = grantOf(this.of, epoch, from);
    this.message(0, from, { type: 'prepare', job: this.id, grant });
    return this.messages('promise').length > before;
  }

  /** Hears these for a while, as often as keepers speak to each other. */
  pass(ms: number, speaking: readonly number[] = [1, 2, 3, 4, 5]): void {
    for (const end = this.now + ms; this.now < end; ) {
      for (const node of speaking) this.message(0, node, { type: 'pong', nonce: 0 });
      this.advance(1_000);
    }
  }

  get turn(): number {
    return this.messages('branch').at(-1)?.message.turn ?? assert.fail('it asks');
  }

  /** A keeper of the branch that these lead to says that it goes on. */
  answer(from: number, configs: readonly Certified<'config'>[] = []): void {
    const changed = configs.length === 0 ? {} : { configs };
    const about = { job: this.id, turn: this.turn, intact: true };
    this.message(0, from, { type: 'branch-known', ...about, ...changed });
  }

  rows(table: 'promises' | 'records'): readonly string[] {
    return this.store(0)
      .rows(table)
      .map(({ key }) => key);
  }
}
