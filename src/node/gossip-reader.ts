/**
 * What is let in of gossip, and so passed on: well formed, and signed by whom it says where one look
 * can tell. Every node has this in front of what it passes on, so a neighbour that sends something
 * else made it.
 */
import type { Decoded } from '../../p2p/gossip.ts';
import { isSendersFault } from '../../p2p/wire/cbor.ts';
import type { MessageCodec } from '../../p2p/wire/messages.ts';
import type { Announcement, Gossip } from '../core/contract/messages.ts';
import type { Signed } from '../core/record/records.ts';
import type { Suite } from '../core/record/suite.ts';
import { checkAdvert, checkSpec } from '../core/record/verify.ts';
import type { Verdict } from '../core/record/verify.ts';

/** `wall`: the wall clock, milliseconds. */
export function gossipReader(
  codec: MessageCodec,
  suite: Suite,
  wall: () => number,
): (bytes: Uint8Array) => Decoded {
  return (bytes) => {
    const decoded = codec.decodeGossip(bytes);
    if (!decoded.ok)
      return { ok: false, sendersFault: isSendersFault(decoded.code), why: decoded.code };
    const verdict = verdictOn(decoded.gossip, suite, wall());
    if (verdict === 'good') return decoded;
    return { ok: false, sendersFault: verdict.fault, why: verdict.code };
  };
}

/** Of a later version it is inside what says that it was decided: whose votes the core looks at. */
const specIn = ({ spec, decided }: Announcement, suite: Suite): Signed<'spec'> | null =>
  decided === undefined ? spec : suite.specIn(decided.record.body.spec);

function verdictOn(gossip: Gossip, suite: Suite, wall: number): Verdict {
  switch (gossip.type) {
    case 'announce': {
      const { decided, job } = gossip.announcement;
      const spec = specIn(gossip.announcement, suite);
      // Of a later program the spec inside may be one that cannot be read here.
      if (spec === null)
        return decided === undefined ? 'good' : { code: 'contradiction', fault: false };
      if (spec.body.job !== job) return { code: 'contradiction', fault: true };
      return checkSpec(suite, spec, wall);
    }
    case 'advert':
      return checkAdvert(suite, gossip.advert);
    // Its votes say nothing without the admission, which the keepers have: the core looks.
    case 'closed':
      return 'good';
  }
}
