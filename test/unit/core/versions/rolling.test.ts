/** A service that goes over to another version while it runs, on a few machines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import { RUNNING, Service, exits, taking } from './service.ts';

const COUNT = 3;
const fatal: RunEvent = {
  type: 'failed',
  failure: { code: 'image-not-found', class: 'spec', message: 'no such image' },
  output: null,
  usage: null,
};

describe('a service with another version', () => {
  it('goes over replica by replica: never fewer than wanted run, and one more at most', () => {
    const service = new Service();
    service.update('2');
    service.until('all are of the second', () => service.running().join() === '2,2,2');
    assert.deepEqual([service.least, service.most], [COUNT, COUNT + 1]);
  });

  it('goes on under the next leader', () => {
    const service = new Service();
    service.update('2');
    service.until('one is over', () => service.running().join() === '1,1,2,2');
    const leader = [0, 1, 2, 3, 4].find((node) => service.cluster.job(node).leading !== null);
    service.cluster.crash(leader ?? assert.fail());
    service.cluster.advance(60_000);
    service.cluster.restart(leader ?? assert.fail());
    service.until('all are of the second', () => service.running().join() === '2,2,2');
    assert.ok(service.most <= COUNT + 1, `${service.most} ran`);
  });

  for (const [what, end] of [
    ['ends each time it is started', exits],
    ['cannot be right', fatal],
  ] as const)
    it(`goes back when its program ${what}, and says why`, () => {
      const service = new Service(({ version }) => (version === 2 ? [...RUNNING, end] : RUNNING));
      service.update('2');
      service.until('it is back', () => service.running().join() === '3,3,3');
      assert.ok(service.least >= COUNT, `${service.least} ran`);
      assert.match(service.message, /^Version 2 did not come up, and version 1 came back: /);
      const ran = service.cluster.effects('run').filter(({ order }) => order.version === 3);
      assert.ok(ran.every(({ order }) => order.task.Env['V'] === '1'));
    });
});

describe('a service whose next version finds no room beside it', () => {
  it('goes over in the place of those before it, one fewer at a time', () => {
    const service = new Service(undefined, { count: 5, task: taking(3_000) });
    service.update('2');
    service.until('all are of the second', () => service.running().join() === '2,2,2,2,2');
    assert.ok(service.least >= 4 && service.most === 5);
  });

  it('does not give way to what no node could run', () => {
    const service = new Service();
    service.update('2', taking(5_000));
    service.goOn(180_000);
    assert.equal(service.running().join(), '1,1,1');
    service.update('3');
    service.until('all are of the third', () => service.running().join() === '3,3,3');
    assert.equal(service.least, COUNT);
  });

  it('gives way with one replica, and with no other until that one has come up', () => {
    const service = new Service(undefined, { count: 5, task: taking(2_500) });
    service.fill(5, taking(1_500));
    service.update('2', taking(3_000));
    service.goOn(180_000);
    assert.ok(service.least >= 4, `${service.least} ran`);
  });

  it('goes back when it does not come up in the place of the only one before it', () => {
    const service = new Service(({ version }) => (version === 2 ? [...RUNNING, exits] : RUNNING), {
      count: 1,
      task: taking(3_000),
    });
    service.fill(4, taking(3_000));
    service.update('2');
    service.until('it is back', () => service.running().join() === '3');
    assert.match(service.message, /^Version 2 did not come up, and version 1 came back: /);
  });

  it('gives way, too, when fewer are wanted than before', () => {
    const service = new Service(undefined, { count: 5, task: taking(3_000) });
    service.count = 3;
    service.fill(5, taking(1_000));
    service.update('2');
    service.until('all are of the second', () => service.running().join() === '2,2,2');
  });
});
