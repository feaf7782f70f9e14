/** A compact set of job ids is a map in order of arrival, whatever is added and taken away. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { JobSet } from '../../../../src/core/keeping/job-set.ts';
import { asJobId, uuidOf } from '../../../../src/core/record/ids.ts';

const idOf = (n: number) =>
  asJobId(`j-${uuidOf(createHash('sha256').update(String(n)).digest('hex'))}`);

const steps = fc.array(
  fc.record({ add: fc.boolean(), n: fc.nat(40), moment: fc.integer({ min: 0, max: 1e12 }) }),
  { maxLength: 400 },
);

describe('a set of jobs', () => {
  it('has what was added and not deleted, in the order in which it came', () => {
    fc.assert(
      fc.property(steps, (all) => {
        const set = new JobSet();
        const model = new Map<string, number>();
        for (const { add, n, moment } of all) {
          const job = idOf(n);
          if (add) {
            set.add(job, moment);
            model.set(job, moment);
          } else assert.equal(set.delete(job), model.delete(job));
        }
        assert.deepEqual([...set], [...model]);
        assert.equal(set.size, model.size);
        assert.equal(set.oldest(), [...model.keys()][0] ?? null);
        assert.deepEqual(
          set.before(5e11, 3),
          [...model]
            .filter(([, moment]) => moment < 5e11)
            .map(([job]) => job)
            .slice(0, 3),
        );
        for (let n = 0; n <= 40; n += 1) {
          assert.equal(set.has(idOf(n)), model.has(idOf(n)));
          assert.equal(set.momentOf(idOf(n)), model.get(idOf(n)) ?? null);
        }
      }),
    );
  });

  it('holds a hundred thousand, and as many that come and go', () => {
    const set = new JobSet();
    for (let n = 0; n < 100_000; n += 1) set.add(idOf(n), n);
    for (let n = 0; n < 100_000; n += 1) {
      assert.equal(set.oldest(), idOf(n));
      set.delete(idOf(n));
      set.add(idOf(100_000 + n), n);
    }
    assert.equal(set.size, 100_000);
    assert.ok(set.has(idOf(150_000)) && !set.has(idOf(50_000)));
  });

  it('tells ids apart that differ in one digit, and takes no other words for an id', () => {
    const set = new JobSet();
    const id = idOf(1);
    set.add(id, 1);
    for (let at = 2; at < id.length; at += 1) {
      if (id[at] === '-') continue;
      const other = id.slice(0, at) + (id[at] === '0' ? '1' : '0') + id.slice(at + 1);
      assert.equal(set.has(asJobId(other)), false, other);
    }
    for (const word of ['', 'constructor', 'j-', `${id} `, id.toUpperCase()]) {
      set.add(asJobId(word), 1);
      assert.equal(set.has(asJobId(word)), false, word);
    }
    assert.equal(set.size, 1);
  });
});
