/**
 * Peers on machines of their own, as far as the network can tell: a network namespace each, and a
 * switch between them. Links are cut one by one, in either direction, and without a word to anybody, as
 * behind a router. The namespaces have no names and go with their processes, so nothing of it can be
 * left over and no interface of this machine is touched.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Network extends AsyncDisposable {
  /** What a peer listens on. */
  listen(index: number): string;
  /** The command that runs another one in the namespace of a peer. */
  wrap(index: number, command: readonly string[]): readonly [string, ...string[]];
  /** What these send to those is lost from now on, also after they were started again. */
  lose(from: readonly number[], to: readonly number[]): Promise<void>;
  /** The same both ways. */
  part(some: readonly number[], others: readonly number[]): Promise<void>;
  /** Between these everything arrives again. */
  mend(some: readonly number[], others: readonly number[]): Promise<void>;
  /** Everything arrives again, everywhere. */
  heal(): Promise<void>;
}

/** For whoever leaves out what needs it. */
export const NETWORK_NEEDS = 'network namespaces take Linux, iproute2, util-linux and root';

const addressOf = (index: number): string => `10.77.0.${index + 1}`;
const macOf = (index: number): string =>
  `02:00:00:00:77:${(index + 1).toString(16).padStart(2, '0')}`;
/** Nobody has it: the switch hands such a frame to all, and all drop it. */
const NOBODY = '02:00:00:00:99:99';

const inside = (pid: number, script: string): Promise<unknown> =>
  run('nsenter', ['--target', String(pid), '--net', 'sh', '-ec', script]);

/**
 * @param size peers
 * @returns null where this machine does not let us; `NETWORK_NEEDS` says what it takes.
 */
export async function createNetwork(size: number): Promise<Network | null> {
  const holders: Holder[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(holders.map((holder) => holder.end()));
  };
  try {
    const hub = await hold();
    holders.push(hub);
    await inside(hub.pid, 'ip link add switch type bridge\n ip link set switch up');
    for (let index = 0; index < size; index += 1) {
      const holder = await hold();
      holders.push(holder);
      await plug(hub.pid, holder.pid, index);
    }
  } catch {
    await close();
    return null;
  }
  const pidOf = (index: number): number => {
    const pid = holders[index + 1]?.pid;
    if (pid === undefined) throw new RangeError(`there is no place for peer ${index + 1}`);
    return pid;
  };
  /** Where the frames of one peer to others go. Fixed, so that no kernel notices who is gone. */
  const point = (from: number, to: readonly number[], mac: (to: number) => string) =>
    inside(
      pidOf(from),
      to
        .filter((other) => other !== from)
        .map((other) => `ip neigh replace ${addressOf(other)} lladdr ${mac(other)} dev eth0`)
        .map((command) => `${command} nud permanent`)
        .join('\n'),
    );
  const everybody = Array.from({ length: size }, (_, index) => index);
  const lose: Network['lose'] = async (from, to) => {
    await Promise.all(from.map((one) => point(one, to, () => NOBODY)));
  };
  const find = async (from: readonly number[], to: readonly number[]): Promise<void> => {
    await Promise.all(from.map((one) => point(one, to, macOf)));
  };
  const heal = (): Promise<void> => find(everybody, everybody);
  await heal();
  return {
    listen: (index) => `/ip4/${addressOf(index)}/tcp/4001`,
    wrap: (index, command) => ['nsenter', '--target', `${pidOf(index)}`, '--net', ...command],
    lose,
    async part(some, others) {
      await Promise.all([lose(some, others), lose(others, some)]);
    },
    async mend(some, others) {
      await Promise.all([find(some, others), find(others, some)]);
    },
    heal,
    [Symbol.asyncDispose]: close,
  };
}

/** A process that keeps a namespace there. */
interface Holder {
  readonly pid: number;
  end(): Promise<void>;
}

/** It ends with its input, so also when this process dies. @throws where we may not. */
async function hold(): Promise<Holder> {
  const child = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  await ready(child);
  const { pid } = child;
  if (pid === undefined) throw new Error('it has no process id');
  return {
    pid,
    async end() {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.stdin.end();
      await gone;
    },
  };
}

const ready = (child: ChildProcess): Promise<void> =>
  new Promise((resolve, reject) => {
    child.stdout?.once('data', () => resolve());
    child.once('error', reject);
    child.once('exit', () => reject(new Error('it ended')));
  });

/** Connects a namespace with the switch. */
async function plug(hub: number, pid: number, index: number): Promise<void> {
  // Multicasts reach nobody: peers that look for others on the local network would see through cuts.
  await inside(
    hub,
    `ip link add port${index} type veth peer name eth0 address ${macOf(index)} netns ${pid}
     ip link set port${index} master switch up
     ip link set port${index} type bridge_slave mcast_flood off bcast_flood off`,
  );
  await inside(
    pid,
    `ip link set lo up
     ip address add ${addressOf(index)}/24 dev eth0
     ip link set eth0 up`,
  );
}
