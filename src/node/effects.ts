/** Performs the effects of the core: each one is handed to the part of the peer that can do it. */
import type { Host } from '../../p2p/host.ts';
import { GOSSIP_MAX_BYTES, MESSAGE_MAX_BYTES } from '../../p2p/wire/messages.ts';
import type { MessageCodec } from '../../p2p/wire/messages.ts';
import { asJobId } from '../core/record/ids.ts';
import type { JobId } from '../core/record/ids.ts';
import type { Effect, NoteEvent } from '../core/contract/effect.ts';
import { ShoalError } from '../failures/shoal-error.ts';
import type { CopyOutcome, Gossip } from '../core/contract/messages.ts';
import type { Log } from '../lib/log.ts';
import type { Defects } from './defects.ts';
import type { Driver, Performed } from './driver.ts';
import type { LocalInput } from './inbox.ts';
import type { NodeMetrics } from './metrics.ts';
import type { Retention } from './retention.ts';
import type { Runner } from './runner/runner.ts';
import { failpoint } from '../lib/failpoint.ts';

/** What performs the effects of the core. */
export interface EffectPorts {
  readonly host: Host;
  readonly codec: MessageCodec;
  readonly log: Log;
  readonly metrics: NodeMetrics;
  readonly runner: () => Runner;
  readonly replicate: (effect: Extract<Effect, { type: 'replicate' }>) => void;
  /** This node has learned that a job is over. */
  readonly closed: (job: JobId) => void;
  readonly defects: Defects;
  /** Hands an input to the core. */
  readonly push: (input: LocalInput) => void;
}

/** Never throws: an effect that fails costs that effect, and the core hears of it where it waits. */
export function perform(hands: EffectPorts, effect: Performed): void {
  const { type } = effect;
  failpoint('effect.before', type);
  if (!hands.defects.contain(`effect.${type}`, () => carryOut(hands, effect)))
    hands.defects.contain(`effect.${type}`, () => giveUp(hands, effect));
  failpoint('effect.after', type);
}

/** The core waits for what these two report; everything else it repeats or does not need. */
function giveUp({ push }: EffectPorts, effect: Performed): void {
  if (effect.type === 'run') {
    const message = 'This node could not begin the execution; its log says why.';
    const failure = { code: 'node-failed', class: 'node', message } as const;
    const event = { type: 'failed', failure, output: null, usage: null } as const;
    push({ type: 'run-event', execution: effect.order.execution, event });
  } else if (effect.type === 'replicate') {
    const { execution, cid } = effect;
    push({ type: 'replicated', execution, cid, outcome: 'refused' });
  }
}

function carryOut(hands: EffectPorts, effect: Performed): void {
  const { host, codec, log, metrics, runner } = hands;
  switch (effect.type) {
    case 'send':
      return transmit(hands, effect);
    case 'gossip': {
      const bytes = codec.encodeGossip(effect.gossip);
      if (bytes.length > GOSSIP_MAX_BYTES) return tellOversized(hands, effect.gossip.type, bytes);
      return host.gossip.publish(bytes, jobOfGossip(effect.gossip));
    }
    case 'run':
      return runner().start(effect.order, effect.resume, effect.until ?? null);
    case 'extend-run':
      return runner().extend(effect.execution, effect.until);
    case 'cancel-run':
      return runner().cancel(effect.execution, effect.why);
    case 'forget-run':
      return runner().forget(effect.execution);
    case 'replicate':
      return hands.replicate(effect);
    case 'refuse':
      metrics.refused(effect.code);
      if (effect.fault) host.penalise(effect.from, 'bad-record');
      log.debug({ code: effect.code, from: effect.from, fault: effect.fault }, 'record.refused');
      return;
    case 'defect': {
      const { where, job, error } = effect;
      return hands.defects.report(`core.${where}`, error, job === null ? {} : { job });
    }
    case 'note':
      metrics.noted(effect.event);
      if (effect.event === 'job.closed') hands.closed(asJobId(String(effect.data['job'])));
      log[NOISY.has(effect.event) ? 'debug' : 'info']({ ...effect.data }, effect.event);
  }
}

function transmit(hands: EffectPorts, { to, message }: Extract<Effect, { type: 'send' }>): void {
  const { host, codec, metrics } = hands;
  const frame = codec.encodeMessage(message);
  if (frame.length > MESSAGE_MAX_BYTES) return tellOversized(hands, message.type, frame);
  host.messages.send(to, frame);
  metrics.sent(message.type);
}

/** The core cuts what it says so that it fits (`core/node/fitting.ts`): what does not is a fault of it. */
function tellOversized({ log, metrics }: EffectPorts, type: string, bytes: Uint8Array): void {
  metrics.oversized(type);
  log.error({ type, bytes: bytes.length }, 'message.oversized');
}

/** Events that come several times per job; an operator wants a handful. */
const NOISY: ReadonlySet<NoteEvent> = new Set<NoteEvent>([
  'execution.phase',
  'job.activated',
  'job.admitted',
  'peer.suspect',
]);

/** The shard a gossip message belongs to; adverts and farewells have a topic of their own. */
function jobOfGossip(gossip: Gossip): JobId | null {
  if (gossip.type === 'announce') return gossip.announcement.job;
  return gossip.type === 'closed' ? gossip.summary.job : null;
}

/** A second copy of a result must not keep a stream busy for ever. */
const REPLICATE_MS = 600_000;
/** What is said of content that its holders do not have. */
const NOT_THERE: ReadonlySet<string> = new Set(['content-not-found', 'content-corrupt']);

/** Makes copies of other nodes' results, and tells the core how it went. */
export function createReplicator(deps: {
  readonly host: Host;
  readonly driver: Driver;
  readonly retention: Retention;
  readonly resultMaxBytes: number;
  readonly log: Log;
}): EffectPorts['replicate'] {
  const { host, driver, retention, log } = deps;
  const copy = async (
    cid: string,
    holders: readonly string[],
    most: number,
  ): Promise<CopyOutcome> => {
    try {
      const signal = AbortSignal.timeout(REPLICATE_MS);
      const maxBytes = Math.min(most, deps.resultMaxBytes);
      await host.content.replicate(cid, { holders, maxBytes, signal });
      retention.hold(cid);
      return 'made';
    } catch (error) {
      log.warn({ cid, error: String(error) }, 'result.not-replicated');
      const lost = error instanceof ShoalError && NOT_THERE.has(error.failure.code);
      return lost ? 'missing' : 'refused';
    }
  };
  return ({ cid, holders, execution, maxBytes }) => {
    void copy(cid, holders, maxBytes).then((outcome) =>
      driver.push({ type: 'replicated', execution, cid, outcome }),
    );
  };
}
