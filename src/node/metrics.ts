/** The figures of one node for Prometheus: messages, refusals, events, queues, peers. */
import type { Host } from '../../p2p/host.ts';
import type { Machine } from '../core/contract/machine.ts';
import { createMetrics } from '../lib/metrics.ts';
import type { Driver } from './driver.ts';

export interface NodeMetrics {
  sent(type: string): void;
  /** A message of this type, or a gossip, that no frame holds: it was not sent. */
  oversized(type: string): void;
  /** Remote input that was refused; the peer itself is no label, or a flood would make a million of them. */
  refused(code: string): void;
  noted(event: string): void;
  /** A fault of our own that was contained, by its place in the program. */
  defect(where: string): void;
  text(): Promise<string>;
}

export function createNodeMetrics(deps: {
  readonly host: () => Host;
  readonly driver: () => Driver;
  readonly machine: Machine;
}): NodeMetrics {
  const metrics = createMetrics(true);
  const sent = metrics.counter('shoal_messages_sent_total', 'Messages handed to the transport.', [
    'type',
  ]);
  const oversized = metrics.counter(
    'shoal_messages_oversized_total',
    'Messages that were not sent because they are larger than a frame; each is a fault of the program.',
    ['type'],
  );
  const refused = metrics.counter('shoal_refused_total', 'Remote input refused, by reason.', [
    'code',
  ]);
  const events = metrics.counter(
    'shoal_events_total',
    'Things that happened to jobs, executions and peers.',
    ['event'],
  );
  const defects = metrics.counter(
    'shoal_defects_total',
    'Faults of the program that cost one message, effect or job; the log has the first of each kind.',
    ['where'],
  );
  const { gauge } = metrics;
  gauge('shoal_peers', 'Members of the mesh connected now.', () => deps.host().gauges().members);
  gauge(
    'shoal_peers_cooling',
    'Peers kept out for a while because they broke the protocol too often.',
    () => deps.host().gauges().standing.cooling,
  );
  gauge(
    'shoal_peer_faults',
    'Faults of peers since the start: frames, records, gossip and blocks that no honest peer sends.',
    () => Object.values(deps.host().gauges().standing.faults).reduce((sum, one) => sum + one, 0),
  );
  gauge(
    'shoal_connections_silent',
    'Connections closed since the start because nothing arrived on them any more.',
    () => deps.host().gauges().silentConnections,
  );
  gauge('shoal_connections', 'Open connections.', () => deps.host().gauges().connections);
  gauge(
    'shoal_message_queue_bytes',
    'Bytes waiting to be sent to peers.',
    () => deps.host().gauges().messages.queuedBytes,
  );
  gauge(
    'shoal_messages_dropped',
    'Messages dropped since the start: queue full or peer unreachable.',
    () => {
      const { droppedOverflow, droppedUnreachable } = deps.host().gauges().messages;
      return droppedOverflow + droppedUnreachable;
    },
  );
  gauge(
    'shoal_gossip_queued',
    'Gossip messages waiting for the core.',
    () => deps.host().gauges().gossip.queued,
  );
  gauge(
    'shoal_gossip_refused',
    'Gossip messages refused since the start: malformed, oversized or unknown.',
    () => {
      const { rejected, ignored } = deps.host().gauges().gossip;
      return rejected + ignored;
    },
  );
  gauge(
    'shoal_gossip_healed',
    'Gossip streams found deaf and renewed since the start.',
    () => deps.host().gauges().gossip.healed,
  );
  gauge('shoal_core_queue', 'Inputs waiting for the core.', () => deps.driver().gauges().queued);
  gauge(
    'shoal_core_paused_peers',
    'Peers whose streams stand still because they have their share waiting for the core.',
    () => deps.driver().gauges().pausedPeers,
  );
  gauge(
    'shoal_core_gossip_dropped',
    'Gossip messages dropped since the start because too many waited for the core.',
    () => deps.driver().gauges().gossipDropped,
  );
  gauge(
    'shoal_core_slowest_batch_ms',
    'Longest batch of the core since the last scrape.',
    () => deps.driver().gauges().slowestMs,
  );
  gauge('shoal_jobs_kept', 'Jobs this node keeps.', () => deps.machine.load().jobsKept);
  gauge(
    'shoal_jobs_set_aside',
    'Jobs that cannot be handled and are left alone until the next start; the log says why.',
    () => deps.machine.load().jobsSetAside,
  );
  gauge(
    'shoal_executions',
    'Executions that run here, or whose job has still to learn how they ended.',
    () => deps.machine.load().executions,
  );
  return {
    sent: (type) => sent.inc({ type }),
    oversized: (type) => oversized.inc({ type }),
    refused: (code) => refused.inc({ code }),
    noted: (event) => events.inc({ event }),
    defect: (where) => defects.inc({ where }),
    text: () => metrics.text(),
  };
}
