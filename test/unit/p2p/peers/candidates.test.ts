/** Laws of who is dialled when, and who is given up. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  dueNow,
  failed,
  isBack,
  isForeign,
  isGivenUp,
  newCandidate,
  parted,
  pauseMs,
  wakeLost,
} from '../../../../p2p/peers/candidates.ts';
import type { Candidate, Origin } from '../../../../p2p/peers/candidates.ts';
import { asNodeId } from '../../../../src/core/record/ids.ts';

const peer = (name: string, origin: Origin, changes: Partial<Candidate> = {}): Candidate =>
  Object.assign(newCandidate(asNodeId(name), origin, [], 0), changes);

test('a member that was lost is dialled within five seconds for ten minutes, and within a minute after', () => {
  for (let attempts = 1; attempts < 100; attempts += 1) {
    const lost = peer('p', 'exchange', { attempts, joinedAt: 0, lostAt: 1_000 });
    assert.ok(pauseMs(lost, 600_000) <= 5_000);
    assert.ok(pauseMs(lost, 700_000) <= 60_000);
  }
  const stranger = peer('p', 'exchange', { attempts: 20 });
  assert.ok(pauseMs(stranger, 0) >= 36_000, 'a stranger is left alone for longer');
});

const refused = { problem: 'refused', why: 'nobody listens there' } as const;

test('a connection that did not last is a failure, and one that did begins to count anew', () => {
  const short = peer('p', 'exchange', { attempts: 3, joinedAt: 1_000 });
  parted(short, refused, 5_999);
  assert.deepEqual([short.attempts, short.problem, short.lostAt], [4, refused, null]);
  assert.ok(short.nextAt >= 5_999 + 3_000, 'with the pause of four failures');
  const member = peer('p', 'exchange', { attempts: 3, joinedAt: 1_000 });
  parted(member, refused, 6_000);
  assert.deepEqual([member.attempts, member.problem, member.lostAt], [1, null, 6_000]);
  assert.ok(member.nextAt <= 6_700, 'it is dialled at once');
  assert.equal(isBack(member), true);
  assert.equal(isBack(member), false, 'it was told of once');
});

test('a peer of another mesh is left alone for ten seconds, then for as long as others that fail', () => {
  const foreign = peer('p', 'exchange');
  isForeign(foreign, refused, 1_000);
  assert.equal(foreign.nextAt, 11_000);
  for (let times = 0; times < 20; times += 1) failed(foreign, refused, 1_000);
  isForeign(foreign, refused, 1_000);
  assert.ok(foreign.nextAt >= 37_000);
});

test('when one of the lost is back the others are dialled at once', () => {
  const lost = peer('lost', 'exchange', { joinedAt: 0, lostAt: 1_000, nextAt: 90_000 });
  const stranger = peer('stranger', 'exchange', { nextAt: 90_000 });
  wakeLost([lost, stranger], 50_000);
  assert.ok(lost.nextAt <= 50_500);
  assert.equal(stranger.nextAt, 90_000);
});

test('a member that was lost is not given up, however long a cut lasts, while there is room', () => {
  const changes = { attempts: 10_000, joinedAt: 0, lostAt: 1_000 };
  for (const origin of ['exchange', 'remembered', 'mdns'] as const) {
    assert.equal(isGivenUp(peer('p', origin, changes), 500), false);
    assert.equal(isGivenUp(peer('p', origin, changes), 501), true, 'they may not fill the table');
    assert.equal(isGivenUp(peer('p', origin, { attempts: 12 }), 1), true, 'a stranger is');
  }
  assert.equal(isGivenUp(peer('p', 'bootstrap', { attempts: 10_000 }), 1_000), false);
});

test('friends go first, two of them beside eight others, and no more than are wanted', () => {
  const strangers = Array.from({ length: 20 }, (_, number) => peer(`s${number}`, 'exchange'));
  const friends = Array.from({ length: 4 }, (_, number) => peer(`f${number}`, 'bootstrap'));
  const all = [...strangers, ...friends];
  const names = (list: readonly Candidate[]): string => list.map((one) => one.peer).join(' ');
  assert.equal(names(dueNow(all, 1, 0, 50, false)), 'f0 f1 f2 f3 s0 s1 s2 s3');
  assert.equal(names(dueNow(all, 1, 8, 50, false)), 'f0 f1');
  assert.equal(names(dueNow(all, 1, 0, 3, false)), 'f0 f1 f2');
  assert.equal(
    names(dueNow(all, 1, 0, 50, true)),
    'f0 f1 f2 f3',
    'a node in want of time dials few',
  );
  assert.equal(names(dueNow(strangers, 1, 0, 50, true)), 's0 s1');
  assert.equal(names(dueNow(all, -1, 0, 50, false)), '');
});
