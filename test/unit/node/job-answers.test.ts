/** Answers that are given again: for how long, to whom, and when not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asJobId } from '../../../src/core/record/ids.ts';
import { createJobAnswers } from '../../../src/node/job-answers.ts';

const JOB = asJobId('j-0123abcd-0000-8000-8000-000000000001');
const OTHER = asJobId('j-0123abcd-0000-8000-8000-000000000002');

function counting(keepMs: (answer: string) => number = () => 100) {
  let now = 0;
  let asked = 0;
  const answers = createJobAnswers<string>({
    ask: async (ref) => `${ref} ${(asked += 1)}`,
    jobOf: () => JOB,
    keepMs,
    now: () => now,
  });
  return { answers, asked: () => asked, pass: (ms: number) => void (now += ms) };
}

test('an answer is given again until its time is over', async () => {
  const { answers, asked, pass } = counting();
  const first = await answers.get(JOB, 'default');
  pass(99);
  assert.equal(await answers.get(JOB, 'default'), first);
  assert.equal(asked(), 1);
  pass(1);
  assert.notEqual(await answers.get(JOB, 'default'), first);
  assert.equal(asked(), 2);
});

test('who asks while an answer is awaited gets the same one; other jobs are asked for themselves', async () => {
  const { answers, asked } = counting();
  const [one, two, other] = await Promise.all(
    [JOB, JOB, OTHER].map((job) => answers.get(job, 'default')),
  );
  assert.equal(one, two);
  assert.notEqual(one, other);
  assert.equal(asked(), 2);
});

test('after a change the next one asks anew, also when the change came while an answer was awaited', async () => {
  const { answers, asked } = counting();
  await answers.get(JOB, 'default');
  answers.changed(JOB);
  const before = answers.get(JOB, 'default');
  answers.changed(JOB);
  const after = answers.get(JOB, 'default');
  assert.notEqual(await before, await after);
  assert.equal(await answers.get(JOB, 'default'), await after);
  assert.equal(asked(), 3);
});

test('names, prefixes and answers without a time are not kept', async () => {
  const named = counting();
  for (const ref of ['word-count', JOB.slice(0, 10)]) {
    await named.answers.get(ref, 'default');
    await named.answers.get(ref, 'default');
  }
  assert.equal(named.asked(), 4);
  const over = counting(() => 0);
  await over.answers.get(JOB, 'default');
  await over.answers.get(JOB, 'default');
  assert.equal(over.asked(), 2);
});

test('whoever was told of a job by its name, or in a list of all, is not told less by its id', async () => {
  const { answers, asked } = counting();
  for (const tell of [() => answers.get('word-count', 'default'), async () => answers.toldAll()]) {
    const before = await answers.get(JOB, 'default');
    const asking = asked();
    await tell();
    assert.notEqual(await answers.get(JOB, 'default'), before);
    assert.ok(asked() > asking);
  }
});

test('a failure is told to those who wait for it and then forgotten', async () => {
  let fails = true;
  const answers = createJobAnswers<string>({
    ask: async () => {
      if (fails) throw new Error('nobody answers');
      return 'found';
    },
    jobOf: () => JOB,
    keepMs: () => 100,
    now: () => 0,
  });
  await assert.rejects(answers.get(JOB, 'default'), /nobody answers/);
  fails = false;
  assert.equal(await answers.get(JOB, 'default'), 'found');
});

test('of very many jobs the oldest answers go', async () => {
  const { answers, asked } = counting();
  const ids = Array.from(
    { length: 300 },
    (_, n) => `j-0123abcd-0000-8000-8000-${String(n).padStart(12, '0')}`,
  );
  for (const id of ids) await answers.get(id, 'default');
  await answers.get(ids.at(-1) ?? '', 'default');
  assert.equal(asked(), 300);
  await answers.get(ids[0] ?? '', 'default');
  assert.equal(asked(), 301);
});
