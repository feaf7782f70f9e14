/** What a record must be to be believed: one refusal for each way in which it can be false (invariant I11). */
import { firstOf } from '../../../../src/core/record/chain.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asJobId, asRecordId } from '../../../../src/core/record/ids.ts';
import type { PublicKey } from '../../../../src/core/record/ids.ts';
import type { AdmissionBody, Epoch } from '../../../../src/core/record/records.ts';
import {
  checkActivation,
  checkAdmission,
  checkAdvert,
  checkCommand,
  checkCommitted,
  checkGrant,
  checkSpec,
  checkState,
  grantedEpoch,
  jobIdOf,
} from '../../../../src/core/record/verify.ts';
import type { Verdict } from '../../../../src/core/record/verify.ts';
import { forge, nodeKey, ownerKey } from '../../../simulation/fast-suite.ts';
import {
  WALL,
  acceptOf,
  admissionOf,
  admitted,
  assignOf,
  at,
  certify,
  closeOf,
  committed,
  grantOf,
  idOf,
  jobWith,
  specOf,
  stateOf,
  stopOf,
  storeOf,
  suite,
  suiteOf,
} from '../fixtures.ts';
import { isKeeper } from '../../../../src/core/record/keeper-set.ts';

const job = admitted(jobWith(), [0, 1, 2]);
const { spec, admission } = job;
const { body } = admission.record;
const chain = firstOf(body);
const assign = assignOf(job, { node: 7 });
const state = stateOf(assign, 7, {});
const code = (verdict: Verdict): string => (verdict === 'good' ? 'good' : verdict.code);
type Cases = readonly (readonly [law: string, expected: string, verdict: () => Verdict])[];
const check = (cases: Cases): void => {
  for (const [law, expected, verdict] of cases)
    it(law, () => assert.equal(code(verdict()), expected));
};
const withBody = <T extends { readonly body: object }>(
  record: T,
  change: Partial<T['body']>,
): T => ({
  ...record,
  body: { ...record.body, ...change },
});

describe('a spec', () => {
  check([
    ['of its owner is good', 'good', () => checkSpec(suite, spec, WALL)],
    [
      'is good until the very moment it expires',
      'good',
      () => checkSpec(suite, spec, spec.body.notAfter),
    ],
    [
      'is refused after it expired',
      'expired',
      () => checkSpec(suite, spec, spec.body.notAfter + 1),
    ],
    [
      'signed by another owner is refused',
      'wrong-signer',
      () => checkSpec(suite, specOf(jobWith(), { owner: ownerKey(1) }), WALL),
    ],
    [
      'signed with another key in the name of its owner is refused',
      'bad-signature',
      () =>
        checkSpec(
          suite,
          forge(specOf(jobWith(), { owner: ownerKey(1), job: other }), ownerKey(1)),
          WALL,
        ),
    ],
    [
      'under the id of another job is refused',
      'contradiction',
      () => checkSpec(suite, specOf(jobWith(), { job: asJobId('j-other') }), WALL),
    ],
    [
      'with another nonce has another id',
      'contradiction',
      () =>
        checkSpec(suite, specOf(jobWith(), { job: spec.body.job, nonce: 'c'.repeat(32) }), WALL),
    ],
    [
      'changed after it was signed is refused',
      'bad-signature',
      () => checkSpec(suite, withBody(spec, { spec: jobWith({ Count: 9 }) }), WALL),
    ],
    [
      'that no API would have taken is refused, whoever signed it',
      'spec-invalid',
      () => checkSpec(suite, specOf(jobWith({ Count: 1_000_000 })), WALL),
    ],
    [
      'that would take resources for nothing is refused',
      'spec-invalid',
      () => {
        const { Task, ...job } = jobWith();
        const resources = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
        return checkSpec(suite, specOf({ ...job, Task: { ...Task, resources } }), WALL);
      },
    ],
  ]);

  it('that merely expired is nobody’s fault', () => {
    assert.deepEqual(checkSpec(suite, spec, spec.body.notAfter + 1), {
      code: 'expired',
      fault: false,
    });
  });
});

const other = jobIdOf(suite, ownerKey(1), 'a'.repeat(32));

const admissionWith = (change: Partial<AdmissionBody>) => admissionOf(spec, [0, 1, 2], change);
const keepers = (...indexes: number[]) =>
  indexes.map((index) => ({ node: idOf(index), store: storeOf(index) }));

describe('an admission', () => {
  const verdict = (change: Partial<AdmissionBody>) =>
    checkAdmission(suite, spec, admissionWith(change));
  check([
    ['by its sponsor is good', 'good', () => verdict({})],
    ['with a single keeper is good', 'good', () => verdict({ keepers: keepers(4) })],
    [
      'of another spec is refused',
      'contradiction',
      () => verdict({ spec: asRecordId('f'.repeat(64)) }),
    ],
    ['of another job is refused', 'contradiction', () => verdict({ job: asJobId('j-other') })],
    ['of another version is refused', 'contradiction', () => verdict({ version: 2 })],
    ['without keepers is refused', 'contradiction', () => verdict({ keepers: [] })],
    [
      'with an even number of keepers is refused',
      'contradiction',
      () => verdict({ keepers: keepers(0, 1) }),
    ],
    [
      'that names a node twice is refused',
      'contradiction',
      () =>
        verdict({
          keepers: [...keepers(0, 1), { node: idOf(1), store: storeOf(9) }],
        }),
    ],
    [
      'by another node than the owner named is refused',
      'contradiction',
      () => checkAdmission(suite, spec, admissionOf(spec, [5], {}, 5)),
    ],
    [
      'in the name of another sponsor is refused',
      'wrong-signer',
      () => checkAdmission(suite, spec, admissionOf(spec, [0, 1, 2], { sponsor: idOf(0) }, 5)),
    ],
    [
      'signed with another key is refused',
      'bad-signature',
      () =>
        checkAdmission(
          suite,
          spec,
          forge(admissionOf(spec, [0], { sponsor: idOf(0) }, 5), nodeKey(0)),
        ),
    ],
  ]);
});

describe('an activation', () => {
  const verdict = (voters: readonly number[], wall = WALL, epoch: Epoch = job.epoch) =>
    checkActivation(
      suite,
      spec,
      { admission: certify(admission.record, 'admission', voters, epoch) },
      wall,
    );
  check([
    ['with a majority of votes is good', 'good', () => verdict([0, 2])],
    ['with too few votes is refused', 'bad-certificate', () => verdict([0])],
    ['with votes of others is refused', 'bad-certificate', () => verdict([0, 3])],
    ['after the spec expired is refused', 'expired', () => verdict([0, 1], spec.body.notAfter + 1)],
    [
      'of another spec is refused',
      'contradiction',
      () =>
        checkActivation(
          suite,
          specOf(jobWith({ Count: 2 }), { nonce: 'd'.repeat(32) }),
          { admission },
          WALL,
        ),
    ],
  ]);
});

describe('a grant', () => {
  const epoch: Epoch = { config: { major: 0, minor: 0 }, number: 3, leader: idOf(1) };
  const verdict = (
    change: { epoch?: Epoch; by?: number; voters?: number[]; under?: Epoch } = {},
  ) => {
    const grant = grantOf(job, change.epoch ?? epoch, change.by ?? 1);
    return checkGrant(
      suite,
      chain,
      certify(grant, 'grant', change.voters ?? [1, 2], change.under ?? epoch),
    );
  };
  const stranger = { ...epoch, leader: idOf(6) };
  check([
    ['with a majority of promises is good', 'good', () => verdict()],
    ['with too few promises is refused', 'bad-certificate', () => verdict({ voters: [1] })],
    ['signed by another than its leader is refused', 'wrong-signer', () => verdict({ by: 2 })],
    [
      'to a node that is no keeper is refused',
      'not-keeper',
      () => verdict({ epoch: stranger, by: 6, under: stranger }),
    ],
    [
      'with promises for another epoch is refused',
      'bad-certificate',
      () => verdict({ under: { ...epoch, number: 2 } }),
    ],
    [
      'for another job is refused',
      'wrong-signer',
      () => {
        const foreign = admitted(jobWith(), [0, 1, 2], { nonce: 'e'.repeat(32) });
        return checkGrant(
          suite,
          chain,
          certify(grantOf(foreign, epoch, 1), 'grant', [1, 2], epoch),
        );
      },
    ],
  ]);

  it('is not needed for the first epoch, which the admission grants', () => {
    assert.deepEqual(grantedEpoch(chain, null), {
      config: { major: 0, minor: 0 },
      number: 0,
      leader: idOf(0),
    });
    assert.deepEqual(
      grantedEpoch(chain, certify(grantOf(job, epoch, 1), 'grant', [1, 2], epoch)),
      epoch,
    );
  });
});

describe('a committed value', () => {
  const foreign = admitted(jobWith(), [0, 1, 2], { nonce: 'e'.repeat(32) });
  check([
    [
      'with a majority of votes is good',
      'good',
      () => checkCommitted(suite, chain, committed(job, assign)),
    ],
    [
      'of another job is refused',
      'contradiction',
      () => checkCommitted(suite, chain, committed(foreign, closeOf(foreign))),
    ],
    [
      'proposed by a node that is no keeper is refused',
      'not-keeper',
      () => checkCommitted(suite, chain, committed(job, assignOf(job, { node: 7, by: 7 }))),
    ],
    [
      'voted for in another slot is refused',
      'bad-certificate',
      () =>
        checkCommitted(
          suite,
          chain,
          certify(acceptOf(job, state), 'accept/1/1', [0, 1], job.epoch),
        ),
    ],
    [
      'with too few votes is refused',
      'bad-certificate',
      () => checkCommitted(suite, chain, certify(closeOf(job), 'close/1', [0], job.epoch)),
    ],
  ]);
});

describe('a state', () => {
  const id = spec.body.job;
  check([
    ['by its executor is good', 'good', () => checkState(suite, id, state)],
    [
      'of another job is refused',
      'contradiction',
      () => checkState(suite, asJobId('j-other'), state),
    ],
    [
      'by another node is refused',
      'wrong-signer',
      () => checkState(suite, id, stateOf(assign, 6, {})),
    ],
    [
      'signed in the name of its executor is refused',
      'bad-signature',
      () => checkState(suite, id, forge(stateOf(assign, 6, {}), nodeKey(7))),
    ],
    [
      'changed after it was signed is refused',
      'bad-signature',
      () => checkState(suite, id, withBody(state, { phase: 'completed' })),
    ],
  ]);
});

describe('a command', () => {
  const verdict = (command: ReturnType<typeof stopOf>, wall = WALL) =>
    checkCommand(suite, spec, command, wall);
  check([
    ['of the owner is good', 'good', () => verdict(stopOf(job))],
    ['of another owner is refused', 'wrong-signer', () => verdict(stopOf(job, {}, suiteOf(1, 1)))],
    [
      'signed in the name of the owner is refused',
      'bad-signature',
      () => verdict(forge(stopOf(job, {}, suiteOf(1, 1)), suite.owner)),
    ],
    [
      'of another job is refused',
      'contradiction',
      () => verdict(stopOf(job, { job: asJobId('j-other') })),
    ],
    ['after it expired is refused', 'expired', () => verdict(stopOf(job), WALL + 86_400_001)],
    [
      'is good as long as its spec is, whatever the clock of the one who signed it was',
      'good',
      () => verdict(stopOf(job, { notAfter: WALL - 86_400_000 }), WALL),
    ],
  ]);
});

describe('an advert', () => {
  const advertBy = (index: number, key: PublicKey | null = null) => {
    const nothing = { cpuMillis: 0, memoryBytes: 0, diskBytes: 0, gpus: 0 };
    const advert = suiteOf(index).seal(
      'advert',
      {
        node: idOf(1),
        store: storeOf(1),
        sequence: 1,
        addresses: [],
        labels: {},
        engines: [],
        publishers: [],
        sources: [],
        capacity: nothing,
        free: nothing,
        running: 0,
        keeps: true,
        software: 'shoal',
        features: [],
      },
      at(0),
      'node',
    );
    return key === null ? advert : forge(advert, key);
  };
  check([
    ['by its node is good', 'good', () => checkAdvert(suite, advertBy(1))],
    ['by another node is refused', 'wrong-signer', () => checkAdvert(suite, advertBy(2))],
    [
      'signed in the name of its node is refused',
      'bad-signature',
      () => checkAdvert(suite, advertBy(2, nodeKey(1))),
    ],
  ]);
});

describe('isKeeper', () => {
  it('knows the keepers of the admission and nobody else', () => {
    assert.deepEqual(
      [0, 1, 2, 3].map((index) => isKeeper(chain.configurations[0], idOf(index))),
      [true, true, true, false],
    );
  });
});
