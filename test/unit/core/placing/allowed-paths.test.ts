/** The allow-list of host paths: what a glob covers, and that nothing climbs out of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { pathAllowed, pathExchangeable } from '../../../../src/core/placing/allowed-paths.ts';

type Paths = readonly string[];
/** A rule, what it covers, and what it does not. */
type Row = readonly [string, Paths, Paths];

const reads = (rule: string, path: string): boolean => pathAllowed([rule], path, false);

describe('an allowed path', () => {
  const table: readonly Row[] = [
    ['/data', ['/data'], ['/data/', '/data/a', '/dat', '/data2', '/']],
    ['/data/*', ['/data/a', '/data/.a'], ['/data', '/data/a/b', '/database/a']],
    ['/data/**', ['/data', '/data/a', '/data/a/b/c'], ['/data2', '/database', '/']],
    ['/data/**/x', ['/data/x', '/data/a/x', '/data/a/b/x'], ['/data/ax', '/data/x/y']],
    ['/data/a?c', ['/data/abc'], ['/data/ac', '/data/a/c']],
    ['**', ['/', '/etc/passwd'], []],
    ['/a.b', ['/a.b'], ['/axb']],
    ['/a+(b)[c]{d}|^$', ['/a+(b)[c]{d}|^$'], ['/aa']],
    ['/home/*/in/**', ['/home/u/in', '/home/u/in/x/y'], ['/home/u/v/in', '/home/u/out']],
  ];
  for (const [rule, covers, not] of table) {
    it(`is what ${rule} says`, () => {
      for (const path of covers) assert.ok(reads(rule, path), `${path} is covered`);
      for (const path of not) assert.ok(!reads(rule, path), `${path} is not covered`);
    });
  }

  it('is only read unless the rule says :rw', () => {
    for (const [rule, read, write] of [
      ['/d', true, false],
      ['/d:ro', true, false],
      ['/d:rw', true, true],
    ] as const) {
      assert.equal(pathAllowed([rule], '/d', false), read, rule);
      assert.equal(pathAllowed([rule], '/d', true), write, rule);
    }
  });

  it('is covered by any one of the rules, and by none where there are none', () => {
    assert.ok(pathAllowed(['/a', '/b:rw'], '/b', true));
    assert.ok(!pathAllowed(['/a:rw', '/b'], '/b', true));
    assert.ok(!pathAllowed([], '/a', false));
  });

  it('is absolute and never goes up, whatever the rules say', () => {
    const part = fc.constantFrom('..', 'data', 'a', '.');
    fc.assert(
      fc.property(fc.array(part), fc.boolean(), (parts, writable) => {
        const path = parts.join('/');
        assert.ok(!pathAllowed(['**:rw'], path, writable), `relative ${path}`);
        const climbs = parts.includes('..');
        assert.equal(pathAllowed(['**:rw'], `/${path}`, writable), !climbs, `/${path}`);
      }),
    );
  });
});

describe('a path that jobs may exchange', () => {
  const rules = ['/data/area/**:rw', '/data/area/closed/**:ro', '/open/**', '/each/*:rw'];
  for (const path of ['/data/area/x', '/data/area/x/y', '/data/area/closed/z', '/each/a/b']) {
    it(`has something above it that they may write to: ${path}`, () => {
      assert.equal(pathExchangeable(rules, path), true);
    });
  }
  for (const path of ['/data/area', '/data', '/open/x', '/each/a', '/', '/data/area2/x']) {
    it(`is not one that only the operator reaches: ${path}`, () => {
      assert.equal(pathExchangeable(rules, path), false);
    });
  }
  it('is every one but the root where all is open', () => {
    assert.equal(pathExchangeable(['/**:rw'], '/etc'), true);
    assert.equal(pathExchangeable(['/**:rw'], '/'), false);
  });
});
