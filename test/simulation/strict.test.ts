/** The checkers of promises to the letter see what they are there for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createMachine } from '../../src/core/machine.ts';
import type { Input } from '../../src/core/contract/input.ts';
import type { Machine } from '../../src/core/contract/machine.ts';
import { asMillis } from '../../src/core/record/ids.ts';
import { swarmOptions } from './options.ts';
import { simulate } from './run.ts';
import type { MachineFactory } from './sim-node.ts';
import { STRICT_NAMES } from './strict.ts';
import type { StrictName } from './strict.ts';

/** A machine that is told something else than what happened. */
const misled =
  (mislead: (input: Input) => Input): MachineFactory =>
  (config, suite, restored) => {
    const machine = createMachine(config, suite, restored);
    return {
      ...machine,
      handle: (input, now, wall, arrivedAt) => machine.handle(mislead(input), now, wall, arrivedAt),
    };
  };

/** Ten times as much time goes by for it as for the world. */
const hasty: MachineFactory = (config, suite, restored) => {
  const machine = createMachine(config, suite, restored);
  return {
    ...machine,
    handle: (input, now, wall, arrivedAt = now) =>
      machine.handle(input, asMillis(10 * now), wall, asMillis(10 * arrivedAt)),
    nextWake: () => {
      const wake = machine.nextWake();
      return wake === null ? null : asMillis(Math.ceil(wake / 10));
    },
  } satisfies Machine;
};

const bugs: Readonly<Record<StrictName, MachineFactory>> = {
  finished: (config, suite, restored) => {
    const records = restored.records.filter(({ key }) => key !== 'close/1');
    return createMachine(config, suite, { ...restored, records, shelved: [] });
  },
  losses: (config, suite, restored) => {
    const limits = { ...config.limits, leaseLostMs: 1_000 };
    return createMachine({ ...config, limits }, suite, restored);
  },
  timeouts: hasty,
  possible: misled((input) =>
    input.type === 'profile' ? { ...input, profile: { ...input.profile, engines: {} } } : input,
  ),
  keepers: (config, suite, restored) => {
    const limits = { ...config.limits, keepersMax: 1 };
    return createMachine({ ...config, limits }, suite, restored);
  },
  // Nobody but its leader hears of a job.
  everywhere: misled((input) =>
    input.type === 'gossip' || (input.type === 'message' && input.message.type === 'invite')
      ? { type: 'wake' }
      : input,
  ),
  // Long labels are in the advert that every node sends.
  frames: misled((input) => {
    if (input.type !== 'profile') return input;
    const labels = Object.fromEntries(
      Array.from({ length: 20 }, (_, at) => [`l${at}`, 'x'.repeat(4_000)]),
    );
    return { ...input, profile: { ...input.profile, labels } };
  }),
  ledgers: misled((input) => {
    if (input.type !== 'message' || input.message.type !== 'commit') return input;
    const values = input.message.values.filter(({ record }) => record.type !== 'assign');
    return { ...input, message: { ...input.message, values } };
  }),
};

/** The first of the seeds under which this checker complains. */
function seenUnder(name: StrictName, create: MachineFactory): number | null {
  for (let seed = 1; seed <= 60; seed += 1) {
    const kind = name === 'everywhere' ? 'ops' : 'timeouts';
    const options = swarmOptions(seed, { nodes: null, jobs: null }, [kind]);
    // Little else goes wrong: these promises are judged where nodes are in touch.
    const plan = { ...options.plan, lossRate: 0, slowRate: 0, partitionsPerMinute: 0, skewMs: 0 };
    const report = simulate({ ...options, plan, strict: [name] }, create);
    if (report.violations.some(({ checker }) => checker === name)) return seed;
  }
  return null;
}

describe('promises to the letter', () => {
  for (const name of STRICT_NAMES) {
    it(`${name}: a core that breaks it is seen within sixty seeds`, () => {
      assert.notEqual(seenUnder(name, bugs[name]), null);
    });
  }
});
