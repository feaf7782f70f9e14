/** Jobs that the mesh tests submit, in the shape of the HTTP API. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { IMAGE } from '../docker/support.ts';
import type { Peer } from './peer.ts';
import { root } from './program.ts';

const small = { CPU: '100m', Memory: '32Mb' };

/** Members of a job or of its task that replace the usual ones. */
export interface Changes {
  readonly job?: object;
  readonly task?: object;
}

/** Without a name: each is a job of its own. */
const jobOf = (task: object, { job = {}, task: more = {} }: Changes): object => ({
  Namespace: 'default',
  Type: 'batch',
  Count: 1,
  Tasks: [{ Name: 'main', Resources: small, ...task, ...more }],
  ...job,
});

/** A job that only takes time. */
export const noop = (
  params: {
    Milliseconds?: number;
    ExitCode?: number;
    Fail?: string;
    FailClass?: string;
    Ends?: number;
  },
  changes: Changes = {},
): object => jobOf({ Engine: { Type: 'noop', Params: params } }, changes);

/** A shell script in a container. */
export const docker = (script: string, changes: Changes = {}): object =>
  jobOf(
    {
      Engine: { Type: 'docker', Params: { Image: IMAGE, Entrypoint: ['sh', '-c', script] } },
      Publisher: { Type: 'ipfs', Params: {} },
      ResultPaths: [{ Name: 'outputs', Path: '/outputs' }],
      Network: { Type: 'None' },
    },
    changes,
  );

/** An IPFS input. */
export const input = (cid: string, target: string): object => ({
  Source: { Type: 'ipfs', Params: { CID: cid } },
  Target: target,
});

const wasmDirectory = join(root, 'test/fixtures/wasm');

/** One of the test programs; its module is added through this peer. */
export async function wasm(
  peer: Peer,
  program: string,
  params: object = {},
  changes: Changes = {},
): Promise<object> {
  const module = await peer.addContent(await readFile(join(wasmDirectory, program)));
  return jobOf(
    {
      Engine: { Type: 'wasm', Params: { EntryModule: '/program.wasm', ...params } },
      InputSources: [input(module, '/program.wasm')],
      Publisher: { Type: 'ipfs', Params: {} },
      ResultPaths: [{ Name: 'outputs', Path: '/outputs' }],
    },
    changes,
  );
}
