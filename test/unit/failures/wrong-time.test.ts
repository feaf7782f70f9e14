/** What is refused for its time is told with both times, as people write them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { wrongTime } from '../../../src/failures/wrong-time.ts';

const iso = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

test('both times are those of the calendar, until the year 9999', () => {
  const moment = fc.nat(Date.UTC(9_999, 11, 31));
  const edges = [
    0,
    Date.UTC(2000, 1, 29),
    Date.UTC(2026, 11, 31, 23, 59, 59),
    Date.UTC(2100, 1, 28),
  ];
  fc.assert(
    fc.property(moment, moment, (notAfter, wall) => {
      const text = wrongTime({ code: 'wrong-time', notAfter, wall });
      assert.ok(text.includes(`until ${iso(notAfter)} UTC`), text);
      assert.ok(text.includes(`there, ${iso(wall)} UTC`), text);
    }),
    { examples: edges.map((edge) => [edge, edge]) },
  );
});

test('what is over and what is too far ahead are told from each other', () => {
  assert.match(wrongTime({ code: 'wrong-time', notAfter: 1, wall: 2 }), /which is over by/);
  assert.match(
    wrongTime({ code: 'wrong-time', notAfter: 2, wall: 1 }),
    /further ahead than any job/,
  );
});
