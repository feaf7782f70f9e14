/** A service that goes over to another version while it runs, on a few machines. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { RunEvent } from '../../../../src/core/record/execution.ts';
import { RUNNING, Service, exits, taking } from './service.ts';

const COUNT = 3;
const STARTING: readonly RunEvent[] = [{ type: 'phase', phase: 'starting' }];
const NODES = [0, 1, 2, 3, 4];
const broke: RunEvent = {
  type: 'failed',
  failure: { code: 'it-broke', class: 'node', message: 'it broke' },
  output: null,
  usage: null,
};
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
    // Beside the one that comes first, a machine that is back may still run one of before.
    assert.ok(service.most <= COUNT + 2, `${service.most} ran`);
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

describe('a service whose versions follow each other faster than it goes over', () => {
  it('keeps those before them until one of a later version has come up', () => {
    const isWell = (version: number): boolean => version === 1 || version > 4;
    const service = new Service(({ version }) => (isWell(version) ? RUNNING : STARTING));
    for (const version of ['2', '3', '4']) service.update(version);
    service.goOn(60_000);
    assert.equal(service.running().join(), '1,1,1');
    service.update('5');
    service.until('all are of the last', () => service.running().join() === '5,5,5');
    assert.ok(service.least >= COUNT, `${service.least} ran`);
    assert.ok(service.most <= COUNT + 1, `${service.most} ran`);
  });
});

describe('a replica that waits for its turn to give way', () => {
  it('is started again when its program ends, also where its job is kept', () => {
    const service = new Service(({ version }) => (version === 1 ? RUNNING : STARTING));
    const { cluster } = service;
    service.update('2');
    for (const node of [0, 1, 2, 3, 4])
      for (const { execution, version } of cluster.inspect(node).executions)
        if (version === 1) cluster.report(node, execution, [exits]);
    service.goOn(30_000);
    assert.equal(service.running().join(), '1,1,1');
    assert.equal(cluster.effects('cancel-run').length, 0);
  });
});

describe('a replica of a version before whose node was away while another took its place', () => {
  it('is stopped when its node is back, as those in its place were', () => {
    const service = new Service();
    const { cluster } = service;
    const leads = (node: number): boolean =>
      cluster.inspect(node).jobs.some(({ leading }) => leading !== null);
    const away = [0, 1, 2, 3, 4].find(
      (node) => !leads(node) && cluster.inspect(node).executions.length > 0,
    );
    assert.ok(away !== undefined);
    cluster.pause(away);
    service.until('another runs in its place', () => service.running().length > COUNT);
    service.update('2');
    service.until('all are of the second', () => service.running().join() === '1,2,2,2');
    cluster.resume(away);
    service.until('the one that is back has ended', () => service.running().join() === '2,2,2');
  });
});

describe('a replica of a new version that was thought lost and taken back', () => {
  it('has failed no more often than it did', () => {
    let count = 0;
    const service = new Service(({ version }) => {
      if (version !== 2) return RUNNING;
      count += 1;
      if (count === 3) return STARTING;
      return count < 3 ? [...RUNNING, exits] : RUNNING;
    });
    const { cluster } = service;
    service.update('2');
    service.until('it has ended twice', () => count === 2);
    const away = NODES.find((node) =>
      cluster.inspect(node).executions.some(({ version }) => version === 2),
    );
    assert.ok(away !== undefined && cluster.job(away).leading === null);
    cluster.pause(away);
    service.until('another takes its place', () => count === 3);
    cluster.resume(away);
    service.until('all are of the second', () => service.running().join() === '2,2,2');
    assert.equal(service.message, '');
  });
});

describe('a service that is stopped while it does not come up', () => {
  it('ends, and does not go back to the version before', () => {
    const service = new Service(({ version }) => (version === 2 ? [...RUNNING, exits] : RUNNING));
    service.update('2');
    const failures = (): number =>
      service.cluster.effects('run').filter(({ order }) => order.version === 2).length;
    service.until('it is started once more', () => failures() === 2);
    // The end is proposed, and not decided.
    const { cluster, job } = service;
    cluster.lose = ({ message }) => message.type === 'voted';
    const request = cluster.request(4, { type: 'stop', job, reason: '' });
    service.until('it has failed often enough', () => failures() >= 3);
    cluster.advance(200);
    cluster.lose = () => false;
    service.until('it is stopped', () => cluster.reply(request) !== null);
    service.goOn(60_000);
    const known = cluster.inspect(0).jobs.find((one) => one.job === job);
    assert.equal(known?.state, 'Stopped');
    assert.equal(service.running().join(), '');
  });
});

describe('a service that is stopped just as it fails once too often', () => {
  it('ends, though its leader learns of both at once', () => {
    let count = 0;
    const service = new Service(({ version }) => {
      if (version !== 2) return RUNNING;
      count += 1;
      return count < 3 ? [...RUNNING, broke] : RUNNING;
    });
    const { cluster, job } = service;
    const leads = (node: number): boolean =>
      cluster.inspect(node).jobs.some((one) => one.job === job && one.leading !== null);
    service.update('2');
    service.until('it is tried for the last time', () => count === 3);
    const leader = NODES.find(leads) ?? assert.fail();
    cluster.pause(leader);
    cluster.advance(4_000);
    // It asks whether it still leads, and decides nothing until it knows.
    cluster.lose = ({ message }) => message.type === 'promise';
    cluster.resume(leader);
    const by = NODES.find((node) => node !== leader) ?? assert.fail();
    const request = cluster.request(by, { type: 'stop', job, reason: '' });
    for (const node of NODES)
      for (const { execution, version } of cluster.inspect(node).executions)
        if (version === 2) cluster.report(node, execution, [broke]);
    cluster.advance(500);
    cluster.lose = () => false;
    service.until('it is stopped', () => cluster.reply(request) !== null);
    service.goOn(60_000);
    assert.equal(cluster.inspect(0).jobs.find((one) => one.job === job)?.state, 'Stopped');
    assert.equal(service.running().join(), '');
    assert.equal(cluster.effects('run').filter(({ order }) => order.version > 2).length, 0);
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
    // Its place is free, and neither of the version before nor of this one: that counts for a later one, too.
    service.update('3', taking(3_000));
    service.goOn(60_000);
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
