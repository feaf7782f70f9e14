/** What holds for every text and every value that could be taken for a job spec. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { decode, encode } from '@ipld/dag-cbor';
import fc from 'fast-check';
import { parseJob, parseJobValue, type ParseResult } from '../../../src/job/parse.ts';
import { formatProblem, PROBLEMS_MAX } from '../../../src/job/problem.ts';
import { problemsOfJob } from '../../../src/job/recheck.ts';
import { jobToBacalhau } from '../../../src/job/to-bacalhau.ts';

const SPECS = ['batch', 'ops', 'daemon', 'service'].map((name) =>
  readFileSync(new URL(`../../fixtures/specs/${name}.yaml`, import.meta.url), 'utf8').replaceAll(
    /\{\{.*\}\}/g,
    'x',
  ),
);

const word = fc.oneof(
  fc.string({ maxLength: 8 }),
  fc.string({ unit: 'binary', maxLength: 4 }),
  fc.constantFrom(
    '/data',
    'ipfs',
    'docker',
    'wasm',
    'batch',
    'ops',
    'ubuntu',
    'main',
    '500m',
    '1gb',
    'HTTP',
    'Bridge',
    'a.com',
    'KEY=value',
    'PATH',
    '=',
    'in',
    'region',
    'data:,x',
    'http://a/b',
    '\0',
    '__proto__',
    'true',
    'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V',
    '',
  ),
);

/** A good value mostly, so that the reading gets past the first rule. */
function mostly<T>(good: fc.Arbitrary<T>): fc.Arbitrary<unknown> {
  return fc.oneof(
    { arbitrary: good, weight: 60 },
    { arbitrary: fc.jsonValue({ maxDepth: 2 }), weight: 1 },
    {
      arbitrary: fc.constantFrom(undefined, null, Number.NaN, -0, Infinity, () => 1, new Map(), 1n),
      weight: 1,
    },
    { arbitrary: word, weight: 1 },
  );
}

const CID = 'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V';
const name = fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/);
const path = name.map((text) => `/${text}`);
const texts = mostly(fc.array(mostly(word), { maxLength: 3 }));
const textMap = mostly(fc.dictionary(name, mostly(word), { maxKeys: 3 }));
const listOf = <T>(item: fc.Arbitrary<T>) => mostly(fc.array(mostly(item), { maxLength: 2 }));
const plugIn = (type: string, params: Readonly<Record<string, fc.Arbitrary<unknown>>>) =>
  fc.record({
    Type: mostly(fc.constantFrom(type, type.toUpperCase(), ` ${type}`)),
    Params: mostly(fc.record(params)),
  });

const free = fc.dictionary(word, fc.jsonValue({ maxDepth: 3 }), { maxKeys: 3 });
const engine = fc.oneof(
  plugIn('docker', { Image: mostly(name), Entrypoint: texts, PARAMETERS: texts }),
  plugIn('docker', {
    image: mostly(name),
    EnvironmentVariables: mostly(fc.array(fc.constant(' A = b '))),
  }),
  plugIn('wasm', { EntryModule: mostly(fc.constant('/mod/a')), EntryPoint: mostly(name) }),
  plugIn('wasm', {
    EntryModule: mostly(fc.constant({ Source: { Type: 'ipfs', Params: { CID } } })),
  }),
  fc.record({ Type: name, Params: mostly(free) }),
);
const source = fc.oneof(
  plugIn('ipfs', { cid: mostly(fc.constantFrom(CID, `ipfs://${CID}`)) }),
  plugIn('inline', { URL: mostly(fc.constant('data:,x')) }),
  plugIn('urlDownload', { URL: mostly(fc.webUrl().map((url) => `${url}/x`)) }),
  plugIn('local', { SourcePath: mostly(path), ReadWrite: mostly(fc.boolean()) }),
  plugIn('s3', { Bucket: mostly(name), Partition: mostly(fc.constant({ Type: 'OBJECT' })) }),
);
const publisher = fc.oneof(
  plugIn('ipfs', {}),
  plugIn('none', {}),
  plugIn('s3', { Bucket: mostly(name), Key: mostly(name), encoding: mostly(fc.constant('GZIP')) }),
);
const port = fc.record(
  { Name: name, Static: mostly(fc.constantFrom(0, 2000, 3000)), HostNetwork: mostly(fc.ipV4()) },
  { requiredKeys: ['Name'] },
);
const network = fc.oneof(
  fc.record({ Type: mostly(fc.constantFrom('bridge', 'Host')), Ports: listOf(port) }),
  fc.record({
    type: mostly(fc.constant('http')),
    DOMAINS: mostly(fc.array(fc.domain(), { minLength: 1 })),
  }),
);
const size = mostly(fc.constantFrom('', '1gb', '512 Mb', '2', '0'));
const seconds = mostly(fc.constantFrom(0, 5));

const task = fc.record(
  {
    Name: mostly(fc.constant('main')),
    Engine: mostly(engine),
    publisher: mostly(publisher),
    Env: mostly(fc.dictionary(fc.stringMatching(/^[A-Z]{1,4}$/), mostly(name), { maxKeys: 2 })),
    Meta: textMap,
    InputSources: listOf(fc.record({ Source: mostly(source), Alias: name, Target: mostly(path) })),
    ResultPaths: listOf(fc.record({ Name: name, Path: mostly(path) })),
    Resources: mostly(
      fc.record({ CPU: mostly(fc.constantFrom('0.5', '2', '')), memory: size, Disk: size }),
    ),
    Network: mostly(network),
    Timeouts: mostly(fc.record({ QueueTimeout: seconds, ExecutionTimeout: seconds })),
  },
  { requiredKeys: ['Name', 'Engine'] },
);

const constraint = fc.oneof(
  fc.record({ Key: name, Operator: fc.constantFrom('=', '==', '!='), Values: fc.tuple(name) }),
  fc.record({
    Key: name,
    Operator: fc.constantFrom('in', 'notin'),
    Values: fc.array(name, { minLength: 1 }),
  }),
  fc.record({ Key: name, Operator: fc.constantFrom('exists', '!') }),
);

const spec = fc.record(
  {
    Name: mostly(word),
    Namespace: mostly(name),
    Type: mostly(fc.constantFrom('batch', 'service', 'ops', 'daemon')),
    Priority: mostly(fc.integer()),
    Count: mostly(fc.constantFrom(0, 1)),
    Constraints: listOf(constraint),
    labels: textMap,
    Meta: textMap,
    Tasks: mostly(fc.array(task, { minLength: 1, maxLength: 2 })),
  },
  { requiredKeys: ['Type', 'Tasks'] },
);

/** Bounded output, and for a job: plain data, a fixed point, and the same out of Bacalhau's form. */
function check(result: ParseResult): void {
  assert.ok(result.warnings.length <= 2 * (PROBLEMS_MAX + 1));
  if (!result.ok) {
    assert.ok(result.problems.length > 0 && result.problems.length <= PROBLEMS_MAX + 1);
    for (const problem of result.problems) assert.ok(formatProblem(problem).length < 2000);
    return;
  }
  const { job } = result;
  assert.deepEqual(decode(encode(job)), job);
  const again = parseJobValue(JSON.parse(JSON.stringify(jobToBacalhau(job))));
  assert.ok(again.ok, again.ok ? '' : again.problems.map(formatProblem).join('\n'));
  assert.deepEqual(again.job, job);
  assert.deepEqual(encode(again.job), encode(job));
  assert.deepEqual(problemsOfJob(decode(encode(job))), []);
}

describe('every spec', () => {
  it('as a value gives a plain job that is its own normal form, or problems; never throws', () => {
    let accepted = 0;
    fc.assert(
      fc.property(spec, (value) => {
        const result = parseJobValue(value);
        if (result.ok) accepted += 1;
        check(result);
      }),
      { numRuns: 3000 },
    );
    assert.ok(accepted > 300, `only ${accepted} were accepted: the generator tests too little`);
  });

  it('of any shape whatever never throws', () => {
    fc.assert(
      fc.property(fc.anything({ withMap: true, withNullPrototype: true }), (value) =>
        check(parseJobValue(value)),
      ),
      { numRuns: 1000 },
    );
  });

  it('of hostile length is read in linear time', () => {
    const long = 300_000;
    const urls = [
      `data:${';base64 '.repeat(long)}x,`,
      `data:;base64,${'='.repeat(long)}x`,
      `data:,${'%'.repeat(long)}`,
      `http://${'a@'.repeat(long)}`,
      ' '.repeat(long),
      '/'.repeat(long),
      'a-'.repeat(long),
      '1.'.repeat(long),
    ];
    const inputs = urls.flatMap((URL) => [
      { Target: URL, Source: { Type: 'inline', Params: { URL } } },
      { Target: URL, Source: { Type: 'ipfs', Params: { CID: URL } } },
      { Target: URL, Source: { Type: 'urlDownload', Params: { URL } } },
    ]);
    const tasks = urls.map((text) => ({
      Name: text,
      Engine: { Type: 'docker', Params: { Image: text, EnvironmentVariables: [text] } },
      Env: { [text]: text },
      Resources: { CPU: text, Memory: text, GPU: text },
      Network: { Type: 'HTTP', Domains: [text], Ports: [{ Name: text, HostNetwork: text }] },
      InputSources: inputs,
    }));
    // Quadratic reading of one of these would take minutes, and the runner's limit would end it.
    for (const task of tasks) {
      const constraint = { Key: task.Name, Operator: 'gt', Values: [task.Name] };
      check(parseJobValue({ Type: task.Name, Constraints: [constraint], Tasks: [task] }));
    }
  });

  it('as a text gives problems with a place inside the text', () => {
    const damage = fc.record({
      text: fc.constantFrom(...SPECS),
      at: fc.nat(1500),
      remove: fc.nat(30),
      insert: fc.oneof(
        word,
        fc.constantFrom(
          '\t',
          '\n',
          ': ',
          '- ',
          '{',
          '[',
          '&a ',
          '*a',
          '"',
          '#',
          '<<: ',
          '? ',
          '!!set ',
          '---\n',
        ),
      ),
    });
    const damaged = damage.map(
      ({ text, at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove),
    );
    fc.assert(
      fc.property(fc.oneof(damaged, fc.string({ unit: 'binary' })), (text) => {
        const result = parseJob(text, { sourceName: 'f' });
        check(result);
        const lines = text.split('\n');
        for (const { place, code } of [...(result.ok ? [] : result.problems), ...result.warnings]) {
          if (code === 'more') continue;
          assert.ok(place !== null);
          assert.ok(
            place.line >= 1 && place.line <= lines.length,
            `line ${place.line} of ${lines.length}`,
          );
          const width = lines[place.line - 1]?.length ?? 0;
          assert.ok(
            place.column >= 1 && place.column <= width + 1,
            `column ${place.column} of ${width}`,
          );
        }
      }),
      { numRuns: 1000 },
    );
  });
});
