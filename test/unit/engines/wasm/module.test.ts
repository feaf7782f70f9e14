import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkMemories, ModuleError, readModule } from '../../../../src/engines/wasm/module.ts';
import { FIXTURES } from './harness.ts';

const fixture = (name: string): Uint8Array => readFileSync(join(FIXTURES, `${name}.wasm`));

function codeOf(operation: () => unknown): string {
  try {
    operation();
  } catch (error) {
    if (error instanceof ModuleError) return error.code;
    throw error;
  }
  return 'none';
}

test('a memory is read with its minimum and flags', () => {
  assert.deepEqual(readModule(fixture('big-memory')).memories, [
    { minPages: 2048n, shared: false, wide: false },
  ]);
  assert.equal(readModule(fixture('shared-memory')).memories[0]?.shared, true);
  assert.equal(readModule(fixture('wide-memory')).memories[0]?.wide, true);
  assert.equal(readModule(fixture('two-memories')).memories.length, 2);
  assert.equal(readModule(fixture('empty')).memories.length, 0);
});

test('each kind of memory that is not given is refused by its own code', () => {
  const refusal = (name: string): string =>
    codeOf(() => checkMemories(readModule(fixture(name)), 100));
  assert.equal(refusal('big-memory'), 'wasm-memory-minimum');
  assert.equal(refusal('shared-memory'), 'wasm-memory-shared');
  assert.equal(refusal('wide-memory'), 'wasm-memory-64');
  assert.equal(refusal('two-memories'), 'wasm-memory-count');
  assert.equal(refusal('args'), 'none');
});

test('the name comes from the name section', () => {
  const name = Buffer.from('\x00\x0d\x04name\x00\x06\x05hello', 'latin1');
  const named = Buffer.concat([fixture('empty'), name]);
  assert.equal(readModule(named).name, 'hello');
  assert.equal(readModule(fixture('empty')).name, null);
});

test('what is not a core module is told apart', () => {
  const header = (hex: string): string => codeOf(() => readModule(Buffer.from(hex, 'hex')));
  assert.equal(header(''), 'wasm-not-wasm');
  assert.equal(header('7f454c4602010100'), 'wasm-not-wasm');
  assert.equal(header('0061736d0d000100'), 'wasm-component');
  assert.equal(header('0061736d02000000'), 'wasm-invalid');
  assert.equal(header('0061736d01000000'), 'none');
  assert.equal(header('0061736d0100000005ff'), 'wasm-invalid');
});

test('a memory section of a million memories is refused before it fills our own memory', () => {
  const count = Buffer.from([0xc0, 0x84, 0x3d]);
  const body = Buffer.concat([count, Buffer.alloc(2_000_000)]);
  const size = Buffer.from([0x83, 0x89, 0x7a]);
  const bytes = Buffer.concat([Buffer.from('0061736d0100000005', 'hex'), size, body]);
  assert.equal(
    codeOf(() => readModule(bytes)),
    'wasm-memory-count',
  );
});

test('no bytes make the reader fail in another way than with a ModuleError', () => {
  const modules = readdirSync(FIXTURES)
    .filter((name) => name.endsWith('.wasm'))
    .map((name) => readFileSync(join(FIXTURES, name)).subarray(0, 4096));
  const damaged = fc
    .tuple(fc.constantFrom(...modules), fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat())
    .map(([bytes, at, value, length]) => {
      const copy = Buffer.from(bytes);
      copy[at % copy.length] = value;
      return copy.subarray(0, length % (copy.length + 1));
    });
  const random = fc
    .uint8Array({ maxLength: 200 })
    .map((bytes) => Buffer.concat([Buffer.from('0061736d01000000', 'hex'), bytes]));
  fc.assert(
    fc.property(fc.oneof(damaged, random, fc.uint8Array({ maxLength: 64 })), (bytes) => {
      codeOf(() => checkMemories(readModule(bytes), 1024));
    }),
    { numRuns: 2_000 },
  );
});
