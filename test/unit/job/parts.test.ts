/** The small grammars a spec is made of: sizes, selectors, CIDs, images, data URLs, paths. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { normaliseCid } from '../../../src/job/cid.ts';
import {
  favourOf,
  formatConstraint,
  isFavour,
  matches,
  splitConstraints,
} from '../../../src/job/constraints.ts';
import { registryOf, whyNotImage, whyNotRegistry } from '../../../src/job/image.ts';
import { decodeDataUrl, encodeDataUrl } from '../../../src/job/inline.ts';
import type { Constraint, ConstraintOperator } from '../../../src/job/model.ts';
import { isIpAddress, isPublicAddress } from '../../../src/job/addresses.ts';
import { cleanPath, isWithin } from '../../../src/job/paths.ts';
import { closest } from '../../../src/job/problem.ts';
import {
  formatBytes,
  formatCpu,
  parseBytes,
  parseCpu,
  parseGpus,
} from '../../../src/job/resources.ts';
import { parseSelector } from '../../../src/job/selector.ts';

describe('resources', () => {
  it('reads CPU as Kubernetes does, in thousandths of a core', () => {
    const cases: readonly (readonly [string, number | null])[] = [
      ['500m', 500],
      ['0.5', 500],
      ['2', 2000],
      ['.25', 250],
      ['1.', 1000],
      ['0', 0],
      ['0.0001', 1],
      ['0.57', 570],
      ['2.007', 2007],
      ['1500.5m', 1501],
      ['', null],
      ['-1', null],
      ['m', null],
      ['1 m', null],
      ['1e3', null],
      ['NaN', null],
      ['1k', null],
      ['999999999999', null],
    ];
    for (const [text, expected] of cases) assert.equal(parseCpu(text), expected, text);
  });

  it('reads sizes as go-humanize does', () => {
    const cases: readonly (readonly [string, number | null])[] = [
      ['512mb', 512e6],
      ['1gb', 1e9],
      ['1Gi', 1024 ** 3],
      ['1.5kib', 1536],
      ['100000', 1e5],
      ['4 kB', 4000],
      ['2m', 2e6],
      ['1,000b', 1000],
      ['0.1', 0],
      ['0', 0],
      ['', null],
      ['-1', null],
      ['1e99gb', null],
      ['512mbs', null],
      ['1.2.3', null],
      ['.', null],
      ['10eb', null],
      ['1constructor', null],
    ];
    for (const [text, expected] of cases) assert.equal(parseBytes(text), expected, text);
  });

  it('reads whole devices only', () => {
    assert.deepEqual(['0', '4', '-1', '1.5', 'x', '9999999999'].map(parseGpus), [
      0,
      4,
      null,
      null,
      null,
      null,
    ]);
  });

  it('writes sizes for people', () => {
    assert.deepEqual([0, 999, 1500, 512e6, 999_960_000].map(formatBytes), [
      '0 B',
      '999 B',
      '1.5 kB',
      '512 MB',
      '1 GB',
    ]);
    assert.deepEqual([0, 500, 2000, 1250].map(formatCpu), ['0', '500m', '2', '1250m']);
  });
});

const has = (Operator: ConstraintOperator, ...Values: readonly string[]): Constraint => ({
  Key: 'k',
  Operator,
  Values,
});

describe('constraints', () => {
  /** [constraint, without the label, and for each value of the label]. */
  const table: readonly (readonly [Constraint, boolean, Readonly<Record<string, boolean>>])[] = [
    [has('=', 'a'), false, { a: true, b: false }],
    [has('!=', 'a'), true, { a: false, b: true }],
    [has('in', 'a', 'b'), false, { a: true, b: true, c: false }],
    [has('notin', 'a', 'b'), true, { a: false, b: false, c: true }],
    [has('exists'), false, { a: true, '': true }],
    [has('!'), true, { a: false, '': false }],
    [
      has('gt', '5'),
      false,
      { '5': false, '6': true, '-6': false, x: false, '5.5': false, '': false },
    ],
    [has('lt', '5'), false, { '5': false, '4': true, '-6': true, x: false }],
    [
      has('gt', '9223372036854775806'),
      false,
      { '9223372036854775807': true, '9223372036854775808': false },
    ],
  ];

  it('match by the rules of Kubernetes', () => {
    for (const [constraint, absent, byValue] of table) {
      const text = formatConstraint(constraint);
      assert.equal(matches(constraint, {}), absent, `${text} without the label`);
      for (const [value, expected] of Object.entries(byValue)) {
        assert.equal(matches(constraint, { k: value }), expected, `${text} with k=${value}`);
      }
    }
  });

  it('look at own labels only', () => {
    assert.equal(matches({ Key: 'constructor', Operator: 'exists', Values: [] }, {}), false);
  });

  it('tell wishes from demands', () => {
    const wish: Constraint = { Key: 'favour_zone', Operator: '=', Values: ['a'] };
    const demand: Constraint = { Key: 'zone', Operator: '=', Values: ['a'] };
    assert.deepEqual([isFavour(wish), isFavour(demand)], [true, false]);
    assert.deepEqual(favourOf(wish), demand);
    assert.deepEqual(splitConstraints([wish, has('exists')]), {
      required: [has('exists')],
      favoured: [demand],
    });
  });
});

/** Objects as literals make them. */
const PLAIN = { noNullPrototype: true };

describe('selectors', () => {
  it('are read as Kubernetes reads them', () => {
    const found = parseSelector('a=b, c == d,e!=f,g in (x, y,),h notin(z), i,!j ,k>5,l<-6,m=');
    assert.deepEqual(found, {
      ok: true,
      constraints: [
        { Key: 'a', Operator: '=', Values: ['b'] },
        { Key: 'c', Operator: '=', Values: ['d'] },
        { Key: 'e', Operator: '!=', Values: ['f'] },
        { Key: 'g', Operator: 'in', Values: ['x', 'y', ''] },
        { Key: 'h', Operator: 'notin', Values: ['z'] },
        { Key: 'i', Operator: 'exists', Values: [] },
        { Key: 'j', Operator: '!', Values: [] },
        { Key: 'k', Operator: 'gt', Values: ['5'] },
        { Key: 'l', Operator: 'lt', Values: ['-6'] },
        { Key: 'm', Operator: '=', Values: [''] },
      ],
    });
    assert.deepEqual(parseSelector('  '), { ok: true, constraints: [] });
    assert.deepEqual(parseSelector('in in (in)'), {
      ok: true,
      constraints: [{ Key: 'in', Operator: 'in', Values: ['in'] }],
    });
  });

  it('say where they are wrong', () => {
    const cases: readonly (readonly [string, number, RegExp])[] = [
      ['a=b,', 5, /expected another constraint, found the end/],
      ['a b', 3, /expected an operator: .*, found "b"/],
      ['a in b', 6, /expected \(, found "b"/],
      ['a in (b', 8, /expected , or \), found the end/],
      ['=b', 1, /expected a key, found "="/],
      ['a=b=c', 4, /expected a comma, found "="/],
      ['x=y,a>b', 5, /compares whole numbers/],
      ['-a', 1, /is no label key/],
      ['a/b/c', 1, /is no label key/],
      ['a=-', 1, /is no label value/],
    ];
    for (const [text, column, message] of cases) {
      const found = parseSelector(text);
      assert.ok(!found.ok, text);
      assert.equal(found.column, column, text);
      assert.match(found.message, message);
    }
  });

  it('come back from their text as they were, and never throw', () => {
    const name = fc.stringMatching(/^[a-z][a-z0-9._-]{0,5}[a-z0-9]$/);
    const constraint = fc.oneof(
      fc.record({ Key: name, Operator: fc.constantFrom('=', '!='), Values: fc.tuple(name) }, PLAIN),
      fc.record(
        {
          Key: name,
          Operator: fc.constantFrom('in', 'notin'),
          Values: fc.uniqueArray(name, { minLength: 1 }),
        },
        PLAIN,
      ),
      fc.record(
        { Key: name, Operator: fc.constantFrom('exists', '!'), Values: fc.constant([]) },
        PLAIN,
      ),
      fc.record(
        {
          Key: name,
          Operator: fc.constantFrom('gt', 'lt'),
          Values: fc.tuple(fc.integer().map(String)),
        },
        PLAIN,
      ),
    ) as fc.Arbitrary<Constraint>;
    fc.assert(
      fc.property(fc.array(constraint), (constraints) => {
        const text = constraints.map(formatConstraint).join(',');
        assert.deepEqual(parseSelector(text), { ok: true, constraints });
      }),
    );
    const noise = fc.string({
      unit: fc.constantFrom('a', '=', '!', '(', ')', ',', ' ', 'in', '<', '-', '\0'),
    });
    fc.assert(
      fc.property(noise, (text) => void parseSelector(text)),
      { numRuns: 1000 },
    );
  });
});

describe('CIDs', () => {
  const V0 = 'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V';
  const V1 = 'bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4';

  it('are taken with their prefixes, and in other bases', () => {
    for (const text of [V0, ` ${V0} `, `ipfs://${V0}`, `/ipfs/${V0}`, `ipfs/${V0}/`]) {
      assert.deepEqual(normaliseCid(text), { ok: true, cid: V0 }, text);
    }
    const base16 = 'f01551220a948904f2f0f479b8f8197694b30184b0d2ed1c1cd2a1ec0fb85d299a192a447';
    for (const text of [V1, `IPFS://${V1}`, base16])
      assert.deepEqual(normaliseCid(text), { ok: true, cid: V1 });
  });

  it('keep the path below them', () => {
    const cases = { [`ipfs://${V1}/a/b c`]: `${V1}/a/b c`, [`/ipfs/${V0}/x/`]: `${V0}/x` };
    for (const [text, cid] of Object.entries(cases))
      assert.deepEqual(normaliseCid(text), { ok: true, cid });
  });

  it('are refused with the reason', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['', /is empty/],
      ['ipfs://', /is empty/],
      [V0.slice(0, -1), /has 45 characters; a CID that begins with Qm has 46/],
      [`${V0.slice(0, -1)}0`, /cut off, mistyped/],
      [V1.slice(0, -4), /cut off, mistyped/],
      [`${V0}/a/../b`, /path below a CID/],
      [`${V0}//b`, /path below a CID/],
      ['hello world', /cut off, mistyped/],
      ['x'.repeat(1000), /longer than/],
      ['bafyreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4', /codec 0x71/],
      ['k51qzi5uqu5djuo7d2oc1zqqbg7q3dcx9q7c1ys6mpwjmr8rm9v0s4e1t2v1g7', /./],
    ];
    for (const [text, expected] of cases) {
      const found = normaliseCid(text);
      assert.ok(!found.ok, text);
      assert.match(found.why, expected);
    }
  });
});

describe('image references', () => {
  const digest = `sha256:${'a'.repeat(64)}`;

  it('are taken as Docker takes them', () => {
    const good = [
      'ubuntu',
      'ubuntu:24.04',
      'a/b',
      'ghcr.io/a/b_c:V1',
      'localhost:5000/x',
      `a@${digest}`,
      `a:b@${digest}`,
      '[::1]:5000/a',
      'Host/path',
      'a--b/c__d.e',
      'my-kinesis-consumer:latest',
      'a'.repeat(255),
    ];
    for (const reference of good) assert.equal(whyNotImage(reference), null, reference);
  });

  it('are refused when Docker would refuse them', () => {
    const bad = [
      '',
      'Ubuntu',
      'http://a/b',
      'a b',
      'a:',
      'a:-x',
      'a@sha256:abc',
      'a//b',
      '/a',
      'a/',
      '-a',
      'a_-b',
      'a..b',
      `a:${'t'.repeat(129)}`,
      'a'.repeat(256),
      'a:5000/B',
      'x'.repeat(5000),
      'a\n',
    ];
    for (const reference of bad)
      assert.notEqual(whyNotImage(reference), null, JSON.stringify(reference));
  });
});

describe('data URLs', () => {
  const text = (url: string): string => {
    const decoded = decodeDataUrl(url);
    return decoded.ok ? new TextDecoder().decode(decoded.bytes) : `error: ${decoded.why}`;
  };

  it('carry base64 and percent-encoded bytes', () => {
    assert.equal(text('data:,a%20b%2Cc+d'), 'a b,c+d');
    assert.equal(text('data:text/plain;charset=utf-8,é%C3%A9'), 'éé');
    assert.equal(text('DATA:text/plain;base64,aGk='), 'hi');
    assert.equal(text('data:;base64,aG k%3D'), 'hi');
    assert.equal(text('data:;base64,'), '');
    assert.equal(text('data:,100%'), '100%');
    assert.equal(text('data:x'), 'error: has no comma between its type and its data');
    assert.equal(text('data:;base64,*'), 'error: holds characters that are not base64');
    assert.deepEqual(decodeDataUrl('data:application/wasm;base64,AA=='), {
      ok: true,
      bytes: new Uint8Array([0]),
      mediaType: 'application/wasm',
    });
  });

  it('come back as they were, and never throw', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const url = encodeDataUrl(bytes);
        assert.equal(
          url,
          `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`,
        );
        assert.deepEqual(decodeDataUrl(url), {
          ok: true,
          bytes,
          mediaType: 'application/octet-stream',
        });
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (data) => void decodeDataUrl(`data:${data}`)),
    );
  });
});

describe('paths, addresses and near words', () => {
  it('cleans paths as Go does', () => {
    const cases = {
      '/a//b/./c/../d/': '/a/b/d',
      '/..': '/',
      '../a': '../a',
      'a/../..': '..',
      '': '.',
      '/': '/',
    };
    for (const [path, expected] of Object.entries(cases))
      assert.equal(cleanPath(path), expected, path);
    assert.deepEqual(
      [isWithin('/a/b', '/a'), isWithin('/ab', '/a'), isWithin('/a', '/'), isWithin('/', '/a')],
      [true, false, true, false],
    );
  });

  it('knows an IP address', () => {
    const good = [
      '0.0.0.0',
      '255.1.2.3',
      '::',
      '::1',
      'fe80::1',
      '1:2:3:4:5:6:7:8',
      '::ffff:1.2.3.4',
    ];
    const bad = [
      '',
      '1.2.3',
      '256.1.1.1',
      '01.2.3.4',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      'g::',
      '1.2.3.4:',
      'a',
    ];
    for (const address of good) assert.equal(isIpAddress(address), true, address);
    for (const address of bad) assert.equal(isIpAddress(address), false, address);
  });

  it('tells addresses of the whole internet from all others', () => {
    const shared = ['8.8.8.8', '100.128.0.1', '172.32.0.1', '192.169.0.1', '2606:4700::1111'];
    const others = [
      '127.0.0.1',
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.0.1',
      '192.0.0.8',
      '192.0.2.1',
      '198.18.0.1',
      '198.51.100.1',
      '203.0.113.1',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:8.8.8.8',
      '::ffff:127.0.0.1',
      '64:ff9b::7f00:1',
      '2001::1',
      '2001:db8::1',
      '2002:7f00:1::',
      'fc00::1',
      'fe80::1',
      'ff02::1',
      '127.1',
      '2130706433',
      'localhost',
      '',
    ];
    for (const address of shared) assert.equal(isPublicAddress(address), true, address);
    for (const address of others) assert.equal(isPublicAddress(address), false, address);
  });

  it('knows which registry an image names, and takes only public ones and those allowed', () => {
    const registries: readonly (readonly [string, string])[] = [
      ['busybox', 'docker.io'],
      ['library/busybox:1', 'docker.io'],
      ['a/b@sha256:0', 'docker.io'],
      ['ghcr.io/a/b', 'ghcr.io'],
      ['localhost/a', 'localhost'],
      ['127.0.0.1:80/a:1', '127.0.0.1:80'],
      ['[::1]:5000/a', '[::1]:5000'],
      ['HOST/a', 'HOST'],
    ];
    for (const [image, registry] of registries) assert.equal(registryOf(image), registry, image);
    for (const registry of ['docker.io', 'ghcr.io', 'registry.example.com:5000', '8.8.8.8:80'])
      assert.equal(whyNotRegistry(registry, []), null, registry);
    const inside = [
      'localhost',
      'localhost:5000',
      'LOCALHOST:5000',
      'a.localhost',
      'router:80',
      'HOST',
      'printer.local',
      'db.internal:5432',
      'nas.lan',
      '127.0.0.1',
      '127.0.0.1:5000',
      '169.254.169.254',
      '10.0.0.1:8080',
      '[::1]:5000',
      '[::ffff:7f00:1]',
      '[fd00::1]:1',
      '127.1',
      '127.1:80',
      '2130706433:80',
      '0x7f000001:80',
      '0177.0.0.01',
    ];
    for (const registry of inside)
      assert.notEqual(whyNotRegistry(registry, ['registry.lan', '10.0.0.1:5000']), null, registry);
    assert.equal(whyNotRegistry('registry.lan:5000', ['registry.lan']), null);
    assert.equal(whyNotRegistry('10.0.0.1:5000', ['10.0.0.1:5000']), null);
  });

  it('suggests only what is near', () => {
    const fields = ['Name', 'Count', 'Tasks', 'Type'];
    assert.deepEqual(
      ['conut', 'task', 'typ', 'NAME', 'priority', 'x', ''].map((word) => closest(word, fields)),
      ['Count', 'Tasks', 'Type', 'Name', null, null, null],
    );
  });
});
