/** Every rule of the job spec: what breaks it, where the problem is shown and what it says. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Job } from '../../../src/job/model.ts';
import { parseJob, parseJobValue, type ParseResult } from '../../../src/job/parse.ts';
import { formatProblem, PROBLEMS_MAX } from '../../../src/job/problem.ts';

type Json = { readonly [key: string]: unknown };

const DOCKER = { Type: 'docker', Params: { Image: 'ubuntu:24.04' } };
const IPFS = { Type: 'ipfs', Params: { CID: 'QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V' } };
const WASM = { Type: 'wasm', Params: { EntryModule: 'mod.wasm' } };
const MODULE = { Source: IPFS, Target: 'mod.wasm' };

function specOf(task: Json, job: Json = {}): Json {
  return { Type: 'batch', Tasks: [{ Name: 'main', Engine: DOCKER, ...task }], ...job };
}

function lines(result: ParseResult): readonly string[] {
  return result.ok ? [] : result.problems.map(formatProblem);
}

function jobOf(task: Json, job: Json = {}): Job {
  const result = parseJobValue(specOf(task, job));
  assert.ok(result.ok, lines(result).join('\n'));
  return result.job;
}

const docker = (params: Json): Json => ({
  Engine: { Type: 'docker', Params: { Image: 'a', ...params } },
});
const input = (source: Json, more: Json = {}): Json => ({
  InputSources: [{ Source: source, Target: '/in', ...more }],
});
const result = (path: Json): Json => ({ Publisher: { Type: 'ipfs' }, ResultPaths: [path] });
const network = (value: Json): Json => ({ Network: value });
const port = (value: Json, type = 'Bridge'): Json =>
  network({ Type: type, Ports: [{ Name: 'p', ...value }] });
const constraint = (value: unknown): Json => ({ Constraints: [value] });

/** [what is wrong, task, job, the problems]. */
// biome-ignore format: a table reads better in its own lines
const REFUSED: readonly (readonly [string, Json, Json, readonly string[]])[] = [
  ['no type', {}, { Type: undefined }, ['Type: the job type (batch, ops, daemon, service) is missing']],
  ['unknown type', {}, { Type: 'cron' }, ['Type: expected one of batch, ops, daemon, service, got "cron".']],
  ['type in capitals', {}, { Type: 'Batch' }, ['Type: expected one of batch, ops, daemon, service, got "Batch". Did you mean "batch"?']],
  ['negative count', {}, { Count: -1 }, ['Count: expected 0 to 10000, got -1']],
  ['broken count', {}, { Count: 1.5 }, ['Count: expected a whole number, got 1.5']],
  ['count as text', {}, { Count: '3' }, ['Count: expected a whole number, got "3"']],
  ['too many', {}, { Count: 1e9 }, ['Count: expected 0 to 10000, got 1000000000']],
  ['count of a daemon', {}, { Type: 'daemon', Count: 2 }, ['Count: a job of type daemon runs on every node that matches and takes no Count, got 2']],
  ['blank name', {}, { Name: '  ' }, ['Name: expected a name, got only blanks']],
  ['NUL in a name', {}, { Name: 'a\0b' }, ['Name: "a\\u0000b" holds a NUL or half of a surrogate pair']],
  ['blank namespace', {}, { Namespace: ' ' }, ['Namespace: expected a name, got only blanks']],
  ['labels as a list', {}, { Labels: ['a'] }, ['Labels: expected a map of texts, got a list of 1']],
  ['a label that is a map', {}, { Labels: { a: {} } }, ['Labels.a: expected text, got a map']],
  ['no tasks', {}, { Tasks: [] }, ['Tasks: a job needs a task: add Tasks with one entry']],
  ['tasks as a map', {}, { Tasks: {} }, ['Tasks: expected a list, got a map']],
  ['an empty task', {}, { Tasks: [null] }, ['Tasks[0]: a job needs a task, and this one is empty']],
  ['constraint without key', {}, constraint({ Key: ' ', Operator: '=', Values: ['a'] }), ['Constraints[0]: the key is empty']],
  ['= with two values', {}, constraint({ Key: 'k', Operator: '=', Values: ['a', 'b'] }), ['Constraints[0]: operator = takes exactly one value, got 2']],
  ['in without values', {}, constraint({ Key: 'k', Operator: 'in' }), ['Constraints[0]: operator in needs at least one value']],
  ['exists with a value', {}, constraint({ Key: 'k', Operator: 'exists', Values: ['a'] }), ['Constraints[0]: operator exists takes no values, got 1']],
  ['gt with text', {}, constraint({ Key: 'k', Operator: 'gt', Values: ['a'] }), ['Constraints[0]: operator gt compares whole numbers, got "a"']],
  ['unknown operator', {}, constraint({ Key: 'k', Operator: 'notIn', Values: ['a'] }), ['Constraints[0].Operator: expected one of = != in notin exists ! gt lt, got "notIn". Did you mean "notin"?']],
  ['blank task name', { Name: ' ' }, {}, ['Tasks[0].Name: the name of the task is missing']],
  ['no engine', { Engine: null }, {}, ['Tasks[0].Engine.Type: the type of the engine (docker or wasm) is missing']],
  ['no image', docker({ Image: '' }), {}, ['Tasks[0].Engine.Params.Image: the image to run is missing']],
  ['image in capitals', docker({ Image: 'Ubuntu' }), {}, ['Tasks[0].Engine.Params.Image: "Ubuntu" is no image reference: its name must be in lower case']],
  ['relative working directory', docker({ WorkingDirectory: 'a' }), {}, ['Tasks[0].Engine.Params.WorkingDirectory: expected an absolute path, got "a"']],
  ['parameters as text', docker({ Parameters: 'ls' }), {}, ['Tasks[0].Engine.Params.Parameters: expected a list, got "ls"']],
  ['variable without =', docker({ EnvironmentVariables: ['A'] }), {}, ['Tasks[0].Engine.Params.EnvironmentVariables[0]: expected NAME=value, got "A"']],
  ['reserved variable', docker({ EnvironmentVariables: ['BACALHAU_X = 1'] }), {}, ['Tasks[0].Engine.Params.EnvironmentVariables[0]: names beginning with BACALHAU_ or SHOAL_ are the node\'s, got "BACALHAU_X"']],
  ['no module', { Engine: { Type: 'wasm', Params: {} } }, {}, ['Tasks[0].Engine.Params.EntryModule: the target of the input that is the module is missing']],
  ['module that is no input', { Engine: WASM }, {}, ['Tasks[0].Engine.Params.EntryModule: no input source has the target "mod.wasm"; the module must be one of the inputs, or lie in one']],
  ['= in the name of a variable', { Env: { 'a=b': 'x' } }, {}, ['Tasks[0].Env["a=b"]: expected a name without = and NUL, got "a=b"']],
  ['reserved in Env', { Env: { BACALHAU_A: 'x' } }, {}, ['Tasks[0].Env.BACALHAU_A: names beginning with BACALHAU_ are the node\'s, got "BACALHAU_A"']],
  ['empty value in Env', { Env: { A: '' } }, {}, ['Tasks[0].Env.A: the value of A is missing']],
  ['Env as a list', { Env: ['A=b'] }, {}, ['Tasks[0].Env: expected a map of texts, got a list of 1']],
  ['result path without publisher', { ResultPaths: [{ Name: 'o', Path: '/o' }] }, {}, ['Tasks[0].ResultPaths: result paths need a publisher; add "Publisher: {Type: ipfs}" to the task']],
  ['relative result path', result({ Name: 'o', Path: 'o' }), {}, ['Tasks[0].ResultPaths[0].Path: expected an absolute path, got "o"']],
  ['result name with a slash', result({ Name: 'a/../../b', Path: '/o' }), {}, ['Tasks[0].ResultPaths[0].Name: expected a name for a directory, or a path of such names, got "a/../../b"']],
  ['a result inside of another', { Publisher: { Type: 'ipfs' }, ResultPaths: [{ Name: '/o', Path: '/o' }, { Name: 'o/p', Path: '/p' }] }, {}, ['Tasks[0].ResultPaths[1]: the name "o/p" lies inside of the result "o"']],
  ['result name of a log file', result({ Name: 'stdout', Path: '/o' }), {}, ['Tasks[0].ResultPaths[0].Name: "stdout" is where the node puts a file of its own']],
  ['result path over an input', { ...input(IPFS), ...result({ Name: 'o', Path: '/in/' }) }, {}, ['Tasks[0].ResultPaths[0]: "/in/" is already the target of an input']],
  ['CPU', { Resources: { CPU: '-1' } }, {}, ['Tasks[0].Resources.CPU: expected cores such as 500m, 0.5 or 2, got "-1"']],
  ['memory', { Resources: { Memory: '512 MBs' } }, {}, ['Tasks[0].Resources.Memory: expected a size such as 512mb, 1gi or 100000 (bytes), got "512mbs"']],
  ['endless disk', { Resources: { Disk: '1e99gb' } }, {}, ['Tasks[0].Resources.Disk: expected a size such as 512mb, 1gi or 100000 (bytes), got "1e99gb"']],
  ['half a GPU', { Resources: { GPU: '0.5' } }, {}, ['Tasks[0].Resources.GPU: expected a whole number of devices, got "0.5"']],
  ['unknown network', network({ Type: 'brigde' }), {}, ['Tasks[0].Network.Type: expected one of Default, None, Host, Full, HTTP, Bridge, got "brigde". Did you mean "Bridge"?']],
  ['HTTP without domains', network({ Type: 'http' }), {}, ['Tasks[0].Network.Type: network type HTTP needs at least one domain; add Domains, or use another type']],
  ['domains without HTTP', network({ Type: 'None', Domains: ['a.com'] }), {}, ['Tasks[0].Network.Domains: domains need network type HTTP, not None']],
  ['domain', network({ Type: 'HTTP', Domains: ['nodot'] }), {}, ['Tasks[0].Network.Domains[0]: expected a domain such as example.com, .example.com or an IP address, got "nodot"']],
  ['ports without Bridge', port({}, 'None'), {}, ['Tasks[0].Network.Ports: ports need network type Bridge or Host, not None']],
  ['port name', port({ Name: '1p' }), {}, ['Tasks[0].Network.Ports[0].Name: expected a name of letters, digits and _, not beginning with a digit, at most 237 long, got "1p"']],
  ['privileged port', port({ Static: 80 }), {}, ['Tasks[0].Network.Ports[0].Static: expected 0 (any) or 1024 to 65535, got 80']],
  ['port beyond the end', port({ Static: 65536 }), {}, ['Tasks[0].Network.Ports[0].Static: expected 0 to 65535, got 65536']],
  ['port mapping on Host', port({ Target: 80 }, 'Host'), {}, ['Tasks[0].Network.Ports[0].Target: network type Host has no port mapping; leave Target out']],
  ['address to listen on', port({ HostNetwork: 'eth0' }), {}, ['Tasks[0].Network.Ports[0].HostNetwork: expected an IP address, got "eth0"']],
  ['ports twice', network({ Type: 'Bridge', Ports: [{ Name: 'a', Static: 2000, Target: 1 }, { Name: 'a', Static: 2000, Target: 1 }] }), {}, [
    'Tasks[0].Network.Ports: Name "a" is given to more than one port',
    'Tasks[0].Network.Ports: Static 2000 is given to more than one port',
    'Tasks[0].Network.Ports: Target 1 is given to more than one port',
  ]],
  ['negative timeout', { Timeouts: { QueueTimeout: -1 } }, {}, ['Tasks[0].Timeouts.QueueTimeout: expected 0 to 10000000000, got -1']],
  ['a timeout beyond the ages', { Timeouts: { ExecutionTimeout: Number.MAX_SAFE_INTEGER } }, {}, ['Tasks[0].Timeouts.ExecutionTimeout: expected 0 to 10000000000, got 9007199254740991']],
  ['too many ports', network({ Type: 'Bridge', Ports: Array.from({ length: 17 }, (_, index) => ({ Name: `p${index}` })) }), {}, ['Tasks[0].Network.Ports: expected at most 16 ports, got 17']],
  ['timeouts beyond the total', { Timeouts: { QueueTimeout: 6, ExecutionTimeout: 5, TotalTimeout: 10 } }, {}, ['Tasks[0].Timeouts.TotalTimeout: ExecutionTimeout and QueueTimeout together (11 s) exceed TotalTimeout (10 s)']],
  ['input without target', input(IPFS, { Target: '' }), {}, ['Tasks[0].InputSources[0].Target: the path at which the program sees this input is missing']],
  ['input over everything', input(IPFS, { Target: '/./' }), {}, ['Tasks[0].InputSources[0].Target: "/./" cannot be a target: it would hide the whole file system of the image']],
  ['input in /proc', input(IPFS, { Target: '/a/../proc/1' }), {}, ['Tasks[0].InputSources[0].Target: "/a/../proc/1" cannot be a target: nothing can be mounted in /proc']],
  ['relative target for docker', input(IPFS, { Target: 'in' }), {}, ['Tasks[0].InputSources[0].Target: "in" cannot be a target: Docker mounts at absolute paths only, beginning with /']],
  ['target that leads out', { Engine: WASM, InputSources: [MODULE, { Source: IPFS, Target: '../x' }] }, {}, ['Tasks[0].InputSources[1].Target: "../x" cannot be a target: it leads out of the execution']],
  ['input without source', { InputSources: [{ Target: '/a' }] }, {}, ['Tasks[0].InputSources[0].Source.Type: the type of the source is missing']],
  ['the same target twice', { InputSources: [{ Source: IPFS, Target: '/a' }, { Source: IPFS, Target: '/a/' }] }, {}, ['Tasks[0].InputSources[1]: the target "/a" is given more than once']],
  ['the same alias twice', { InputSources: [{ Source: IPFS, Alias: 'x', Target: '/a' }, { Source: IPFS, Alias: 'x', Target: '/b' }] }, {}, ['Tasks[0].InputSources[1]: the alias "x" is given more than once']],
  ['no CID', input({ Type: 'ipfs' }), {}, ['Tasks[0].InputSources[0].Source.Params.CID: the CID of the content is missing']],
  ['cut CID', input({ Type: 'ipfs', Params: { CID: 'Qmfoo' } }), {}, ['Tasks[0].InputSources[0].Source.Params.CID: "Qmfoo" has 5 characters; a CID that begins with Qm has 46']],
  ['inline without data:', input({ Type: 'inline', Params: { URL: 'http://a/b' } }), {}, ['Tasks[0].InputSources[0].Source.Params.URL: expected a data: URL; "http://a/b" does not begin with "data:"']],
  ['inline without end', input({ Type: 'inline', Params: { URL: 'data:;base64,@@' } }), {}, ['Tasks[0].InputSources[0].Source.Params.URL: expected a data: URL; "data:;base64,@@" holds characters that are not base64']],
  ['file: URL', input({ Type: 'urlDownload', Params: { URL: 'file:///etc/passwd' } }), {}, ['Tasks[0].InputSources[0].Source.Params.URL: expected an http or https URL, got "file:///etc/passwd"']],
  ['URL without a path', input({ Type: 'urlDownload', Params: { URL: 'https://a.b' } }), {}, ['Tasks[0].InputSources[0].Source.Params.URL: "https://a.b" names no file: it has no path']],
  ['no source path', input({ Type: 'local' }), {}, ['Tasks[0].InputSources[0].Source.Params.SourcePath: the path of the directory on the node is missing']],
  ['CreateAs', input({ Type: 'local', Params: { SourcePath: '/a', CreateAs: 'folder' } }), {}, ['Tasks[0].InputSources[0].Source.Params.CreateAs: expected one of noCreate, dir, file, got "folder".']],
  ['no bucket', input({ Type: 's3' }), {}, ['Tasks[0].InputSources[0].Source.Params.Bucket: the name of the bucket is missing']],
  ['partition without pattern', input({ Type: 's3', Params: { Bucket: 'b', Partition: { Type: 'regex' } } }), {}, ['Tasks[0].InputSources[0].Source.Params.Partition: partition type regex needs a Pattern']],
  ['s3 publisher without key', { Publisher: { Type: 's3', Params: { Bucket: 'b' } } }, {}, ['Tasks[0].Publisher.Params.Key: the key to store the results under is missing']],
  ['prototype key', JSON.parse('{"Meta": {"__proto__": "x"}}') as Json, {}, ['Tasks[0].Meta.__proto__: the key __proto__ cannot be used']],
  ['deep parameters', { Engine: { Type: 'x', Params: { a: [[[[[[[[[1]]]]]]]]] } } }, {}, ['Tasks[0].Engine.Params.a[0][0][0][0][0][0][0][0]: nested deeper than 8 levels']],
];

describe('rules of a job spec', () => {
  for (const [what, task, job, expected] of REFUSED) {
    it(`refuses: ${what}`, () => {
      const parsed = parseJobValue(specOf(task, job));
      assert.equal(parsed.ok, false);
      assert.deepEqual(lines(parsed), expected);
    });
  }

  it('fills in every default', () => {
    const job = jobOf({});
    assert.deepEqual(
      { ...job, Task: null },
      {
        Name: '',
        Namespace: 'default',
        Type: 'batch',
        Priority: 0,
        Count: 1,
        Constraints: [],
        Meta: {},
        Labels: {},
        Task: null,
      },
    );
    assert.deepEqual(job.Task, {
      Name: 'main',
      Engine: DOCKER,
      Publisher: { Type: '', Params: {} },
      Env: {},
      Meta: {},
      InputSources: [],
      ResultPaths: [],
      ResourcesConfig: { CPU: '500m', Memory: '512mb', Disk: '', GPU: '' },
      resources: { cpuMillis: 500, memoryBytes: 512_000_000, diskBytes: 0, gpus: 0 },
      Network: { Type: 'Default', Domains: [], Ports: [] },
      Timeouts: { ExecutionTimeout: 0, QueueTimeout: 0, TotalTimeout: 0 },
    });
  });

  it('takes the name of a result like a path, as guides write it', () => {
    const names = ['/outputs', 'outputs/', '//a/b'];
    const found = names.map(
      (Name) => jobOf(result({ Name, Path: '/o' })).Task.ResultPaths[0]?.Name,
    );
    assert.deepEqual(found, ['outputs', 'outputs', 'a/b']);
  });

  it('keeps an explicit Count of 0, and gives ops and daemon none', () => {
    assert.equal(jobOf({}, { Count: 0 }).Count, 0);
    assert.equal(jobOf({}, { Type: 'service' }).Count, 1);
    assert.equal(jobOf({}, { Type: 'ops', Count: 1 }).Count, 0);
  });

  it('matches the keys of structures in any case and keeps those of maps', () => {
    const value = {
      TYPE: 'batch',
      labels: { teAm: 'a', ' Job purpose ': 'b' },
      tasks: [
        { name: 'main', engine: { type: ' Docker ', params: { IMAGE: 'a', entryPoint: ['x'] } } },
      ],
    };
    const parsed = parseJobValue(value, { mode: 'strict' });
    assert.ok(parsed.ok, lines(parsed).join('\n'));
    assert.deepEqual(parsed.job.Labels, { teAm: 'a', 'Job purpose': 'b' });
    assert.deepEqual(parsed.job.Task.Engine, {
      Type: 'docker',
      Params: { Image: 'a', Entrypoint: ['x'] },
    });
    assert.deepEqual(parsed.warnings, []);
  });

  it('trims the blanks around names and values of docker variables', () => {
    const { Params } = jobOf(docker({ EnvironmentVariables: ['KEY = a = b ', 'X='] })).Task.Engine;
    assert.deepEqual(Params['EnvironmentVariables'], ['KEY=a = b', 'X=']);
  });

  it('accepts overlapping targets, and relative ones for wasm', () => {
    const nested = {
      InputSources: [
        { Source: IPFS, Target: '/a' },
        { Source: IPFS, Target: '/a/b' },
      ],
    };
    assert.equal(jobOf(nested).Task.InputSources.length, 2);
    const below = [{ ...MODULE, Target: '/mod.wasm' }];
    assert.equal(jobOf({ Engine: WASM, InputSources: below }).Task.InputSources.length, 1);
    assert.equal(
      jobOf({ Engine: WASM, InputSources: [MODULE] }).Task.InputSources[0]?.Target,
      'mod.wasm',
    );
  });

  it('normalises parameters to their spelling and type', () => {
    const source = (value: Json) => jobOf(input(value)).Task.InputSources[0]?.Source;
    assert.deepEqual(
      source({
        Type: 'LocalDirectory',
        Params: { sourcepath: '/a//b/', readwrite: 'true', createas: 'DIR' },
      }),
      {
        Type: 'localdirectory',
        Params: { SourcePath: '/a/b', ReadWrite: true, CreateAs: 'dir' },
      },
    );
    assert.deepEqual(
      source({
        Type: 'ipfs',
        Params: { cid: 'ipfs://QmSYE8dVx6RTdDFFhBu51JjFG1fwwPdUJoXZ4ZNXvfoK2V/' },
      }),
      IPFS,
    );
    assert.deepEqual(source({ Type: 's3', Params: { bucket: 'b', versionId: 'v', odd: 1 } }), {
      Type: 's3',
      Params: { Bucket: 'b', VersionID: 'v', odd: 1 },
    });
  });

  it('turns the older form of wasm modules into inputs', () => {
    const job = jobOf({
      Engine: {
        Type: 'wasm',
        Params: {
          EntryModule: { Source: IPFS, Alias: null, Target: null },
          EntryPoint: '_start',
          ImportModules: [{ Source: IPFS }],
        },
      },
    });
    assert.deepEqual(job.Task.Engine.Params, {
      EntryModule: '/wasm/entry.wasm',
      Entrypoint: '_start',
      ImportModules: ['/wasm/imports/module_0.wasm'],
    });
    assert.deepEqual(
      job.Task.InputSources.map(({ Target }) => Target),
      ['/wasm/entry.wasm', '/wasm/imports/module_0.wasm'],
    );
  });

  it('takes none for no publisher and accepts what it does not know', () => {
    assert.equal(jobOf({ Publisher: { Type: 'none' } }).Task.Publisher.Type, '');
    const job = jobOf({ Engine: { Type: 'flibble', Params: { a: [1, null, { b: true }] } } });
    assert.deepEqual(job.Task.Engine, { Type: 'flibble', Params: { a: [1, null, { b: true }] } });
  });

  it('takes timeouts that fill the total exactly', () => {
    const Timeouts = { ExecutionTimeout: 4, QueueTimeout: 6, TotalTimeout: 10 };
    assert.deepEqual(jobOf({ Timeouts }).Task.Timeouts, Timeouts);
  });

  it('keeps no negative zero, which a record would not give back', () => {
    const { Params } = jobOf({ Engine: { Type: 'x', Params: { a: -0, b: [-0] } } }).Task.Engine;
    assert.deepEqual(Params, { a: 0, b: [0] });
    assert.equal(Object.is(jobOf({}, { Priority: -0 }).Priority, 0), true);
  });

  it('takes ports on Bridge and Host', () => {
    const ports = [
      { Name: 'a' },
      { Name: 'b', Static: 2000, Target: 80, HostNetwork: '::1' },
      { Name: 'c' },
    ];
    assert.deepEqual(jobOf(network({ Type: 'bridge', Ports: ports })).Task.Network.Ports, [
      { Name: 'a', Static: 0, Target: 0, HostNetwork: '' },
      { Name: 'b', Static: 2000, Target: 80, HostNetwork: '::1' },
      { Name: 'c', Static: 0, Target: 0, HostNetwork: '' },
    ]);
    assert.equal(jobOf(port({ Static: 3000 }, 'Full')).Task.Network.Type, 'Full');
  });
});

/** [what, task, job, the warnings]. */
// biome-ignore format: a table reads better in its own lines
const WARNED: readonly (readonly [string, Json, Json, readonly string[]])[] = [
  ['unknown key of a task', { Publsher: {} }, {}, ['Tasks[0].Publsher: unknown field "Publsher" is ignored. Did you mean "Publisher"?']],
  ['unknown parameter', docker({ Imgae: 'x' }), {}, ['Tasks[0].Engine.Params.Imgae: unknown parameter "Imgae" is kept but not used. Did you mean "Image"?']],
  ['unknown engine', { Engine: { Type: 'dokcer' } }, {}, ['Tasks[0].Engine.Type: "dokcer" is no engine of shoal; the job waits for a node that has it. Did you mean "docker"?']],
  ['second task', {}, { Tasks: [{ Name: 'a', Engine: DOCKER }, { Name: 'b' }] }, ['Tasks[1]: only one task is supported per job; the first of 2 is used']],
  ['reserved meta', {}, { Meta: { 'bacalhau.org/x': 'y' } }, ['Meta["bacalhau.org/x"]: "bacalhau.org/x" is ignored: keys beginning with bacalhau.org/ are the system\'s']],
  ['bare bytes', { Resources: { Memory: '512' } }, {}, ['Tasks[0].Resources.Memory: 512 means 512 bytes; write 512mb for megabytes']],
  ['a key in two spellings', {}, { name: 'a', Name: 'b' }, ['Name: Name is given twice; this one is used']],
  ['a number for a text', { Env: { PORT: 80 } }, {}, ['Tasks[0].Env.PORT: expected text; 80 is taken as "80"']],
  ['a secret', { Env: { API_TOKEN: 'abcdefgh' } }, {}, ['Tasks[0].Env.API_TOKEN: "API_TOKEN" looks like a secret, and every peer of the mesh can read a spec; in Env, env:NAME takes the value from the node that runs the job']],
  ['a server\'s field', {}, { ID: 'j-1', State: { StateType: 'Running' }, Version: 0, CreateTime: null }, [
    'ID: this is set by the mesh; what is given is ignored',
    'State: this is set by the mesh; what is given is ignored',
  ]],
];

describe('warnings of a job spec', () => {
  for (const [what, task, job, expected] of WARNED) {
    it(`accepts with a warning: ${what}`, () => {
      const parsed = parseJobValue(specOf(task, job));
      assert.equal(parsed.ok, true, lines(parsed).join('\n'));
      assert.deepEqual(parsed.warnings.map(formatProblem), expected);
    });
  }

  it("passes in silence over what clients send for a server's field they leave alone", () => {
    const unset = {
      ID: '',
      State: { StateType: 'Undefined', Message: '' },
      Version: 0,
      Revision: 0,
      CreateTime: 0,
      ModifyTime: 0,
    };
    assert.deepEqual(parseJobValue(specOf({}, unset)).warnings, []);
  });
});

describe('places', () => {
  const parse = (text: string) => parseJob(text, { sourceName: 'job.yaml' });

  it('points at the value, or at the key when the key is wrong or has no value', () => {
    const text = [
      'name: x',
      'conut: 3',
      'Type: cron',
      'ID: j-1',
      'Tasks:',
      '  - Name:',
      '    Engine: {Type: docker, Params: {Image: ubuntu}}',
      '    Timeouts: {ExecutionTimeout: ten}',
    ].join('\n');
    assert.deepEqual(lines(parse(text)), [
      'job.yaml:2:1 conut: unknown field "conut". Did you mean "Count"?',
      'job.yaml:3:7 Type: expected one of batch, ops, daemon, service, got "cron".',
      'job.yaml:4:1 ID: this is set by the mesh and cannot be given',
      'job.yaml:6:5 Tasks[0].Name: the name of the task is missing',
      'job.yaml:8:34 Tasks[0].Timeouts.ExecutionTimeout: expected a whole number, got "ten"',
    ]);
  });

  it('follows aliases to what they stand for', () => {
    const text = [
      'Type: batch',
      'Tasks:',
      '  - Name: m',
      '    Engine: {Type: noop}',
      '    InputSources:',
      '      - {Target: /a, Source: &s {Type: ipfs, Params: {CID: Qm}}}',
      '      - {Target: /b, Source: *s}',
    ].join('\n');
    const why = '"Qm" has 2 characters; a CID that begins with Qm has 46';
    assert.deepEqual(lines(parse(text)), [
      `job.yaml:6:60 Tasks[0].InputSources[0].Source.Params.CID: ${why}`,
      `job.yaml:6:60 Tasks[0].InputSources[1].Source.Params.CID: ${why}`,
    ]);
  });

  it('says why a text cannot be read', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      ['', /^job\.yaml:1:1: the spec is empty$/],
      ['# only a comment\n', /^job\.yaml:1:1: the spec is empty$/],
      [
        '[]',
        /^job\.yaml:1:1: expected a map with Name, Namespace, Type, Priority, …, got a list of 0$/,
      ],
      ['Name: [1', /^job\.yaml:1:\d+: not readable as YAML or JSON: /],
      [
        'Name: a\nName: b\n',
        /^job\.yaml:2:1: not readable as YAML or JSON: Map keys must be unique$/,
      ],
      [
        '\tName: a',
        /^job\.yaml:1:1: not readable as YAML or JSON: Tabs are not allowed as indentation$/,
      ],
      [
        '['.repeat(50_000),
        /^job\.yaml:1:\d+: not readable as YAML or JSON: it is nested too deeply$/,
      ],
    ];
    for (const [text, expected] of cases) {
      const found = lines(parse(text));
      assert.equal(found.length, 1, found.join('\n'));
      assert.match(found[0] ?? '', expected);
    }
  });

  it('refuses a few lines that stand for gigabytes', () => {
    const layers = 'abcdefgh'.split('').map((name, at, all) => {
      const items = at === 0 ? 'x' : `*${all[at - 1]}`;
      return `${name}: &${name} [${Array.from({ length: 9 }, () => items).join(', ')}]`;
    });
    assert.match(lines(parse(layers.join('\n')))[0] ?? '', /Excessive alias count/);
  });

  it('shows at most twenty problems and says how many more there are', () => {
    const constraints = Array.from({ length: 25 }, () => ({
      Key: '',
      Operator: '=',
      Values: ['a'],
    }));
    const found = lines(parseJobValue(specOf({}, { Constraints: constraints })));
    assert.equal(found.length, PROBLEMS_MAX + 1);
    assert.equal(found.at(-1), '… and 5 more');
  });

  it('reads JSON with tabs, text that looks like a number as written, and only the first document', () => {
    const json =
      '{\n\t"Type": "batch",\n\t"Tasks": [\n\t\t{"Name": "m", "Engine": {"Type": "noop"}}\n\t]\n}';
    assert.equal(parse(json).ok, true);
    const yaml =
      'Type: batch\nTasks:\n- {Name: m, Engine: {Type: noop}, Env: {V: 3.10}, Resources: {GPU: 1}}\n---\nb: 1\n';
    const parsed = parse(yaml);
    assert.ok(parsed.ok, lines(parsed).join('\n'));
    assert.equal(parsed.job.Task.Env['V'], '3.10');
    assert.equal(parsed.job.Task.resources.gpus, 1);
    assert.deepEqual(parsed.warnings.map(formatProblem), [
      'job.yaml:4:1: only the first document of the file is read',
    ]);
  });

  it('never prints a character that a terminal obeys', () => {
    const found = lines(parseJobValue(specOf({}, { Type: '\u001b[31m\u202etxt' })));
    assert.deepEqual(found, [
      'Type: expected one of batch, ops, daemon, service, got "\\u001b[31m\\u202etxt".',
    ]);
  });
});
