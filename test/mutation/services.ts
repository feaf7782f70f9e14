/** Mistakes in keeping running what does not end. */
import type { Mutations } from './mutation.ts';

export const services: Mutations = {
  'src/core/executing/restarting.ts': [
    {
      name: 'a program is started again without a pause that grows',
      within: null,
      text: '2 ** Math.min(inRow - 1, 20)',
      instead: '1',
      why: 'one that cannot run takes a whole node',
    },
    {
      name: 'a pause has no end',
      within: null,
      text: ', RESTART_MAX_MS);\n\n/** Its program is over',
      instead: ', Infinity);\n\n/** Its program is over',
      why: 'what was mended is not started again for days',
    },
    {
      name: 'a pause never begins anew',
      within: 'endsInRow',
      text: 'ranMs >= STEADY_MS',
      instead: 'false',
      why: 'one end a day, and after two weeks each costs five minutes',
    },
    {
      name: 'a pause is not written down',
      within: 'update',
      text: 'saveExecution(core, stored);',
      instead: '',
      why: 'after a restart of its node a program is not started again',
    },
    {
      name: 'a pause begins anew with its node',
      within: 'resumePause',
      text: 'Math.min(Math.max(0, leftMs), RESTART_MAX_MS)',
      instead: 'RESTART_MAX_MS',
      why: 'every restart of a node keeps programs from running for five minutes',
    },
    {
      name: 'a program that was stopped in its pause is started again',
      within: null,
      text: ' && !isTerminal(stored.state.body.phase)',
      instead: '',
      why: 'a stopped job runs on',
    },
  ],
  'src/core/executing/run-events.ts': [
    {
      name: 'an execution goes back to an earlier phase',
      within: 'onRunEvent',
      text: 'if (PHASES[body.phase] <= PHASES[before.phase]) return;',
      instead: '',
      why: 'an end is taken back',
    },
    {
      name: 'the end of an execution is not written down',
      within: 'onRunEvent',
      text: 'saveExecution(core, execution.stored)',
      instead: 'void 0',
      why: 'after a restart it has another end',
    },
    {
      name: 'a program that ends as it is stopped is started again',
      within: 'onRunEvent',
      text: 'again && !execution.cancelling',
      instead: 'again',
      why: 'a stopped job runs on',
    },
  ],
  'src/core/executing/executor.ts': [
    {
      name: 'an execution that was taken back does not know it',
      within: 'onAssign',
      text: 'standAs(core, message, assign);',
      instead: '',
      why: 'what stood before it stops it, though it stands',
    },
    {
      name: 'an execution that ended begins again as it is taken back',
      within: 'take',
      text: 'if (body.adopts !== null) return NOT_BID;',
      instead: '',
      why: 'an execution has two ends',
    },
  ],
  'src/core/executing/ending.ts': [
    {
      name: 'an earlier attempt stops a later one',
      within: 'justifies',
      text: 'record.body.attempt > stored.assign.record.body.attempt',
      instead: 'true',
      why: 'a message of yesterday stops what stands today',
    },
  ],
  'src/core/executing/lease.ts': [
    {
      name: 'how far an execution is is told once',
      within: 'renewLeases',
      text: '!execution.acked.has(execution.epoch.leader)',
      instead: 'false',
      why: 'a service is shown as starting for ever, and an older one that is well is not taken back',
    },
  ],
  'src/core/leading/replica-plan.ts': [
    {
      name: 'a replica that is back is never taken back',
      within: 'whoStays',
      text: 'byAge.find(isWell)',
      instead: 'undefined',
      why: 'what ran for weeks is stopped for what has just begun',
    },
    {
      name: 'a replica is stopped before another is known to stand',
      within: 'stopOthers',
      text: 'last.watched.startBy !== null',
      instead: 'false',
      why: 'none is left when the other one is gone by then',
    },
    {
      name: 'replicas that are too many run on',
      within: 'stopOthers',
      text: 'draft.surplus.push({ assign: view.attempt.assign, because })',
      instead: 'void because',
      why: 'a service has more than its Count',
    },
    {
      name: 'a node that comes and goes is taken back each time',
      within: 'whoStays',
      text: 'inRow >= FLAPPING',
      instead: 'false',
      why: 'its replica moves every minute, and its attempts are used up',
    },
    {
      name: 'failures of nodes do not back off',
      within: null,
      text: "fate !== 'failed' && inRow <= 1",
      instead: 'true',
      why: 'the attempts of a service are used up within minutes',
    },
    {
      name: 'a loss waits as long as a failure',
      within: null,
      text: "fate === 'lost' ? LOST_PAUSE_MAX_MS : RESTART_MAX_MS",
      instead: 'RESTART_MAX_MS',
      why: 'a replica is missing for minutes when nodes die one after the other',
    },
    {
      name: 'what was told to stop is counted on',
      within: 'planReplica',
      text: '!isStopping(view, observed)',
      instead: 'true',
      why: 'nothing is left when it has stopped',
    },
    {
      name: 'a replica never starts anew with its pauses',
      within: 'troubles',
      text: 'began.assign.record.hlc - before.assign.record.hlc >= STEADY_MS',
      instead: 'false',
      why: 'a failure a day, and after two weeks each costs five minutes',
    },
  ],
  'src/core/leading/lead.ts': [
    {
      name: 'a replica that is too many is told so once',
      within: 'supersededBy',
      text: 'lead.cancelled.has(execution) || ',
      instead: '',
      why: 'a lost message leaves a service with more than its Count',
    },
  ],
  'src/core/leading/plan.ts': [
    {
      name: 'a service ends with its TotalTimeout',
      within: null,
      text: 'JOB_TYPES[body.spec.Type].ends ?',
      instead: 'true ?',
      why: 'Bacalhau knows no such end',
    },
  ],
  'src/core/record/facts.ts': [
    {
      name: 'an execution that was taken back is where it was first',
      within: 'noteAssigned',
      text: 'body.attempt > known.attempt',
      instead: 'false',
      why: 'ledgers with the same records differ by the order in which they came',
    },
  ],
  'src/core/record/slot.ts': [
    {
      name: 'a service may be completed',
      within: 'hasPlace',
      text: "ends || body.outcome !== 'completed'",
      instead: 'true',
      why: 'a hostile leader ends what only its owner may end',
    },
    {
      name: 'a result of a service may be accepted',
      within: 'hasPlace',
      text: "type === 'accept' && !ends",
      instead: 'false',
      why: 'its replica is not looked after any more',
    },
    {
      name: 'what ends may be taken back',
      within: 'follows',
      text: '!ends && adopts < attempt',
      instead: 'adopts < attempt',
      why: 'a batch job has tries without end',
    },
  ],
  'src/core/consensus/evidence.ts': [
    {
      name: 'a service is said to be completed',
      within: 'takeState',
      text: "state.body.phase === 'completed' &&",
      instead: 'false &&',
      why: 'a node ends a replica that nobody replaces',
    },
  ],
};
