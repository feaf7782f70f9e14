/**
 * Counters and gauges of one node, in a registry of its own so that two nodes in one process do not
 * mix. A name carries its unit and, for counters, `_total`; label values come from closed unions.
 */
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

export interface Metrics {
  readonly registry: Registry;
  counter<L extends string>(
    name: `shoal_${string}_total`,
    help: string,
    labels: readonly L[],
  ): Counter<L>;
  /** `read` is asked at each scrape. */
  gauge(name: `shoal_${string}`, help: string, read: () => number): void;
  /** A gauge with one value per label value, asked at each scrape. */
  gaugeBy<L extends string>(
    name: `shoal_${string}`,
    help: string,
    label: L,
    read: () => Readonly<Record<string, number>>,
  ): void;
  /** `buckets`: upper bounds in the unit that the name ends with. */
  histogram<L extends string>(
    name: `shoal_${string}`,
    help: string,
    labels: readonly L[],
    buckets: readonly number[],
  ): Histogram<L>;
  /** Prometheus text format. */
  text(): Promise<string>;
}

/** @param process_ also report the process's own figures (memory, event-loop lag, CPU). */
export function createMetrics(process_: boolean): Metrics {
  const registry = new Registry();
  if (process_) collectDefaultMetrics({ register: registry });
  return {
    registry,
    counter: (name, help, labels) =>
      new Counter({ name, help, labelNames: [...labels], registers: [registry] }),
    gauge(name, help, read) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        registers: [registry],
        collect: () => gauge.set(read()),
      });
    },
    gaugeBy(name, help, label, read) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: [label],
        registers: [registry],
        collect: () => {
          gauge.reset();
          for (const [key, value] of Object.entries(read())) gauge.labels(key).set(value);
        },
      });
    },
    histogram: (name, help, labels, buckets) =>
      new Histogram({
        name,
        help,
        labelNames: [...labels],
        buckets: [...buckets],
        registers: [registry],
      }),
    text: () => registry.metrics(),
  };
}
