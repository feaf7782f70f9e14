/**
 * Ends a process whose event loop stands, so that its supervisor starts it again: a peer that hangs
 * answers nobody, yet holds its job's leadership, its ports and its lock. A thread of its own counts
 * on, the main thread counts on, and the thread compares. Both stand when the machine sleeps or the
 * process is stopped, so neither counts as a hang.
 */
import { Worker } from 'node:worker_threads';

/** No work of a peer takes nearly as long; a loop without an end takes for ever. */
const STALL_MS = 30_000;
/** Between two looks. The thread counts looks, not time: a clock goes on while the machine sleeps. */
const LOOK_MS = 1_000;

/**
 * Runs in the thread. `exit` would end the thread alone, and a signal with a handler is handled by the
 * loop that stands; so it is SIGKILL, which every supervisor takes for a failure (code 137).
 */
const WATCHER = `
const { workerData } = require('node:worker_threads');
const { writeSync } = require('node:fs');
const { beats, looks, lookMs, line } = workerData;
const counter = new Int32Array(beats);
let last = -1;
let missed = 0;
setInterval(() => {
  const now = Atomics.load(counter, 0);
  missed = now === last ? missed + 1 : 0;
  last = now;
  if (missed < looks) return;
  try { writeSync(2, line); } catch {}
  process.kill(process.pid, 'SIGKILL');
}, lookMs);
`;

export interface WatchdogOptions {
  readonly stallMs?: number;
  readonly lookMs?: number;
}

/** @returns ends the watch */
export function startWatchdog(options: WatchdogOptions = {}): () => void {
  const look = options.lookMs ?? LOOK_MS;
  const stall = options.stallMs ?? STALL_MS;
  const beats = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const counter = new Int32Array(beats);
  const timer = setInterval(() => Atomics.add(counter, 0, 1), look).unref();
  const seconds = Math.round(stall / 1_000);
  const line = `shoal: the event loop has stood for ${seconds} s; the process ends (SIGKILL, exit code 137) so that it is started again.\n`;
  const workerData = { beats, looks: Math.ceil(stall / look), lookMs: look, line };
  // It needs a few megabytes at most, and the exit of the process does not wait for it.
  const resourceLimits = { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 2, stackSizeMb: 1 };
  const worker = new Worker(WATCHER, { eval: true, workerData, resourceLimits });
  worker.unref();
  // Without a watchdog a peer is as good as before it had one.
  worker.on('error', () => {});
  return () => {
    clearInterval(timer);
    void worker.terminate();
  };
}
