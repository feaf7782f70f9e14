/** The state of a node that has seen nothing yet. */
import { createAsking } from '../asking/state.ts';
import { createExecuting } from '../executing/state.ts';
import { createKeeping } from '../keeping/state.ts';
import { createMesh } from '../mesh/state.ts';
import { createPlacing } from '../placing/state.ts';
import { asHlc, asMillis } from '../record/ids.ts';
import type { MachineConfig } from '../contract/machine.ts';
import type { Core } from './state.ts';
import type { Suite } from '../record/suite.ts';
import { Timers } from './timers.ts';

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
    troubles: new Map(),
    atHand: null,
    refused: {},
    relayed: false,
    mesh: createMesh(),
    asking: createAsking(),
    keeping: createKeeping(),
    placing: createPlacing(),
    executing: createExecuting(),
  };
}
