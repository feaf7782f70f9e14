/**
 * Says whether Docker can be used here, and what an operator should know about it. It warns and
 * never refuses: whose jobs a node takes is its operator's decision.
 */
import type { EngineStatus } from '../engine.ts';
import type { EngineFacts } from './api.ts';
import type { ApiError } from './failures.ts';

/**
 * Oldest engine without known ways out of a container or around its checks (CVE-2026-41567,
 * CVE-2026-42306, CVE-2026-34040).
 */
const VERSION_FLOOR = [29, 5, 1] as const;

/** @param counts whether this node itself can count what containers write. */
export function statusOf(facts: EngineFacts, counts: boolean): EngineStatus {
  const warnings: string[] = [];
  if (isBelowFloor(facts.version)) {
    warnings.push(
      `Docker ${facts.version} is older than ${VERSION_FLOOR.join('.')} and has known holes: run only jobs of owners you trust, or upgrade.`,
    );
  }
  if (facts.cgroupVersion !== '2') {
    warnings.push(
      'This machine uses cgroup version 1: limits hold, but with less protection. Prefer version 2.',
    );
  }
  if (!facts.userns && !facts.rootless) {
    warnings.push(
      'Root in a container is root on this machine: set "userns-remap" in Docker, or use rootless Docker.',
    );
  }
  if (!counts) {
    warnings.push(
      `This peer may not read ${facts.rootDir}: what programs write into their own file system is counted by Docker, which takes longer and leaves out directories.`,
    );
  }
  const told = facts.warnings.filter((text) => /swap|memory|pids|cpu/i.test(text));
  return {
    available: true,
    detail: `Docker ${facts.version} (${facts.os}/${facts.architecture})`,
    warnings: [...warnings, ...told],
  };
}

/** @param socketPath as configured; null = the usual one */
export function unavailableStatus(error: ApiError, socketPath: string | null): EngineStatus {
  const place = socketPath ?? 'its usual socket';
  return { available: false, detail: detailOf(error, place), warnings: [] };
}

function detailOf(error: ApiError, place: string): string {
  switch (error.errno) {
    case 'EACCES':
    case 'EPERM':
      return `No permission to use Docker at ${place}: add this user to the group "docker" and log in again.`;
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `Docker does not answer at ${place}: install it, start it (sudo systemctl start docker), or name its socket.`;
    case 'timeout':
      return `Docker at ${place} does not answer in time: it hangs or is overloaded; restart it.`;
    default:
      return `Docker at ${place} cannot be used: ${error.text.slice(0, 300)}`;
  }
}

function isBelowFloor(version: string): boolean {
  const parts = version.split(/[.+~-]/).map((part) => Number.parseInt(part, 10));
  for (const [index, floor] of VERSION_FLOOR.entries()) {
    const part = parts[index] ?? 0;
    if (!Number.isFinite(part)) return true;
    if (part !== floor) return part < floor;
  }
  return false;
}
