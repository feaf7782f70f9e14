/**
 * Peers on machines of their own, as far as the network can tell: a network namespace each, two
 * switches with half of the peers at each, and one cable between them that can be pulled. Everything
 * lives in namespaces without names that go with their processes, so nothing of it can be left over
 * and no interface of this machine is touched.
 */
import { execFile, spawn } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface Separate extends AsyncDisposable {
  /** What a peer listens on. */
  listen(index: number): string;
  /** The command that runs another one in a namespace, once something was written to its input. */
  wrap(command: readonly string[]): readonly [string, ...string[]];
  /** Connects the namespace of a process with the switch of its half. */
  plug(pid: number, index: number): Promise<void>;
  /** Frames between the halves are lost from now on, without a word to anybody. */
  cut(): Promise<void>;
  heal(): Promise<void>;
}

const addressOf = (index: number): string => `10.77.0.${index + 1}`;
const macOf = (index: number): string =>
  `02:00:00:00:77:${(index + 1).toString(16).padStart(2, '0')}`;

const inside = (pid: number, script: string): Promise<unknown> =>
  run('nsenter', ['--target', String(pid), '--net', 'sh', '-ec', script]);

/**
 * @param size peers; the first half of them at one switch
 * @returns null where this machine does not let us: it takes Linux, iproute2, util-linux and root.
 */
export async function separate(size: number): Promise<Separate | null> {
  const holder = spawn('unshare', ['--net', 'sh', '-c', 'echo ready; exec cat'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const ready = await new Promise<boolean>((resolve) => {
    holder.stdout.once('data', () => resolve(true));
    holder.once('error', () => resolve(false));
    holder.once('exit', () => resolve(false));
  });
  const hub = holder.pid;
  const end = (): void => void holder.stdin.end();
  if (!ready || hub === undefined) return null;
  try {
    await inside(
      hub,
      `for half in 0 1; do
         ip link add switch$half type bridge
         ip link set switch$half up
       done
       ip link add cable type veth peer name elbac
       ip link set cable master switch0 up
       ip link set elbac master switch1 up`,
    );
  } catch {
    end();
    return null;
  }
  return {
    listen: (index) => `/ip4/${addressOf(index)}/tcp/4001`,
    wrap: (command) => ['unshare', '--net', 'sh', '-c', 'read go; exec "$@"', 'sh', ...command],
    async plug(pid, index) {
      await joined(pid);
      const half = index < size / 2 ? 0 : 1;
      const mac = macOf(index);
      await inside(
        hub,
        `ip link add port${index} type veth peer name eth0 address ${mac} netns ${pid}
         ip link set port${index} master switch${half} up`,
      );
      // Fixed: otherwise the kernel notices that nobody answers, and says so to whoever dials. Behind
      // a router nothing does.
      const others = Array.from({ length: size }, (_, other) => other).filter((o) => o !== index);
      const neighbours = others.map(
        (other) =>
          `ip neigh replace ${addressOf(other)} lladdr ${macOf(other)} dev eth0 nud permanent`,
      );
      await inside(
        pid,
        `ip link set lo up
         ip address add ${addressOf(index)}/24 dev eth0
         ip link set eth0 up
         ${neighbours.join('\n')}`,
      );
    },
    cut: async () => void (await inside(hub, 'ip link set cable down')),
    heal: async () => void (await inside(hub, 'ip link set cable up')),
    async [Symbol.asyncDispose]() {
      const gone = new Promise((resolve) => holder.once('exit', resolve));
      end();
      await gone;
    },
  };
}

/** Waits until a process is in a namespace of its own: it begins in ours. */
async function joined(pid: number): Promise<void> {
  const net = async (of: string): Promise<string> =>
    (await run('readlink', [`/proc/${of}/ns/net`])).stdout;
  const ours = await net('self');
  while ((await net(String(pid))) === ours) await new Promise((r) => setTimeout(r, 5));
}
