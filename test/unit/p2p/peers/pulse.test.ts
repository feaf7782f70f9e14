/** Laws of when a connection is probed, and when it is closed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BEAT_MS, createPulses, QUIET_MS, SILENT_MS } from '../../../../p2p/peers/pulse.ts';
import { quiet } from '../../../contract/p2p/nodes.ts';

/** One watched connection on a clock of its own. */
function watched() {
  let now = 1_000;
  const pulses = createPulses(() => now, quiet);
  const seen = { probes: 0, cutAt: null as number | null };
  const pulse = pulses.watch({
    probe: () => {
      seen.probes += 1;
    },
    cut: () => {
      seen.cutAt = now;
    },
  });
  const pass = (ms: number, each: () => void = () => {}): void => {
    for (let gone = 0; gone < ms; gone += BEAT_MS) {
      now += BEAT_MS;
      each();
      pulses.beat();
    }
  };
  const stand = (ms: number): void => {
    now += ms;
    pulses.beat();
  };
  return { seen, pulse, pulses, pass, stand };
}

test('a connection on which nothing arrives is probed, and closed when the probe brings nothing', () => {
  const { seen, pulses, pass } = watched();
  pass(QUIET_MS);
  assert.equal(seen.probes, 1);
  pass(SILENT_MS - BEAT_MS);
  assert.equal(seen.cutAt, null);
  pass(BEAT_MS);
  assert.equal(seen.cutAt, 1_000 + QUIET_MS + SILENT_MS);
  assert.equal(pulses.cuts(), 1);
  pass(60_000);
  assert.equal(pulses.cuts(), 1, 'once');
});

test('a quiet connection whose probes are answered stays', () => {
  const { seen, pulse, pass } = watched();
  let answered = 0;
  pass(300_000, () => {
    if (seen.probes > answered) {
      answered = seen.probes;
      pulse.heard();
    }
  });
  assert.equal(seen.cutAt, null);
  assert.ok(answered >= 40 && answered <= 60, `${answered} probes in five minutes`);
});

test('a busy connection is never probed, however long a probe would take to come through', () => {
  const { seen, pulse, pass } = watched();
  pass(300_000, pulse.heard);
  assert.deepEqual(seen, { probes: 0, cutAt: null });
});

test('a byte of anything answers a probe', () => {
  const { seen, pulse, pass } = watched();
  pass(QUIET_MS + SILENT_MS - BEAT_MS);
  pulse.heard();
  pass(QUIET_MS + SILENT_MS - BEAT_MS);
  assert.equal(seen.cutAt, null);
});

test('a node that stood still blames nobody for the silence', () => {
  const { seen, pass, stand } = watched();
  pass(QUIET_MS);
  stand(120_000);
  assert.equal(seen.cutAt, null);
  pass(SILENT_MS - BEAT_MS);
  assert.equal(seen.cutAt, null);
  pass(BEAT_MS);
  assert.notEqual(seen.cutAt, null);
});

test('a connection that is gone is not closed again', () => {
  const { seen, pulse, pass } = watched();
  pass(QUIET_MS);
  pulse.forget();
  pass(60_000);
  assert.equal(seen.cutAt, null);
});
