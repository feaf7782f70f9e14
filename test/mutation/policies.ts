/** Mistakes about executions that are cut off. */
import type { Mutations } from './mutation.ts';

export const policies: Mutations = {
  'src/core/leading/patience.ts': [
    {
      name: 'nobody is waited for for longer than a lease',
      within: 'patienceOf',
      text: 'lostAfterOf(spec.body.spec) ?? leaseLostMs',
      instead: 'leaseLostMs',
      why: 'a job runs twice though its owner wants it to wait',
    },
    {
      name: 'who seems dead is not waited for',
      within: 'isWaitedFor',
      text: 'lostAfterOf(spec.body.spec) !== null',
      instead: 'false',
      why: 'a job runs twice though its owner wants it to wait',
    },
  ],
  'src/core/executing/tenure.ts': [
    {
      name: 'an exclusive program runs by the word of one keeper',
      within: 'onTenure',
      text: '!isQuorum(asked.configuration, asked.answers)',
      instead: 'asked.answers.size < 1',
      why: 'those that vote for its successor may all be others',
    },
    {
      name: 'a tenure counts from the answer',
      within: 'onTenure',
      text: 'after(asked.at, TENURE_MS)',
      instead: 'after(core.now, TENURE_MS)',
      why: 'an answer that was long on its way makes two run',
    },
    {
      name: 'an answer of the last process counts',
      within: 'ask',
      text: 'Math.max(core.executing.turn + 1, Math.floor(wallMs(core)))',
      instead: 'core.executing.turn + 1',
      why: 'what was true before a restart makes two run after it',
    },
    {
      name: 'an exclusive program runs on without tenure',
      within: 'tickTenure',
      text: 'overAt <= core.now',
      instead: 'false',
      why: 'it runs beside the one in its place',
    },
    {
      name: 'a successor does not wait for the end of the one before',
      within: 'newTenure',
      text: 'unbegun === true && !isFirst',
      instead: 'false',
      why: 'two run for as long as one tenure lasts',
    },
    {
      name: 'an exclusive program is taken up as if it had not been begun',
      within: 'extend',
      text: 'runOf(execution, !begins)',
      instead: 'runOf(execution, false)',
      why: 'the runner is told something that is not so',
    },
  ],
  'src/core/executing/ending.ts': [
    {
      name: 'an exclusive program that was not begun is stopped as if it ran',
      within: 'cancel',
      text: ' || execution.stored.unbegun === true',
      instead: '',
      why: 'nobody ever tells of its end',
    },
  ],
  'src/core/keeping/tenure.ts': [
    {
      name: 'a keeper lets an earlier attempt run on that it has replaced',
      within: 'onTenureWanted',
      text: ' || hasLater(kept, assigned)',
      instead: '',
      why: 'two run at once',
    },
    {
      name: 'a keeper looks at the next attempt alone',
      within: 'hasLater',
      text: 'later < attemptsMax(ledger.spec.body)',
      instead: 'later <= attempt + 1',
      why: 'a hostile leader leaves one out, and two run at once',
    },
    {
      name: 'a keeper forgets with the next version of a job whom it had replaced in the one before',
      within: 'hasLater',
      text: 'votedBefore.has(slot) || ',
      instead: '',
      why: 'two run at once until their turn comes to give way',
    },
    {
      name: 'any node may ask for the tenure of an execution',
      within: 'onTenureWanted',
      text: ' || assigned.node !== from',
      instead: '',
      why: 'strangers learn what a keeper has voted for',
    },
    {
      name: 'keepers of before answer for those of now',
      within: 'onTenureWanted',
      text: 'order > 0 || !hasSay(core, current)',
      instead: 'false',
      why: 'quorums that share no keeper let two run',
    },
  ],
};
