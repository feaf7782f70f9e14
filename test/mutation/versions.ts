/** Mistakes with jobs of several versions. */
import type { Mutations } from './mutation.ts';

export const versions: Mutations = {
  'src/core/placing/announcements.ts': [
    {
      name: 'a version runs though nobody decided it, because its leader calls for it',
      within: 'isDecided',
      text: 'return isProven(suite, { ...rootsOf(roots), ...version, spec });',
      instead: 'return true || isProven(suite, { ...rootsOf(roots), ...version, spec });',
      why: 'a hostile leader or neighbour has run what the owner signed and its keepers did not choose',
    },
  ],
  'src/core/executing/executor.ts': [
    {
      name: 'an assignment comes with a spec that is not the one of its version',
      within: 'onAssign',
      text: 'if (!isProven(core.suite, message))',
      instead: 'if (false)',
      why: 'of two specs that the owner signed for one version the leader chooses which runs',
    },
  ],
  'src/core/record/past-room.ts': [
    {
      name: 'a version that still runs is forgotten to make room',
      within: 'stillRuns',
      text: 'if (!counted || ends || close !== null) return false;',
      instead: 'return false;',
      why: 'the leader does not know the replicas that are still to give way',
    },
  ],
  'src/core/keeping/past-books.ts': [
    {
      name: 'one owner fills the books with versions that are past',
      within: 'hasTooMuch',
      text: '> core.config.limits.pastOwnerMaxBytes',
      instead: '> Number.POSITIVE_INFINITY',
      why: 'a keeper runs out of memory',
    },
    {
      name: 'all jobs make room at once',
      within: 'makeRoom',
      text: 'looked.size >= TRIMMED_AT_ONCE',
      instead: 'false',
      why: 'a node reads thousands of jobs from its disk before it does anything else',
    },
  ],
  'src/core/consensus/open-change.ts': [
    {
      name: 'a version that nobody may vote for any more keeps its slot',
      within: 'mayHang',
      text: 'spec.body.notAfter < wallMs(core)',
      instead: 'false',
      why: 'no further version is decided while this node leads',
    },
    {
      name: 'what hangs is asked about twice as late',
      within: null,
      text: 'const HANGING_MS = 30_000;',
      instead: 'const HANGING_MS = 60_000;',
      why: 'the keepers of a job, or its next version, wait twice as long',
    },
  ],
  'src/core/keeping/keeper.ts': [
    {
      name: 'what was voted for as the next version is forgotten with the end of this one',
      within: 'tickKept',
      text: "value.type === 'version' || value.type",
      instead: 'value.type',
      why: 'a job has two next versions',
    },
    {
      name: 'keepers that were voted for are forgotten with the end of the job',
      within: 'tickKept',
      text: " || value.type === 'config'",
      instead: '',
      why: 'a job that is run again has two next sets of keepers',
    },
  ],
  'src/core/jobs.ts': [
    {
      name: 'a replica that waits for its turn ends with the next word of its program',
      within: 'endIfOver',
      text: 'if (ledger?.close === null) endVersionsBefore(core, order.job, ledger.spec.body.version);',
      instead: 'if (false) return;',
      why: 'a service is down while it goes over to another version',
    },
  ],
  'src/core/leading/turning.ts': [
    {
      name: 'what was proposed of the version before is proposed on',
      within: 'turn',
      text: "if (value.type !== 'config') commits.proposals.delete(slot);",
      instead: "if (value.type === 'version') commits.proposals.delete(slot);",
      why: 'a leader repeats for ever what nobody votes for any more',
    },
  ],
  'src/core/leading/replica-plan.ts': [
    {
      name: 'a replica that moves has failed',
      within: 'hasMoved',
      text: 'next.assign.record.hlc - assign.record.hlc >= MOVED_MS',
      instead: 'false',
      why: 'when nodes leave one after the other a service is down for minutes',
    },
  ],
  'src/core/leading/rolling.ts': [
    {
      name: 'a replica that was taken back has failed twice as often',
      within: 'failing',
      text: '...executions.values()',
      instead: '...attempts',
      why: 'a service goes back to the version before though the new one comes up',
    },
    {
      name: 'replicas of the version before stop at once',
      within: 'goOn',
      text: 'if (core.now < lookAt) return core.timers.set(jobTimer(kept), lookAt);',
      instead: '',
      why: 'a service is down while it goes over to another version',
    },
    {
      name: 'a version that does not come up stays',
      within: 'failing',
      text: '< TRIES_MAX',
      instead: '< Number.POSITIVE_INFINITY',
      why: 'a service does not go back to what ran',
    },
    {
      name: 'one replica after the other makes room for a version that has none',
      within: 'mayMakeRoom',
      text: 'if (last === undefined || upAs(last, lead) === null) return false;',
      instead: '',
      why: 'a service ends when it goes over to what does not fit',
    },
    {
      name: 'a job goes back to the version before while it is being stopped',
      within: 'rollBack',
      text: 'if (stopAmong(ledger.commands.values(), version - 1) !== null) return false;',
      instead: '',
      why: 'what its owner stopped runs again',
    },
  ],
  'src/core/record/versions.ts': [
    {
      name: 'any spec of the owner may take the place of any other',
      within: 'checkWanted',
      text: 'version !== current.body.version + 1 || follows?.of !== current.id',
      instead: 'false',
      why: 'an old update undoes a later one',
    },
    {
      name: 'a leader goes back to whatever it likes',
      within: 'mayBeNext',
      text: 'specs.fallback === null && specs.spec.id === fallbackOf(suite, ledger)?.id',
      instead: 'true',
      why: 'a hostile leader brings back versions that nobody wants',
    },
  ],
};
