/** The jobs that are measured with: each does nothing, so that what remains is the cost of the mesh. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { batch } from './api.ts';
import type { Api, JobSpec } from './api.ts';
import { root } from './mesh.ts';

const SMALL = { CPU: '10m', Memory: '1Mb' };

/** Waits and prints one line; no process. */
export const noopJob = (milliseconds = 0): JobSpec =>
  batch({ Engine: { Type: 'noop', Params: { Milliseconds: milliseconds } }, Resources: SMALL });

/** A module whose entry function is empty; added to the mesh by `addNoopModule`. */
export const wasmJob = (module: string, publish = false): JobSpec =>
  batch({
    Engine: { Type: 'wasm', Params: { EntryModule: '/program.wasm' } },
    InputSources: [{ Target: '/program.wasm', Source: { Type: 'ipfs', Params: { CID: module } } }],
    Resources: { CPU: '10m', Memory: '16Mb' },
    ...(publish ? { Publisher: { Type: 'ipfs' } } : {}),
  });

export async function addNoopModule(api: Api): Promise<string> {
  return api.addContent([await readFile(join(root, 'test/fixtures/wasm/empty.wasm'))]);
}

/** Made by `scripts/docker-setup`; holds nothing but busybox. */
export const IMAGE = 'shoal-test/busybox:local';

export const dockerJob = (): JobSpec =>
  batch({
    Engine: { Type: 'docker', Params: { Image: IMAGE, Parameters: ['true'] } },
    Resources: { CPU: '100m', Memory: '64Mb' },
  });
