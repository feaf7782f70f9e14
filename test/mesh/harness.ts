/**
 * A mesh of real peers for one test file: starts them, finds out about jobs through any of them, runs
 * the command line against them, and takes everything down afterwards. A peer that does not end by
 * itself, a process or a container that is left over fails the file.
 */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach } from 'node:test';
import type {
  ExecutionJson,
  HistoryJson,
  JobAnswer,
  JobJson,
  ListJson,
  ResultJson,
  SubmitAnswer,
} from '../../src/api/types.ts';
import { containersOf, docker } from '../docker/support.ts';
import type { Network } from './network.ts';
import { Peer } from './peer.ts';
import type { Place } from './peer.ts';
import { processesWith } from './processes.ts';
import { createProgram } from './program.ts';
import type { Program } from './program.ts';
import { until } from './wait.ts';

const CLI_MS = 90_000;
const DEADLINE_MS = 30_000;

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  /** Name of the owner key file; peers with the same name share it. Default `owner`. */
  readonly owner?: string;
  /** Further flags of `shoal serve`. */
  readonly flags?: readonly string[];
  /** Peers to join through; default the first one of the mesh. */
  readonly through?: readonly Peer[];
  /** Done before it is started, e.g. to put its data directory on a disk of its own. */
  readonly prepare?: (peer: Peer) => Promise<void> | void;
}

/** Enough for every test, whatever the machine has; tests that need a limit give their own. */
const ROOM = { '--cpu': '4', '--memory': '2GB', '--disk': '2GB' };

/** What a peer has, as far as its own flags do not say it. */
const roomBeside = (flags: readonly string[]): readonly string[] =>
  Object.entries(ROOM).flatMap(([flag, value]) => (flags.includes(flag) ? [] : [flag, value]));

export class Mesh {
  readonly directory: string;
  readonly peers: Peer[] = [];
  readonly #program: Program;
  readonly #network: Network | null;
  readonly #env: NodeJS.ProcessEnv;
  readonly #deferred: (() => Promise<void>)[] = [];
  #usesDocker = false;
  #commands = 0;

  constructor(directory: string, program: Program, network: Network | null) {
    this.directory = directory;
    this.#program = program;
    this.#network = network;
    // Nothing of the machine's own shoal: no settings, no keys.
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('SHOAL_'));
    this.#env = { ...Object.fromEntries(own), HOME: join(directory, 'home') };
  }

  /** Starts one more peer. Resolves when it is ready; that it has joined is another matter. */
  async add(options: StartOptions = {}): Promise<Peer> {
    const peer = this.#create(options);
    await mkdir(join(this.directory, peer.name));
    await options.prepare?.(peer);
    await peer.start();
    return peer;
  }

  #create({ owner = 'owner', flags = [], through }: StartOptions): Peer {
    const name = `peer${this.peers.length + 1}`;
    const seeds = through ?? this.peers.slice(0, 1);
    const bootstrap = seeds.flatMap((seed) => ['--bootstrap', seed.address]);
    const key = ['--owner-key', join(this.directory, `${owner}.key`)];
    const peer = new Peer({
      name,
      command: this.#program.command,
      directory: join(this.directory, name),
      flags: [...key, ...roomBeside(flags), ...bootstrap, '--noop', ...flags],
      env: this.#env,
      place: this.#placeOf(this.peers.length),
    });
    this.peers.push(peer);
    return peer;
  }

  #placeOf(index: number): Place | null {
    const network = this.#network;
    if (network === null) return null;
    return { listen: network.listen(index), wrap: (command) => network.wrap(index, command) };
  }

  /** Starts a seed, then the others at once, and waits until all see each other. */
  async grow(count: number, options: StartOptions = {}): Promise<readonly Peer[]> {
    const seed = await this.add(options);
    const others = await Promise.all(Array.from({ length: count - 1 }, () => this.add(options)));
    const peers = [seed, ...others];
    await this.joined(peers);
    return peers;
  }

  /** Waits until each of these peers lists all of them as connected. */
  async joined(peers: readonly Peer[] = this.peers): Promise<void> {
    for (const peer of peers) {
      await this.until(`${peer.name} sees all ${peers.length} peers`, async () => {
        const { Nodes } = await peer.get<{
          Nodes: readonly { Connection: string; Info: { NodeID: string } }[];
        }>('/orchestrator/nodes');
        const seen = new Set(
          Nodes.filter((node) => node.Connection === 'CONNECTED').map((node) => node.Info.NodeID),
        );
        return peers.every(({ nodeId }) => seen.has(nodeId));
      });
    }
  }

  peerOf(nodeId: string): Peer {
    const peer = this.peers.find((one) => one.nodeId === nodeId);
    if (peer === undefined) throw new Error(`no peer ${nodeId}`);
    return peer;
  }

  /** Waits; a failure shows the end of every peer's log. */
  until<T>(
    what: string,
    probe: () => T | Promise<T>,
    deadlineMs = DEADLINE_MS,
  ): Promise<Exclude<T, null | undefined | false>> {
    return until(what, probe, { deadlineMs, describe: () => this.describe() });
  }

  /** State of all peers and jobs, and the end of the logs. */
  async describe(): Promise<string> {
    const states = this.peers.map(async (peer) => {
      const state = peer.running ? `pid ${peer.pid}` : 'not running';
      return [
        `— ${peer.name} ${peer.nodeId.slice(-8)} (${state})`,
        ...(await this.#jobsOf(peer)),
        peer.tail(),
      ].join('\n');
    });
    return (await Promise.all(states)).join('\n');
  }

  async #jobsOf(peer: Peer): Promise<readonly string[]> {
    if (!peer.running) return [];
    try {
      const { Items } = await peer.get<ListJson<JobJson>>('/orchestrator/jobs');
      return await Promise.all(
        Items.map(async ({ ID }) => {
          const { Job, Executions } = await this.job(peer, ID);
          const parts = (Executions?.Items ?? []).map(
            (one) => `${one.PartitionIndex}/${one.Attempt} ${one.Phase} @${one.NodeID.slice(-8)}`,
          );
          return `  ${ID.slice(0, 10)} ${Job.State.StateType} ${Job.State.Message} [${parts.join(', ')}]`;
        }),
      );
    } catch (error) {
      return [`  no answer: ${String(error).slice(0, 200)}`];
    }
  }

  // — jobs

  async submit(peer: Peer, job: object): Promise<string> {
    const { JobID } = await peer.send<SubmitAnswer>('PUT', '/orchestrator/jobs', { Job: job });
    return JobID;
  }

  /** With executions and history. */
  job(peer: Peer, id: string): Promise<JobAnswer> {
    return peer.get<JobAnswer>(`/orchestrator/jobs/${id}?include=executions,history`);
  }

  async executions(peer: Peer, id: string): Promise<readonly ExecutionJson[]> {
    return (await this.job(peer, id)).Executions?.Items ?? [];
  }

  async history(peer: Peer, id: string): Promise<readonly HistoryJson[]> {
    return (await this.job(peer, id)).History?.Items ?? [];
  }

  async results(peer: Peer, id: string): Promise<readonly ResultJson[]> {
    return (await peer.get<ListJson<ResultJson>>(`/orchestrator/jobs/${id}/results`)).Items;
  }

  /** Waits for a state as this peer tells it; fails at once when the job ended otherwise. */
  async reaches(
    peer: Peer,
    id: string,
    state: string,
    deadlineMs = DEADLINE_MS,
  ): Promise<JobAnswer> {
    const answer = await this.until(
      `${id} is ${state} at ${peer.name}`,
      async () => {
        const told = await this.job(peer, id);
        const now = told.Job.State.StateType;
        return now === state || ['Completed', 'Failed', 'Stopped'].includes(now) ? told : null;
      },
      deadlineMs,
    );
    if (answer.Job.State.StateType !== state) {
      const { StateType, Message } = answer.Job.State;
      throw new Error(`${id} is ${StateType} (${Message}), not ${state}\n${await this.describe()}`);
    }
    return answer;
  }

  /** Waits until an execution of the job is in this phase. */
  inPhase(
    peer: Peer,
    id: string,
    phase: string,
    count = 1,
    deadlineMs = DEADLINE_MS,
  ): Promise<readonly ExecutionJson[]> {
    return this.until(
      `${count} executions of ${id} are ${phase}`,
      async () => {
        const found = (await this.executions(peer, id)).filter((one) => one.Phase === phase);
        return found.length >= count ? found : null;
      },
      deadlineMs,
    );
  }

  /** The peers that have said that they lead this job, in the order in which they said it. */
  leaders(job: string): readonly Peer[] {
    return this.peers
      .flatMap((peer) =>
        peer
          .events('job.leading')
          .filter((line) => line['job'] === job)
          .map((line) => ({ peer, time: String(line['time']) })),
      )
      .sort((a, b) => (a.time < b.time ? -1 : 1))
      .map(({ peer }) => peer);
  }

  // — the command line

  /** Runs `shoal …` against a peer (null = the one that `more` names), in a directory of this mesh. */
  async cli(
    peer: Peer | null,
    args: readonly string[],
    stdin = '',
    more: Readonly<Record<string, string>> = {},
  ): Promise<Ran> {
    this.#commands += 1;
    const home = join(this.directory, 'home');
    await mkdir(home, { recursive: true });
    const env = {
      ...this.#env,
      ...peer?.apiVariables,
      ...more,
    };
    const child = spawn(this.#program.command, args, {
      cwd: home,
      env,
      stdio: 'pipe',
      timeout: CLI_MS,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.end(stdin);
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (code === null)
      throw new Error(
        `shoal ${args.join(' ')} did not end within ${CLI_MS} ms\n${stdout}\n${stderr}\n${await this.describe()}`,
      );
    return { code, stdout, stderr };
  }

  /** The same, and it must succeed. @returns what it printed */
  async ok(peer: Peer | null, args: readonly string[], stdin = ''): Promise<string> {
    const { code, stdout, stderr } = await this.cli(peer, args, stdin);
    if (code !== 0)
      throw new Error(
        `shoal ${args.join(' ')} ended with ${code}\n${stdout}\n${stderr}\n${await this.describe()}`,
      );
    return stdout;
  }

  /** A path below the directory of this mesh that nothing has used yet. */
  path(name: string): string {
    this.#commands += 1;
    return join(this.directory, `${this.#commands}-${name}`);
  }

  /** At the end no container of these peers may be there. */
  watchContainers(): void {
    this.#usesDocker = true;
  }

  /** Tells of each container left over, and removes it. */
  async #containersLeft(): Promise<readonly string[]> {
    const problems: string[] = [];
    for (const peer of this.peers) {
      for (const name of await containersOf(peer.nodeId)) {
        problems.push(`container ${name} of ${peer.name} is left over\n${peer.tail()}`);
        await docker('rm', '--force', name);
      }
    }
    return problems;
  }

  /** What must be done at the end, before the peers are stopped; done even when a test failed. */
  defer(undo: () => Promise<void>): void {
    this.#deferred.push(undo);
  }

  /** Stops every peer as an operator does, and looks for what is left over. @throws with all that is wrong */
  async close(): Promise<void> {
    const problems: string[] = [];
    // One after the other, and none keeps the next from being done: what stays open keeps the process alive.
    for (const undo of this.#deferred)
      await undo().catch((error: unknown) => problems.push(String(error)));
    const running = this.peers.filter((peer) => peer.running);
    await Promise.all(
      running.map((peer) => peer.stop().catch((error: unknown) => problems.push(String(error)))),
    );
    const left = await processesWith(this.directory);
    problems.push(...left.map((line) => `a process is left over: ${line}`));
    if (this.#usesDocker) problems.push(...(await this.#containersLeft()));
    await rm(this.directory, { recursive: true, force: true });
    await this.#program.remove();
    await this.#network?.[Symbol.asyncDispose]();
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }
}

/**
 * A mesh without peers; taken down after the tests of the file. Call it outside of all hooks and tests.
 * @param failpoints of a program that a test may break at its named places.
 * @param network where each peer has its own, with as many places as there will be peers; null = loopback.
 */
export async function createMesh(
  network: Network | null = null,
  { failpoints = false }: { readonly failpoints?: boolean } = {},
): Promise<Mesh> {
  const directory = await mkdtemp(join(tmpdir(), 'shoal-mesh-'));
  const mesh = new Mesh(directory, await createProgram(failpoints), network);
  afterEach(async (context) => {
    if ('passed' in context && !context.passed)
      process.stderr.write(`${context.name}\n${await mesh.describe()}\n`);
  });
  after(() => mesh.close());
  return mesh;
}
