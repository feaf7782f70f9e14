/**
 * What a run used, from the statistics that Docker sends once a second. A run shorter than that has
 * none: asking for a single figure would make Docker wait for a second one to compare.
 */
import type { Usage } from '../../core/record/execution.ts';
import type { DockerApi } from './api.ts';
import { jsonLines } from './lines.ts';

/** Short runs are not worth a stream. */
const BEGIN_AFTER_MS = 1000;

export interface UsageMeter {
  /** Figures so far; null where there are none. */
  read(wallMs: number): Usage;
  stop(): void;
}

interface StatsLine {
  readonly cpu_stats?: { readonly cpu_usage?: { readonly total_usage?: number } };
  readonly memory_stats?: { readonly usage?: number; readonly max_usage?: number };
}

export function createUsageMeter(api: DockerApi, id: string): UsageMeter {
  let cpuMs: number | null = null;
  let peak: number | null = null;
  let stopped = false;
  let close: () => void = () => undefined;

  const measure = async (): Promise<void> => {
    const stream = await api.stats(id);
    close = () => stream.destroy();
    if (stopped) close();
    for await (const line of jsonLines(stream)) {
      const { cpu_stats: cpu, memory_stats: memory } = line as StatsLine;
      // Zeros come once the container has ended.
      const total = cpu?.cpu_usage?.total_usage ?? 0;
      if (total > 0) cpuMs = Math.max(cpuMs ?? 0, total / 1e6);
      const used = Math.max(memory?.usage ?? 0, memory?.max_usage ?? 0);
      if (used > 0) peak = Math.max(peak ?? 0, used);
    }
  };
  const timer = setTimeout(() => void measure().catch(() => undefined), BEGIN_AFTER_MS);

  return {
    read: (wallMs) => ({
      cpuMs: cpuMs === null ? null : Math.round(cpuMs),
      peakMemoryBytes: peak,
      wallMs,
    }),
    stop() {
      stopped = true;
      clearTimeout(timer);
      close();
    },
  };
}
