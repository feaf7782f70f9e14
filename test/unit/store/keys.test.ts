import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ShoalError } from '../../../src/failures/shoal-error.ts';
import { loadKey, readSwarmKey } from '../../../src/store/keys.ts';
import { temporary } from './fixtures.ts';

/** What an operator reads when a key file cannot be used. */
function complaint(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof ShoalError && error.failure.code === 'key-invalid', String(error));
    return error.failure.why;
  }
  assert.fail('it was accepted');
}

test('a key is made at first use, for its user alone, and is the same ever after', (context) => {
  const path = join(temporary(context), 'deep', 'node.key');
  const seed = loadKey(path, randomBytes);
  assert.equal(seed.length, 32);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700);
  assert.deepEqual(loadKey(path, randomBytes), seed);
  assert.deepEqual(readdirSync(join(path, '..')), ['node.key'], 'no drafts are left');
  assert.equal(readFileSync(path, 'latin1'), `${Buffer.from(seed).toString('hex')}\n`);
});

test('of two processes that make a key at once, both use the first', (context) => {
  const path = join(temporary(context), 'node.key');
  let first: Uint8Array | null = null;
  const second = loadKey(path, (length) => {
    // The other one is quicker: between the look and the making.
    first = loadKey(path, (bytes) => new Uint8Array(bytes).fill(1));
    return new Uint8Array(length).fill(2);
  });
  assert.deepEqual([second, first], [new Uint8Array(32).fill(1), second]);
});

test('a key that others may read or write is refused with the remedy', (context) => {
  const path = join(temporary(context), 'node.key');
  loadKey(path, randomBytes);
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    chmodSync(path, mode);
    assert.match(
      complaint(() => loadKey(path, randomBytes)),
      new RegExp(`mode 0${mode.toString(8)}\\); run \`chmod 600`),
    );
  }
  chmodSync(path, 0o400);
  loadKey(path, randomBytes);
});

test('a key of another user is refused with the remedy', {
  skip: process.geteuid?.() !== 0 && 'needs root',
}, (context) => {
  const path = join(temporary(context), 'node.key');
  loadKey(path, randomBytes);
  chownSync(path, 65_534, 65_534);
  assert.match(
    complaint(() => loadKey(path, randomBytes)),
    /another user \(uid 65534\).*chown 0 /,
  );
});

test('a link that lies where a key is drafted is not written through', (context) => {
  const dir = temporary(context);
  const victim = join(dir, 'victim');
  writeFileSync(victim, 'of great worth');
  symlinkSync(victim, join(dir, `node.key.${process.pid}.new`));
  loadKey(join(dir, 'node.key'), randomBytes);
  assert.equal(readFileSync(victim, 'utf8'), 'of great worth');
  assert.deepEqual(readdirSync(dir).sort(), ['node.key', 'victim']);
});

test('a file that holds no key is refused, never overwritten', (context) => {
  const dir = temporary(context);
  const path = join(dir, 'node.key');
  for (const content of [
    '',
    'x',
    'ab'.repeat(31),
    'AB'.repeat(32),
    `${'ab'.repeat(32)}\n\n`,
    randomBytes(32),
  ]) {
    writeFileSync(path, content, { mode: 0o600 });
    assert.match(
      complaint(() => loadKey(path, randomBytes)),
      /64 hex digits/,
    );
  }
  writeFileSync(path, 'x'.repeat(2_000));
  assert.match(
    complaint(() => loadKey(path, randomBytes)),
    /too many/,
  );
  mkdirSync(join(dir, 'directory'));
  assert.match(
    complaint(() => loadKey(join(dir, 'directory'), randomBytes)),
    /not a file/,
  );
});

const SWARM = `/key/swarm/psk/1.0.0/\n/base16/\n${'0f'.repeat(32)}\n`;

test('the key of a private mesh is read in the format of kubo, with any line ends', (context) => {
  const path = join(temporary(context), 'swarm.key');
  for (const text of [
    SWARM,
    SWARM.trimEnd(),
    SWARM.replaceAll('\n', '\r\n'),
    SWARM.replaceAll('0f', '0F'),
  ]) {
    writeFileSync(path, text);
    assert.equal(Buffer.from(readSwarmKey(path)).toString(), SWARM);
  }
});

test('each way in which a swarm key file is wrong is told', (context) => {
  const path = join(temporary(context), 'swarm.key');
  assert.equal(
    complaint(() => readSwarmKey(path)),
    'it does not exist',
  );
  const cases: readonly (readonly [string, RegExp])[] = [
    ['', /first line/],
    [SWARM.replace('1.0.0', '2.0.0'), /first line/],
    [SWARM.replace('base16', 'base64'), /second line/],
    [SWARM.slice(0, -3), /third and last line/],
    [SWARM.replace('0f', 'zz'), /third and last line/],
    [`${SWARM}more`, /third and last line/],
    ['x'.repeat(2_000), /too many/],
  ];
  for (const [text, why] of cases) {
    writeFileSync(path, text);
    assert.match(
      complaint(() => readSwarmKey(path)),
      why,
    );
  }
});

test('what a process left that died while it made a key is removed, and the key stays what it is', (context) => {
  const path = join(temporary(context), 'node.key');
  const key = loadKey(path, randomBytes);
  const drafts = [`${path}.17.new`, `${path}.new`, `${path}s.17.new`];
  for (const draft of drafts) writeFileSync(draft, 'x');
  assert.deepEqual(loadKey(path, randomBytes), key);
  assert.deepEqual(
    drafts.map((draft) => existsSync(draft)),
    [false, true, true],
  );
});
