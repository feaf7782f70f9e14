/** Mistakes with jobs that each node takes up by its own decision. */
import type { Mutations } from './mutation.ts';

export const enrolment: Mutations = {
  'src/core/executing/enrol.ts': [
    {
      name: 'a node does again what it has done by its own decision',
      within: 'enrol',
      text: 'isDone(core, spec)',
      instead: 'false',
      why: 'whoever repeats an announcement has a program run again',
    },
    {
      name: 'what a node has taken up by itself is not written down',
      within: 'enrol',
      text: 'rememberDone(core, spec);',
      instead: '',
      why: 'it is done again after a restart',
    },
    {
      name: 'a node that slept takes up what waited for it',
      within: 'enrol',
      text: ' || core.now < core.executing.doubtUntil',
      instead: '',
      why: 'jobs begin minutes after they have ended',
    },
    {
      name: 'a node takes up what it does not match',
      within: 'enrol',
      text: 'lasting.length > 0',
      instead: 'false',
      why: 'jobs run where their owner, or the operator, does not want them',
    },
    {
      name: 'old announcements are believed, whoever repeats them',
      within: 'enrol',
      text: '!direct && ',
      instead: 'false && ',
      why: 'jobs that are over run on nodes that come later',
    },
    {
      name: 'a node without room runs what it took up by itself',
      within: 'enrol',
      text: '!fits(wanted, room)',
      instead: 'false',
      why: 'a node runs more than it has',
    },
    {
      name: 'a node takes up any number of jobs by itself',
      within: 'enrol',
      text: "welcome !== 'good'",
      instead: 'false',
      why: 'strangers fill its memory and its disk',
    },
  ],
  'src/core/executing/queue.ts': [
    {
      name: 'what waits on a node begins without room',
      within: 'beginQueued',
      text: 'fits(wanted, roomFor(core, asker, wanted, claims))',
      instead: 'true',
      why: 'a node runs more than it has',
    },
    {
      name: 'what waits on a node is not looked at by priority',
      within: 'byTurn',
      text: 'second.spec.body.spec.Priority - first.spec.body.spec.Priority ||',
      instead: '',
      why: 'urgent work waits behind the rest',
    },
  ],
  'src/core/executing/reporting.ts': [
    {
      name: 'a node tells its leader only once that it enrolled',
      within: 'isEnrolling',
      text: 'stored.assign === null && ',
      instead: 'false && ',
      why: 'a lost message leaves a node out, until it is called again',
    },
  ],
  'src/core/mesh/welcome.ts': [
    {
      name: 'what runs by the own decision of a node is not weighed',
      within: 'claimsOn',
      text: 'if (stored.queued === true || isTerminal(stored.state.body.phase)) continue;',
      instead: 'continue;',
      why: 'an unknown owner fills the nodes of the mesh',
    },
    {
      name: 'any number of jobs waits on a node',
      within: 'welcomeOwn',
      text: 'count.queued >= QUEUED_MAX || count.ofLeader >= QUEUED_PER_LEADER_MAX',
      instead: 'false',
      why: 'strangers fill its disk',
    },
  ],
  'src/core/executing/ending.ts': [
    {
      name: 'the result of one node cancels those of the others',
      within: 'justifies',
      text: '!counted || stored.assign === null',
      instead: 'false',
      why: 'a job for every node is done by one',
    },
  ],
  'src/core/consensus/evidence.ts': [
    {
      name: 'anybody enrols others',
      within: 'takeState',
      text: 'from === state.body.node',
      instead: 'true',
      why: 'nodes that never heard of a job, or left long ago, fail it',
    },
    {
      name: 'keepers remember whoever says that he enrolled',
      within: 'hasRoomFor',
      text: 'enrols && leaderIn(lead) !== null ? ENROLLED_MAX : EARLY_MAX',
      instead: 'ENROLLED_MAX',
      why: 'whoever makes up nodes fills the memory of keepers',
    },
  ],
  'src/core/consensus/proposer.ts': [
    {
      name: 'the end of a job for every node is believed before its results',
      within: 'resultsOf',
      text: 'enrolled === undefined || enrolled < 1 ? Number.POSITIVE_INFINITY : enrolled',
      instead: '1 - 1',
      why: 'a completed job is shown without its results',
    },
  ],
  'src/core/leading/enrolling.ts': [
    {
      name: 'a node that enrols twice gets two places',
      within: 'placeEnrolled',
      text: 'assigned.has(execution) || proposed.has(execution)',
      instead: 'false',
      why: 'one node fills a job, and is counted twice',
    },
  ],
  'src/core/leading/enrolment.ts': [
    {
      name: 'a job for every node ends before all were called',
      within: 'enrolmentEnd',
      text: 'if (now < until)',
      instead: 'if (false)',
      why: 'it runs on those that were heard first',
    },
    {
      name: 'nodes that failed are left out',
      within: 'enrolmentEnd',
      text: 'of.endings.size > 0',
      instead: 'false',
      why: 'a job that failed somewhere is completed',
    },
    {
      name: 'a later leader does not wait for those who enrolled with the one before',
      within: 'enrolmentOf',
      text: 'const until = heard > first ? heard : first;',
      instead: 'const until = first;',
      why: 'a job ends without nodes that run it',
    },
    {
      name: 'a leader that was started again takes an old job for a new one',
      within: 'isOld',
      text: 'isResumed || ',
      instead: '',
      why: 'nodes that came later run what was not meant for them',
    },
    {
      name: 'a later leader calls again, however old the job is',
      within: 'enrolmentOf',
      text: 'isLate ? null : until',
      instead: 'until',
      why: 'nodes that came later run what was not meant for them',
    },
  ],
  'src/core/leading/silence.ts': [
    {
      name: 'the time for which a node waits for room counts as that of its program',
      within: 'signOfLife',
      text: 'if (isQueued(ledger, execution)) watched.firstAt = core.now;',
      instead: '',
      why: 'what waited for long is given up soon after it began',
    },
  ],
};
