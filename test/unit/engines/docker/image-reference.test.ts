import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseImageReference } from '../../../../src/engines/docker/image-reference.ts';

const HEX64 = 'a'.repeat(64);

test('well-formed references are taken apart as Docker does', () => {
  const cases: readonly [string, string, string, string | null, string | null][] = [
    ['busybox', 'docker.io', 'library/busybox', null, null],
    ['python:3.12-slim', 'docker.io', 'library/python', '3.12-slim', null],
    ['alek5eyk/batchjobexample:1.1', 'docker.io', 'alek5eyk/batchjobexample', '1.1', null],
    ['index.docker.io/a/b', 'docker.io', 'a/b', null, null],
    ['ghcr.io/owner/name/part:v1', 'ghcr.io', 'owner/name/part', 'v1', null],
    ['localhost/a', 'localhost', 'a', null, null],
    ['localhost:5000/a:x', 'localhost:5000', 'a', 'x', null],
    ['127.0.0.1:5000/a', '127.0.0.1:5000', 'a', null, null],
    ['[::1]:5000/a', '[::1]:5000', 'a', null, null],
    ['Registry.Example.com/a__b-c/d.e', 'Registry.Example.com', 'a__b-c/d.e', null, null],
    [`a@sha256:${HEX64}`, 'docker.io', 'library/a', null, `sha256:${HEX64}`],
    [`a/b:1@sha256:${HEX64}`, 'docker.io', 'a/b', '1', `sha256:${HEX64}`],
    [`a:${'t'.repeat(128)}`, 'docker.io', 'library/a', 't'.repeat(128), null],
  ];
  for (const [text, domain, path, tag, digest] of cases) {
    const expected = { ok: true, reference: { domain, path, tag, digest } };
    assert.deepEqual(parseImageReference(text), expected, text);
  }
});

test('malformed references are refused with the part that is wrong', () => {
  const cases: readonly [string, RegExp][] = [
    ['', /empty/],
    [' busybox', /blank/],
    ['a b', /blank/],
    ['a\nb', /blank/],
    ['http://example.com/a', /scheme/],
    ['Busybox', /lower case/],
    ['owner/Name', /lower case/],
    ['UPPER/name', /lower case/],
    ['a//b', /""/],
    ['a/', /""/],
    ['/a', /""/],
    ['-a', /"-a"/],
    ['a..b', /"a\.\.b"/],
    ['a:', /""/],
    ['a:-tag', /"-tag"/],
    [`a:${'t'.repeat(129)}`, /at most 128/],
    ['exa_mple.com/a', /exa_mple\.com/],
    ['example.com:port/a', /example\.com:port/],
    ['a@sha256:abc', /3 hex digits instead of 64/],
    ['a@md5:abc', /unknown kind/],
    ['a@abc', /"abc" is not a digest/],
    [`a@sha256:${'A'.repeat(64)}`, /lower case/],
    [HEX64, /image id/],
    [`a/${'b'.repeat(255)}`, /255 characters/],
  ];
  for (const [text, why] of cases) {
    const result = parseImageReference(text);
    assert.equal(result.ok, false, text);
    assert.match(result.ok ? '' : result.why, why, text);
  }
});

test('whatever the text, parsing ends and its result can be written down and parsed again', () => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[a-z.:/@_-]{1,40}$/),
    fc.stringMatching(
      /^[a-z0-9]{1,9}(\.[a-z]{2,3})?(:[0-9]{1,5})?\/[a-z0-9/._-]{1,20}(:[\w.-]{1,9})?$/,
    ),
  );
  fc.assert(
    fc.property(text, (reference) => {
      const first = parseImageReference(reference);
      if (!first.ok) return;
      const { domain, path, tag, digest } = first.reference;
      const full = `${domain}/${path}${tag === null ? '' : `:${tag}`}${digest === null ? '' : `@${digest}`}`;
      assert.deepEqual(parseImageReference(full), first);
    }),
  );
});
