/**
 * Finds ports that are free for the listen addresses and the API of the default configuration, so that a
 * second peer on one machine starts without being told how. An address that somebody wrote down is never
 * changed.
 */
import { createServer } from 'node:net';
import { ShoalError } from '../failures/shoal-error.ts';
import { errorCode } from '../lib/durable-file.ts';

export interface ListenPlan {
  readonly addresses: readonly string[];
  /** Those that were in use, each with what was taken instead. */
  readonly moved: readonly { readonly from: string; readonly to: string }[];
}

const TCP = /^\/(ip4|ip6)\/([^/]+)\/tcp\/(\d+)(.*)$/;

/**
 * @param movable false when the addresses were configured by someone, or falling back is switched off.
 * @throws ShoalError `port-in-use` for an address that may not move.
 */
export async function planListen(
  addresses: readonly string[],
  movable: boolean,
): Promise<ListenPlan> {
  const moved: { from: string; to: string }[] = [];
  const planned: string[] = [];
  for (const address of addresses) {
    const parts = TCP.exec(address);
    const port = Number(parts?.[3] ?? 0);
    if (parts === null || port === 0 || (await isFree(parts[2] ?? '', port))) {
      planned.push(address);
      continue;
    }
    if (!movable) throw new ShoalError({ code: 'port-in-use', address });
    const to = `/${parts[1]}/${parts[2]}/tcp/0${parts[4]}`;
    moved.push({ from: address, to });
    planned.push(to);
  }
  return { addresses: planned, moved };
}

/** The port of the API: another one, which the system chooses, where the default one is in use. */
export const planApiPort = async (host: string, port: number, movable: boolean): Promise<number> =>
  !movable || port === 0 || (await isFree(host, port)) ? port : 0;

function isFree(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    // Other errors (no such address, no permission) are told better by whoever listens there.
    probe.once('error', (error) => resolve(errorCode(error) !== 'EADDRINUSE'));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
