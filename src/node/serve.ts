/**
 * `shoal serve`: a peer in the foreground. Prints what a person needs to join others to it, and
 * turns Ctrl-C into a clean leave; a second Ctrl-C ends at once.
 */
import { homedir } from 'node:os';
import type { FlagValues } from '../config/layers.ts';
import { loadConfig } from '../config/load.ts';
import { tell } from '../cli/errors.ts';
import { startPeer } from './start.ts';
import { version } from './version.ts';

/** For the last words, of the log and to the others, to be written. */
const BROKEN_MS = 500;

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
  const peer = await startPeer(loaded, version());
  print(`shoal ${version()}`);
  print(`peer id    ${peer.nodeId}`);
  for (const address of peer.addresses) print(`bootstrap  ${address}`);
  print(
    `api        http://${peer.api.host.includes(':') ? `[${peer.api.host}]` : peer.api.host}:${peer.api.port}`,
  );
  if (peer.api.socket !== null) print(`socket     ${peer.api.socket}`);
  print('ready      Ctrl-C leaves the mesh and stops');
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
    setTimeout(() => process.exit(tell(error).exitCode), BROKEN_MS);
    throw error;
  } finally {
    process.removeListener('SIGINT', leave);
    process.removeListener('SIGTERM', leave);
  }
  // It left by itself, and is told to leave in its last moment.
  process.once('SIGTERM', () => process.exit(0));
  print('stopped');
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
