/**
 * `shoal serve`: a peer in the foreground. Prints what a person needs to join others to it, and
 * turns Ctrl-C into a clean leave; a second Ctrl-C ends at once.
 */
import { homedir } from 'node:os';
import { join } from 'node:path';
import { shortNode } from '../api/execution-facts.ts';
import type { StatusJson } from '../api/types.ts';
import { createClient } from '../cli/connection.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import type { FlagValues } from '../config/layers.ts';
import { loadConfig } from '../config/load.ts';
import { codeOf, tell as words } from '../cli/errors.ts';
import { startPeer } from './start.ts';
import { version } from './version.ts';

/** For the last words, of the log and to the others, to be written. */
const BROKEN_MS = 500;
/** Another peer of this machine answers in milliseconds, or does not. */
const NEIGHBOUR_MS = 2_000;

/** @throws ShoalError of everything a person can put right. Resolves when the peer has stopped. */
export async function serve(flags: FlagValues): Promise<void> {
  // A log on a full disk, or a terminal that is gone, costs its lines and not the peer.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const loaded = await loadConfig({
    flags,
    env: process.env,
    home: homedir(),
    cwd: process.cwd(),
  });
  // What is told before the peer has introduced itself comes after that.
  const early: string[] = [];
  let tell = (line: string): void => void early.push(line);
  const peer = await startPeer(loaded, version(), (line) => tell(line)).catch(withNeighbour);
  print(`shoal ${version()}`);
  print(`peer id    ${peer.nodeId} (${shortNode(peer.nodeId)})`);
  for (const address of peer.addresses) print(`bootstrap  ${address}`);
  print(
    `api        http://${peer.api.host.includes(':') ? `[${peer.api.host}]` : peer.api.host}:${peer.api.port}`,
  );
  if (peer.api.socket !== null) print(`socket     ${peer.api.socket}`);
  const isDefault = peer.api.socket === join(homedir(), '.shoal', 'api.sock');
  if (peer.api.socket !== null && !isDefault)
    print(`commands   SHOAL_API_SOCKET=${peer.api.socket} shoal …`);
  print('ready      takes jobs; Ctrl-C leaves the mesh and stops');
  for (const line of early) print(line);
  tell = print;
  const leave = (signal: NodeJS.Signals): void => {
    process.once('SIGINT', () => process.exit(130));
    process.once('SIGTERM', () => process.exit(143));
    print(`leaving    ${signal}; once more to stop at once`);
    void peer.stop();
  };
  process.once('SIGINT', leave);
  process.once('SIGTERM', leave);
  try {
    await peer.ended;
  } catch (error) {
    // The core or the store broke. An orderly stop would go through both, so the process just ends:
    // others see at once that it is gone. What became of its programs is in `breaking.ts`.
    setTimeout(() => process.exit(words(error).exitCode), BROKEN_MS);
    throw error;
  } finally {
    process.removeListener('SIGINT', leave);
    process.removeListener('SIGTERM', leave);
  }
  // It left by itself, and is told to leave in its last moment.
  process.once('SIGTERM', () => process.exit(0));
  print('stopped');
}

/** Who starts a second peer without a word is told of the first one's address, too. @throws always. */
async function withNeighbour(error: unknown): Promise<never> {
  if (!(error instanceof ShoalError) || error.failure.code !== 'data-dir-locked') throw error;
  const client = createClient({}, { SHOAL_API_SOCKET: join(error.failure.path, 'api.sock') });
  const silent = setTimeout(() => client.close(), NEIGHBOUR_MS);
  try {
    const { Addresses } = await client.get<StatusJson>('/shoal/status');
    const [bootstrap = ''] = Addresses;
    throw new ShoalError({ ...error.failure, bootstrap }, { cause: error });
  } catch (asked) {
    throw codeOf(asked) === 'data-dir-locked' ? asked : error;
  } finally {
    clearTimeout(silent);
    client.close();
  }
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
