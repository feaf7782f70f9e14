/** The machine that numbers were measured on, for the head of the table. */
import { execFile } from 'node:child_process';
import { cpus, loadavg, release, totalmem, type as systemName } from 'node:os';
import { promisify } from 'node:util';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly kernel: string;
  readonly node: string;
  /** null when Docker does not answer. */
  readonly docker: string | null;
}

export async function describeMachine(): Promise<Machine> {
  const processors = cpus();
  return {
    cpu: processors[0]?.model.trim() ?? 'unknown',
    cores: processors.length,
    memoryGib: totalmem() / 2 ** 30,
    kernel: `${systemName()} ${release()}`,
    node: process.versions.node,
    docker: await dockerVersion(),
  };
}

async function dockerVersion(): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)(
      'docker',
      ['version', '--format', '{{.Server.Version}}'],
      {
        timeout: 5_000,
      },
    );
    return stdout.trim();
  } catch {
    return null;
  }
}

/** Load average of the last minute. */
export const load = (): number => loadavg()[0] ?? 0;

/** Above this, something else takes part of the machine. */
export const BUSY_LOAD = 1.5;
