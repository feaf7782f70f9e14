/** The state of a node that has seen nothing yet. */
import { asHlc, asMillis } from '../record/ids.ts';
import type { MachineConfig } from '../contract/machine.ts';
import type { Core } from './state.ts';
import type { Suite } from '../record/suite.ts';
import { Timers } from './timers.ts';
import { createWelcome } from '../mesh/welcome.ts';

export function createCore(config: MachineConfig, suite: Suite): Core {
  return {
    config,
    suite,
    self: config.node,
    now: asMillis(0),
    wall: asHlc(0),
    hlc: asHlc(0),
    startedAt: asMillis(0),
    timers: new Timers(),
    out: [],
    writes: [],
    inbox: [],
    dirty: new Set(),
    profile: null,
    draining: false,
    storeFull: false,
    advertSequence: 0,
    members: new Map(),
    alive: null,
    connected: new Set(),
    heardAt: new Map(),
    hosts: new Map(),
    watches: new Map(),
    stops: new Map(),
    relayedPings: new Map(),
    nonce: 0,
    kept: new Map(),
    pending: new Map(),
    submissions: new Map(),
    executions: new Map(),
    holds: new Map(),
    welcome: createWelcome(),
    wishes: new Map(),
    awaitingSpec: new Map(),
    index: new Map(),
    indexOf: new Map(),
    allowances: new Map(),
    closedKept: new Set(),
    warm: new Map(),
    closed: new Map(),
    lookups: new Map(),
    replicas: new Map(),
    local: new Set(),
    troubles: new Map(),
    atHand: null,
    refused: {},
    relayed: false,
  };
}
